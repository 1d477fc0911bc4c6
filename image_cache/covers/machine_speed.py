"""How fast this machine renders a cover: measured once by CPU time, kept in `index.db`, and the time limits of images after it.

A limit in seconds that is right for a fast machine refuses honest images on a slow one.
"""

import logging
import math
import platform
import zlib
from pathlib import Path

from image_cache.db.database import DatabaseError
from image_cache.engine.index import Index
from image_cache.engine.pool import PeriodicJob
from image_cache.errors import CacheError
from image_cache.imaging.decoder import CPU_S, WALL_S, Decoder

logger = logging.getLogger(__name__)

REFERENCE_MS = 100.0  # `Decoder.measure` on the machine for which CPU_S was chosen: one core of an AMD EPYC, Python 3.11
MAX_FACTOR = 6.0  # a hostile image may not keep the slowest board busy for longer
FIRST_S, EVERY_S = 3.0, 3600.0  # once the wall is there; again if that was in vain
COST, MACHINE = "render_cpu_us", "render_cpu_of"  # names in `meta`


class MachineSpeed:
    """The speed of this machine, and the decoder whose limits follow it. Any thread."""

    def __init__(self, index: Index, decoder: Decoder) -> None:
        self._index = index
        self._decoder = decoder

    def periodic_job(self) -> PeriodicJob:
        return PeriodicJob("speed", EVERY_S, self.apply, first_s=FIRST_S)

    def apply(self) -> None:
        """Measure a machine that is not known, and give images the time that they need here. A failure leaves the limits of a fast one."""
        try:
            cost_ms = measured_ms(self._index)
            if cost_ms is None:
                cost_ms = self._measure()
                with self._index.database.write() as conn:
                    self._index.set_meta(conn, COST, round(cost_ms * 1000))
                    self._index.set_meta(conn, MACHINE, machine_mark())
                logger.info("machine measured cpu_ms=%.0f cpu_limit_s=%s", cost_ms, time_limits(cost_ms)[0])
        except (CacheError, DatabaseError) as error:
            logger.warning("machine not measured reason=%s", error)
            return
        limits = time_limits(cost_ms)
        if limits[0] != self._decoder.cpu_s:
            self._decoder.set_time_limits(*limits)

    def _measure(self) -> float:
        """Measure with the limits of the slowest machine: with those of a fast one a slow machine would never get to the end."""
        self._decoder.set_time_limits(*time_limits(math.inf))
        try:
            return self._decoder.measure()
        except CacheError:
            self._decoder.set_time_limits(*time_limits(REFERENCE_MS))
            raise


def measured_ms(index: Index) -> float | None:
    """Return the CPU time of a cover on this machine; None while it was not measured. Raises `DatabaseError`."""
    if index.meta(MACHINE) != machine_mark():  # the card was put into another machine
        return None
    return index.meta(COST) / 1000 or None


def time_limits(cost_ms: float) -> tuple[int, float]:
    """Return the seconds of CPU time and of waiting that an image may take."""
    factor = min(MAX_FACTOR, max(1.0, cost_ms / REFERENCE_MS))
    return round(CPU_S * factor), WALL_S * factor


def machine_mark(cpuinfo: Path = Path("/proc/cpuinfo")) -> int:
    """Return a number for the kind of this machine."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        lines = []
    kinds = sorted({line for line in lines if line.partition(":")[0].strip() in ("model name", "CPU part", "Model", "Hardware")})
    return zlib.crc32("\n".join([platform.machine(), *kinds]).encode())
