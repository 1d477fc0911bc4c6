"""What the pages of tables and of old plays share: an upload becomes a preview, which waits until it is imported or discarded."""

from typing import IO, NamedTuple

from flask import request

from image_cache.errors import StorageError, UploadTooLarge
from image_cache.import_models import ImportStatus
from image_cache.models import TaskState
from image_cache.web.context import may_operate, services
from image_cache.web.imports import tasks
from image_cache.web.request_body import FORM_OVERHEAD_BYTES, BodyLimits, UploadBuffer

MAX_NAME_CHARS = 80
LARGER = "For larger files, use the command line or the imports folder."


class ShownTasks(NamedTuple):
    """What a page shows of its tasks. `last` is a preview that waits, or else the newest result."""

    running: list[tasks.TaskLine]
    last: TaskState | None
    is_waiting: bool


class UploadRefused(Exception):
    """A form without a file that can be read: its text is for the page, `status` for the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def shown_tasks(found: ImportStatus, *, has_error: bool) -> ShownTasks:
    """Return what a page shows. A result stays away while a task runs, beside an error, and once its preview was discarded."""
    states = [state for state in (found.preview, found.imported) if state is not None]
    running = [tasks.line(state) for state in states if not state.is_over]
    last = found.preview if found.is_waiting else max(states, key=lambda state: state.id, default=None)
    was_discarded = last is found.preview and not found.is_waiting and last is not None and last.state != "failed"
    if running or has_error or was_discarded:
        last = None
    return ShownTasks(running, last, found.is_waiting and last is not None)


def upload_limits() -> BodyLimits | None:
    """Return the limits of an uploaded file; None if this request may not send one."""
    max_bytes = services().settings.max_import_bytes
    return BodyLimits(max_bytes, max_bytes + FORM_OVERHEAD_BYTES, advice=LARGER) if may_operate() else None


def uploaded_file(other_name: str) -> tuple[IO[bytes], str]:
    """Return the file of the form field `table` and its name, or `other_name`. Raises `UploadRefused`, `StorageError` if the disk is full."""
    file = request.files.get("table")
    if file is None or not file.filename:
        raise UploadRefused(400, "Choose a file first.")
    buffer = file.stream
    if isinstance(buffer, UploadBuffer):
        if buffer.is_too_large:
            raise UploadRefused(413, f"{UploadTooLarge(services().settings.max_import_bytes, buffer.size_bytes)} {LARGER}")
        if buffer.has_failed:
            raise StorageError("upload", "not enough disk space on the server for this file")
    name = "".join(char for char in file.filename.replace("\\", "/").rpartition("/")[2] if char.isprintable())[:MAX_NAME_CHARS]
    return buffer, name or other_name
