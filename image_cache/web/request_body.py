"""Request bodies: JSON objects, and uploads within the limits of their view.

A file over its limit is discarded while it is received, so that it can be refused alone and the others of the same form are stored.
"""

import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import IO, Any, TypeVar, cast

from flask import Flask, Request, current_app, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from image_cache.frozen import frozen
from image_cache.units import MEGABYTE
from image_cache.web.context import services

MAX_URLS = 500  # per request; a preload of thousands is sent in several
MAX_TEXT_CHARS = 2048
FORM_OVERHEAD_BYTES = 100_000  # what a form with one file has besides the file
IN_MEMORY_BYTES = 500_000
LIMIT_ASKED = "vinylvault.body_limit"
_DECLARED = "_declared_body_limits"

View = TypeVar("View", bound=Callable[..., Any])


def read_body(known: Collection[str]) -> dict[str, Any]:
    """Return the JSON object of the request; an empty body is an empty object. An unknown name is refused as a typing error."""
    data = request.get_data(cache=True)
    if not data:
        return {}
    if request.max_content_length and len(data) >= request.max_content_length:
        raise RequestEntityTooLarge("The request body is too large.")  # werkzeug silently truncates a chunked one there
    if not request.is_json:
        raise UnsupportedMediaType("Send a JSON body with Content-Type: application/json.")
    try:
        body = request.get_json()
    except (BadRequest, RecursionError):
        raise BadRequest("The request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise BadRequest("The request body must be a JSON object.")
    for name in body:
        if name not in known:
            raise BadRequest(f"Unknown field “{name[:40]}”. Allowed fields: {', '.join(sorted(known))}.")
    return body


def read_texts(body: dict[str, Any], name: str) -> list[str]:
    """Return a list of texts of the body without duplicates. Raises `BadRequest` or `RequestEntityTooLarge`."""
    values = body.get(name, [])
    if not isinstance(values, list):
        raise BadRequest(f"{name} must be a list.")
    if len(values) > MAX_URLS:
        raise RequestEntityTooLarge(f"{name} has {len(values)} entries. The maximum is {MAX_URLS} per request.")
    return list(dict.fromkeys(read_text(value, name) for value in values))


def read_text(value: object, name: str) -> str:
    """Return a text of the body. Raises `BadRequest`."""
    # JSON may contain half of a surrogate pair, which is no character and has no bytes.
    is_text = isinstance(value, str) and value.encode(errors="replace").decode() == value
    if not is_text or not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT_CHARS:
        raise BadRequest(f"{name} must contain only strings of 1 to {MAX_TEXT_CHARS} characters.")
    return value


@frozen
class BodyLimits:
    """Limits of one upload. A request of more than `request_bytes` is answered from its head, and none of it is stored."""

    file_bytes: int
    request_bytes: int
    form_parts: int | None = None
    advice: str = ""  # what to do with a larger one

    @property
    def too_large(self) -> str:
        """Return the message that refuses a larger request."""
        if self.request_bytes > self.file_bytes + FORM_OVERHEAD_BYTES:
            return f"This is too much at once. Send at most {self.request_bytes / MEGABYTE:g} MB at a time."
        return f"This file is too large. The limit is {self.file_bytes / MEGABYTE:g} MB. {self.advice}".rstrip()

    refusal: Exception | None = None  # raised for a larger request in place of the general one


def larger_body(limits: Callable[[], BodyLimits | None]) -> Callable[[View], View]:
    """Let a view receive uploads. `limits` returns None if this request may not send one: then the usual limit applies.

    It runs before anything reads the body.
    """

    def declare(view: View) -> View:
        setattr(view, _DECLARED, limits)
        return view

    return declare


def declared_limits(view: Callable[..., Any] | None) -> Callable[[], BodyLimits | None] | None:
    """Return what `larger_body` declared for a view; None if the usual limit applies."""
    found: Callable[[], BodyLimits | None] | None = getattr(view, _DECLARED, None)
    return found


def set_body_limits() -> None:
    """Apply the limits that the view of this request declares. For `before_request`, before the body is read."""
    declared = declared_limits(current_app.view_functions.get(request.endpoint or ""))
    limits = declared() if declared is not None else None
    if limits is None:
        return
    if limits.refusal is not None and (request.content_length or 0) > limits.request_bytes:
        raise limits.refusal
    upload = cast(UploadRequest, request)
    upload.max_content_length, upload.too_large = limits.request_bytes, limits.too_large
    if limits.form_parts is not None:
        upload.max_form_parts = limits.form_parts
    # In a folder of the vault, not in /tmp, which is memory on many machines.
    upload.file_limit_bytes, upload.buffer_dir = limits.file_bytes, str(services().settings.cache_dir)


class BodyLimitProbe:
    """Tells the server how large a body a request may have, from its head alone, so that it receives no large body from a visitor.

    Comes after the layer that corrects the client's address, so that both see the same request.
    """

    def __init__(self, app: Flask, inner: Any) -> None:
        self._app = app
        self._inner = inner

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        found = environ.get(LIMIT_ASKED)  # no header of a request has such a name
        if found is None:
            return self._inner(environ, start_response)
        with self._app.request_context(environ):
            declared = declared_limits(self._app.view_functions.get(request.endpoint or ""))
            limits = declared() if declared is not None else None
            found.append(limits.request_bytes if limits is not None else 0)
        return ()

    def ask(self, environ: dict[str, Any]) -> int:
        """Return the limit in bytes; 0 if the usual one applies."""
        found: list[int] = []
        self._app.wsgi_app({**environ, LIMIT_ASKED: found}, lambda *_: lambda _: None)
        return found[0]


class UploadBuffer:
    """The file object of one uploaded file: in memory while it is small, then on disk, never more than the limit."""

    def __init__(self, limit_bytes: int, folder: str | None = None) -> None:
        # The file has no name on disk: a crash leaves nothing.
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES, mode="w+b", dir=folder)  # noqa: SIM115
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self.has_failed = False

    @property
    def is_too_large(self) -> bool:
        return self.size_bytes > self.limit_bytes

    def write(self, data: bytes) -> int:
        self.size_bytes += len(data)
        if self.is_too_large or self.has_failed:
            self._discard()
            return len(data)
        try:
            return self._file.write(data)
        except OSError:  # the disk is full
            self.has_failed = True
            self._discard()
            return len(data)

    def close(self) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._file)

    def _discard(self) -> None:
        with suppress(OSError, ValueError):
            self._file.seek(0)
            self._file.truncate()


class UploadRequest(Request):
    """A request whose files are received into `UploadBuffer`s."""

    file_limit_bytes = IN_MEMORY_BYTES
    too_large = ""  # the message that refuses a request over its limit
    buffer_dir: str | None = None

    def close(self) -> None:
        super().close()
        for buffer in self.__dict__.get("buffers", ()):  # also those of a form that was cut in the middle of a file
            buffer.close()

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        buffer = UploadBuffer(self.file_limit_bytes, self.buffer_dir)
        self.__dict__.setdefault("buffers", []).append(buffer)
        return buffer  # type: ignore[return-value]  # all that the parser and FileStorage need of a file
