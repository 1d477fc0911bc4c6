"""Counters since a moment: one that an operator chose, and the beginning of today. What they were then is kept, and subtracted.

The counters themselves are never changed: the history, `/metrics` and the commands go on with them.
"""

import datetime
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from image_cache.db.catalog import CatalogDatabase, SettingsTable
from image_cache.db.database import DatabaseError
from image_cache.engine.pool import PeriodicJob
from image_cache.engine.stats.history import CLOCK_SET_AT
from image_cache.frozen import frozen
from image_cache.maintenance.cache_figures import CacheFigures
from image_cache.units import whole_number

PREFIX, TODAY = "counters.", "today."
COUNTED = ("hits", "misses", "evictions", "errors")
LARGEST = 10**18
EVERY_S, FIRST_S = 60.0, 5.0


@frozen
class CountersSince:
    """Figures whose counters begin at `since` (Unix seconds; 0: at the beginning)."""

    since: float
    caches: tuple[CacheFigures, ...]


def counters_since(catalog: CatalogDatabase, caches: Iterable[CacheFigures]) -> CountersSince:
    """Return the figures since the last reset. A counter that is lower than it was then began again with a new index."""
    prefix = _of_node(PREFIX, catalog)
    stored = SettingsTable(catalog).values(prefix)
    since = whole_number(stored.get(f"{prefix}since"), 0, LARGEST) or 0
    return CountersSince(float(since), tuple(_since(cache, stored, prefix) for cache in caches))


def counters_today(catalog: CatalogDatabase, caches: Iterable[CacheFigures], now: float) -> tuple[CacheFigures, ...]:
    """Return the figures with the counters of this local day; empty if no service has run today, so that no one knows."""
    prefix = _of_node(TODAY, catalog)
    stored = SettingsTable(catalog).values(prefix)
    if stored.get(f"{prefix}day") != _day(now):
        return ()
    return tuple(_since(cache, stored, prefix) for cache in caches)


def today_dicts(caches: Iterable[CacheFigures]) -> dict[str, dict[str, int]] | None:
    """Return the counters of today by cache, for scripts; None if they are not known."""
    return {cache.name: {name: int(getattr(cache, name)) for name in COUNTED} for cache in caches} or None


def reset_counters(catalog: CatalogDatabase, caches: Iterable[CacheFigures], now: float) -> None:
    """Count from now on. `caches` are the figures as `cache_figures` returns them."""
    prefix = _of_node(PREFIX, catalog)
    SettingsTable(catalog).set({**_marks(caches, prefix), f"{prefix}since": str(int(now))})


def mark_day(catalog: CatalogDatabase, caches: Callable[[], Iterable[CacheFigures]], now: float) -> None:
    """Keep what the counters are when a day begins: one small write per day, with the first call of it."""
    settings, prefix = SettingsTable(catalog), _of_node(TODAY, catalog)
    if now >= CLOCK_SET_AT and settings.values(f"{prefix}day").get(f"{prefix}day") != _day(now):
        settings.set({**_marks(caches(), prefix), f"{prefix}day": _day(now)})


def day_job(catalog: CatalogDatabase, caches: Callable[[], Iterable[CacheFigures]], clock: Callable[[], float]) -> PeriodicJob:
    def mark() -> None:
        with suppress(DatabaseError):  # the next minute tries again
            mark_day(catalog, caches, clock())

    return PeriodicJob("day", EVERY_S, mark, first_s=FIRST_S)


def _of_node(prefix: str, catalog: CatalogDatabase) -> str:
    """Return the prefix of what is kept: each node of a cluster has counters of its own."""
    return f"{prefix}{catalog.node}." if catalog.node else prefix


def _marks(caches: Iterable[CacheFigures], prefix: str) -> dict[str, str]:
    return {f"{prefix}{cache.name}.{name}": str(getattr(cache, name)) for cache in caches for name in COUNTED}


def _since(cache: CacheFigures, stored: dict[str, str], prefix: str) -> CacheFigures:
    before = {name: whole_number(stored.get(f"{prefix}{cache.name}.{name}"), 0, LARGEST) or 0 for name in COUNTED}
    now = {name: int(getattr(cache, name)) for name in COUNTED}
    if any(now[name] < before[name] for name in COUNTED):
        return cache
    left = {name: now[name] - before[name] for name in COUNTED}
    return replace(cache, hits=left["hits"], misses=left["misses"], evictions=left["evictions"], errors=left["errors"])


def _day(at: float) -> str:
    return datetime.datetime.fromtimestamp(at).astimezone().date().isoformat()
