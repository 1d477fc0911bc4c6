"""Moves images to another stream, or copies them there. The original is stored at its new place before the row says so."""

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from image_cache.errors import CacheError, DuplicateImage, NotVisible, QuotaExceeded, StorageError
from image_cache.models import Stream, StreamImage
from image_cache.streams.images import StreamImages
from image_cache.streams.selection_table import ImageChangeTable
from image_cache.streams.table import StreamTable
from image_cache.streams.uploads import Upload, Uploads

logger = logging.getLogger(__name__)


class StreamMoving:
    """Any thread, several processes. Callers have checked that the viewer may edit both streams."""

    def __init__(
        self, rows: StreamTable, images: StreamImages, uploads: Uploads, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._rows = rows
        self._moved = ImageChangeTable(rows.db)
        self._images = images
        self._uploads = uploads
        self._clock = clock

    def move(self, image: StreamImage, target: Stream, *, position: int | None = None) -> StreamImage:
        """Move an image to the end of another stream, or to a position there. It keeps its id, title, visibility and views.

        Raises `DuplicateImage`, `QuotaExceeded`, `NotVisible`, `StorageError` or `DatabaseError`: then it stays where it was.
        """
        moved = replace(image, stream_id=target.slug, file_path=f"{target.slug}/{image.file_path.rpartition('/')[2]}")
        body = self._original(image)
        self._rows.record_orphan(moved.file_path, image.image_id, self._clock())
        try:
            self._images.storage.put(moved.file_path, body)
            with self._rows.db.write() as conn:
                duplicate = self._rows.duplicate_of(conn, target.id, self._moved.sha256(conn, image.image_id))
                if duplicate is not None:
                    raise DuplicateImage(duplicate)
                if self._rows.count(conn, target.id) >= self._uploads.limits.max_images:
                    raise QuotaExceeded(self._uploads.limits.max_images)
                if not self._moved.move_image(conn, image, target.id, moved.file_path, position):
                    raise NotVisible
        except BaseException:
            with contextlib.suppress(Exception):
                self._delete_original(moved.file_path)
            raise
        # What the storage does not delete now is deleted with the other orphans.
        with contextlib.suppress(CacheError):
            self._delete_original(image.file_path)
        logger.info("moved image=%s stream=%s target=%s", image.image_id, image.stream_id, target.slug)
        return moved

    def copy(self, image: StreamImage, target: Stream) -> StreamImage:
        """Add an image to another stream as an upload would, with its texts and visibility, without its views. Raises what `move` raises."""
        upload = Upload(
            self._original(image), image.filename, image.visibility, image.title, image.description, image.is_sensitive
        )
        return self._uploads.store(target, upload)

    def _original(self, image: StreamImage) -> bytes:
        body = self._images.original(image)
        if body is None:
            raise StorageError(image.file_path, "its original is missing")
        return body

    def _delete_original(self, file_path: str) -> None:
        self._images.storage.delete(file_path)
        self._rows.delete_orphan(file_path)
