"""An end for every fetch: when its time is over its socket is cut, wherever its thread is waiting.

A timeout is per read, so an origin that sends one byte a second never meets it. One thread watches all fetches; it lives while there
is one to watch and no longer.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MinimumSpeed:
    """The slowest that a large body may come: `bytes_per_s` on the average of `window_s`. Total time has no end."""

    bytes_per_s: int = 16_000
    window_s: float = 30.0

    @property
    def window_bytes(self) -> int:
        return int(self.bytes_per_s * self.window_s)

    def __str__(self) -> str:
        return f"{self.bytes_per_s // 1000} KB/s over {self.window_s:g} s"


# What is fetched at this pace takes 30 s at most, or brings 480 KB in each 30 s.
LARGE_FILES = MinimumSpeed()


class Deadline:
    """The deadline of one fetch. `guard` names the socket that is to be cut; a later socket takes the place of an earlier one."""

    def __init__(self, seconds: float, lock: threading.Condition) -> None:
        self.seconds = seconds
        self.reason = f"not finished within {seconds:g} s"  # what an error says when the time is over
        self._expires_at = time.monotonic() + seconds
        self._lock = lock
        self._sock: socket.socket | None = None

    def remaining_s(self) -> float:
        """Seconds left, 0 when the time is over."""
        return max(0.0, self._expires_at - time.monotonic())

    @property
    def is_over(self) -> bool:
        return self.remaining_s() <= 0

    def renew(self) -> None:
        """Begin the whole time anew, unless it is over. The watchdog wakes at the old end and sees the new one."""
        with self._lock:
            if not self.is_over:
                self._expires_at = time.monotonic() + self.seconds

    def guard(self, sock: socket.socket) -> None:
        with self._lock:
            self._sock = sock
            if self.is_over:
                self.abort()

    def abort(self) -> None:
        """Wake whoever waits on the socket, and be over. The caller holds the lock; the call never blocks."""
        self._expires_at = 0.0  # `close` cuts early: the end of the stream must not be taken for the end of the body
        if self._sock is not None:
            # Not `self._sock.shutdown`: an SSLSocket would forget its TLS state and hand out ciphertext as the body.
            with suppress(OSError):  # closed already
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


# The watch of the fetch that is connecting in this thread: urllib3 has no other way to hand it to a connection.
current: ContextVar[Deadline | None] = ContextVar("current", default=None)


class DeadlineWatcher:
    """Hands out watches and cuts those that are over. Any thread may call it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # protects the two below, and which socket a watch guards
        self._watches: set[Deadline] = set()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(self, seconds: float) -> Iterator[Deadline]:
        """Watch over the block. After it the socket is never touched again, so it may go back to its pool."""
        watch = Deadline(seconds, self._changed)
        with self._changed:
            self._watches.add(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fetch-deadline", daemon=True)
                self._thread.start()
            else:
                self._changed.notify()
        try:
            yield watch
        finally:
            with self._changed:
                self._watches.discard(watch)
                self._changed.notify()

    def close(self) -> None:
        """Cut what is still being fetched and wait for the thread."""
        with self._changed:
            thread = self._thread
            for watch in self._watches:
                watch.abort()
            self._watches.clear()
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        with self._changed:
            while self._watches:
                for watch in [watch for watch in self._watches if watch.is_over]:
                    watch.abort()
                    self._watches.discard(watch)  # a socket that comes later is cut by `guard`
                if self._watches:
                    self._changed.wait(min(watch.remaining_s() for watch in self._watches))
            self._thread = None
