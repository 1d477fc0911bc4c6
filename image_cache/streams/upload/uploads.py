"""Uploads: read, validate, render, store the original durably, and only then show the image.

The order makes a crash harmless. The original's path is recorded as an orphan first, and the row comes last: there is no row
without bytes, and bytes without a row are found and removed as orphans. An acknowledged upload has its row.
"""

import contextlib
import hashlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO, Self

from image_cache.config import Settings
from image_cache.errors import (
    DecoderBusy,
    DuplicateImage,
    ImageRejected,
    QueueFull,
    QuotaExceeded,
    StorageAway,
    StorageError,
    UploadTooLarge,
)
from image_cache.frozen import frozen
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import Facts
from image_cache.models import ImageVisibility, Stream, StreamImage, iso_utc
from image_cache.storage.base import Body
from image_cache.streams.images import StreamImages
from image_cache.streams.table import StreamTable
from image_cache.streams.upload.orphan_table import OrphanTable
from image_cache.streams.upload.quotas import StreamQuotas
from image_cache.streams.upload.validation import (
    checked_description,
    checked_page,
    checked_title,
    checked_visibility,
    new_image_id,
    shown_filename,
)
from image_cache.streams.variant_sets import SETS

logger = logging.getLogger(__name__)

# Format as decoded -> suffix of the stored file.
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp", "BMP": "bmp"}
HEAD_BYTES = 12
VIDEO_STARTS = (b"ftyp", b"moov", b"mdat", b"wide")  # of an MP4 or QuickTime file, and of photos of some phones
MAX_CONCURRENT = 2  # uploads in memory at a time, each up to the size limit
WAIT_S = 60.0
MAX_WAITING = 1  # request threads that wait; the others get 503 and retry


@frozen
class Upload:
    """One file and its metadata. Without a visibility it gets that of the stream."""

    data: bytes | BinaryIO
    filename: str
    visibility: ImageVisibility | None = None
    title: str = ""
    description: str = ""
    is_sensitive: bool = False
    page: str = ""
    is_discreet: bool = False  # a duplicate is found last: neither the time that it takes nor another refusal tells of it


@frozen
class _Texts:
    """What an owner says of a file, checked."""

    filename: str
    visibility: ImageVisibility
    title: str
    description: str
    is_sensitive: bool
    page: str
    is_discreet: bool

    @property
    def variants(self) -> tuple[str, ...]:
        return (*SETS[0], *(SETS[1] if self.is_sensitive else ()))


