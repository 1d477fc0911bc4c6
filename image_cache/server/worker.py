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
from types import SimpleNamespace
from typing import Any

from gunicorn.http import errors

from image_cache.server.connection import Connection, receive, send_now
from image_cache.server.keeping import KeepingWorker
from image_cache.server.plain_responses import STATUSES, plain_response

MAX_COLLECTED_BYTES = 16_000_000  # buffered in memory for all connections
MAX_FILE_BYTES = 1_000_000_000  # buffered in files
COLLECT_S = 15.0  # for a head; a body, and a response, must move on by MIN_BYTES in each such time
MIN_BYTES = 15_000
LINGER_S = 2.0  # for the client to close its side
SEND_BUFFER_BYTES = 400_000  # nearly all responses fit, so that a slow reader does not even occupy memory of ours


class BufferingWorker(KeepingWorker):
    """gunicorn's threaded worker, with all waiting moved to the main loop. Only that loop uses the tables below."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # In the order of their deadlines, because every connection gets the same time.
        self._collecting: dict[Connection, None] = {}
        self._sending: dict[Connection, None] = {}
        self._lingering: dict[Connection, None] = {}
        self._collected_bytes = self._file_bytes = 0
        self.buffer_dir: str | None = None  # for what does not belong in memory; not /tmp, which is memory on many machines
        self.body_limit: Callable[[dict[str, Any]], int] | None = None  # set when the application is loaded
        self._is_quitting = False

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
        self._collect(Connection(self.buffer_dir, self.cfg, sock, address, listener.getsockname()))

    def finish_request(self, conn: Connection, future: Any) -> None:
        """Called in the main loop when a thread is done with a request."""
        try:
            keep = not future.cancelled() and future.result()
        except Exception:
            self.log.exception("Error handling a connection")
            keep = False
        conn.is_kept = keep
        self._count(conn, 0, 0)
        self._send_on(conn)

    def _send_on(self, conn: Connection, _: object = None) -> None:
        """Send what the client takes now; wait for it, or go on with its next request."""
        is_over = not conn.outgoing.flush()
        if not is_over and not conn.outgoing.is_empty:
            if conn not in self._sending:
                self._start_waiting(conn, self._sending, conn.outgoing.taken_bytes)
                self.poller.register(conn.sock, selectors.EVENT_WRITE, partial(self._send_on, conn))
            return
        if conn in self._sending:
            self.poller.unregister(conn.sock)
            del self._sending[conn]
        if is_over:
            self._close(conn)
        elif not conn.is_kept:
            self._linger(conn)
        elif ahead := conn.next_request():
            self._collect(conn, ahead)
        else:
            self._keep(conn)

    def murder_pending(self) -> None:
        """Close connections whose time is over; called at least once a second. Once the worker stops, close all that are waiting."""
        now = time.monotonic()
        if self._is_quitting:
            self.murder_keepalived(force=True)
        while (conn := next(iter(self._collecting), None)) and (conn.deadline <= now or not self.alive):
            moved = conn.request.received_bytes - conn.moved_bytes
            if self.alive and conn.request.head and moved >= MIN_BYTES:
                self._start_waiting(conn, self._collecting, conn.request.received_bytes)
                continue
            self._stop_collecting(conn)
            if conn.request.head and self.alive:
                self._refuse(conn, "408 Request Timeout")
            else:
                self._close(conn)
        while (conn := next(iter(self._sending), None)) and (conn.deadline <= now or self._is_quitting):
            if not self._is_quitting and conn.outgoing.taken_bytes - conn.moved_bytes >= MIN_BYTES:
                self._start_waiting(conn, self._sending, conn.outgoing.taken_bytes)
                continue
            self._stop_sending(conn)
        while (conn := next(iter(self._lingering), None)) and conn.deadline <= now:
            self._end_linger(conn)

    def handle_request(self, req: Any, conn: Connection) -> Any:
        try:
            return super().handle_request(req, SimpleNamespace(sock=conn.outgoing, client=conn.client, server=conn.server))
        except TimeoutError:
            self.log.debug("A client did not read its response in time.")
            conn.outgoing.close()
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
        send_now(client, plain_response(status))

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        return keepalive  # the whole request was received: what the application did not read of it is in nobody's way

    def _send_rest(self, conn: Connection, rest: bytes) -> None:
        """Send the rest as the client takes it."""
        conn.is_kept = True
        with contextlib.suppress(OSError):  # flushing shows it
            conn.outgoing.sendall(rest)
        self._send_on(conn)

    def _collect(self, conn: Connection, ahead: bytes | None = None) -> None:
        """Begin a request with what was received of it already."""
        conn.sock.setblocking(False)
        data = receive(conn.sock) if ahead is None else ahead
        if data:
            if (rest := self._try_fast_path(conn, data)) is not None:
                if rest:
                    self._send_rest(conn, rest)
                else:
                    self._keep(conn)
                return
            conn.request.feed(data)
            if (
                conn.request.is_complete and not conn.request.has_large_body
            ):  # nearly every request arrives at once, and needs no poll
                self.enqueue_req(conn)
                return
        elif data is not None:
            self._close(conn)
            return
        self._wait_for_more(conn)
        self._dispatch(conn)

    def _wait_for_more(self, conn: Connection) -> None:
        self._start_waiting(conn, self._collecting, conn.request.received_bytes)
        self._listen(conn, self._read)

    def _read(self, conn: Connection, _: object) -> None:
        data = receive(conn.sock)
        if data:
            conn.request.feed(data)
            self._dispatch(conn)
        elif data is not None:
            self._stop_collecting(conn)
            self._close(conn)

    def _dispatch(self, conn: Connection) -> None:
        request = conn.request
        self._count(conn, request.memory_bytes, request.file_bytes)
        if request.error or self._file_bytes > MAX_FILE_BYTES:
            self._stop_collecting(conn)
            self._refuse(conn, request.error or "503 Service Unavailable")
        elif request.has_large_body and self.body_limit is not None and not request.is_limit_known:
            self._stop_collecting(conn)
            future = self.tpool.submit(self._find_limit, conn)
            future.add_done_callback(lambda done: self.method_queue.defer(self._limit_found, conn, done))
        elif request.is_complete:
            self._stop_collecting(conn)
            self.enqueue_req(conn)
        elif request.expects_continue:
            request.expects_continue = False
            send_now(conn.sock, b"HTTP/1.1 100 Continue\r\n\r\n")
        while self._collected_bytes > MAX_COLLECTED_BYTES:
            self._make_room()

    def _find_limit(self, conn: Connection) -> int:
        """Ask the application, which knows who may send how much, from the head alone. Runs in a thread."""
        return self.body_limit(conn.environ()) if self.body_limit is not None else 0

    def _limit_found(self, conn: Connection, future: Any) -> None:
        """Go on receiving a large body if the application wants it."""
        try:
            limit_bytes = future.result()
        except Exception:
            self.log.exception("Error finding the limit of a body")
            limit_bytes = 0
        conn.request.raise_limit(limit_bytes)
        self._wait_for_more(conn)
        self._dispatch(conn)

    def _refuse(self, conn: Connection, status: str) -> None:
        send_now(conn.sock, plain_response(status))
        self._linger(conn)

    def _count(self, conn: Connection, memory_bytes: int, file_bytes: int) -> None:
        self._collected_bytes += memory_bytes - conn.memory_bytes
        self._file_bytes += file_bytes - conn.file_bytes
        conn.memory_bytes, conn.file_bytes = memory_bytes, file_bytes

    def _start_waiting(self, conn: Connection, table: dict[Connection, None], moved_bytes: int) -> None:
        """Give a connection its time anew, as the last of a table."""
        table.pop(conn, None)
        table[conn] = None
        conn.deadline, conn.moved_bytes = time.monotonic() + COLLECT_S, moved_bytes

    def _stop_collecting(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        del self._collecting[conn]
        self._count(conn, 0, conn.file_bytes)

    def _stop_sending(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        del self._sending[conn]
        self._close(conn)

    def _make_room(self) -> None:
        """Close the connection that has waited longest: one without a complete request, else an idle one."""
        conn = next(iter(self._lingering), None)
        if conn is not None:
            self._end_linger(conn)
        elif (conn := next(iter(self._collecting), None)) is not None:
            self._stop_collecting(conn)
            self._close(conn)
        elif (conn := next(iter(self._sending), None)) is not None:
            self._stop_sending(conn)
        elif self.keepalived_conns:
            conn = self.keepalived_conns[0]
            self.keepalived_conns.remove(conn)
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
        if receive(conn.sock) == b"":
            self._end_linger(conn)

    def _end_linger(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        del self._lingering[conn]
        self._close(conn)

    def _close(self, conn: Connection) -> None:
        self._count(conn, 0, 0)
        self.nr_conns -= 1
        conn.close()

    def _listen(self, conn: Connection, then: Callable[[Connection, Any], None]) -> None:
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(then, conn))
