"""Uploads: read, validate, render, store the original durably, and only then show the image.

The order makes a crash harmless. The original's path is recorded as an orphan first, and the row comes last: there is no row
without bytes, and bytes without a row are found and removed as orphans. An acknowledged upload has its row.
"""

import contextlib
import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Self

from image_cache.config import Settings
from image_cache.errors import DecoderBusy, DuplicateImage, ImageRejected, QueueFull, QuotaExceeded, StorageError, UploadTooLarge
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import Facts
from image_cache.models import ImageVisibility, Stream, StreamImage, iso_utc
from image_cache.streams.images import SETS, StreamImages
from image_cache.streams.quotas import StreamQuotas
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

# Format as decoded -> suffix of the stored file.
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp", "BMP": "bmp"}
MAX_CONCURRENT = 2  # uploads in memory at a time, each up to the size limit
WAIT_S = 60.0
MAX_WAITING = 1  # request threads that wait; the others get 503 and retry


@dataclass(frozen=True, slots=True)
class Upload:
    """One file and its metadata. Without a visibility it gets that of the stream."""

    data: bytes | BinaryIO
    filename: str
    visibility: ImageVisibility | None = None
    title: str = ""
    description: str = ""
    is_sensitive: bool = False
    page: str = ""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What an owner may upload, and how it is rendered."""

    max_bytes: int = 20_000_000
    max_images: int = 50
    quality: int = 85
    recipe: str = "fast"
    quota_bytes: int = 0  # of all streams of an owner; 0: no limit

    @classmethod
    def as_set(cls, settings: Settings) -> Self:
        return cls(
            settings.max_image_upload_bytes,
            settings.MAX_STREAM_IMAGES_PER_STREAM,
            settings.IMAGE_QUALITY,
            settings.RECIPE,
            settings.stream_quota_bytes,
        )


class Uploads:
    """Stores uploads of all streams. Any thread, several processes."""

    def __init__(
        self,
        rows: StreamTable,
        images: StreamImages,
        decoder: Decoder,
        *,
        limits: UploadLimits,
        quotas: StreamQuotas,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.limits = limits
        self._quotas = quotas
        self._rows = rows
        self._images = images
        self._decoder = decoder
        self._clock = clock
        self._slots = threading.BoundedSemaphore(MAX_CONCURRENT)
        self._waiters = threading.BoundedSemaphore(MAX_WAITING)

    def store(self, stream: Stream, upload: Upload, *, wait_s: float | None = None) -> StreamImage:
        """Store one image. The caller has checked that the viewer may edit the stream.

        A request thread passes `wait_s`, the longest wait for other uploads and for the decoder.

        Raises `UploadTooLarge`, `FieldRejected`, `QuotaExceeded`, `SpaceExceeded`, `DuplicateImage`, `ImageRejected`,
        `DecoderFailed`,
        `StorageError`, `QueueFull`, `DecoderBusy` or `DatabaseError`; nothing of the upload is stored then.
        """
        title, description = checked_title(upload.title), checked_description(upload.description)
        visibility = stream.visibility if upload.visibility is None else checked_visibility(upload.visibility)
        page = checked_page(upload.page) if upload.page else ""
        self._take_slot(wait_s)
        try:
            body = self._read(upload.data)
            sha256 = hashlib.sha256(body).digest()
            self._check_quota(stream, sha256, len(body))
            facts = self._probe(body, wait_s)
            names = (*SETS[0], *(SETS[1] if upload.is_sensitive else ()))
            bodies, dimensions, average = self._images.render(body, names, wait_s)
            image_id = new_image_id(secrets.token_bytes(16))
            image = StreamImage(
                image_id=image_id,
                stream_id=stream.slug,
                filename=shown_filename(upload.filename),
                file_path=f"{stream.slug}/{image_id}_original.{EXTENSIONS[facts.format]}",
                visibility=visibility,
                title=title,
                description=description,
                size_bytes=len(body),
                dimensions=dimensions,
                thumbnail_path=self._images.cache.key(image_id).path,
                created_at=iso_utc(self._clock()),
                is_sensitive=upload.is_sensitive,
                format=facts.format,
                average=average,
                is_animated=facts.frames > 1,
                taken_at=facts.taken_at,
            )
            return self._store(stream, image, body, sha256, bodies=bodies, page=page)
        finally:
            self._slots.release()

    def _take_slot(self, wait_s: float | None) -> None:
        if wait_s is None:
            if not self._slots.acquire(timeout=WAIT_S):
                raise QueueFull(MAX_CONCURRENT)
        elif not self._slots.acquire(blocking=False):
            if not self._waiters.acquire(blocking=False):
                raise DecoderBusy
            try:
                if not self._slots.acquire(timeout=wait_s):
                    raise DecoderBusy
            finally:
                self._waiters.release()

    def check(self, data: bytes) -> None:
        """Check size and header of a file as `store` does, and raise what it raises."""
        self._probe(self._read(data))

    def duplicate_of(self, stream: Stream, data: bytes) -> str | None:
        """Return the id of the image in the stream that has the same bytes; None if there is none."""
        with self._rows.db.reading() as conn:
            return self._rows.duplicate_of(conn, stream.id, hashlib.sha256(data).digest())

    def _probe(self, body: bytes, wait_s: float | None = None) -> Facts:
        facts = self._decoder.probe(body, wait_s=wait_s)
        if facts.format not in EXTENSIONS:
            raise ImageRejected(f"{facts.format} files are not supported. Use {', '.join(EXTENSIONS)}")
        return facts

    def _store(
        self, stream: Stream, image: StreamImage, body: bytes, sha256: bytes, *, bodies: dict[str, bytes], page: str
    ) -> StreamImage:
        if self._images.is_remote and self._images.is_offline():
            raise StorageError(self._images.storage.kind, "the storage for original images is not responding")
        self._rows.record_orphan(image.file_path, image.image_id, self._clock())
        try:
            self._images.storage.put(image.file_path, body)
            self._images.cache_variants(image.image_id, bodies, page)
            with self._rows.db.write() as conn:
                # Checked again under the write lock: concurrent uploads cannot exceed the quota.
                duplicate = self._rows.duplicate_of(conn, stream.id, sha256)
                if duplicate is not None:
                    raise DuplicateImage(duplicate)
                if self._rows.count(conn, stream.id) >= self.limits.max_images:
                    raise QuotaExceeded(self.limits.max_images)
                self._quotas.check(stream, len(body), conn)
                self._rows.add_image(conn, stream.id, image, sha256)
        except BaseException:
            with contextlib.suppress(Exception):
                self._images.delete_bytes(image.image_id, image.file_path)
            raise
        logger.info("uploaded image=%s stream=%s bytes=%d", image.image_id, stream.slug, len(body))
        return image

    def _read(self, data: bytes | BinaryIO) -> bytes:
        body = data if isinstance(data, bytes) else self._read_file(data)
        if len(body) > self.limits.max_bytes:
            raise UploadTooLarge(self.limits.max_bytes, len(body))
        if not body:
            raise ImageRejected("the file is empty")
        return body

    def _read_file(self, file: BinaryIO) -> bytes:
        try:
            return file.read(self.limits.max_bytes + 1)
        except OSError as error:
            raise StorageError("upload", error.strerror or str(error)) from error

    def _check_quota(self, stream: Stream, sha256: bytes, size_bytes: int) -> None:
        with self._rows.db.reading() as conn:
            duplicate, count = self._rows.duplicate_of(conn, stream.id, sha256), self._rows.count(conn, stream.id)
        if duplicate is not None:
            raise DuplicateImage(duplicate)
        if count >= self.limits.max_images:
            raise QuotaExceeded(self.limits.max_images)
        self._quotas.check(stream, size_bytes)
