"""Counters per window of time, in memory that forked processes share."""

import fcntl
import hashlib
import mmap
import os
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

SLOTS = 4096
PROBES = 16  # slots that a name may use; if all are taken, the window that ends first is replaced
_SLOT = struct.Struct("<16sdI4x")  # digest of the name, end of its window (monotonic), count


class WindowCounters(Protocol):
    """Counts events per name and window. A window starts with the first event and ends after its length."""

    def add(self, name: str, length_s: float, amount: int = 1) -> int:
        """Count an event; return the count of the window."""
        ...

    def peek(self, name: str) -> tuple[int, float]:
        """Return (count, seconds until the window ends); (0, 0.0) if there is none."""
        ...

    def reset(self, name: str) -> None: ...

    def clear(self) -> None: ...


class SharedCounters:
    """A table of fixed size, 128 KB. Any thread, and every process that is forked after its creation.

    A window starts with the first event and ends after its length. Uses monotonic time, so that setting the clock changes nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._fd = os.memfd_create("windows", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._fd)
        os.ftruncate(self._fd, SLOTS * _SLOT.size)
        self._table = mmap.mmap(self._fd, SLOTS * _SLOT.size)
        self._threads = threading.Lock()  # protects the table between threads; the lock of the file between processes

    def add(self, name: str, length_s: float, amount: int = 1) -> int:
        """Count an event; return the count of the window."""
        with self._locked():
            offset, count, ends_at = self._find(name)
            if not count:
                ends_at = self._clock() + length_s
            count = min(count + amount, 2**32 - 1)
            _SLOT.pack_into(self._table, offset, _digest(name), ends_at, count)
            return count

    def peek(self, name: str) -> tuple[int, float]:
        """Return (count, seconds until the window ends); (0, 0.0) if there is none."""
        with self._locked():
            _, count, ends_at = self._find(name)
            return (count, ends_at - self._clock()) if count else (0, 0.0)

    def reset(self, name: str) -> None:
        with self._locked():
            offset, _, _ = self._find(name)
            _SLOT.pack_into(self._table, offset, bytes(16), 0.0, 0)

    def clear(self) -> None:
        with self._locked():
            self._table[:] = bytes(len(self._table))

    def _find(self, name: str) -> tuple[int, int, float]:
        """Return (offset, count, end) of the name's slot, or of the one it would get, with count 0."""
        wanted, now = _digest(name), self._clock()
        first = int.from_bytes(wanted[:4], "little")
        best, soonest = 0, float("inf")
        for probe in range(PROBES):
            offset = (first + probe) % SLOTS * _SLOT.size
            digest, ends_at, count = _SLOT.unpack_from(self._table, offset)
            is_over = not count or ends_at <= now
            if digest == wanted and not is_over:
                return offset, count, ends_at
            if (0.0 if is_over else ends_at) < soonest:
                best, soonest = offset, 0.0 if is_over else ends_at
        return best, 0, 0.0

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._threads:
            # A POSIX lock, which belongs to a process: with flock() the descriptors of forked processes would share one lock. It is
            # released when its holder is killed.
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN)


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode(errors="replace"), digest_size=16).digest()
