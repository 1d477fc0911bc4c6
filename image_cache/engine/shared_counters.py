"""Counts how often something happened within a window of time, in memory that forked processes share. Knows no HTTP."""

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

SLOTS = 4096
PROBES = 16  # places that a name may stand in; when all are taken, the window that ends first makes room
_SLOT = struct.Struct("<16sdI4x")  # digest of the name, when its window ends (monotonic), count


class SharedCounters:
    """A table of fixed size: 128 KB, whoever asks. Any thread, and every process that was forked after it was made.

    A window opens with the first event and is over after its length. The time is monotonic: setting the clock frees nobody.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._fd = os.memfd_create("windows", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._fd)
        os.ftruncate(self._fd, SLOTS * _SLOT.size)
        self._table = mmap.mmap(self._fd, SLOTS * _SLOT.size)
        self._threads = threading.Lock()  # protects the table within a process; the lock of the file between processes

    def add(self, name: str, length_s: float, amount: int = 1) -> int:
        """Count an event; return how many the window has by now."""
        with self._locked():
            at, count, ends_at = self._find(name)
            if not count:
                ends_at = self._clock() + length_s
            count = min(count + amount, 2**32 - 1)
            _SLOT.pack_into(self._table, at, _digest(name), ends_at, count)
            return count

    def peek(self, name: str) -> tuple[int, float]:
        """Return (count, seconds until the window is over); (0, 0.0) when none is open."""
        with self._locked():
            _, count, ends_at = self._find(name)
            return (count, ends_at - self._clock()) if count else (0, 0.0)

    def forget(self, name: str) -> None:
        with self._locked():
            at, _, _ = self._find(name)
            _SLOT.pack_into(self._table, at, bytes(16), 0.0, 0)

    def clear(self) -> None:
        with self._locked():
            self._table[:] = bytes(len(self._table))

    def _find(self, name: str) -> tuple[int, int, float]:
        """Return (offset, count, end) of the name's slot, or of the one it would take, with count 0."""
        wanted, now = _digest(name), self._clock()
        first = int.from_bytes(wanted[:4], "little")
        best, soonest = 0, float("inf")
        for probe in range(PROBES):
            at = (first + probe) % SLOTS * _SLOT.size
            digest, ends_at, count = _SLOT.unpack_from(self._table, at)
            is_over = not count or ends_at <= now
            if digest == wanted and not is_over:
                return at, count, ends_at
            if (0.0 if is_over else ends_at) < soonest:
                best, soonest = at, 0.0 if is_over else ends_at
        return best, 0, 0.0

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._threads:
            # A lock of a process, not of an open file: descriptors of forked processes are one open file. It ends with its
            # holder, so that a killed worker does not stop the others.
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN)


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode(errors="replace"), digest_size=16).digest()
