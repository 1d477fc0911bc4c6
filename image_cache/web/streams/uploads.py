"""Stores the files of an upload form one by one: each is stored, or refused with a reason."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import Response, request
from werkzeug.datastructures import FileStorage

from image_cache.db.database import DatabaseError, why_unwritable
from image_cache.errors import (
    CacheError,
    DecoderBusy,
    DecoderFailed,
    DuplicateImage,
    FieldRejected,
    ImageRejected,
    NotVisible,
    ProgramMissing,
    QueueFull,
    QuotaExceeded,
    SpaceExceeded,
    StorageError,
    UploadTooLarge,
    VideoRejected,
)
from image_cache.models import ImageVisibility, Stream
from image_cache.streams import Upload
from image_cache.units import counted
from image_cache.visibility import may_edit
from image_cache.web.actions import log_action
from image_cache.web.context import services
from image_cache.web.errors import RETRY_AFTER_S, sentence_of, status_of
from image_cache.web.request_body import FORM_OVERHEAD_BYTES, BodyLimits, UploadBuffer
from image_cache.web.streams.view_models import address
from image_cache.web.streams.viewer import viewer

logger = logging.getLogger(__name__)

WAIT_S = 20.0  # for other uploads, and for the images that are rendered before this one
FIELD = "files"
ANIMATED = "Animation: only the first frame is shown. The original is unchanged."
OTHER_FIELDS = 20  # of the form, besides its files
KINDS: tuple[tuple[type[Exception], str], ...] = (
    (UploadTooLarge, "too-large"),
    (QuotaExceeded, "too-many"),
    (SpaceExceeded, "no-space"),
    (DuplicateImage, "duplicate"),
    (FieldRejected, "text"),
    (ImageRejected, "not-an-image"),
    (VideoRejected, "not-a-video"),
    (ProgramMissing, "not-a-video"),
    (DecoderFailed, "not-an-image"),
    (QueueFull, "busy"),
    (DecoderBusy, "busy"),
    (StorageError, "storage"),
)


def stream_body_limits() -> BodyLimits | None:
    """Return the limits of a request that uploads to the stream of its URL; None if the viewer may not edit it."""
    try:
        stream = services().stream_queries.stream(viewer(), str((request.view_args or {}).get("slug", "")))
    except (NotVisible, DatabaseError):
        return None
    if not may_edit(viewer(), stream):
        return None
    return body_limits_of(stream, services().streams.limits.max_images)


def body_limits_of(stream: Stream, max_files: int) -> BodyLimits:
    """Return the limits of a form with files for a stream. One that has no room there is refused before it is received."""
    settings, streams = services().settings, services().streams
    file_bytes = max(streams.limits.max_bytes, streams.limits.max_video_bytes)
    request_bytes = max(settings.max_upload_request_bytes, file_bytes + FORM_OVERHEAD_BYTES)
    limits = BodyLimits(file_bytes, request_bytes, max_files + OTHER_FIELDS)
    if request.content_length is not None and streams.uploads.is_full(stream):
        return replace(limits, request_bytes=FORM_OVERHEAD_BYTES, refusal=QuotaExceeded(streams.limits.max_images))
    left = streams.quotas.left_bytes(stream)
    # A body of unknown length is received up to the general limit; then each file of it is refused or stored.
    if left is None or request.content_length is None or left + FORM_OVERHEAD_BYTES >= limits.request_bytes:
        return limits
    refusal: Exception | None = None
    try:
        streams.quotas.check(stream, max(left + 1, (request.content_length or 0) - FORM_OVERHEAD_BYTES))
    except SpaceExceeded as error:
        refusal = error if _may_know_space(stream) else FieldRejected(FIELD, error.others_message)
    return replace(limits, request_bytes=left + FORM_OVERHEAD_BYTES, refusal=refusal)


def _may_know_space(stream: Stream) -> bool:
    """Return True if this viewer may know how much the owner of a stream has stored: also in streams that others do not see."""
    return stream.owner_id is not None and viewer().account_id == stream.owner_id


def store_files(stream: Stream) -> list[dict[str, Any]]:
    """Store every file of the form; return the result of each, in order."""
    rows = [store_file(stream, file, _upload_of(file)) for file in files_of_form()]
    if stored := sum(row["ok"] for row in rows):
        log_action("uploads", f"uploaded {counted(stored, 'image')}", stream.title)
    return rows


def set_status(response: Response, rows: list[dict[str, Any]], stored_status: int) -> None:
    """Answer with `stored_status` if any file was stored, else as the first one was refused, and when to try again."""
    if any(row["ok"] for row in rows):
        response.status_code = stored_status
        return
    response.status_code = rows[0]["status"]
    if response.status_code == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)


def files_of_form() -> list[FileStorage]:
    """Return the files that were chosen in the form."""
    return [file for file in request.files.getlist(FIELD) if file.filename or _size(file)]


def _upload_of(file: FileStorage) -> Callable[[], Upload]:
    form = request.form
    return lambda: Upload(
        file.stream,  # type: ignore[arg-type]
        file.filename or "unnamed",
        _visibility(form.get("visibility", "")),
        form.get("title", ""),
        form.get("description", ""),
        form.get("sensitive", "") in ("1", "on", "true"),
        form.get("page", "") or "stream_details",
    )


def store_file(stream: Stream, file: FileStorage, upload_of: Callable[[], Upload]) -> dict[str, Any]:
    """Store one file as `upload_of` says, which may raise `FieldRejected`; return the result for the page or for a script."""
    row: dict[str, Any] = {"name": file.filename or "unnamed", "size_bytes": _size(file), "ok": False}
    try:
        _check_buffer(file)
        image = services().streams.upload(stream, upload_of(), wait_s=WAIT_S)
    except (CacheError, DatabaseError) as error:
        kind = next((kind for cls, kind in KINDS if isinstance(error, cls)), "failed")
        if isinstance(error, DecoderFailed) and error.retryable:
            kind = "busy"
        if isinstance(error, DatabaseError) and why_unwritable(error):
            kind = "storage"
        row |= {"kind": kind, "reason": _reason(error, stream), "status": status_of(error)}
        if isinstance(error, DuplicateImage):
            row["image_id"] = error.image_id
            row |= {"note": ANIMATED} if error.is_animated else {}
        if kind in ("storage", "failed"):
            logger.error("upload refused stream=%s reason=%s", stream.slug, error)  # noqa: TRY400  a sentence, not a traceback
        return row
    finally:
        file.close()
    return row | {
        "ok": True,
        "image_id": image.image_id,
        "visibility": image.visibility.value,
        "page_url": address(image),
        "thumb_url": address(image, "thumb"),
        **({"note": ANIMATED} if image.is_animated else {}),
    }


def _check_buffer(file: FileStorage) -> None:
    buffer = file.stream
    if isinstance(buffer, UploadBuffer):
        if buffer.is_too_large:
            raise UploadTooLarge(buffer.limit_bytes, buffer.size_bytes)
        if buffer.has_failed:
            raise StorageError("upload", "not enough disk space on the server")


def _size(file: FileStorage) -> int:
    return file.stream.size_bytes if isinstance(file.stream, UploadBuffer) else 0


def _visibility(word: str) -> ImageVisibility | None:
    try:
        return ImageVisibility(word) if word else None
    except ValueError:
        raise FieldRejected("visibility", "visibility must be public, subscribers or private.") from None


def _reason(error: Exception, stream: Stream) -> str:
    if isinstance(error, SpaceExceeded) and not _may_know_space(stream):
        return error.others_message
    if isinstance(error, StorageError):
        return f"Upload failed: {error.reason}."
    if isinstance(error, DatabaseError):
        if reason := why_unwritable(error):
            return f"Upload failed: {reason}."
        return "Upload failed: the database is not responding. Try again."
    sentence = sentence_of(error)
    return sentence[:1].upper() + sentence[1:] + ("" if sentence.endswith(".") else ".")