@frozen
class UploadLimits:
    """What an owner may upload, and how it is rendered."""

    max_bytes: int = 20_000_000
    max_images: int = 50
    quality: int = 85
    recipe: str = "fast"
    max_video_bytes: int = 100_000_000  # 0: no videos
    quota_bytes: int = 0  # of all streams of an owner; 0: no limit

    @classmethod
    def as_set(cls, settings: Settings) -> Self:
        return cls(
            settings.max_image_upload_bytes,
            settings.MAX_STREAM_IMAGES_PER_STREAM,
            settings.IMAGE_QUALITY,
            settings.RECIPE,
            settings.max_video_upload_bytes,
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
        self._orphans = OrphanTable(rows.db)
        self._images = images
        self._decoder = decoder
        self._clock = clock
        self._slots = threading.BoundedSemaphore(MAX_CONCURRENT)
        self._waiters = threading.BoundedSemaphore(MAX_WAITING)

    def store(self, stream: Stream, upload: Upload, *, wait_s: float | None = None) -> StreamImage:
        """Store one image. The caller has checked that the viewer may edit the stream.

        A request thread passes `wait_s`, the longest wait for other uploads and for the decoder.

        Raises `UploadTooLarge`, `FieldRejected`, `QuotaExceeded`, `SpaceExceeded`, `DuplicateImage`, `ImageRejected`, `VideoRejected`,
        `DecoderFailed`,
        `StorageError`, `QueueFull`, `DecoderBusy` or `DatabaseError`; nothing of the upload is stored then.
        """
        title, description = checked_title(upload.title), checked_description(upload.description)
        visibility = stream.visibility if upload.visibility is None else checked_visibility(upload.visibility)
        page = checked_page(upload.page) if upload.page else ""
        self._take_slot(wait_s)
        try:
            texts = _Texts(
                shown_filename(upload.filename), visibility, title, description, upload.is_sensitive, page, upload.is_discreet
            )
            if self._is_video(upload.data):
                return self._store_video(stream, upload.data, texts, wait_s)
            return self._store_image(stream, upload.data, texts, wait_s)
        finally:
            self._slots.release()

    def _store_image(self, stream: Stream, data: bytes | BinaryIO, texts: _Texts, wait_s: float | None) -> StreamImage:
        body = self._read(data)
        sha256 = hashlib.sha256(body).digest()
        self._check_quota(stream, sha256, len(body), texts)
        facts = self._probe(body, wait_s)
        bodies, dimensions, average = self._images.render(body, texts.variants, wait_s)
        image = replace(
            self._image(stream, texts, EXTENSIONS[facts.format], average),
            size_bytes=len(body),
            dimensions=dimensions,
            format=facts.format,
            is_animated=facts.frames > 1,
            taken_at=facts.taken_at,
        )
        return self._store(stream, image, body, sha256, bodies=bodies, page=texts.page)

    def _store_video(self, stream: Stream, data: bytes | BinaryIO, texts: _Texts, wait_s: float | None) -> StreamImage:
        from image_cache.streams.upload import videos

        with videos.open_video(data, self.limits.max_video_bytes) as opened:
            self._check_quota(stream, opened.sha256, opened.size_bytes, texts)
            facts, poster = videos.read(opened, wait_s)
            bodies, dimensions, average = self._images.render(poster, texts.variants, wait_s)
            image = replace(
                self._image(stream, texts, facts.suffix, average),
                size_bytes=opened.size_bytes,
                dimensions=videos.upright(facts.dimensions, dimensions),
                format=facts.suffix.upper(),
                taken_at=facts.taken_at,
                duration_s=facts.duration_s,
            )
            mask = facts.mask.dump()
            return self._store(stream, image, opened.pieces(), opened.sha256, bodies=bodies, page=texts.page, mask=mask)

    def _image(self, stream: Stream, texts: _Texts, suffix: str, average: str) -> StreamImage:
        image_id = new_image_id(secrets.token_bytes(16))
        return StreamImage(
            image_id=image_id,
            stream_id=stream.slug,
            filename=texts.filename,
            file_path=f"{stream.slug}/{image_id}_original.{suffix}",
            visibility=texts.visibility,
            title=texts.title,
            description=texts.description,
            thumbnail_path=self._images.cache.key(image_id).path,
            created_at=iso_utc(self._clock()),
            is_sensitive=texts.is_sensitive,
            average=average,
        )

    @staticmethod
    def _is_video(data: bytes | BinaryIO) -> bool:
        if isinstance(data, bytes):
            head = data[:HEAD_BYTES]
        else:
            try:
                head = data.read(HEAD_BYTES)
                data.seek(0)
            except OSError as error:
                raise StorageError("upload", error.strerror or str(error)) from error
        if head[4:8] not in VIDEO_STARTS:
            return False
        from image_cache.imaging.video.mp4 import is_video

        return is_video(head)

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

    def is_full(self, stream: Stream) -> bool:
        """Return True if a stream takes no more images, whatever their size."""
        with self._rows.db.reading() as conn:
            return self._rows.count(conn, stream.id) >= self.limits.max_images

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
        self,
        stream: Stream,
        image: StreamImage,
        body: Body,
        sha256: bytes,
        *,
        bodies: dict[str, bytes],
        page: str,
        mask: str = "",
    ) -> StreamImage:
        if self._images.is_remote and self._images.is_offline():
            raise StorageAway(self._images.storage.kind, "the storage for original images is not responding")
        self._orphans.record(image.file_path, image.image_id, self._clock())
        try:
            self._images.storage.put(image.file_path, body)
            self._images.cache_variants(image.image_id, bodies, page)
            with self._rows.db.write() as conn:
                # Checked again under the write lock: concurrent uploads cannot exceed the quota.
                duplicate = self._rows.duplicate_of(conn, stream.id, sha256)
                if duplicate is not None:
                    raise DuplicateImage(duplicate, is_animated=image.is_animated)
                if self._rows.count(conn, stream.id) >= self.limits.max_images:
                    raise QuotaExceeded(self.limits.max_images)
                self._quotas.check(stream, image.size_bytes, conn)
                self._rows.add_image(conn, stream.id, image, sha256, mask)
        except BaseException:
            with contextlib.suppress(Exception):
                self._images.delete_bytes(image.image_id, image.file_path)
            raise
        logger.info("uploaded image=%s stream=%s bytes=%d", image.image_id, stream.slug, image.size_bytes)
        return image

    def _read(self, data: bytes | BinaryIO) -> bytes:
        body = data if isinstance(data, bytes) else self._read_file(data)
        if len(body) > self.limits.max_bytes:
            raise UploadTooLarge(self.limits.max_bytes, len(body) if isinstance(data, bytes) else _size_of(data))
        if not body:
            raise ImageRejected("the file is empty")
        return body

    def _read_file(self, file: BinaryIO) -> bytes:
        try:
            return file.read(self.limits.max_bytes + 1)
        except OSError as error:
            raise StorageError("upload", error.strerror or str(error)) from error

    def _check_quota(self, stream: Stream, sha256: bytes, size_bytes: int, texts: _Texts) -> None:
        with self._rows.db.reading() as conn:
            duplicate, count = self._rows.duplicate_of(conn, stream.id, sha256), self._rows.count(conn, stream.id)
        if duplicate is not None and not texts.is_discreet:
            raise DuplicateImage(duplicate)
        if count >= self.limits.max_images:
            raise QuotaExceeded(self.limits.max_images)
        self._quotas.check(stream, size_bytes)


def _size_of(file: BinaryIO) -> int:
    """Return how large a file is, of which nothing more is read."""
    at = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(at)
    return size
