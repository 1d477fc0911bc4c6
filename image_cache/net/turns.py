"""How often somebody else's service is asked: one request an interval, over all threads and processes, also across a restart.

The next free moment stands in a small file that is locked while it is read and written. Knows no HTTP.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from image_cache.filesystem import make_folder

logger = logging.getLogger(__name__)

LONGEST_S = 3600.0  # a moment further ahead was written by a clock that was wrong; no service asks for more either


class IntervalLimiter:
    """Gives out moments. Any thread, several processes: whoever books first goes first."""

    def __init__(self, path: Path, interval_s: float, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._interval_s = interval_s
        self._clock = clock

    def book(self) -> float:
        """Take the next free moment; return how many seconds it is away. A disk that refuses costs a whole interval each time."""
        return self._move(lambda now, free_at: (max(now, free_at), max(now, free_at) + self._interval_s))

    def back_off(self, seconds: float) -> None:
        """Let nobody ask for so long: the service said that it was too much."""
        self._move(lambda now, free_at: (now, max(free_at, now + min(seconds, LONGEST_S))))

    def _move(self, step: Callable[[float, float], tuple[float, float]]) -> float:
        try:
            make_folder(self._path.parent)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                now = self._clock()
                free_at = _moment(os.pread(fd, 40, 0))
                mine, next_at = step(now, free_at if free_at <= now + LONGEST_S else now)
                text = f"{next_at:.3f}\n".encode()
                os.pwrite(fd, text, 0)
                os.ftruncate(fd, len(text))
            finally:
                os.close(fd)
        except OSError as error:
            logger.warning("turns not kept in a file path=%s reason=%s", self._path, error)
            return self._interval_s
        return max(0.0, mine - now)


def _moment(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:  # new, or cut by a power failure
        return 0.0
