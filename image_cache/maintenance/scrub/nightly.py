"""Nightly scrub: a thirtieth of the bytes, on its own thread with the lowest priority, and only while the vault is idle."""

import logging
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from image_cache.covers import ImageCache
from image_cache.db.database import DatabaseError
from image_cache.engine.pool import PeriodicJob, Pool
from image_cache.errors import Busy, CacheError
from image_cache.maintenance.scrub.run import Scrub
from image_cache.streams import StreamImageManager

logger = logging.getLogger(__name__)

NIGHTS = 30  # in which everything is read once
MIN_BYTES = 5_000_000  # per night: a small vault takes a few nights only
WINDOW_HOURS = 3
POLL_S = 300.0
IDLE_S = 5.0  # without a request, before the scrub continues
CHECK_S = 0.5
DAY = "scrub_day"  # in the index: the last day whose part is done

# ioprio_set(2): the calling thread, class "idle" (3) in the upper bits. glibc has no function for it.
_SYSCALLS = {"x86_64": 251, "aarch64": 30, "armv7l": 314, "armv6l": 314, "i686": 289}
_SYSCALLS_32_BIT = {"x86_64": 289, "aarch64": 314}  # of a 32-bit program on such a kernel, as in Raspberry Pi OS
_WHO_PROCESS, _IDLE_CLASS = 1, 3 << 13


class Nightly:
    """Runs the part of a night between `hour` and three hours later, local time; `hour` below 0: never.

    `activity` returns a number that changes with every request and every job: while it changes, the scrub waits. `periodic_job`
    takes no time; a thread that starts in the first night does the reading.
    """

    def __init__(
        self, scrub: Scrub, hour: int, activity: Callable[[], int], *, idle_s: float = IDLE_S, poll_s: float = POLL_S
    ) -> None:
        self._scrub = scrub
        self._hour = hour
        self._activity = activity
        self._idle_s = idle_s
        self._poll_s = poll_s
        self._stop = threading.Event()
        self._pool = Pool(lambda: False, [PeriodicJob("scrub", poll_s, self._serve)], workers=0, name="scrub")
        self._seen = -1
        self._busy_at = 0.0
        self._looked_at = 0.0

    def periodic_job(self) -> PeriodicJob:
        return PeriodicJob("scrub", self._poll_s, self.poll, first_s=self._poll_s)

    def poll(self) -> None:
        """Start the thread in the first night."""
        if self.is_due() and not self._stop.is_set():
            self._pool.start()

    def is_due(self) -> bool:
        """Return True during the night, until its part is done."""
        now = self._scrub.clock()
        if self._hour < 0 or not self._is_night(now):
            return False
        try:
            return self._scrub.covers.cache.index.meta(DAY) != _day(now)
        except DatabaseError:
            return False

    def night(self) -> None:
        """Do the part of this night, as far as the time allows."""
        if not self.is_due():
            return
        try:
            budget_bytes = max(MIN_BYTES, self._scrub.total_bytes() // NIGHTS)
            self._scrub.run(repair=True, resume=True, budget_bytes=budget_bytes, throttle=self._throttle)
            if not self._stop.is_set():
                index = self._scrub.covers.cache.index
                with index.database.write() as conn:
                    index.set_meta(conn, DAY, _day(self._scrub.clock()))
        except Busy:
            logger.debug("scrub running in another process")
        except (CacheError, DatabaseError, OSError) as error:
            logger.warning("scrub skipped reason=%s", error)

    def close(self, timeout_s: float) -> bool:
        """Interrupt it; the next night resumes there. Return False if its thread did not end in time."""
        self._stop.set()
        return self._pool.close(timeout_s)

    def _serve(self) -> None:
        lower_priority()  # idempotent
        self.night()

    def _throttle(self) -> bool:
        """Wait while the vault is busy; return False when the night is over."""
        if time.monotonic() - self._looked_at < CHECK_S:
            return not self._stop.is_set()
        while not self._stop.is_set() and self._is_night(self._scrub.clock()):
            self._looked_at = time.monotonic()
            with suppress(DatabaseError):
                activity = self._activity()
                if activity != self._seen:
                    self._seen, self._busy_at = activity, time.monotonic()
            if time.monotonic() - self._busy_at >= self._idle_s:
                return True
            self._stop.wait(min(CHECK_S, self._idle_s))
        return False

    def _is_night(self, now: float) -> bool:
        return (time.localtime(now).tm_hour - self._hour) % 24 < WINDOW_HOURS


def lower_priority() -> None:
    """Give this thread the lowest priority for disk and processor, as far as the system can."""
    import ctypes  # needed once a night, by no request

    machine = platform.machine()
    number = _SYSCALLS.get(machine) if sys.maxsize > 2**32 else {**_SYSCALLS, **_SYSCALLS_32_BIT}.get(machine)
    if number is not None:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).syscall(number, _WHO_PROCESS, 0, _IDLE_CLASS)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def _day(now: float) -> int:
    """Return a number for the night, the same before and after midnight."""
    at = time.localtime(now - 12 * 3600)
    return at.tm_year * 1000 + at.tm_yday


def activity(covers: ImageCache, streams: StreamImageManager) -> int:
    """Return a number that keeps changing while any process serves images or loads one."""
    engines = (covers.cache, streams.cache.engine)
    requests = sum(engine.memory.stats().hits + sum(engine.counters.peek().values()) for engine in engines)
    return hash((requests, *covers.cache.index.change_marker()))
