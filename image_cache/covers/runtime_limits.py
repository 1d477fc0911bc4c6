"""What operators change while covers are served, for good and for all processes: budgets, freshness, and whether anything is fetched."""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from config import Settings
from image_cache.covers.service import ImageCache
from image_cache.db.catalog import CatalogDatabase, SettingsTable
from image_cache.db.database import DatabaseError
from image_cache.errors import ConfigError

logger = logging.getLogger(__name__)

MEGABYTE = 1_000_000
AGAIN_S = 1.0  # how late another process notices a pause
BUDGET, MEMORY, TTL, PAUSED = "covers.max_size_mb", "covers.memory_mb", "covers.ttl_hours", "fetching.paused_at"
RANGES = {BUDGET: (1.0, 4_194_304.0), MEMORY: (1.0, 65_536.0), TTL: (0.0, 87_600.0)}
EVICTING_S = 3.0  # longest that a change keeps a page waiting; the housekeeper goes on with what is left


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """What holds now. `paused_at` is when somebody paused the fetching, None while it goes on."""

    budget_bytes: int
    memory_bytes: int  # of the memory tier of a process
    ttl_hours: float
    paused_at: float | None = None


def default_limits(settings: Settings) -> CacheLimits:
    """Return the limits of the settings."""
    memory_bytes = settings.memory_budget_bytes - settings.stream_memory_bytes
    return CacheLimits(settings.disk_budget_bytes, memory_bytes, settings.IMAGE_CACHE_TTL_HOURS)


class RuntimeLimits:
    """The settings, then what an operator changed. Thread-safe. Called it returns the `Limits` of now, those of a second ago
    at most; with `is_fresh` those of this moment.

    A catalogue that cannot be read leaves in force what was read last.
    """

    def __init__(self, default: CacheLimits, catalog: CatalogDatabase, clock: Callable[[], float] = time.time) -> None:
        self.default = default
        self._rows = SettingsTable(catalog)
        self._clock = clock
        self._lock = threading.Lock()  # protects the two below
        self._known = default
        self._read_at = -math.inf

    def __call__(self, *, is_fresh: bool = False) -> CacheLimits:
        with self._lock:
            if not is_fresh and time.monotonic() - self._read_at < AGAIN_S:
                return self._known
        try:
            limits = self._read()
        except DatabaseError as error:
            logger.warning("limits not read reason=%s", error)
            return self._known
        with self._lock:
            self._known, self._read_at = limits, time.monotonic()
        return limits

    def is_paused(self) -> bool:
        """Tell whether nothing is to be fetched by itself."""
        return self().paused_at is not None

    def change(self, *, max_size_mb: float | None = None, memory_mb: float | None = None, ttl_hours: float | None = None) -> None:
        """Change those that are given. Raises `ConfigError` for what is out of range, and changes none then."""
        given = {BUDGET: max_size_mb, MEMORY: memory_mb, TTL: ttl_hours}
        values = {name: value for name, value in given.items() if value is not None}
        for name, value in values.items():
            low, high = RANGES[name]
            if not low <= value <= high:  # NaN fails too
                raise ConfigError(name.partition(".")[2], f"{value:g} is outside {low:.0f} to {high:.0f}")
        self._set({name: repr(float(value)) for name, value in values.items()})

    def pause(self) -> None:
        """Fetch nothing from now on, until `resume`, over restarts too. What is under way comes to its end."""
        if not self.is_paused():
            self._set({PAUSED: repr(self._clock())})
            logger.info("fetching paused")

    def resume(self) -> None:
        if self.is_paused():
            self._set({PAUSED: ""})
            logger.info("fetching resumed")

    def apply(self, covers: ImageCache, most_s: float = math.inf) -> bool:
        """Bring the limits of now into force in this process; a lower budget evicts, at most for so long.

        Returns whether the cache is within its budget. Raises `DatabaseError` or `StorageError`.
        """
        limits, cache = self(), covers.cache
        if cache.memory.budget_bytes != limits.memory_bytes:
            cache.memory.set_budget(limits.memory_bytes)
        covers.ttl_hours = limits.ttl_hours
        covers.loader.fresh_s = limits.ttl_hours * 3600
        return cache.set_budget(limits.budget_bytes, most_s=most_s)

    def _set(self, values: dict[str, str]) -> None:
        self._rows.set(values)
        with self._lock:
            self._read_at = -math.inf

    def _read(self) -> CacheLimits:
        stored = {**self._rows.values("covers."), **self._rows.values("fetching.")}
        budget, memory, ttl = (_number(stored.get(name), *RANGES[name]) for name in (BUDGET, MEMORY, TTL))
        return CacheLimits(
            self.default.budget_bytes if budget is None else int(budget * MEGABYTE),
            self.default.memory_bytes if memory is None else int(memory * MEGABYTE),
            self.default.ttl_hours if ttl is None else ttl,
            _number(stored.get(PAUSED), 0.0, math.inf),
        )


def _number(text: str | None, low: float, high: float) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and low <= value <= high else None
