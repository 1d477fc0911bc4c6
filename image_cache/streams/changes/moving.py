"""Moves images to another stream, or copies them there. The original is stored at its new place before the row says so."""

import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from image_cache.db.database import Connection
from image_cache.errors import CacheError, DuplicateImage, NotVisible, QuotaExceeded, StorageError
from image_cache.models import Stream, StreamImage, iso_utc
from image_cache.streams.changes.selection_table import ImageChangeTable
from image_cache.streams.images import StreamImages
from image_cache.streams.table import StreamTable
from image_cache.streams.upload.orphan_table import OrphanTable
from image_cache.streams.upload.quotas import StreamQuotas
from image_cache.streams.upload.validation import new_image_id

logger = logging.getLogger(__name__)


class StreamMoving:
    """Any thread, several processes. Callers have checked that the viewer may edit both streams.

    Nothing is decoded: a copy has the facts of its image, and its variants are rendered when someone opens it.
    """

    def __init__(
        self,
        rows: StreamTable,
        images: StreamImages,
        max_images: int,
        quotas: StreamQuotas,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rows = rows
        self._orphans = OrphanTable(rows.db)
        self._moved = ImageChangeTable(rows.db)
        self._images = images
        self._max_images = max_images
        self._quotas = quotas
        self._clock = clock

    def move(self, image: StreamImage, target: Stream, *, position: int | None = None) -> StreamImage:
        """Move an image to the end of another stream, or to a position there. It keeps its id, title, visibility and views.

        Raises `DuplicateImage`, `QuotaExceeded`, `SpaceExceeded`, `NotVisible`, `StorageError` or `DatabaseError`: then it stays where it was.
        """
        moved = replace(image, stream_id=target.slug, file_path=f"{target.slug}/{image.file_path.rpartition('/')[2]}")

        def write(conn: Connection, _: bytes) -> bool:
            return self._moved.move_image(conn, image, target.id, moved.file_path, position)

        self._store(image, moved, target, write)
        # What the storage does not delete now is deleted with the other orphans.
        with contextlib.suppress(CacheError):
            self._delete_original(image.file_path)
        logger.info("moved image=%s stream=%s target=%s", image.image_id, image.stream_id, target.slug)
        return moved

    def copy(self, image: StreamImage, target: Stream) -> StreamImage:
        """Add an image to another stream with its texts and visibility, without its views. Raises what `move` raises."""
        image_id = new_image_id(secrets.token_bytes(16))
        made = replace(
            image,
            image_id=image_id,
            stream_id=target.slug,
            file_path=f"{target.slug}/{image_id}_{image.file_path.rpartition('_')[2]}",
            created_at=iso_utc(self._clock()),
            view_count=0,
        )

        mask = self._rows.mask(image.image_id) if image.is_video else None

        def write(conn: Connection, sha256: bytes) -> bool:
            self._rows.add_image(conn, target.id, made, sha256, mask.dump() if mask else "")
            return True

        self._store(image, made, target, write)
        logger.info("copied image=%s stream=%s target=%s", image.image_id, image.stream_id, target.slug)
        return made

    def _store(self, image: StreamImage, made: StreamImage, target: Stream, write: Callable[[Connection, bytes], bool]) -> None:
        """Store the original of `image` at the path of `made`, then write its row. On failure nothing of it is left."""
        self._orphans.record(made.file_path, made.image_id, self._clock())
        try:
            if not self._images.storage.copy(image.file_path, made.file_path):
                raise StorageError(image.file_path, "its original is missing")
            with self._rows.db.write() as conn:
                sha256 = self._moved.sha256(conn, image.image_id)
                duplicate = self._rows.duplicate_of(conn, target.id, sha256)
                if duplicate is not None:
                    raise DuplicateImage(duplicate)
                if self._rows.count(conn, target.id) >= self._max_images:
                    raise QuotaExceeded(self._max_images)
                is_move = made.image_id == image.image_id
                self._quotas.check(target, image.size_bytes, conn, moved_from=image.stream_id if is_move else "")
                if not sha256 or not write(conn, sha256):
                    raise NotVisible
        except BaseException:
            with contextlib.suppress(Exception):
                self._delete_original(made.file_path)
            raise

    def _delete_original(self, file_path: str) -> None:
        self._images.storage.delete(file_path)
        self._orphans.delete(file_path)
