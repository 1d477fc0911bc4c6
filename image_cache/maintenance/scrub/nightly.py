"""The scrub of every night: a thirtieth of the bytes, on a thread of its own that everybody else goes before."""

import logging
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from image_cache.db.database import DatabaseError
from image_cache.engine.pool import PeriodicJob, Pool
from image_cache.errors import Busy, CacheError
from image_cache.maintenance.scrub.run import Scrub

logger = logging.getLogger(__name__)

NIGHTS = 30  # in which all of it is read once
LEAST_BYTES = 5_000_000  # a small vault is through in a few nights
WINDOW_HOURS = 3
LOOK_S = 300.0
CALM_S = 5.0  # nobody asked for anything for so long: then it may go on
TURN_S = 0.5
DAY = "scrub_day"  # in the index: the last day on which the portion was done

# ioprio_set(2): the calling thread, class "idle" (3) in the upper bits. glibc has no function for it.
_SYSCALLS = {"x86_64": 251, "aarch64": 30, "armv7l": 314, "armv6l": 314, "i686": 289}
_SYSCALLS_32_BIT = {"x86_64": 289, "aarch64": 314}  # of a program of 32 bits on such a kernel, as Raspberry Pi OS has it
_WHO_PROCESS, _IDLE = 1, 3 << 13


class Nightly:
    """Runs the portion of a night between `hour` and three hours later, local time; `hour` below 0: never.

    `activity` returns a number that changes whenever somebody asks for something: while it changes, the scrub waits. `chore` is for
    the housekeeper and takes no time; the reading is done by a thread that is not there before the first night.
    """

    def __init__(
        self, scrub: Scrub, hour: int, activity: Callable[[], int], *, calm_s: float = CALM_S, look_s: float = LOOK_S
    ) -> None:
        self._scrub = scrub
        self._hour = hour
        self._activity = activity
        self._calm_s = calm_s
        self._look_s = look_s
        self._stop = threading.Event()
        self._pool = Pool(lambda: False, [PeriodicJob("scrub", look_s, self._serve)], workers=0, name="scrub")
        self._seen = -1
        self._busy_at = 0.0
        self._looked_at = 0.0

    def periodic_job(self) -> PeriodicJob:
        return PeriodicJob("scrub", self._look_s, self.poll, first_s=self._look_s)

    def poll(self) -> None:
        """Start the thread in the first night."""
        if self.is_due() and not self._stop.is_set():
            self._pool.start()

    def is_due(self) -> bool:
        """Tell whether it is night and this night's portion is not done yet."""
        now = self._scrub.clock()
        if self._hour < 0 or not self._is_night(now):
            return False
        try:
            return self._scrub.covers.cache.index.meta(DAY) != _day(now)
        except DatabaseError:
            return False

    def night(self) -> None:
        """Do the portion of this night, as far as it goes before the window ends."""
        if not self.is_due():
            return
        try:
            budget_bytes = max(LEAST_BYTES, self._scrub.total_bytes() // NIGHTS)
            self._scrub.run(repair=True, resume=True, budget_bytes=budget_bytes, breathe=self._breathe)
            if not self._stop.is_set():
                index = self._scrub.covers.cache.index
                with index.database.write() as conn:
                    index.set_meta(conn, DAY, _day(self._scrub.clock()))
        except Busy:
            logger.debug("scrub left to another process")
        except (CacheError, DatabaseError, OSError) as error:
            logger.warning("scrub left undone reason=%s", error)

    def close(self, timeout_s: float) -> bool:
        """End it in the middle; it goes on there the next night. False when its thread did not end in time."""
        self._stop.set()
        return self._pool.close(timeout_s)

    def _serve(self) -> None:
        step_back()  # again is fine
        self.night()

    def _breathe(self) -> bool:
        """Wait while somebody waits for something; False when there is no more time."""
        if time.monotonic() - self._looked_at < TURN_S:
            return not self._stop.is_set()
        while not self._stop.is_set() and self._is_night(self._scrub.clock()):
            self._looked_at = time.monotonic()
            with suppress(DatabaseError):
                activity = self._activity()
                if activity != self._seen:
                    self._seen, self._busy_at = activity, time.monotonic()
            if time.monotonic() - self._busy_at >= self._calm_s:
                return True
            self._stop.wait(min(TURN_S, self._calm_s))
        return False

    def _is_night(self, now: float) -> bool:
        return (time.localtime(now).tm_hour - self._hour) % 24 < WINDOW_HOURS


def step_back() -> None:
    """Let everybody else go before this thread: at the disk, and at the processor. Where a system cannot, it is left at that."""
    import ctypes

    machine = platform.machine()
    number = _SYSCALLS.get(machine) if sys.maxsize > 2**32 else {**_SYSCALLS, **_SYSCALLS_32_BIT}.get(machine)
    if number is not None:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).syscall(number, _WHO_PROCESS, 0, _IDLE)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def _day(now: float) -> int:
    """Return the day of a night, the same before and after midnight."""
    at = time.localtime(now - 12 * 3600)
    return at.tm_year * 1000 + at.tm_yday
