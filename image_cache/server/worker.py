"""The gunicorn worker: a thread is for those who have asked a whole question, and for as long as the answer takes.

gunicorn's own threaded worker gives a connection to a thread as soon as it is accepted; six clients that send nothing, or half
a request, or do not hang up, are enough to stop it. Here the main loop collects requests, and lets connections die out.
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

MOST_COLLECTED_BYTES = 16_000_000  # in all connections together
ARRIVAL_S = 15.0  # from a connection, or the first byte of a further request, to its last byte
ANSWER_S = 20.0  # the longest that one write of an answer may wait for a slow reader
LINGER_S = 2.0  # how long the other side is given to hang up
SEND_BUFFER_BYTES = 400_000  # nearly all answers fit, so that a slow reader does not hold a thread


class Connection(TConn):  # type: ignore[misc]
    """One client. `arrival` is the request that is being collected."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.arrival = RequestBuffer()
        self.deadline = 0.0
        self.has_large_body = False
        self.data_ready = True  # gunicorn must not wait on the socket for what was read from it already

    def init(self) -> None:
        """Hand what was collected to the parser. Called in the thread, with a blocking socket."""
        super().init()
        self.sock.settimeout(ANSWER_S)
        data, self.has_large_body = bytes(self.arrival.data), self.arrival.has_large_body
        self.arrival = RequestBuffer()
        if data:
            self.parser.unreader.unread(data)


class BufferingWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker with the waiting moved into the main loop. Only that loop touches the two tables below."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # In order of their deadlines, because every connection gets the same time.
        self._collecting: dict[Connection, None] = {}
        self._leaving: dict[Connection, None] = {}
        self._collected_bytes = 0
        self._is_hasty = False
        self._keepalive_s = float(self.cfg.keepalive)  # gunicorn looks its settings up by name, each time
        self.quick: FastPath | None = None  # set when the application is there

    def handle_quit(self, sig: int, frame: object) -> None:
        """Stop without waiting for idle clients, on SIGINT and SIGQUIT.

        gunicorn's own handler takes the lock of the thread pool, and Ctrl-C reaches a worker twice, from the terminal and from the
        arbiter: the second one would wait for the first for ever. Here a handler only leaves a note for the main loop.
        """
        self._is_hasty = True
        self.handle_exit(sig, frame)

    def accept(self, listener: socket.socket) -> None:
        try:
            sock, address = listener.accept()
        except OSError:  # it hung up already, or we have no descriptor left: the others go on
            return
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        self._collect(Connection(self.cfg, sock, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: Connection, client: object) -> None:
        """A connection that was kept alive asks again."""
        data = _receive(conn.sock)
        self.keepalived_conns.remove(conn)
        if data and (rest := self._answer_quickly(conn, data)) is not None:
            if not rest:  # it goes on listening as it was
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
            self._leave(conn)
            return
        ahead = conn.parser.unreader.take_buffered() if conn.parser else b""
        if ahead:
            self._collect(conn, ahead)
            return
        conn.sock.setblocking(False)
        self._keep(conn)
        self._listen(conn, self.on_client_socket_readable)

    def murder_pending(self) -> None:
        """End what took too long; called at least once a second. When the worker stops, nobody is waited for any more."""
        now = time.monotonic()
        if self._is_hasty:
            self.murder_keepalived(force=True)
        while (conn := next(iter(self._collecting), None)) and (conn.deadline <= now or not self.alive):
            self._stop_collecting(conn)
            self._close(conn)
        while (conn := next(iter(self._leaving), None)) and conn.deadline <= now:
            self._left(conn)

    def handle_request(self, req: Any, conn: Connection) -> Any:
        try:
            return super().handle_request(req, conn)
        except TimeoutError:
            self.log.debug("A client did not read its answer in time.")
            raise StopIteration from None

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer what never reached the application: in plain words, without a word of what was sent, and closed to browsers."""
        is_ours = isinstance(exc, errors.InvalidResponseHeader | errors.InvalidResponseHeaderName)
        if isinstance(exc, errors.ParseException) and not is_ours:
            self.log.debug("Invalid request from %s: %s", addr and addr[0], exc)
            status = next((status for kind, status in STATUSES if isinstance(exc, kind)), "400 Bad Request")
        else:
            self.log.error("Error handling request %s", getattr(req, "path", ""), exc_info=exc)
            status = "500 Internal Server Error"
        _send(client, plain_answer(status))

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        # What is still to come of a body that was too large would have to be read before the next request.
        return keepalive and not conn.has_large_body and bool(super()._keepalive_after(conn, keepalive))

    def _answer_quickly(self, conn: Connection, data: bytes) -> bytes | None:
        """Answer a plain request for a warm picture here and now. Returns what the socket did not take, None when not answered."""
        if self.quick is None or not self.alive or len(self.keepalived_conns) >= self.max_keepalived:
            return None
        answer = self.quick.answer(data)
        if answer is None:
            return None
        try:
            sent = conn.sock.sendmsg(answer)
        except BlockingIOError:
            sent = 0
        except OSError:  # it hung up: reading will say so
            return b""
        return b"" if sent == len(answer[0]) + len(answer[1]) else b"".join(answer)[sent:]

    def _send_rest(self, conn: Connection, rest: bytes) -> None:
        """Let a thread wait for a slow reader."""
        future = self.tpool.submit(_send_slowly, conn.sock, rest)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def _keep(self, conn: Connection) -> None:
        conn.timeout = time.monotonic() + self._keepalive_s
        self.keepalived_conns.append(conn)

    def _collect(self, conn: Connection, ahead: bytes | None = b"") -> None:
        conn.sock.setblocking(False)
        data = ahead or _receive(conn.sock)
        if data:
            if (rest := self._answer_quickly(conn, data)) is not None:
                if rest:
                    self._send_rest(conn, rest)
                else:
                    self._keep(conn)
                    self._listen(conn, self.on_client_socket_readable)
                return
            conn.arrival.feed(data)
            if conn.arrival.is_whole:  # nearly every request is there at once, and costs no turn of the poller
                self.enqueue_req(conn)
                return
        elif data is not None:
            self._close(conn)
            return
        conn.deadline = time.monotonic() + ARRIVAL_S
        self._collecting[conn] = None
        self._collected_bytes += len(conn.arrival.data)
        self._listen(conn, self._read)
        self._judge(conn)

    def _read(self, conn: Connection, _: object) -> None:
        data = _receive(conn.sock)
        if data:
            conn.arrival.feed(data)
            self._collected_bytes += len(data)
            self._judge(conn)
        elif data is not None:
            self._stop_collecting(conn)
            self._close(conn)

    def _judge(self, conn: Connection) -> None:
        arrival = conn.arrival
        if arrival.has_large_head:
            self._stop_collecting(conn)
            _send(conn.sock, plain_answer("431 Request Header Fields Too Large"))
            self._leave(conn)
        elif arrival.is_whole:
            self._stop_collecting(conn)
            self.enqueue_req(conn)
        elif arrival.expects_continue:
            arrival.expects_continue = False
            _send(conn.sock, b"HTTP/1.1 100 Continue\r\n\r\n")
        while self._collected_bytes > MOST_COLLECTED_BYTES:
            self._make_room()

    def _stop_collecting(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        del self._collecting[conn]
        self._collected_bytes -= len(conn.arrival.data)

    def _make_room(self) -> None:
        """Give the longest-waiting client up: one that has not asked yet, else one that may ask again."""
        conn = next(iter(self._leaving), None)
        if conn is not None:
            self._left(conn)
        elif (conn := next(iter(self._collecting), None)) is not None:
            self._stop_collecting(conn)
            self._close(conn)
        elif self.keepalived_conns:
            conn = self.keepalived_conns.popleft()
            self.poller.unregister(conn.sock)
            self._close(conn)

    def _leave(self, conn: Connection) -> None:
        """Hang up politely: closing at once would destroy an answer that is still on its way (RFC 9112, 9.6)."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        conn.deadline = time.monotonic() + LINGER_S
        self._leaving[conn] = None
        self._listen(conn, self._drain)

    def _drain(self, conn: Connection, _: object) -> None:
        if _receive(conn.sock) == b"":
            self._left(conn)

    def _left(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        del self._leaving[conn]
        self._close(conn)

    def _close(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()

    def _listen(self, conn: Connection, then: Callable[[Connection, Any], None]) -> None:
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(then, conn))


def _receive(sock: socket.socket) -> bytes | None:
    """Return what has come: None when nothing yet, empty when nothing will come any more."""
    try:
        return sock.recv(65536)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _send_slowly(sock: socket.socket, data: bytes) -> bool:
    """Send all of it, each piece within the time; tell whether the connection can be kept. In a thread."""
    try:
        sock.settimeout(ANSWER_S)
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


def plain_answer(status: str) -> bytes:
    """Return a whole answer that says only its status, with the headers that all our answers have."""
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
