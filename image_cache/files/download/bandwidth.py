"""Bandwidth limit of large files: one for all downloads of a vault, also of several processes, with hours of full speed."""

import logging
import math
import os
import re
import struct
import time
from collections.abc import Callable
from pathlib import Path

from image_cache.errors import ConfigError
from image_cache.filesystem import lock_file
from image_cache.frozen import frozen
from image_cache.units import size

logger = logging.getLogger(__name__)

MAX_AHEAD_S = 60.0  # what a file of an earlier boot says is no debt
_HOURS = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*[-\u2013]\s*([0-9]{1,2}):([0-9]{2})")


@frozen
class SpeedLimit:
    """At most `bytes_per_s` in total; between two times of the day (minutes since midnight, local time) as fast as it goes."""

    bytes_per_s: float
    full_from: int | None = None
    full_until: int | None = None

    def in_force(self, at: float) -> float | None:
        """Return the limit at a point in time, in bytes per second; None: full speed."""
        return None if self.is_full(at) else self.bytes_per_s

    def is_full(self, at: float) -> bool:
        if self.full_from is None or self.full_until is None:
            return False
        now = time.localtime(at).tm_hour * 60 + time.localtime(at).tm_min
        if self.full_from <= self.full_until:
            return self.full_from <= now < self.full_until
        return now >= self.full_from or now < self.full_until  # over midnight

    @property
    def hours(self) -> str:
        """The hours of full speed, as `parse_hours` reads them; empty if there are none."""
        if self.full_from is None or self.full_until is None:
            return ""
        return f"{clock_text(self.full_from)}-{clock_text(self.full_until)}"


def speed_words(limit: SpeedLimit | None, at: float) -> str:
    """Return the limit as a sentence; empty without one."""
    if limit is None:
        return ""
    rate = f"{size(int(limit.bytes_per_s))}/s"
    if limit.full_from is None or limit.full_until is None:
        return f"Downloads are limited to {rate}."
    if limit.is_full(at):
        return f"Full speed until {clock_text(limit.full_until)}, then {rate}."
    return f"Limited to {rate} until {clock_text(limit.full_from)}, then full speed."


def words_for_log(mb_per_s: object, full_hours: str) -> str:
    """Return a new limit as the log of actions has it; None or an empty text: it was removed."""
    if mb_per_s in (None, ""):
        return "no limit"
    return f"{mb_per_s} MB/s" + (f", full speed {full_hours}" if full_hours else "")


def parse_hours(text: str) -> tuple[int, int] | None:
    """Return two times of the day in minutes since midnight; None for an empty text. Raises `ConfigError`."""
    if not text.strip():
        return None
    found = _HOURS.fullmatch(text.strip())
    values = [int(part) for part in found.groups()] if found else []
    if not values or max(values[0], values[2]) > 23 or max(values[1], values[3]) > 59 or values[:2] == values[2:]:
        raise ConfigError("full_hours", f"{text[:40]!r} must be two times of the day, for example 18:00-07:00")
    return values[0] * 60 + values[1], values[2] * 60 + values[3]


def clock_text(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


class Throttle:
    """Tells downloads how long to wait. What all processes of a vault have received is counted in one file."""

    def __init__(self, path: Path, limit: Callable[[], SpeedLimit | None], clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._limit = limit
        self._clock = clock

    def delay_s(self, received_bytes: int) -> float:
        """Count bytes and return how many seconds to wait before the next ones; 0 without a limit."""
        limit = self._limit()
        speed = limit.in_force(self._clock()) if limit is not None else None
        if speed is None:
            return 0.0
        now = time.clock_gettime(time.CLOCK_BOOTTIME)  # the same for all processes, and never set back
        try:
            with lock_file(self._path) as fd:
                stored = os.pread(fd, 8, 0)
                free_at = struct.unpack("<d", stored)[0] if len(stored) == 8 else now
                if not math.isfinite(free_at) or not now <= free_at <= now + MAX_AHEAD_S:
                    free_at = now
                free_at += received_bytes / speed
                os.pwrite(fd, struct.pack("<d", free_at), 0)
        except OSError as error:
            logger.warning("bandwidth not counted reason=%s", error)
            return received_bytes / speed
        return float(free_at - now)
