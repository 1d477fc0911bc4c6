"""The way of an upload: read, judged, rendered, its original made durable, and only then shown.

The order makes a crash harmless. A note of the original's name comes first, the row last: a row without bytes cannot be, and
bytes without a row are found by their note and removed. An upload that was acknowledged has its row.
"""

import contextlib
import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from image_cache.errors import DuplicateImage, ImageRejected, QueueFull, QuotaExceeded, StorageError, UploadTooLarge
from image_cache.imaging.decoder import Decoder
from image_cache.models import ImageVisibility, Stream, StreamImage, iso_utc
from image_cache.streams.images import SETS, StreamImages
from image_cache.streams.table import StreamTable
from image_cache.streams.validation import (
    checked_description,
    checked_page,
    checked_title,
    checked_visibility,
    new_image_id,
    shown_filename,
)

logger = logging.getLogger(__name__)

# What the documented list of file names means, by what decoding says.
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp", "BMP": "bmp"}
AT_A_TIME = 2  # uploads that are in memory, each with up to its limit of bytes
WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Upload:
    """One file and what was said about it. Without a visibility it gets that of the stream."""

    data: bytes | BinaryIO
    filename: str
    visibility: ImageVisibility | None = None
    title: str = ""
    description: str = ""
    is_sensitive: bool = False
    page: str = ""


class Uploads:
    """Any thread, several processes."""

    def __init__(
        self,
        rows: StreamTable,
        pictures: StreamImages,
        decoder: Decoder,
        *,
        max_bytes: int,
        max_images: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.max_bytes = max_bytes
        self.max_images = max_images
        self._rows = rows
        self._pictures = pictures
        self._decoder = decoder
        self._clock = clock
        self._slots = threading.BoundedSemaphore(AT_A_TIME)

    def store(self, stream: Stream, upload: Upload) -> StreamImage:
        """Store one image. Whoever calls has asked whether the viewer may.

        Raises `UploadTooLarge`, `FieldRejected`, `QuotaExceeded`, `DuplicateImage`, `ImageRejected`, `DecoderFailed`,
        `StorageError`, `QueueFull` or `DatabaseError`; then nothing of it is stored.
        """
        title, description = checked_title(upload.title), checked_description(upload.description)
        visibility = stream.visibility if upload.visibility is None else checked_visibility(upload.visibility)
        page = checked_page(upload.page) if upload.page else ""
        if not self._slots.acquire(timeout=WAIT_S):
            raise QueueFull(AT_A_TIME)
        try:
            body = self._read(upload.data)
            sha256 = hashlib.sha256(body).digest()
            self._check_room(stream, sha256)
            format_ = self._format(body)
            names = (*SETS[0], *(SETS[1] if upload.is_sensitive else ()))
            bodies, dimensions, average = self._pictures.render(body, names)
            image_id = new_image_id(secrets.token_bytes(16))
            image = StreamImage(
                image_id=image_id,
                stream_id=stream.slug,
                filename=shown_filename(upload.filename),
                file_path=f"{stream.slug}/{image_id}_original.{EXTENSIONS[format_]}",
                visibility=visibility,
                title=title,
                description=description,
                size_bytes=len(body),
                dimensions=dimensions,
                thumbnail_path=self._pictures.cache.key(image_id).path,
                created_at=iso_utc(self._clock()),
                is_sensitive=upload.is_sensitive,
                format=format_,
                average=average,
            )
            return self._store(stream, image, body, sha256, bodies=bodies, page=page)
        finally:
            self._slots.release()

    def check(self, data: bytes) -> None:
        """Refuse what could not be uploaded, by its size and its header. Raises what `take` raises."""
        self._format(self._read(data))

    def twin(self, stream: Stream, data: bytes) -> str | None:
        """Return the image of the stream that has the same bytes."""
        with self._rows.db.reading() as conn:
            return self._rows.twin(conn, stream.id, hashlib.sha256(data).digest())

    def _format(self, body: bytes) -> str:
        format_ = self._decoder.probe(body).format
        if format_ not in EXTENSIONS:
            raise ImageRejected(f"{format_} is not among the formats that can be uploaded: {', '.join(EXTENSIONS)}")
        return format_

    def _store(
        self, stream: Stream, image: StreamImage, body: bytes, sha256: bytes, *, bodies: dict[str, bytes], page: str
    ) -> StreamImage:
        self._rows.record_orphan(image.file_path, image.image_id, self._clock())
        try:
            self._pictures.storage.put(image.file_path, body)
            self._pictures.keep(image.image_id, bodies, page)
            with self._rows.db.write() as conn:
                # Looked at again under the write lock: uploads at the same moment cannot be more than the quota.
                twin = self._rows.twin(conn, stream.id, sha256)
                if twin is not None:
                    raise DuplicateImage(twin)
                if self._rows.count(conn, stream.id) >= self.max_images:
                    raise QuotaExceeded(self.max_images)
                self._rows.add_image(conn, stream.id, image, sha256)
        except BaseException:
            with contextlib.suppress(Exception):
                self._pictures.destroy(image.image_id, image.file_path)
            raise
        logger.info("uploaded image=%s stream=%s bytes=%d", image.image_id, stream.slug, len(body))
        return image

    def _read(self, data: bytes | BinaryIO) -> bytes:
        body = data if isinstance(data, bytes) else self._read_file(data)
        if len(body) > self.max_bytes:
            raise UploadTooLarge(self.max_bytes, len(body))
        if not body:
            raise ImageRejected("an empty file")
        return body

    def _read_file(self, file: BinaryIO) -> bytes:
        try:
            return file.read(self.max_bytes + 1)
        except OSError as error:
            raise StorageError("upload", error.strerror or str(error)) from error

    def _check_room(self, stream: Stream, sha256: bytes) -> None:
        with self._rows.db.reading() as conn:
            twin, count = self._rows.twin(conn, stream.id, sha256), self._rows.count(conn, stream.id)
        if twin is not None:
            raise DuplicateImage(twin)
        if count >= self.max_images:
            raise QuotaExceeded(self.max_images)
