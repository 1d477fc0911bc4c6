"""Buffering gunicorn worker: a request gets a thread once it is complete, and only until its response is sent.

gunicorn's own threaded worker passes a connection to a thread as soon as it is accepted; six clients that send nothing, or half a
request, or do not close the connection, are enough to block it. Here the main loop buffers requests and closes connections.
Knows no Flask; `systemd/gunicorn.conf.py` names it.
"""

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from image_cache.server.chunk_toll import ChunkToll
from image_cache.server.connection import Connection, receive, send_now
from image_cache.server.fairness import FairThreads, ThreadJob, one_to_end
from image_cache.server.keeping import RECEIVE_BYTES
from image_cache.server.parts import PartsWorker
from image_cache.server.plain_responses import plain_response, refusal_of
from image_cache.server.request_framing import PIECE_BYTES

MAX_MEMORY_BYTES = 16_000_000  # of requests, buffered in memory for all connections
MAX_FILE_BYTES = 1_000_000_000  # buffered in files
COLLECT_S = 15.0  # for a head; a body, and a response, must move on by MIN_BYTES in each such time
MIN_BYTES = 15_000
LINGER_S, MAX_LINGER_S = 2.0, 30.0  # for the client to close its side; one that still sends reads its response later, as in nginx
ACCEPT_AT_ONCE = 32
SEND_BUFFER_BYTES = 400_000  # nearly all responses fit, so that a slow reader does not even occupy our memory


