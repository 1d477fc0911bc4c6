"""Bytes of stream images: variants from the cache, rendered from the original when they are missing, and their deletion.

Knows no policy: callers have checked that the viewer may see the image.
"""

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO

from image_cache.engine.key import Key
from image_cache.errors import DecoderFailed, ImageRejected, ProgramMissing, StorageAway, StorageError, VideoRejected
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import Variant
from image_cache.models import StreamImage
from image_cache.storage.base import Storage
from image_cache.storage.local import LocalStorage
from image_cache.streams.cache import StreamImageCache
from image_cache.streams.changes.trash_table import TrashTable
from image_cache.streams.render_queue import RenderJob, RenderQueue
from image_cache.streams.table import StreamTable
from image_cache.streams.upload.orphan_table import OrphanTable
from image_cache.streams.variant_sets import SETS, unrendered

logger = logging.getLogger(__name__)

OFFLINE_PAUSE_S = 15.0  # after a storage did not answer, no request waits for it for so long
PIECE_BYTES = 1 << 20  # of a video at a time
ORPHAN_AGE_S = 3600.0  # an upload has ended by then
TRASH_VARIANT = "trash_thumb"  # what the owner sees of an image in the trash, whose own variants are gone
REFILL_SHARE = 0.8  # of the limit; beyond it, a refill would evict what someone looked at


