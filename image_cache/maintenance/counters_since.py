"""Counters since a moment that an operator chose: what the counters were then is kept, and subtracted from what they are now.

The counters themselves are never changed: the history, `/metrics` and the commands go on with them.
"""

from collections.abc import Iterable
from dataclasses import replace

from image_cache.db.catalog import CatalogDatabase, SettingsTable
from image_cache.frozen import frozen
from image_cache.maintenance.cache_figures import CacheFigures
from image_cache.units import whole_number

PREFIX = "counters."
COUNTED = ("hits", "misses", "evictions")
LARGEST = 10**18


@frozen
class CountersSince:
    """Figures whose counters begin at `since` (Unix seconds; 0: at the beginning)."""

    since: float
    caches: tuple[CacheFigures, ...]


def counters_since(catalog: CatalogDatabase, caches: Iterable[CacheFigures]) -> CountersSince:
    """Return the figures since the last reset. A counter that is lower than it was then began again with a new index."""
    stored = SettingsTable(catalog).values(PREFIX)
    since = whole_number(stored.get(f"{PREFIX}since"), 0, LARGEST) or 0
    return CountersSince(float(since), tuple(_since(cache, stored) for cache in caches))


def reset_counters(catalog: CatalogDatabase, caches: Iterable[CacheFigures], now: float) -> None:
    """Count from now on. `caches` are the figures as `cache_figures` returns them."""
    values = {f"{PREFIX}{cache.name}.{name}": str(getattr(cache, name)) for cache in caches for name in COUNTED}
    SettingsTable(catalog).set({**values, f"{PREFIX}since": str(int(now))})


def _since(cache: CacheFigures, stored: dict[str, str]) -> CacheFigures:
    before = {name: whole_number(stored.get(f"{PREFIX}{cache.name}.{name}"), 0, LARGEST) or 0 for name in COUNTED}
    now = {name: int(getattr(cache, name)) for name in COUNTED}
    if any(now[name] < before[name] for name in COUNTED):
        return cache
    left = {name: now[name] - before[name] for name in COUNTED}
    return replace(cache, hits=left["hits"], misses=left["misses"], evictions=left["evictions"])
