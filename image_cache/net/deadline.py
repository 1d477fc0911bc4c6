"""Deadlines of fetches: when the time is over the socket is shut down, wherever the thread is waiting.

A timeout is per read, so an origin that sends one byte per second never reaches it. One thread watches all fetches; it runs only
while there are any.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from image_cache.frozen import frozen


@frozen
class MinimumSpeed:
    """The minimum speed of a large body: `bytes_per_s`, averaged over `window_s`. The total time is not limited."""

    bytes_per_s: int = 16_000
    window_s: float = 30.0

    @property
    def window_bytes(self) -> int:
        return int(self.bytes_per_s * self.window_s)

    def __str__(self) -> str:
        return f"{self.bytes_per_s // 1000} KB/s over {self.window_s:g} s"


# A fetch with this speed takes at most 30 s, or receives at least 480 KB in each 30 s.
LARGE_FILES = MinimumSpeed()
# For a body that would have to start from its first byte after a cut.
IN_ONE_GO = MinimumSpeed(bytes_per_s=1_000, window_s=60.0)


class Deadline:
    """The deadline of one fetch. `guard` sets the socket to shut down, replacing the previous one."""

    def __init__(self, seconds: float, lock: threading.Condition) -> None:
        self.seconds = seconds
        self.reason = f"not finished within {seconds:g} s"  # message of the error when the time is over
        self._expires_at = time.monotonic() + seconds
        self._lock = lock
        self._sock: socket.socket | None = None

    def remaining_s(self) -> float:
        """Seconds left, 0 if the time is over."""
        return max(0.0, self._expires_at - time.monotonic())

    @property
    def is_over(self) -> bool:
        return self.remaining_s() <= 0

    def restart(self) -> None:
        """Restart the full time, unless it is over. The watcher wakes up at the old deadline and sees the new one."""
        with self._lock:
            if not self.is_over:
                self._expires_at = time.monotonic() + self.seconds

    def change(self, seconds: float, reason: str) -> None:
        """Give the fetch another full time from now, unless it is over."""
        self.seconds, self.reason = seconds, reason
        self.restart()

    def guard(self, sock: socket.socket) -> None:
        with self._lock:
            self._sock = sock
            if self.is_over:
                self.abort()

    def abort(self) -> None:
        """Expire now and wake the thread that waits on the socket. The caller holds the lock; never blocks."""
        self._expires_at = 0.0  # also when `close` aborts early: the end of the stream must not be taken for the end of the body
        if self._sock is not None:
            # Not `self._sock.shutdown`: an SSLSocket would drop its TLS state and return ciphertext as the body.
            with suppress(OSError):  # closed already
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


# The deadline of the fetch in this thread: urllib3 has no other way to pass it to a connection.
current_deadline: ContextVar[Deadline | None] = ContextVar("current", default=None)


class DeadlineWatcher:
    """Creates deadlines and aborts fetches whose time is over. Any thread may call it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # protects the two below, and the sockets and times of the deadlines
        self._deadlines: set[Deadline] = set()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(self, seconds: float) -> Iterator[Deadline]:
        """Limit the time of the block. After it the socket is never touched again, so that it can return to its pool."""
        deadline = Deadline(seconds, self._changed)
        with self._changed:
            self._deadlines.add(deadline)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fetch-deadline", daemon=True)
                self._thread.start()
            else:
                self._changed.notify()
        try:
            yield deadline
        finally:
            with self._changed:
                self._deadlines.discard(deadline)
                self._changed.notify()

    def close(self) -> None:
        """Abort running fetches and wait for the thread."""
        with self._changed:
            thread = self._thread
            for deadline in self._deadlines:
                deadline.abort()
            self._deadlines.clear()
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        with self._changed:
            while self._deadlines:
                for deadline in [deadline for deadline in self._deadlines if deadline.is_over]:
                    deadline.abort()
                    self._deadlines.discard(deadline)  # a socket that is set later is aborted by `guard`
                if self._deadlines:
                    self._changed.wait(min(deadline.remaining_s() for deadline in self._deadlines))
            self._thread = None
