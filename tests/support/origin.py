"""A real HTTP origin on loopback: what it serves is put there by the test, what it was asked is kept for the test.

    with Origin() as origin:
        url = origin.put("/cover.jpg", jpeg(), etag='"v1"')
        ...
        assert origin.count("/cover.jpg") == 1

Every connection has its own thread; leaving the block ends them all, also those that are held at a gate.
"""

import email.utils
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

ANY = "*"  # the path that answers for all paths nothing was put on


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in. Header names are lower case; `at` is `time.monotonic()`."""

    method: str
    path: str
    headers: Mapping[str, str]
    at: float
    body: bytes = b""


@dataclass(slots=True)
class Page:
    """What a path answers. `gate`: the answer waits until it is set, however long. `fail_first`: statuses to answer before the real one."""

    body: bytes = b""
    content_type: str = "image/jpeg"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    last_modified: str | None = None
    delay_s: float = 0.0
    gate: threading.Event | None = None
    fail_first: list[int] = field(default_factory=list)


Script = Callable[[socket.socket, Asked], None]


class Origin:
    """The server. `tls` makes it speak https; `port` lets a test bring a stopped origin back under its old address."""

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None, name: str = "127.0.0.1") -> None:
        self.name = name
        self.requests: list[Asked] = []
        self.connections = 0
        self.closing = threading.Event()
        self._pages: dict[str, Page | Script] = {}
        self._lock = threading.Lock()  # requests, pages and the counters
        self._active: Counter[str] = Counter()
        self._peak: Counter[str] = Counter()
        self._scheme = "https" if tls else "http"
        self._server = _Server(self, port, tls)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="origin")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop at once: every held answer is dropped, every connection cut, every thread joined. Raises what a thread raised."""
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.cut()
        self._server.server_close()
        if self._server.errors:
            raise ExceptionGroup("in the origin's threads", self._server.errors)

    @property
    def base(self) -> str:
        """scheme://host:port, as a trusted origin is written."""
        return f"{self._scheme}://{self.name}:{self.port}"

    def url(self, path: str = "/") -> str:
        return self.base + path

    def put(
        self,
        path: str,
        body: bytes = b"",
        *,
        content_type: str = "image/jpeg",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        etag: str | None = None,
        last_modified: str | None = None,
        delay_s: float = 0.0,
        gate: threading.Event | None = None,
        fail_first: list[int] | None = None,
    ) -> str:
        """Serve `body` under `path` (`ANY` for all other paths) and return its URL. Putting again replaces."""
        page = Page(body, content_type, status, headers or {}, etag, last_modified, delay_s, gate, list(fail_first or ()))
        with self._lock:
            self._pages[path] = page
        return self.url(path)

    def redirect(self, path: str, location: str, status: int = 302) -> str:
        return self.put(path, status=status, headers={"Location": location})

    def script(self, path: str, handler: Script) -> str:
        """Let `handler(sock, asked)` answer `path` with bare bytes; the connection is closed when it returns."""
        with self._lock:
            self._pages[path] = handler
        return self.url(path)

    def remove(self, path: str) -> None:
        with self._lock:
            self._pages.pop(path, None)

    def count(self, path: str | None = None) -> int:
        """How many requests came for `path` (with its query), or in all."""
        with self._lock:
            return sum(1 for asked in self.requests if path in (None, asked.path))

    def peak(self, path: str | None = None) -> int:
        """Most requests that were being answered at the same moment, for `path` or in all."""
        with self._lock:
            return self._peak["" if path is None else path]

    def active(self) -> int:
        """How many requests are being answered now; those held at a gate count."""
        with self._lock:
            return self._active[""]

    def wait_for(self, number: int, path: str | None = None, timeout_s: float = 30.0) -> None:
        """Wait until `number` requests have come in, or fail."""
        end = time.monotonic() + timeout_s
        while self.count(path) < number:
            if time.monotonic() > end:
                raise AssertionError(f"{self.count(path)} requests for {path or 'anything'} within {timeout_s} s, not {number}")
            self.closing.wait(0.005)

    @contextmanager
    def answering(self, asked: Asked) -> Iterator[Page | Script | None]:
        """Used by the connection threads: log the request, count it as active, hand out what to answer."""
        keys = ("", asked.path)
        with self._lock:
            self.requests.append(asked)
            for key in keys:
                self._active[key] += 1
                self._peak[key] = max(self._peak[key], self._active[key])
            page = self._pages.get(asked.path) or self._pages.get(asked.path.partition("?")[0]) or self._pages.get(ANY)
        try:
            yield page
        finally:
            with self._lock:
                for key in keys:
                    self._active[key] -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close() joins them: a test that leaks a thread would be seen
    request_queue_size = 512
    allow_reuse_address = True

    def __init__(self, origin: Origin, port: int, tls: ssl.SSLContext | None) -> None:
        self.origin = origin
        self.tls = tls
        self.errors: list[Exception] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()  # _open, and the connections of the origin
        super().__init__(("127.0.0.1", port), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls:
            request = self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self.origin.connections += 1
            self._open.add(request)
        try:
            if self.origin.closing.is_set():
                return
            if self.tls:
                request.do_handshake()
            super().finish_request(request, client_address)
        finally:
            with self._lock:
                self._open.discard(request)
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        import sys

        error = sys.exc_info()[1]
        if isinstance(error, Exception) and not isinstance(error, OSError):  # clients that go away are daily business
            self.errors.append(error)

    def cut(self) -> None:
        """Break every open connection, so that no thread waits in a read or a write."""
        with self._lock:
            for sock in self._open:
                try:
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
                except OSError:  # the client was faster
                    continue


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        origin = self.server.origin
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, time.monotonic(), body)
        with origin.answering(asked) as page:
            if callable(page):
                self.close_connection = True
                page(self.connection, asked)
            else:
                self._answer(page or Page(b"no such page\n", "text/plain", 404), asked)

    do_HEAD = do_POST = do_GET

    def _answer(self, page: Page, asked: Asked) -> None:
        origin = self.server.origin
        if page.delay_s:
            origin.closing.wait(page.delay_s)
        asked_at = time.monotonic()
        while page.gate and not page.gate.wait(0.02) and not origin.closing.is_set():
            if time.monotonic() - asked_at > 1:  # a sign of life, so that a client with a read timeout continues waiting
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                asked_at = time.monotonic()
        if origin.closing.is_set():
            self.close_connection = True
            return
        status, body = page.status, page.body
        if page.fail_first:
            status, body = page.fail_first.pop(0), b""
        elif status == 200 and _is_unchanged(page, asked):
            status, body = 304, b""
        self.send_response(status)
        if page.etag:
            self.send_header("ETag", page.etag)
        if page.last_modified:
            self.send_header("Last-Modified", page.last_modified)
        if status != 304:
            if "Content-Type" not in page.headers:
                self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(body)))
        for key, value in page.headers.items():
            self.send_header(key, value)
        self.end_headers()
        if asked.method != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """The test looks at `Origin.requests`; nothing is printed."""


def _is_unchanged(page: Page, asked: Asked) -> bool:
    tags = asked.headers.get("if-none-match")
    if tags is not None:
        return page.etag is not None and (tags == "*" or page.etag in [tag.strip() for tag in tags.split(",")])
    since = asked.headers.get("if-modified-since")
    if since is None or page.last_modified is None:
        return False
    return email.utils.parsedate_to_datetime(page.last_modified) <= email.utils.parsedate_to_datetime(since)


def jpeg(width_px: int = 64, height_px: int = 64, colour: tuple[int, int, int] = (196, 84, 42)) -> bytes:
    """A small real JPEG: one colour with a diagonal, so that its orientation can be seen."""
    import io

    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (width_px, height_px), colour)
    ImageDraw.Draw(picture).line((0, 0, width_px // 2, height_px // 2), fill=(250, 250, 250), width=3)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()