class BufferingWorker(PartsWorker):
    """gunicorn's threaded worker, with all waiting moved to the main loop. Only that loop uses the tables below."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # In the order of their deadlines, because every connection gets the same time.
        self._collecting: dict[Connection, None] = {}
        self._sending: dict[Connection, None] = {}
        self._lingering: dict[Connection, None] = {}
        self._threads = FairThreads(self.cfg.threads)
        self._toll = ChunkToll()
        self._memory_bytes = self._file_bytes = 0
        self.proxies = 0  # that are in front, and whose X-Forwarded-For is believed
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
        """Accept several in each turn of the loop: a client that opens a thousand connections delays all that come after it."""
        for _ in range(ACCEPT_AT_ONCE):
            try:
                accepted = listener.accept()
            except OSError:  # no more are waiting, or no file descriptor is left
                return
            self._begin(listener, *accepted)

    def _begin(self, listener: socket.socket, sock: socket.socket, address: Any) -> None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room(self._close)
        self._collect(Connection(self.buffer_dir, self.cfg, sock, address, listener.getsockname()))

    def enqueue_req(self, conn: Connection) -> None:
        """Give a whole request to a thread, once it is this client's turn."""
        self._in_thread(conn, partial(self.handle, conn), self.finish_request)

    def _in_thread(self, conn: Connection, work: Callable[[], Any], then: Callable[[Connection, Any], None]) -> None:
        self._threads.add(ThreadJob(conn.request.client_name(conn.address, self.proxies), conn, work, then))
        self._start_jobs()

    def _start_jobs(self) -> None:
        while (job := self._threads.next()) is not None:
            future = self.tpool.submit(job.work)
            future.add_done_callback(partial(self.method_queue.defer, self._end_job, job))

    def _end_job(self, job: ThreadJob, future: Any) -> None:
        self._threads.end(job)
        job.then(job.conn, future)
        self._start_jobs()

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

    def _send_on(self, conn: Connection) -> None:
        """Send what the client takes now; wait for it, or continue with its next request."""
        is_over = not conn.outgoing.flush()
        if not is_over and not conn.outgoing.is_empty and not conn.outgoing.needs_parts:
            if conn not in self._sending:
                self._start_waiting(conn, self._sending, conn.outgoing.taken_bytes)
                self._listen(conn, self._sending, self._send_on, selectors.EVENT_WRITE)
            return
        if conn in self._sending:
            self._stop_sending(conn)
        if is_over:
            self._close(conn)
        elif conn.outgoing.needs_parts:
            self._make_parts(conn)
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
            for queued in list(self._threads):
                self._threads.remove(queued)
                self._close(queued)
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
            self._close(conn)
        while (conn := next(iter(self._lingering), None)) and conn.deadline <= now:
            if not self._is_quitting and conn.moved_bytes >= MIN_BYTES and now < conn.linger_until:
                self._start_waiting(conn, self._lingering, 0, LINGER_S)
            else:
                self._end_linger(conn)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Respond to a request that did not reach the application, without quoting it, and with strict security headers."""
        status = refusal_of(exc)
        if status:
            self.log.debug("Invalid request from %s: %s", addr and addr[0], exc)
        else:
            self.log.error("Error handling request %s", getattr(req, "path", ""), exc_info=exc)
        send_now(client, plain_response(status or "500 Internal Server Error"))

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        return keepalive  # the whole request was received: the unread rest of it blocks nothing

    def _send_rest(self, conn: Connection, rest: bytes) -> None:
        """Send the rest as the client takes it."""
        conn.is_kept = True
        with contextlib.suppress(OSError):  # flushing shows it
            conn.outgoing.sendall(rest)
        self._send_on(conn)

    def _collect(self, conn: Connection, ahead: bytes | None = None) -> None:
        """Begin a request with what was received of it already."""
        conn.sock.setblocking(False)
        data = receive(conn.sock, RECEIVE_BYTES) if ahead is None else ahead
        if data:
            if (rest := self._try_fast_path(conn, data)) is not None:
                if rest:
                    self._send_rest(conn, rest)
                else:
                    self._keep(conn)
                return
            conn.request.feed(data)
            if conn.request.is_complete and not conn.request.has_large_body:  # as nearly every request: it needs no poll
                self._count(conn, conn.request.memory_bytes, conn.request.file_bytes)
                self.enqueue_req(conn)
                return
        elif data is not None:
            self._close(conn)
            return
        self._wait_for_more(conn)
        self._dispatch(conn)

    def _wait_for_more(self, conn: Connection) -> None:
        self._start_waiting(conn, self._collecting, conn.request.received_bytes)
        self._listen(conn, self._collecting, self._read)

    def _read(self, conn: Connection) -> None:
        chunks = conn.request.chunks
        data = receive(conn.sock, conn.request.receive_bytes)
        if data:
            conn.request.feed(data)
            self._dispatch(conn)
            chunks = conn.request.chunks - chunks
            if chunks and conn in self._collecting and self._toll.charge(conn, chunks):
                self.poller.unregister(conn.sock)
        elif data is not None:
            self._stop_collecting(conn)
            self._close(conn)

    def _dispatch(self, conn: Connection) -> None:
        request = conn.request
        self._count(conn, request.memory_bytes, request.file_bytes)
        if request.error:
            self._stop_collecting(conn)
            self._refuse(conn, request.error)
        elif request.has_large_body and self.body_limit is not None and not request.is_limit_known:
            self._stop_collecting(conn)
            self._in_thread(conn, partial(self._find_limit, conn), self._limit_found)
        elif request.is_complete:
            self._stop_collecting(conn)
            self.enqueue_req(conn)
        elif request.expects_continue:
            request.expects_continue = False
            send_now(conn.sock, b"HTTP/1.1 100 Continue\r\n\r\n")
        busy = partial(self._refuse, status="503 Service Unavailable")
        while self._memory_bytes > MAX_MEMORY_BYTES and self._make_room(busy, lambda one: one.memory_bytes):
            pass
        while self._file_bytes > MAX_FILE_BYTES and self._make_room(busy, lambda one: one.file_bytes):
            pass

    def _find_limit(self, conn: Connection) -> int:
        """Ask the application, which knows who may send how much, from the head alone. Runs in a thread."""
        return self.body_limit(conn.environ()) if self.body_limit is not None else 0

    def _limit_found(self, conn: Connection, future: Any) -> None:
        """Continue receiving a large body if the application wants it."""
        try:
            limit_bytes = future.result()
        except Exception:
            self.log.exception("Error finding the limit of a body")
            limit_bytes = 0
        conn.request.raise_limit(limit_bytes)
        self._wait_for_more(conn)
        self._dispatch(conn)

    def _refuse(self, conn: Connection, status: str) -> None:
        conn.request.close()
        self._count(conn, 0, 0)
        send_now(conn.sock, plain_response(status))
        self._linger(conn)

    def _count(self, conn: Connection, memory_bytes: int, file_bytes: int) -> None:
        self._memory_bytes += memory_bytes - conn.memory_bytes
        self._file_bytes += file_bytes - conn.file_bytes
        conn.memory_bytes, conn.file_bytes = memory_bytes, file_bytes

    def _start_waiting(self, conn: Connection, table: dict[Connection, None], moved: int, wait_s: float = COLLECT_S) -> None:
        """Restart a connection's time limit, as the last of a table."""
        table.pop(conn, None)
        table[conn] = None
        conn.deadline, conn.moved_bytes = time.monotonic() + wait_s, moved

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events, and go on with the connections whose pause is over."""
        super().wait_for_and_dispatch_events(self._toll.wait_s(timeout))
        for conn in self._toll.over():
            self._listen(conn, self._collecting, self._read)

    def _stop_collecting(self, conn: Connection) -> None:
        if not self._toll.forget(conn):
            self.poller.unregister(conn.sock)
        del self._collecting[conn]

    def _stop_sending(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        del self._sending[conn]

    def _make_room(self, end: Callable[[Connection], None], weight: Callable[[Connection], int] | None = None) -> bool:
        """End one connection, of the address that has most of what is scarce. Return False if there is none."""
        tables: dict[Callable[[Connection], None], Iterable[Connection]] = {
            self._stop_lingering: self._lingering,
            self._stop_collecting: self._collecting,
            self._stop_sending: self._sending,
            self._stop_pause: self._paused,
            self._threads.remove: self._threads,
            self.keepalived_conns.remove: self.keepalived_conns,
        }
        found = one_to_end(tables, weight)
        if found is None:
            return False
        stop, conn = found
        stop(conn)
        end(conn)
        return True

    def _linger(self, conn: Connection) -> None:
        """Close only our side first: closing both could destroy a response that is not delivered yet (RFC 9112, 9.6)."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        conn.linger_until = time.monotonic() + MAX_LINGER_S
        self._start_waiting(conn, self._lingering, 0, LINGER_S)
        self._listen(conn, self._lingering, self._drain)

    def _drain(self, conn: Connection) -> None:
        data = receive(conn.sock, PIECE_BYTES)
        conn.moved_bytes += len(data or b"")
        if data == b"":
            self._end_linger(conn)

    def _end_linger(self, conn: Connection) -> None:
        self._stop_lingering(conn)
        self._close(conn)

    def _stop_lingering(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        del self._lingering[conn]

    def _close(self, conn: Connection) -> None:
        self._count(conn, 0, 0)
        self.nr_conns -= 1
        conn.close()
