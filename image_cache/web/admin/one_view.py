"""The table of the dashboard with a column each for covers, streams and files: the same figures in the same order for all."""

from collections.abc import Callable, Sequence

from image_cache.frozen import frozen
from image_cache.maintenance.cache_figures import NOUNS, CacheFigures
from image_cache.maintenance.rates import WINDOWS_S, Rates
from image_cache.units import counted, size

HOUR_S, DAY_S = 3600.0, 86400.0
FULL = 0.99  # of the limit: evictions are to be expected


@frozen
class StoreCell:
    """One figure of one cache. `share` is drawn as dots, `lamp` set only where there is something to say."""

    cache: str
    text: str
    rest: str = ""
    share: float | None = None
    lamp: str = ""
    note: str = ""


@frozen
class StoreRow:
    """One figure of all three."""

    title: str
    cells: tuple[StoreCell, ...]
    is_large: bool = False


def store_rows(
    caches: Sequence[CacheFigures],
    today: Sequence[CacheFigures],
    rates: Rates,
    now: float,
    *,
    growth: str,
    is_paused: bool,
) -> list[StoreRow]:
    """Return the rows of the table. `rates` are those up to now, `today` the counters of this day, empty if they are not known. `growth` says when the covers reach their limit; empty if that is not known."""

    def row(title: str, cell: Callable[[CacheFigures], StoreCell], *, is_large: bool = False) -> StoreRow:
        return StoreRow(title, tuple(cell(cache) for cache in caches), is_large)

    of_today = [StoreRow("Today", tuple(map(_today, today)))] if today else []
    return [
        row("Hit rate", _hit_rate, is_large=True),
        row("Last 10, 100, 1,000 s", lambda cache: _recent(cache, rates)),
        row("Size", lambda cache: _size(cache, growth if cache.name == "covers" else ""), is_large=True),
        row("Memory", _memory),
        row("Entries", lambda cache: StoreCell(cache.name, counted(cache.entries, *NOUNS[cache.name]))),
        row("Evicted", _evicted),
        *of_today,
        row("Unused for", lambda cache: StoreCell(cache.name, unused_for(cache, now))),
        row("Queue", lambda cache: _queue(cache, is_paused=is_paused)),
        row("Unavailable", _errors),
    ]


def _hit_rate(cache: CacheFigures) -> StoreCell:
    requests = cache.hits + cache.misses
    if not requests:
        return StoreCell(cache.name, "0", "requests")
    # Never 100 if there was a miss: 99.96% is shown as 99.9.
    text = "100" if cache.hits == requests else f"{min(99.9, cache.hits / requests * 100):.1f}"
    return StoreCell(cache.name, text, f"% of {requests:,}", cache.hits / requests)


def _recent(cache: CacheFigures, rates: Rates) -> StoreCell:
    """Return the hit rates of the last 10, 100 and 1000 seconds; a dash where nothing was requested or is known yet."""
    shares = [rates.hit_share(cache.name, window_s) for window_s in WINDOWS_S]
    if not any(share is not None for share in shares):
        return StoreCell(cache.name, "no requests")
    shown = ("\N{EN DASH}" if share is None else "100%" if share == 1 else f"{min(99.9, share * 100):.1f}%" for share in shares)
    return StoreCell(cache.name, ", ".join(shown))


def _size(cache: CacheFigures, note: str) -> StoreCell:
    share = min(1.0, cache.size_bytes / cache.budget_bytes) if cache.budget_bytes else 0.0
    return StoreCell(cache.name, size(cache.size_bytes), f"of {size(cache.budget_bytes)}", share, note=note)


def _memory(cache: CacheFigures) -> StoreCell:
    if cache.memory_bytes is None or cache.memory_budget_bytes is None:
        return StoreCell(cache.name, "not used")
    return StoreCell(cache.name, f"{size(cache.memory_bytes)} of {size(cache.memory_budget_bytes)}")


def _evicted(cache: CacheFigures) -> StoreCell:
    is_full = cache.budget_bytes and cache.size_bytes >= FULL * cache.budget_bytes
    if cache.evictions and is_full:
        return StoreCell(cache.name, f"{cache.evictions:,}, limit reached", lamp="warning")
    return StoreCell(cache.name, f"{cache.evictions:,}")


def _today(cache: CacheFigures) -> StoreCell:
    """Return what was evicted and what failed since midnight."""
    errors = counted(cache.errors, "error")
    return StoreCell(cache.name, f"{cache.evictions:,} evicted, {errors}", lamp="warning" if cache.errors else "")


def unused_for(cache: CacheFigures, now: float) -> str:
    """Return for how long the least recently used entry was not used: how far back the cache reaches."""
    if cache.oldest_use_at is None:
        return "no entries"
    seconds = max(0.0, now - cache.oldest_use_at)
    if seconds >= 2 * DAY_S:
        return f"{int(seconds // DAY_S)} days at most"
    return f"{max(1, round(seconds / HOUR_S))} h at most"  # uses are recorded to the hour


def _queue(cache: CacheFigures, *, is_paused: bool) -> StoreCell:
    parts = [f"{number:,} {word}" for number, word in ((cache.running, "in progress"), (cache.waiting, "waiting")) if number]
    if not parts:
        return StoreCell(cache.name, "empty")
    is_waiting = is_paused or not cache.running
    return StoreCell(cache.name, ", ".join(parts), lamp="waiting" if is_waiting else "working")


def _errors(cache: CacheFigures) -> StoreCell:
    if not cache.given_up:
        return StoreCell(cache.name, "0")
    return StoreCell(cache.name, f"{cache.given_up:,}", lamp="warning")
