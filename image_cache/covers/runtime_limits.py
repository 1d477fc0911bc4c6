"""Cache limits that operators change while covers are served, permanently and for all processes: budgets, freshness, pause."""

import logging
import math
import threading
import time
from collections.abc import Callable

from image_cache.config import Settings
from image_cache.covers.service import ImageCache
from image_cache.covers.store import CacheLimits
from image_cache.db.catalog import CatalogDatabase, SettingsTable
from image_cache.db.database import DatabaseError
from image_cache.errors import ConfigError
from image_cache.units import MEGABYTE, decimal_number

logger = logging.getLogger(__name__)

KNOWN_S = 1.0  # how late another process notices a change
BUDGET, MEMORY, TTL, PAUSED = "covers.max_size_mb", "covers.memory_mb", "covers.ttl_hours", "fetching.paused_at"
RANGES = {BUDGET: (1.0, 4_194_304.0), MEMORY: (1.0, 65_536.0), TTL: (0.0, 87_600.0)}
EVICTING_S = 3.0  # longest that a change delays a page; housekeeping evicts the rest


def default_limits(settings: Settings) -> CacheLimits:
    """Return the limits of the settings, which hold until an operator changes them."""
    memory_bytes = settings.memory_budget_bytes - settings.stream_memory_bytes
    return CacheLimits(settings.disk_budget_bytes, memory_bytes, settings.IMAGE_CACHE_TTL_HOURS)


class RuntimeLimits:
    """The settings, overridden by what an operator changed. Thread-safe. A call returns the limits in force, at most a second old.

    While the catalogue cannot be read, the limits read last stay in force.
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
            if not is_fresh and time.monotonic() - self._read_at < KNOWN_S:
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
        """Return True while an operator has paused fetching."""
        return self().paused_at is not None

    def change(self, *, max_size_mb: float | None = None, memory_mb: float | None = None, ttl_hours: float | None = None) -> None:
        """Change the given limits. Raises `ConfigError` and changes none if one is out of range."""
        given = {BUDGET: max_size_mb, MEMORY: memory_mb, TTL: ttl_hours}
        values = {name: value for name, value in given.items() if value is not None}
        for name, value in values.items():
            low, high = RANGES[name]
            if not low <= value <= high:  # NaN fails too
                raise ConfigError(name.partition(".")[2], f"{value:g} must be between {low:.0f} and {high:.0f}")
        self._set({name: repr(float(value)) for name, value in values.items()})

    def pause(self) -> None:
        """Fetch nothing until `resume`, across restarts. Running fetches finish."""
        if not self.is_paused():
            self._set({PAUSED: repr(self._clock())})
            logger.info("fetching paused")

    def resume(self) -> None:
        if self.is_paused():
            self._set({PAUSED: ""})
            logger.info("fetching resumed")

    def apply(self, covers: ImageCache, most_s: float = math.inf) -> bool:
        """Apply the budgets to the cache of this process; a lower one evicts, for at most `most_s`.

        Returns whether the cache is within its budget. Raises `DatabaseError` or `StorageError`.
        """
        limits, cache = self(), covers.cache
        if cache.memory.budget_bytes != limits.memory_bytes:
            cache.memory.set_budget(limits.memory_bytes)
        return cache.set_budget(limits.budget_bytes, timeout_s=most_s)

    def _set(self, values: dict[str, str]) -> None:
        self._rows.set(values)
        with self._lock:
            self._read_at = -math.inf

    def _read(self) -> CacheLimits:
        stored = {**self._rows.values("covers."), **self._rows.values("fetching.")}
        budget, memory, ttl = (decimal_number(stored.get(name), *RANGES[name]) for name in (BUDGET, MEMORY, TTL))
        return CacheLimits(
            self.default.budget_bytes if budget is None else int(budget * MEGABYTE),
            self.default.memory_bytes if memory is None else int(memory * MEGABYTE),
            self.default.ttl_hours if ttl is None else ttl,
            decimal_number(stored.get(PAUSED), 0.0, math.inf),
        )
