"""The sums of a collection: what was paid, what it is worth, and of how many records neither is known."""

from collections import Counter
from collections.abc import Iterable

from image_cache import money
from image_cache.frozen import frozen


@frozen
class ValueSummary:
    """Sums by currency as `money` keeps them; times are Unix seconds, None if nothing was valued."""

    records: int
    paid: tuple[str, ...]
    priced: int
    worth: tuple[str, ...]
    valued: int
    oldest_at: float | None
    newest_at: float | None


def summary(rows: Iterable[tuple[str, str, float | None]]) -> ValueSummary:
    """Add up (price, value, valued at) of records. Memory does not grow with the collection."""
    paid, worth = Counter[str](), Counter[str]()
    records = priced = valued = 0
    oldest: float | None = None
    newest: float | None = None
    for price, value, valued_at in rows:
        records += 1
        if (found := money.parts(price)) is not None:
            priced += 1
            paid[found[1]] += found[0]
        if (found := money.parts(value)) is not None:
            valued += 1
            worth[found[1]] += found[0]
            if valued_at is not None:
                oldest = valued_at if oldest is None else min(oldest, valued_at)
                newest = valued_at if newest is None else max(newest, valued_at)
    return ValueSummary(records, _sums(paid), priced, _sums(worth), valued, oldest, newest)


def _sums(totals: Counter[str]) -> tuple[str, ...]:
    return tuple(money.stored(cents, code) for code, cents in totals.most_common())
