"""Connections between two requests: kept in their own epoll, and answered from the fast path without leaving it.

gunicorn asks its selector, calls a callback for each event, and does its periodic jobs, in every turn of its loop. Here one event of that
selector stands for all idle connections: they are found by file descriptor, a hit costs one `recv` and one `sendmsg`, and its
deadline is only written down.
"""

import math
import select
import selectors
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from image_cache.server.connection import Connection
from image_cache.server.fast_path import FastPath

RECEIVE_BYTES = 16_384  # of a request of a kept connection, at once; one with a large body continues with larger pieces
TURN_S = 0.005  # for hits, before the other events of the loop have their turn
CHORES_S = 0.5  # how often the arbiter is told that the loop runs, and hits are counted


class KeptConnections:
    """Idle connections, about in the order of their deadlines. In place of gunicorn's deque, of which it offers what gunicorn uses."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._by_fd: dict[int, Connection] = {}

    def __len__(self) -> int:
        return len(self._by_fd)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._by_fd.values())

    def __getitem__(self, index: int) -> Connection:
        return next(islice(self, index, None))

    def fileno(self) -> int:
        """Return a descriptor that is readable while one of the connections is."""
        return self._epoll.fileno()

    def add(self, conn: Connection, until: float) -> None:
        conn.timeout = conn.deadline = until
        fd = conn.sock.fileno()
        self._epoll.register(fd, select.EPOLLIN)
        self._by_fd[fd] = conn

    def remove(self, conn: Connection) -> None:
        fd = conn.sock.fileno()
        self._epoll.unregister(fd)
        del self._by_fd[fd]

    def readable(self) -> Iterator[Connection]:
        """Yield those that have sent something, as long as they are still here when their turn comes."""
        for fd, _ in self._epoll.poll(0):
            conn = self._by_fd.get(fd)
            if conn is not None:
                yield conn

    def expired(self, now: float) -> Iterator[Connection]:
        """Remove and yield those whose time is over. One that sent a request meanwhile goes to the end instead."""
        while (conn := next(iter(self), None)) and min(conn.deadline, conn.timeout) <= now:
            if conn.timeout > now:
                conn.deadline = conn.timeout
                fd = conn.sock.fileno()
                self._by_fd[fd] = self._by_fd.pop(fd)
            else:
                self.remove(conn)
                yield conn

    def close(self) -> None:
        self._epoll.close()


class KeepingWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker with the fast path and its own table of idle connections. Only the main loop uses it.

    A subclass says what happens to a connection that sends anything else (`_collect`), or does not take all of a response.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.fast_path: FastPath | None = None  # set when the application is loaded
        self._keepalive_s = float(self.cfg.keepalive)  # looking up a setting of gunicorn is slow
        self._notify_at = self._flush_at = 0.0

    def run(self) -> None:
        self.keepalived_conns = KeptConnections()  # here, after the fork
        self.poller.register(self.keepalived_conns.fileno(), selectors.EVENT_READ, self._serve_kept)
        try:
            super().run()
        finally:
            self._flush_fast_path()
            self.keepalived_conns.close()

    def notify(self) -> None:
        """Notify the arbiter that the loop runs. Called in every turn, and does nothing in most of them."""
        now = time.monotonic()
        if now >= self._notify_at:
            self._notify_at = now + CHORES_S
            super().notify()

    def murder_keepalived(self, force: bool = False) -> None:
        """Close idle connections whose time is over; called in every turn of the loop."""
        now = time.monotonic()
        for conn in self.keepalived_conns.expired(math.inf if force else now):
            self._close(conn)
        if now >= self._flush_at:
            self._flush_at = now + CHORES_S
            self._flush_fast_path()

    def _flush_fast_path(self) -> None:
        if self.fast_path is not None:
            self.fast_path.flush()

    def _serve_kept(self, _: object) -> None:
        """Respond to those that have sent a request, again and again while more arrive, for one turn at most."""
        ends_at = time.monotonic() + TURN_S
        while True:
            count = 0
            for conn in self.keepalived_conns.readable():
                count += 1
                self._serve(conn)
            if count <= 1 or time.monotonic() >= ends_at:
                return

    def _serve(self, conn: Connection) -> None:
        try:
            data = conn.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        rest = self._try_fast_path(conn, data) if data else None
        if rest == b"":
            conn.timeout = time.monotonic() + self._keepalive_s
            return
        self.keepalived_conns.remove(conn)
        if rest is None:
            self._collect(conn, data)
        else:
            self._send_rest(conn, rest)

    def _try_fast_path(self, conn: Connection, data: bytes) -> bytes | None:
        """Respond to a plain request for a cover in memory. Return the unsent rest, None if there is no response."""
        if self.fast_path is None or not self.alive or self.nr + 1 >= self.max_requests:
            return None
        response = self.fast_path.respond(data)
        if response is None:
            return None
        self.nr += 1
        try:
            sent = conn.sock.sendmsg(response)
        except BlockingIOError:
            sent = 0
        except OSError:  # closed by the client, as the next read will show
            return b""
        size = len(response[0]) + len(response[1]) + len(response[2])
        return b"" if sent == size else b"".join(response)[sent:]

    def _keep(self, conn: Connection) -> None:
        self.keepalived_conns.add(conn, time.monotonic() + self._keepalive_s)

    def _listen(
        self,
        conn: Connection,
        table: dict[Connection, None],
        then: Callable[[Connection], None],
        event: int = selectors.EVENT_READ,
    ) -> None:
        self.poller.register(conn.sock, event, partial(self._notice, conn, table, then))

    def _notice(self, conn: Connection, table: dict[Connection, None], then: Callable[[Connection], None], _: object) -> None:
        """Handle an event, unless another one of the same turn has ended what the connection was waiting for."""
        if conn in table:
            then(conn)

    @abstractmethod
    def _collect(self, conn: Connection, ahead: bytes) -> None:
        """The worker supplies it."""

    @abstractmethod
    def _send_rest(self, conn: Connection, rest: bytes) -> None:
        """The worker supplies it."""

    @abstractmethod
    def _close(self, conn: Connection) -> None:
        """The worker supplies it."""