class StreamImages:
    """The bytes of all streams. Any thread, several processes."""

    def __init__(
        self,
        rows: StreamTable,
        storage: Storage,
        cache: StreamImageCache,
        decoder: Decoder,
        variants: Sequence[Variant],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.storage = storage
        self.cache = cache
        self.variants = {variant.name: variant for variant in variants}
        self._rows = rows
        self._orphans = OrphanTable(rows.db)
        self._trash = TrashTable(rows.db)
        self._decoder = decoder
        self._clock = clock
        self._renders = RenderQueue(self.body)
        self._tried: set[tuple[str, str]] = set()  # by this refill, also in vain; only housekeeping uses it
        self._probe = threading.Lock()  # held while the storage is asked whether it answers
        self._offline_until = 0.0  # monotonic; unlocked, because a lost race costs one more attempt

    def waiting_renders(self) -> int:
        """Return how many variants are still to be rendered in this process."""
        return self._renders.waiting()

    def body(self, image: StreamImage, variant: str, page: str = "") -> bytes | None:
        """Return a variant, rendered now if it is not cached; None if the image or its original is gone. Not for request threads.

        Raises `StorageError` if the storage does not answer, `DecoderFailed` if the decoder was late or killed: then the image is fine,
        and the same call can succeed later.
        """
        key = self.cache.key(image.image_id, variant)
        found = self.cache.get(key, page)
        if found is not None:
            return found
        try:
            body = self.cache.get_or_load(key, lambda: self._load(image, variant), page)
        except (ImageRejected, DecoderFailed) as error:
            if isinstance(error, DecoderFailed) and error.retryable:
                raise
            logger.error("original not rendered image=%s reason=%s", image.image_id, error)  # noqa: TRY400
            return None
        if variant == TRASH_VARIANT:
            if not self._trash.is_trashed(image.image_id):
                self.delete_trash_variant(image.image_id)
                return None
        elif self._rows.image(image.image_id) is None:  # deleted since: what was just stored must be deleted too
            self.delete_variants(image.image_id)
            return None
        return body

    def cached(self, image: StreamImage, variant: str, page: str = "") -> bytes | None:
        """Return a variant from the cache, None on a miss."""
        return self.cache.get(self.cache.key(image.image_id, variant), page)

    def request(self, image: StreamImage, variant: str, page: str = "") -> RenderJob:
        """Enqueue a missing variant and wait a moment for it: for request threads. Raises `QueueFull`, `StorageError`."""
        self._check_online()
        return self._renders.request(image, variant, page)

    def refill(self) -> None:
        """After a restore or with another quality: render what pages show of every image, after what is requested.

        Ends once everything is rendered or was tried, or most of the cache is in use. Raises `DatabaseError`.
        """
        if not self.cache.needs_refill() or self._renders.waiting() or self.is_offline():
            return
        totals = self.cache.engine.index.totals(self.cache.engine.namespace)
        is_full = totals.bytes > REFILL_SHARE * self.cache.engine.budget_bytes
        wanted = [] if is_full else unrendered(self._rows, self.cache, self._tried)
        self._tried.update((image.image_id, variant) for image, variant in wanted)
        if wanted:
            logger.info("stream images rendered again images=%s", len(wanted))
            self._renders.refill(wanted)
        else:
            self.cache.end_refill()
            self._tried.clear()

    def start_refill(self) -> None:
        """Render what is missing now, as after a restore. Raises `DatabaseError`."""
        self._tried.clear()
        self.cache.start_refill()
        self.refill()

    def close(self) -> None:
        self._renders.close()

    @property
    def is_remote(self) -> bool:
        return not isinstance(self.storage, LocalStorage)

    def is_offline(self) -> bool:
        """Return True if the storage of the originals does not answer; probed at most every `OFFLINE_PAUSE_S`."""
        if time.monotonic() < self._offline_until:
            return True
        if not self._probe.acquire(blocking=False):  # one thread waits for the answer; for the others the last one counts
            return self._offline_until > 0
        try:
            self.storage.exists("probe")
            self._offline_until = 0.0
        except StorageError:
            self._offline_until = time.monotonic() + OFFLINE_PAUSE_S
            return True
        finally:
            self._probe.release()
        return False

    def unavailable_ids(self, images: Sequence[StreamImage], variant_of: Callable[[StreamImage], str]) -> set[str]:
        """Return the ids of the images whose variant is not cached while the storage of its original does not answer."""
        if not self.is_remote:
            return set()
        missing = {one.image_id for one in images if self.cache.get(self.cache.key(one.image_id, variant_of(one))) is None}
        return missing if missing and self.is_offline() else set()

    def path(self, image: StreamImage, variant: str) -> str:
        """Return the path of a variant below the folder of the cache."""
        return self.cache.key(image.image_id, variant).path

    def original(self, image: StreamImage) -> bytes | None:
        """Return the untouched bytes as they were uploaded. Raises `StorageError`."""
        self._check_online()
        try:
            return self.storage.get(image.file_path)
        except StorageError:
            self._offline_until = time.monotonic() + OFFLINE_PAUSE_S
            raise

    def open_original(self, image: StreamImage) -> IO[bytes] | bytes | None:
        """Return the open file of an original, or its bytes where the storage has no files; None if it is gone. Raises `StorageError`."""
        return self.storage.open(image.file_path) if isinstance(self.storage, LocalStorage) else self.original(image)

    def original_pieces(self, image: StreamImage, start: int, stop: int) -> Iterator[bytes]:
        """Yield a range of an original, piece by piece: for videos, which no request holds in memory. Raises `StorageError`."""
        self._check_online()
        for at in range(start, stop, PIECE_BYTES):
            try:
                piece = self.storage.read_range(image.file_path, at, min(at + PIECE_BYTES, stop))
            except StorageError:
                if self.is_remote:
                    self._offline_until = time.monotonic() + OFFLINE_PAUSE_S
                raise
            if piece is None or len(piece) != min(PIECE_BYTES, stop - at):
                raise StorageError(image.file_path, "the original is missing or too short")
            yield piece

    def shown_pieces(self, image: StreamImage, start: int, stop: int) -> Iterator[bytes]:
        """Yield a range of a video as its viewers get it: with zeros for location, times and all that is neither frames nor sound."""
        mask = self._rows.mask(image.image_id)
        if mask is None:  # deleted meanwhile
            raise StorageError(image.file_path, "the video was deleted")
        at = start
        for piece in self.original_pieces(image, start, stop):
            yield mask.apply(piece, at)
            at += len(piece)

    def poster(self, image: StreamImage) -> bytes:
        """Return a frame of a video as JPEG. Raises `ImageRejected` if none can be made, `StorageError`."""
        from image_cache.imaging.video.frames import poster_of

        source = self._original_file(image)
        if source is None:
            raise ImageRejected("its original is missing")
        with source as file:
            try:
                return poster_of(file, image.duration_s or 0.0)
            except (ProgramMissing, VideoRejected) as error:
                raise ImageRejected(str(error)) from error

    def _original_file(self, image: StreamImage) -> IO[bytes] | None:
        """Return the open file of a video, which other processes can read; a copy without a name where the storage has no files."""
        if isinstance(self.storage, LocalStorage):
            return self.storage.open(image.file_path)
        if not self.storage.exists(image.file_path):
            return None
        file = tempfile.TemporaryFile(dir=self.cache.cache_dir)  # noqa: SIM115  closed by its user; not in /tmp, which may be memory
        try:
            file.writelines(self.original_pieces(image, 0, image.size_bytes))
            file.flush()
        except OSError as error:
            file.close()
            raise StorageError(image.file_path, error.strerror or str(error)) from error
        except BaseException:
            file.close()
            raise
        return file

    def render(
        self, body: bytes, names: Sequence[str], wait_s: float | None = None
    ) -> tuple[dict[str, bytes], tuple[int, int], str]:
        """Return the named variants, the dimensions of the upright image, and its average colour."""
        made = self._decoder.render(body, [self.variants[name] for name in names], wait_s=wait_s)
        return made.variants, (made.width, made.height), made.average

    def cache_variants(self, image_id: str, bodies: dict[str, bytes], page: str = "") -> None:
        """Cache rendered variants; what the cache does not take is rendered again on request."""
        for variant, body in bodies.items():
            self.cache.put(self.cache.key(image_id, variant), body, page if variant == "stream_thumb" else "")

    def delete_variants(self, image_id: str) -> None:
        """Remove all variants of an image from memory and disk, and what pages cached under its id."""
        self.cache.delete(self.cache.keys_of(image_id, (*self.variants, TRASH_VARIANT)))

    def hide(self, image: StreamImage) -> None:
        """Remove the variants of an image that was moved to the trash; keep a small one that its owner is shown there."""
        thumb = self.cached(image, "stream_thumb_blurred" if image.is_sensitive else "stream_thumb")
        self.hide_bytes(image.image_id)
        if thumb is not None:
            self.cache.put(self.cache.key(image.image_id, TRASH_VARIANT), thumb)

    def hide_bytes(self, image_id: str) -> None:
        """Remove the variants of an image that was moved to the trash.

        A disk that refuses leaves bytes that no URL leads to: they go when the image is deleted for good.
        """
        try:
            self.delete_variants(image_id)
        except StorageError as error:
            logger.warning("variants not removed image=%s reason=%s", image_id, error.reason)

    def delete_trash_variant(self, image_id: str) -> None:
        """Remove what the trash showed of an image."""
        try:
            self.cache.delete([self.cache.key(image_id, TRASH_VARIANT)])
        except StorageError as error:
            logger.warning("variants not removed image=%s reason=%s", image_id, error.reason)

    def delete_bytes(self, image_id: str, file_path: str) -> bool:
        """Remove every byte of an image that has no row any more; return False if the storage does not answer: retried later."""
        try:
            self.delete_variants(image_id)
            self.storage.delete(file_path)
        except StorageError as error:
            logger.warning("deleted image not fully removed path=%s reason=%s", file_path, error.reason)
            return False
        self._orphans.delete(file_path)
        return True

    def forget_shown(self, image_ids: Iterable[str]) -> None:
        """Remove all variants of images that another node deleted or moved to the trash. Raises `StorageError`."""
        self.cache.delete([key for image_id in image_ids for key in self.cache.keys_of(image_id, self.variants)])

    def forget_trashed(self, image_ids: Iterable[str]) -> None:
        """Remove what the trash showed of images that another node deleted or restored. Raises `StorageError`."""
        self.cache.delete([self.cache.key(image_id, TRASH_VARIANT) for image_id in image_ids])

    def forget_all(self) -> None:
        """Remove every variant: what another node deleted is not known any more. Raises `StorageError` or `DatabaseError`."""
        self.cache.clear()

    def remove_folder(self, slug: str) -> None:
        """Remove the folder of a deleted stream."""
        if isinstance(self.storage, LocalStorage):
            self.storage.remove_folder(slug)

    def sweep(self) -> int:
        """Remove the bytes of unfinished uploads, and of images deleted while the storage did not answer."""
        removed = 0
        for file_path, image_id in self._orphans.before(self._clock() - ORPHAN_AGE_S):
            removed += self.delete_bytes(image_id, file_path)
        if isinstance(self.storage, LocalStorage):
            removed += self.storage.sweep(older_than_s=ORPHAN_AGE_S, now=self._clock())
        return removed

    def _load(self, image: StreamImage, variant: str) -> dict[Key, bytes]:
        original = self.poster(image) if image.is_video else self.original(image)
        if original is None:
            logger.error("original missing image=%s path=%s", image.image_id, image.file_path)
            return {}
        if variant == TRASH_VARIANT:
            name = "stream_thumb_blurred" if image.is_sensitive else "stream_thumb"
            bodies, _, _ = self.render(original, (name,))
            return {self.cache.key(image.image_id, variant): bodies[name]}
        together = next(names for names in SETS if variant in names)
        bodies, _, _ = self.render(original, together)
        return {self.cache.key(image.image_id, name): body for name, body in bodies.items()}

    def _check_online(self) -> None:
        if time.monotonic() < self._offline_until:
            raise StorageAway(self.storage.kind, "the storage for original images is not responding; try again in a moment")
