"""The bytes of stream images: rendered ones from the cache, made again from the original when they are missing; and their end.

Whoever calls has asked the policy already.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from image_cache.db.database import Connection, Database
from image_cache.engine.key import Key
from image_cache.errors import DecoderFailed, ImageRejected, QueueFull, StorageError
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import Variant
from image_cache.models import StreamImage
from image_cache.storage.base import Storage
from image_cache.storage.local import LocalStorage
from image_cache.streams.cache import StreamImageCache
from image_cache.streams.table import StreamTable

logger = logging.getLogger(__name__)

RENDERING_MOST = 3  # request threads that may wait for the decoder at a time; the others are told to come again
DOWN_S = 15.0  # a storage that did not answer is left alone for so long: nobody waits for it twice
STRAY_S = 3600.0  # an upload is over by then, one way or the other
# Rendered together, because one decode makes them all, and because together they always give the same bytes.
SETS = (
    ("stream_thumb", "stream_detail"),
    ("stream_thumb_blurred", "stream_detail_blurred"),
    ("stream_large",),
)


class StreamImages:
    """Any thread, several processes."""

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
        self._decoder = decoder
        self._clock = clock
        self._slots = threading.BoundedSemaphore(RENDERING_MOST)
        self._down_until = 0.0  # monotonic; a plain float, because a lost race costs one more try

    def body(self, image: StreamImage, variant: str, page: str = "") -> bytes | None:
        """Return a variant; None when the image is gone, or its original is.

        Raises `StorageError` when the storage does not answer, `QueueFull` when too many wait for the decoder already.
        """
        key = self.cache.key(image.image_id, variant)
        found = self.cache.get(key, page)
        if found is not None:
            return found
        if not self._slots.acquire(blocking=False):
            raise QueueFull(RENDERING_MOST)
        try:
            body = self.cache.get_or_load(key, lambda: self._load(image, variant), page)
        except (ImageRejected, DecoderFailed) as error:
            logger.error("original not rendered image=%s reason=%s", image.image_id, error)  # noqa: TRY400
            return None
        finally:
            self._slots.release()
        if self._rows.image(image.image_id) is None:  # deleted meanwhile: what was just stored must go as well
            self.drop(image.image_id)
            return None
        return body

    @property
    def is_remote(self) -> bool:
        return not isinstance(self.storage, LocalStorage)

    def is_away(self) -> bool:
        """Tell whether the storage of the originals does not answer; asked at most once in a while."""
        if time.monotonic() < self._down_until:
            return True
        try:
            self.storage.exists("probe")
        except StorageError:
            self._down_until = time.monotonic() + DOWN_S
            return True
        return False

    def cached(self, image: StreamImage, variant: str) -> bytes | None:
        """Return a variant if it is here, and ask nobody for it."""
        return self.cache.get(self.cache.key(image.image_id, variant))

    def original(self, image: StreamImage) -> bytes | None:
        """Return the untouched bytes as they were uploaded. Raises `StorageError`."""
        self._check_up()
        try:
            return self.storage.get(image.file_path)
        except StorageError:
            self._down_until = time.monotonic() + DOWN_S
            raise

    def render(self, body: bytes, names: Sequence[str]) -> tuple[dict[str, bytes], tuple[int, int], str]:
        """Return the variants of these names, the size of the picture upright, and its average colour."""
        made = self._decoder.render(body, [self.variants[name] for name in names])
        return made.variants, (made.width, made.height), made.average

    def keep(self, image_id: str, bodies: dict[str, bytes], page: str = "") -> None:
        """Put what was rendered into the cache; what it does not take is rendered again when it is asked for."""
        for variant, body in bodies.items():
            self.cache.keep(self.cache.key(image_id, variant), body, page if variant == "stream_thumb" else "")

    def drop(self, image_id: str) -> None:
        """Remove everything that was rendered of an image, from memory and disk."""
        self.cache.drop([self.cache.key(image_id, variant) for variant in self.variants])

    def destroy(self, image_id: str, file_path: str) -> bool:
        """Remove every byte of an image that has no row any more; False when the storage does not answer: later then."""
        try:
            self.drop(image_id)
            self.storage.delete(file_path)
        except StorageError as error:
            logger.warning("bytes of a deleted image remain path=%s reason=%s", file_path, error.reason)
            return False
        self._rows.delete_orphan(file_path)
        return True

    def forget_folder(self, slug: str) -> None:
        """Remove what a deleted stream leaves of its folder."""
        if isinstance(self.storage, LocalStorage):
            self.storage.remove_folder(slug)

    def sweep(self) -> int:
        """Remove the bytes of uploads that were never finished and of images deleted while the storage was away."""
        removed = 0
        for file_path, image_id in self._rows.orphans(self._clock() - STRAY_S):
            removed += self.destroy(image_id, file_path)
        if isinstance(self.storage, LocalStorage):
            removed += self.storage.sweep(older_than_s=STRAY_S, now=self._clock())
        return removed

    def _load(self, image: StreamImage, variant: str) -> dict[Key, bytes]:
        original = self.original(image)
        if original is None:
            logger.error("original missing image=%s path=%s", image.image_id, image.file_path)
            return {}
        together = next(names for names in SETS if variant in names)
        bodies, _, _ = self.render(original, together)
        return {self.cache.key(image.image_id, name): body for name, body in bodies.items()}

    def _check_up(self) -> None:
        if time.monotonic() < self._down_until:
            raise StorageError(self.storage.kind, "the storage of the originals does not answer; it is asked again in a moment")


IDS_A_STATEMENT = 500
FIRST, LAST = "", "g"  # around every id: they are hexadecimal


@dataclass(frozen=True, slots=True)
class StoredOriginal:
    """The untouched bytes of a stream image: where they lie in the storage, and what they are."""

    image_id: str
    file_path: str
    size_bytes: int
    sha256: bytes


def originals_in(conn: Connection) -> Iterator[StoredOriginal]:
    """Yield what any version of a catalogue names; one from before there were streams names nothing."""
    if conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'stream_images'").fetchone():
        for row in conn.execute("SELECT id, file_path, size_bytes, sha256 FROM stream_images ORDER BY id"):
            yield StoredOriginal(row["id"], row["file_path"], row["size_bytes"], row["sha256"])


class OriginalTable:
    """Any thread, several processes."""

    def __init__(self, database: Database) -> None:
        self.db = database

    def originals(self, first: str = FIRST, last: str = LAST) -> Iterator[StoredOriginal]:
        """Yield those of the image ids from `first` up to `last`, by id. Reads in chunks, so that no transaction stays open."""
        sql = "SELECT id, file_path, size_bytes, sha256 FROM stream_images WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
        while rows := self.db.rows(sql, (first, last, IDS_A_STATEMENT)):
            yield from (StoredOriginal(row["id"], row["file_path"], row["size_bytes"], row["sha256"]) for row in rows)
            first = rows[-1]["id"] + " "

    def is_known(self, file_path: str) -> bool:
        """Tell whether an image, or the note of one that comes or goes, speaks of this original."""
        sql = "SELECT 1 FROM stream_images WHERE file_path = ? UNION ALL SELECT 1 FROM stray_originals WHERE file_path = ?"
        return self.db.row(sql, (file_path, file_path)) is not None

    def count(self) -> int:
        return int(self.db.rows("SELECT count(*) FROM stream_images")[0][0])

    def total_bytes(self) -> int:
        row = self.db.row("SELECT coalesce(sum(size_bytes), 0) FROM stream_images")
        return int(row[0]) if row else 0
