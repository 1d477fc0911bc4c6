"""Files that a request sends, while they are read: how much of each, and how much in all.

A file over its limit is thrown away as it comes, so that it can be refused alone and the others of the same form go in.
"""

import tempfile
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import IO, Any, cast

from flask import Request, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from image_cache.db.database import DatabaseError
from image_cache.errors import NotVisible
from image_cache.models import may_edit
from image_cache.units import MEGABYTE
from image_cache.web.context import may_change, may_operate, services
from image_cache.web.viewer import viewer

MAX_URLS = 500  # in one request; a preload of thousands comes in parts
MAX_TEXT_CHARS = 2048


def read_body(known: Collection[str]) -> dict[str, Any]:
    """Return the JSON object of the request; an empty body is an empty object. A name that is not known is a typing error."""
    data = request.get_data(cache=True)
    if not data:
        return {}
    if request.max_content_length and len(data) >= request.max_content_length:
        raise RequestEntityTooLarge("The body is too large.")  # one that came in chunks is cut there without a word
    if not request.is_json:
        raise UnsupportedMediaType("Send JSON, with Content-Type: application/json.")
    try:
        body = request.get_json()
    except (BadRequest, RecursionError):
        raise BadRequest("That is not JSON.") from None
    if not isinstance(body, dict):
        raise BadRequest("Send a JSON object.")
    for name in body:
        if name not in known:
            raise BadRequest(f"“{name[:40]}” is not known here; there is {', '.join(sorted(known))}.")
    return body


def read_texts(body: dict[str, Any], name: str) -> list[str]:
    values = body.get(name, [])
    if not isinstance(values, list):
        raise BadRequest(f"{name} is not a list.")
    if len(values) > MAX_URLS:
        raise RequestEntityTooLarge(f"{name} has {len(values)} entries, {MAX_URLS} at a time are allowed.")
    return list(dict.fromkeys(read_text(value, name) for value in values))


def read_text(value: object, name: str) -> str:
    # JSON may spell half of a surrogate pair, which is no character and has no bytes.
    is_text = isinstance(value, str) and value.encode(errors="replace").decode() == value
    if not is_text or not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT_CHARS:
        raise BadRequest(f"{name} holds something that is no text of 1 to {MAX_TEXT_CHARS} characters.")
    return value


TABLES = "importing.upload"
ENDPOINTS = ("streams.upload", "stream_api.upload")
OWN_COVER = "sleeves.upload"
FORM_OVERHEAD_BYTES = 100_000  # what a form with one file has besides the file
IN_MEMORY_BYTES = 500_000
OTHER_PARTS = 20  # fields of the form besides its files


class UploadBuffer:
    """The file object of one uploaded file: in memory while it is small, then on disk, never more than the limit."""

    def __init__(self, limit_bytes: int, folder: str | None = None) -> None:
        # In a folder of the vault, not in /tmp, which is memory on many machines. It has no name there: a crash leaves nothing.
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES, mode="w+b", dir=folder)  # noqa: SIM115
        self._limit_bytes = limit_bytes
        self.size_bytes = 0
        self.has_failed = False

    @property
    def is_too_large(self) -> bool:
        return self.size_bytes > self._limit_bytes

    def write(self, data: bytes) -> int:
        self.size_bytes += len(data)
        if self.is_too_large or self.has_failed:
            self._forget()
            return len(data)
        try:
            return self._file.write(data)
        except OSError:  # the disk is full
            self.has_failed = True
            self._forget()
            return len(data)

    def _forget(self) -> None:
        with suppress(OSError, ValueError):
            self._file.seek(0)
            self._file.truncate()

    def close(self) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._file)


class UploadRequest(Request):
    """A request whose files are read into spools."""

    file_limit_bytes = IN_MEMORY_BYTES
    spool_folder: str | None = None

    def close(self) -> None:
        super().close()
        for spool in self.__dict__.get("spools", ()):  # of a form that was cut in the middle of a file, too
            spool.close()

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        spool = UploadBuffer(self.file_limit_bytes, self.spool_folder)
        self.__dict__.setdefault("spools", []).append(spool)
        return spool  # type: ignore[return-value]  # all that the parser and FileStorage ask of a file


def set_body_limits() -> None:
    """Let an upload be as large as one may be, if whoever sends it may upload there; all others are cut at the usual size.

    Runs before anything reads the body.
    """
    if request.method == "POST" and request.endpoint == OWN_COVER and may_change():
        upload, settings = cast(UploadRequest, request), services().settings
        upload.file_limit_bytes, upload.spool_folder = services().artwork.editor.max_bytes, str(settings.cache_dir)
        # Somewhat larger than one may be: so that the page can say that it is too large.
        request.max_content_length = 2 * upload.file_limit_bytes + FORM_OVERHEAD_BYTES
    if request.endpoint == TABLES:
        _admit_table()
    if request.endpoint not in ENDPOINTS or request.method != "POST":
        return
    try:
        stream = services().stream_queries.stream(viewer(), str((request.view_args or {}).get("slug", "")))
    except (NotVisible, DatabaseError):
        return
    if may_edit(viewer(), stream):
        settings, limits = services().settings, services().streams.limits
        request.max_content_length = int(settings.MAX_UPLOAD_REQUEST_MB * MEGABYTE)
        request.max_form_parts = limits.max_images + OTHER_PARTS
        upload = cast(UploadRequest, request)
        upload.file_limit_bytes, upload.spool_folder = limits.max_bytes, str(settings.cache_dir)


def _admit_table() -> None:
    """Let a table be as large as one may be, from those who may bring one."""
    if may_operate():
        upload, most_bytes = cast(UploadRequest, request), services().settings.max_import_bytes
        upload.max_content_length = (
            most_bytes * 2
        )  # a little over the limit is read to its end, and told so; the disk keeps none of it
        upload.file_limit_bytes, upload.spool_folder = most_bytes, str(services().settings.cache_dir)
