"""Intervals between calls of services that allow one per second: over all processes, and with many nodes over all of them."""

from collections.abc import Callable

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.net.rate_limit import IntervalLimiter, ServiceStateTable


def open_interval(
    settings: Settings, catalog: CatalogDatabase, name: str, interval_s: float, *, clock: Callable[[], float]
) -> IntervalLimiter:
    """Return the interval of a service by its name."""
    if settings.DATABASE:
        from image_cache.cluster.intervals import SharedInterval

        return SharedInterval(ServiceStateTable(catalog), name, interval_s, clock=clock)
    return IntervalLimiter(settings.cache_dir / f".{name}", interval_s, clock=clock)
