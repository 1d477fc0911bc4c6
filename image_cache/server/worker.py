"""Buffering gunicorn worker: a request gets a thread once it is complete, and only until its response is sent.

gunicorn's own threaded worker passes a connection to a thread as soon as it is accepted; six clients that send nothing, or half a
request, or do not close the connection, are enough to block it. Here the main loop buffers requests and closes connections.
Knows no Flask; `systemd/gunicorn.conf.py` names it.
"""

import contextlib
import selectors
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from image_cache.server.fast_path import FastPath
from image_cache.server.request_framing import RequestBuffer

MAX_COLLECTED_BYTES = 16_000_000  # buffered for all connections
COLLECT_S = 15.0  # from the connection, or the first byte of a further request, to the last byte
WRITE_S = 20.0  # timeout of one write to a slow reader
LINGER_S = 2.0  # for the client to close its side
SEND_BUFFER_BYTES = 400_000  # nearly all responses fit, so that a slow reader does not occupy a thread


class Connection(TConn):  # type: ignore[misc]
    """One client. `request` buffers its current request."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.request = RequestBuffer()
        self.deadline = 0.0
        self.has_large_body = False
        self.data_ready = True  # gunicorn must not wait on the socket for data that was read already

    def init(self) -> None:
        """Pass the buffered request to the parser. Called in the thread, with a blocking socket."""
        super().init()
        self.sock.settimeout(WRITE_S)
        data, self.has_large_body = bytes(self.request.data), self.request.has_large_body
        self.request = RequestBuffer()
        if data:
            self.parser.unreader.unread(data)


class BufferingWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, with all waiting moved to the main loop. Only that loop uses the two tables below."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # In the order of their deadlines, because every connection gets the same time.
        self._collecting: dict[Connection, None] = {}
        self._lingering: dict[Connection, None] = {}
        self._collected_bytes = 0
        self._is_quitting = False
        self._keepalive_s = float(self.cfg.keepalive)  # looking up a setting of gunicorn is slow
        self.fast_path: FastPath | None = None  # set when the application is loaded

    def handle_quit(self, sig: int, frame: object) -> None:
        """Stop without waiting for idle clients, on SIGINT and SIGQUIT.

        gunicorn's own handler takes the lock of the thread pool, and Ctrl-C reaches a worker twice, from the terminal and from the
        arbiter: the second one would wait for the first forever. This handler only sets a flag for the main loop.
        """
        self._is_quitting = True
        self.handle_exit(sig, frame)

    def accept(self, listener: socket.socket) -> None:
        try:
            sock, address = listener.accept()
        except OSError:  # closed by the client already, or no file descriptor is left
            return
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        self._collect(Connection(self.cfg, sock, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: Connection, client: object) -> None:
        """Read from a connection that was kept alive."""
        data = _receive(conn.sock)
        self.keepalived_conns.remove(conn)
        if data and (rest := self._try_fast_path(conn, data)) is not None:
            if not rest:  # it stays registered
                self._keep(conn)
                return
            self.poller.unregister(conn.sock)
            self._send_rest(conn, rest)
            return
        self.poller.unregister(conn.sock)
        self._collect(conn, data)

    def finish_request(self, conn: Connection, future: Any) -> None:
        """Called in the main loop when a thread is done with a request."""
        try:
            keep = not future.cancelled() and future.result()
        except Exception:
            self.log.exception("Error handling a connection")
            keep = False
        if not keep:
            self._linger(conn)
            return
        ahead = conn.parser.unreader.take_buffered() if conn.parser else b""
        if ahead:
            self._collect(conn, ahead)
            return
        conn.sock.setblocking(False)
        self._keep(conn)
        self._listen(conn, self.on_client_socket_readable)

    def murder_pending(self) -> None:
        """Close connections whose time is over; called at least once a second. Once the worker stops, close all that are waiting."""
        now = time.monotonic()
        if self._is_quitting:
            self.murder_keepalived(force=True)
        while (conn := next(iter(self._collecting), None)) and (conn.deadline <= now or not self.alive):
            self._stop_collecting(conn)
            self._close(conn)
        while (conn := next(iter(self._lingering), None)) and conn.deadline <= now:
            self._end_linger(conn)

    def handle_request(self, req: Any, conn: Connection) -> Any:
        try:
            return super().handle_request(req, conn)
        except TimeoutError:
            self.log.debug("A client did not read its response in time.")
            raise StopIteration from None

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Respond to a request that did not reach the application, without quoting it, and with strict security headers."""
        is_our_fault = isinstance(exc, errors.InvalidResponseHeader | errors.InvalidResponseHeaderName)
        if isinstance(exc, errors.ParseException) and not is_our_fault:
            self.log.debug("Invalid request from %s: %s", addr and addr[0], exc)
            status = next((status for kind, status in STATUSES if isinstance(exc, kind)), "400 Bad Request")
        else:
            self.log.error("Error handling request %s", getattr(req, "path", ""), exc_info=exc)
            status = "500 Internal Server Error"
        _send(client, plain_response(status))

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        # The rest of a body that is too large would have to be read before the next request.
        return keepalive and not conn.has_large_body and bool(super()._keepalive_after(conn, keepalive))

    def _try_fast_path(self, conn: Connection, data: bytes) -> bytes | None:
        """Respond to a plain request for a cover in memory. Return the unsent rest, None if there is no response."""
        if self.fast_path is None or not self.alive or len(self.keepalived_conns) >= self.max_keepalived:
            return None
        response = self.fast_path.respond(data)
        if response is None:
            return None
        try:
            sent = conn.sock.sendmsg(response)
        except BlockingIOError:
            sent = 0
        except OSError:  # closed by the client, as the next read will show
            return b""
        return b"" if sent == len(response[0]) + len(response[1]) else b"".join(response)[sent:]

    def _send_rest(self, conn: Connection, rest: bytes) -> None:
        """Send the rest in a thread, to a slow reader."""
        future = self.tpool.submit(_send_slowly, conn.sock, rest)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def _keep(self, conn: Connection) -> None:
        conn.timeout = time.monotonic() + self._keepalive_s
        self.keepalived_conns.append(conn)

    def _collect(self, conn: Connection, ahead: bytes | None = b"") -> None:
        conn.sock.setblocking(False)
        data = ahead or _receive(conn.sock)
        if data:
            if (rest := self._try_fast_path(conn, data)) is not None:
                if rest:
                    self._send_rest(conn, rest)
                else:
                    self._keep(conn)
                    self._listen(conn, self.on_client_socket_readable)
                return
            conn.request.feed(data)
            if conn.request.is_complete:  # nearly every request arrives at once, and needs no poll
                self.enqueue_req(conn)
                return
        elif data is not None:
            self._close(conn)
            return
        conn.deadline = time.monotonic() + COLLECT_S
        self._collecting[conn] = None
        self._collected_bytes += len(conn.request.data)
        self._listen(conn, self._read)
        self._dispatch(conn)

    def _read(self, conn: Connection, _: object) -> None:
        data = _receive(conn.sock)
        if data:
            conn.request.feed(data)
            self._collected_bytes += len(data)
            self._dispatch(conn)
        elif data is not None:
            self._stop_collecting(conn)
            self._close(conn)

    def _dispatch(self, conn: Connection) -> None:
        request = conn.request
        if request.has_large_head:
            self._stop_collecting(conn)
            _send(conn.sock, plain_response("431 Request Header Fields Too Large"))
            self._linger(conn)
        elif request.is_complete:
            self._stop_collecting(conn)
            self.enqueue_req(conn)
        elif request.expects_continue:
            request.expects_continue = False
            _send(conn.sock, b"HTTP/1.1 100 Continue\r\n\r\n")
        while self._collected_bytes > MAX_COLLECTED_BYTES:
            self._make_room()

    def _stop_collecting(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        del self._collecting[conn]
        self._collected_bytes -= len(conn.request.data)

    def _make_room(self) -> None:
        """Close the connection that has waited longest: one without a complete request, else an idle one."""
        conn = next(iter(self._lingering), None)
        if conn is not None:
            self._end_linger(conn)
        elif (conn := next(iter(self._collecting), None)) is not None:
            self._stop_collecting(conn)
            self._close(conn)
        elif self.keepalived_conns:
            conn = self.keepalived_conns.popleft()
            self.poller.unregister(conn.sock)
            self._close(conn)

    def _linger(self, conn: Connection) -> None:
        """Close only our side first: closing both could destroy a response that is not delivered yet (RFC 9112, 9.6)."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        conn.deadline = time.monotonic() + LINGER_S
        self._lingering[conn] = None
        self._listen(conn, self._drain)

    def _drain(self, conn: Connection, _: object) -> None:
        if _receive(conn.sock) == b"":
            self._end_linger(conn)

    def _end_linger(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        del self._lingering[conn]
        self._close(conn)

    def _close(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()

    def _listen(self, conn: Connection, then: Callable[[Connection, Any], None]) -> None:
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(then, conn))


def _receive(sock: socket.socket) -> bytes | None:
    """Return the data received: None if there is none yet, empty if the connection is closed."""
    try:
        return sock.recv(65536)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _send_slowly(sock: socket.socket, data: bytes) -> bool:
    """Send all of it, with a timeout for each write. Return True if the connection can be kept. Runs in a thread."""
    try:
        sock.settimeout(WRITE_S)
        sock.sendall(data)
    except OSError:
        return False
    return True


def _send(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        sock.send(data)


STATUSES: tuple[tuple[type[Exception], str], ...] = (
    (errors.LimitRequestLine, "414 URI Too Long"),
    (errors.LimitRequestHeaders, "431 Request Header Fields Too Large"),
    (errors.ExpectationFailed, "417 Expectation Failed"),
    (errors.UnsupportedTransferCoding, "501 Not Implemented"),
)


def plain_response(status: str) -> bytes:
    """Return a complete response that contains only its status, with the headers of all our responses."""
    body = f"{status[4:]}\n".encode()
    lines = (
        f"HTTP/1.1 {status}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: DENY",
        "Referrer-Policy: same-origin",
        "Content-Security-Policy: default-src 'none'; sandbox",
        "Connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
