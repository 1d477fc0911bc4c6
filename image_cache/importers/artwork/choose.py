"""Cover editor: choose or upload the cover of a record, and start searches for missing ones."""

import logging
import time
from collections.abc import Callable
from typing import BinaryIO

from image_cache.config import Settings
from image_cache.covers import VISIBLE, ImageCache
from image_cache.covers.own_covers import SCHEME, OwnCovers
from image_cache.errors import ImageRejected, OfferGone, StorageError, UnknownAlbum, UploadTooLarge
from image_cache.imaging.decoder import Decoder
from image_cache.importers.artwork.audit import DEAD
from image_cache.importers.artwork.search import KIND
from image_cache.importers.artwork.table import ArtworkTable
from image_cache.models import Album
from image_cache.tasks.runner import TaskRunner

logger = logging.getLogger(__name__)

WAIT_S = 20.0  # an uploaded cover waits so long for the images that are rendered before it
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF")
AFTER_FAILURE_S = 6 * 3600.0
AFTER_CANCEL_S = 7 * 86400.0  # unless a user requests a search before


class CoverEditor:
    """What users do about covers. Any thread, several processes."""

    def __init__(
        self,
        settings: Settings,
        rows: ArtworkTable,
        *,
        covers: ImageCache,
        own: OwnCovers,
        decoder: Decoder,
        tasks: TaskRunner,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rows = rows
        self.max_bytes = settings.max_image_upload_bytes
        self._settings = settings
        self._covers = covers
        self._own = own
        self._decoder = decoder
        self._clock = clock
        self._tasks = tasks

    def start_search_if_due(self) -> None:
        """Start a search if a record is due. A periodic job; a search that failed or was cancelled is not repeated at once."""
        if not self._settings.FIND_COVERS or self.rows.due(self._clock()) is None:
            return
        last = self._tasks.latest(KIND)
        rest_s = {"failed": AFTER_FAILURE_S, "cancelled": AFTER_CANCEL_S}.get(last.state, 0.0) if last else 0.0
        if last is not None and 0 <= self._clock() - last.updated_at < rest_s:
            return
        self._tasks.start(KIND, {})

    def search_again(self, album: Album | None = None) -> bool:
        """Search for the cover of a record next, or of all that have none; return True if a search runs now.

        For a record that has a cover, what is found is only offered. An address of the source that no longer works is rejected.
        """
        if album is not None and album.picture == album.cover_url and album.cover_url and self.is_dead(album.cover_url):
            self.rows.reject_urls([(album.id, album.cover_url, "The source URL does not return an image")])
        self.rows.request_search(None if album is None else [album.id])
        if not self._settings.FIND_COVERS:
            return False
        self._tasks.start(KIND, {})
        return True

    def is_dead(self, address: str) -> bool:
        """Return True if the last fetch of an address found that it has no cover."""
        image = self._covers.registry.get(self._covers.digests.of(address)[1])
        return image is not None and image.is_final and image.fetched_at is None and image.failure_code in DEAD

    def choose(self, album: Album, address: str) -> None:
        """Use one of the offered images, or that of the source, as the cover. Raises `OfferGone` for any other."""
        offered = {offer.url for offer in self.rows.tries(album.id).offers} | {album.cover_url, album.found_cover}
        if not address or address not in offered:
            raise OfferGone
        self._put(album, address)

    def upload(self, album: Album, file: BinaryIO | bytes) -> None:
        """Use an uploaded image as the cover. It is decoded once, within the limits of the decoder, before it is stored.

        Raises `UploadTooLarge`, `ImageRejected`, `DecoderFailed`, `DecoderBusy`, `UnknownAlbum` or `StorageError`; nothing has changed then.
        """
        address, body = self.store(file)
        self._put(album, address, body)

    def store(self, file: BinaryIO | bytes) -> tuple[str, bytes]:
        """Store an uploaded image that can be shown; return its address and bytes. Raises as `upload`."""
        try:
            body = file if isinstance(file, bytes) else file.read(self.max_bytes + 1)
        except OSError as error:
            raise StorageError("upload", error.strerror or str(error)) from error
        if len(body) > self.max_bytes:
            raise UploadTooLarge(self.max_bytes, len(body))
        if not body:
            raise ImageRejected("the file is empty")
        format_ = self._decoder.probe(body, wait_s=WAIT_S).format
        if format_ not in FORMATS:
            raise ImageRejected(f"{format_} files are not supported. Use {', '.join(FORMATS)}")
        self._decoder.render(body, [self._covers.variants["detail"]], wait_s=WAIT_S)
        return self._own.store(body), body

    def keep(self, address: str, body: bytes) -> None:
        """Show an image that a record has from now on. Its file may have been deleted with its last other use a moment ago."""
        self._own.store(body)
        self._show(address)

    def remove(self, album: Album) -> None:
        """Use the cover of the source again. An uploaded image that no other record uses is deleted."""
        self.delete_unused(self.rows.choose(album.id, None))

    def retry_source(self, album: Album) -> None:
        """Fetch the address of the source again although it was rejected. What it answers may be rejected again, what it answered before not."""
        if album.cover_url:
            self._covers.fetch_again([album.cover_url])
        self.rows.clear_rejection(album.id)

    def _put(self, album: Album, address: str, body: bytes | None = None) -> None:
        before = self.rows.choose(album.id, address)
        if self.rows.album(album.id) is None:  # it was removed a moment ago
            self.delete_unused(address)
            raise UnknownAlbum(album.id)
        if body is not None:  # the last other record with this image may have been removed meanwhile, and its file too
            self._own.store(body)
        if before != address:
            self.delete_unused(before)
        self._covers.clear_failures([address])
        self._show(address)
        logger.info("cover chosen album=%s", album.id)

    def _show(self, address: str) -> None:
        self._covers.try_register([address])
        self._covers.enqueue_missing([address], VISIBLE)

    def delete_unused(self, address: str | None) -> None:
        """Delete an uploaded file that no record shows any more."""
        if address and address.startswith(SCHEME) and not self.rows.is_used(address):
            try:
                self._own.delete(address)
            except StorageError as error:
                logger.warning("own cover not deleted reason=%s", error)
