"""Orders of the wall, as `AlbumTable` expects them. No I/O."""

import datetime
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from image_cache import money
from image_cache.records.filters.sets import GRADES, grade_of

_STARS = "nullif(coalesce(own_rating, rating), 0)"


def _letter(column: str) -> str:
    return f"CASE WHEN {column} = '' THEN NULL ELSE upper(substr({column}, 1, 1)) END"


def amount(column: str) -> str:
    """Return the amount of a price as `money` stores it, without its currency; NULL for none."""
    number = f"CASE WHEN substr({column}, length({column}) - 3, 1) = ' ' THEN substr({column}, 1, length({column}) - 4) ELSE {column} END"
    return f"CAST(nullif({number}, '') AS DOUBLE PRECISION)"


# Order of the wall, the same turned round, and the token whose change begins a new group. What a record does not have stands last in
# both. Ties always end in `id`, so that pages are deterministic. For the orders in `LATER` the token is only a value, from which
# Python makes the group; conditions are put in order there as well.
SORTS = {
    "artist": (
        "artist_sort, coalesce(year, 9999), title_sort, id",
        "artist_sort DESC, coalesce(year, 9999), title_sort, id",
        "substr(artist_sort, 1, 1)",
    ),
    "title": ("title_sort, artist_sort, id", "title_sort DESC, artist_sort, id", "substr(title_sort, 1, 1)"),
    "year": (
        "coalesce(year, 9999), artist_sort, title_sort, id",
        "year DESC NULLS LAST, artist_sort, title_sort, id",
        "year / 10 * 10",
    ),
    "added": ("added_at DESC, id DESC", "added_at, id", "added_at"),
    "plays": (
        "plays DESC, last_played_at DESC NULLS LAST, artist_sort, id",
        "plays, artist_sort, id",
        "CASE WHEN plays >= 20 THEN 20 WHEN plays >= 10 THEN 10 WHEN plays >= 5 THEN 5 WHEN plays >= 2 THEN 2 ELSE plays END",
    ),
    "played": (
        "last_played_at DESC NULLS LAST, artist_sort, id",
        "last_played_at IS NULL, last_played_at, artist_sort, id",
        "last_played_at",
    ),
    "rating": (
        f"{_STARS} DESC NULLS LAST, artist_sort, title_sort, id",
        f"{_STARS} IS NULL, {_STARS}, artist_sort, title_sort, id",
        _STARS,
    ),
    "label": (
        "label = '', lower(label), catno, id",
        "label = '', lower(label) DESC, catno, id",
        _letter("label"),
    ),
    "shelf": (
        "shelf = '', lower(shelf), artist_sort, title_sort, id",
        "shelf = '', lower(shelf) DESC, artist_sort, title_sort, id",
        _letter("shelf"),
    ),
    "price": (
        f"price = '', {amount('price')} DESC NULLS LAST, artist_sort, title_sort, id",
        f"price = '', {amount('price')}, artist_sort, title_sort, id",
        amount("price"),
    ),
    "value": (
        f"value = '', {amount('value')} DESC NULLS LAST, artist_sort, title_sort, id",
        f"value = '', {amount('value')}, artist_sort, title_sort, id",
        amount("value"),
    ),
    "condition": ("artist_sort, title_sort, id", "artist_sort, title_sort, id", "media_condition"),
}


def by_month(rows: Iterable[tuple[int, float | None]], _is_reversed: bool) -> Iterator[tuple[int, str | None]]:
    """Yield (album id, "2024-05") of (album id, Unix seconds), by UTC."""
    return _by_span(rows, months=True)


def by_year(rows: Iterable[tuple[int, float | None]], _is_reversed: bool) -> Iterator[tuple[int, str | None]]:
    """Yield (album id, "2024") of (album id, Unix seconds), by UTC."""
    return _by_span(rows, months=False)


def _by_span(rows: Iterable[tuple[int, float | None]], *, months: bool) -> Iterator[tuple[int, str | None]]:
    token, begin, end = "", 0.0, 0.0
    for album_id, at in rows:
        if at is None:
            yield album_id, None
            continue
        if not begin <= at < end:  # neighbours are mostly of one span
            try:
                moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
                token, first, last = _span(moment, months=months)
                begin, end = first.timestamp(), last.timestamp()
            except (ValueError, OverflowError, OSError):  # a table may say the year 60000
                yield album_id, None
                continue
        yield album_id, token


def _span(moment: datetime.datetime, *, months: bool) -> tuple[str, datetime.datetime, datetime.datetime]:
    first = moment.replace(month=moment.month if months else 1, day=1, hour=0, minute=0, second=0, microsecond=0)
    after = first + datetime.timedelta(days=31 if months else 366)
    return f"{first:%Y-%m}" if months else f"{first:%Y}", first, after.replace(month=after.month if months else 1, day=1)


def by_band(rows: Iterable[tuple[int, float | None]], _is_reversed: bool) -> Iterator[tuple[int, int | None]]:
    """Yield (album id, lower end of its band of prices) of (album id, amount)."""
    for album_id, found in rows:
        yield album_id, None if found is None else money.BANDS[bisect_right(money.BANDS, found) - 1]


def by_grade(rows: Iterable[tuple[int, str]], is_reversed: bool) -> Iterator[tuple[int, int | None]]:
    """Yield (album id, place of its grade) of (album id, condition), the best grade first or last; without a grade at the end."""
    places = {grade: place for place, grade in enumerate(GRADES)}
    graded = [(album_id, places.get(grade_of(condition))) for album_id, condition in rows]
    known = [(album_id, place) for album_id, place in graded if place is not None]
    yield from sorted(known, key=lambda pair: pair[1], reverse=is_reversed)
    yield from ((album_id, None) for album_id, place in graded if place is None)


# Makes the groups of an order from its rows, where SQL would depend on the database.
LATER: dict[str, Callable[[Iterable[tuple[int, Any]], bool], Iterator[tuple[int, str | int | None]]]] = {
    "added": by_month,
    "played": by_year,
    "price": by_band,
    "value": by_band,
    "condition": by_grade,
}
