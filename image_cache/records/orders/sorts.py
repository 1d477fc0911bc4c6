"""Orders of the wall, as `AlbumTable` expects them. No I/O."""

from collections.abc import Iterable, Iterator

from image_cache import money
from image_cache.records.filters.sets import GRADES, grade_of

_STARS = "nullif(coalesce(own_rating, rating), 0)"


def _letter(column: str) -> str:
    return f"CASE WHEN {column} = '' THEN NULL ELSE upper(substr({column}, 1, 1)) END"


def _band(column: str) -> str:
    """Return the lower end of the band of prices, NULL for none."""
    whens = " ".join(f"WHEN CAST({column} AS REAL) >= {low} THEN {low}" for low in reversed(money.BANDS))
    return f"CASE WHEN {column} = '' THEN NULL {whens} END"


# Order of the wall, the same turned round, and the token whose change begins a new group. What a record does not have stands last in
# both. Ties always end in `id`, so that pages are deterministic.
SORTS = {
    "artist": (
        "artist_sort, coalesce(year, 9999), title_sort, id",
        "artist_sort DESC, coalesce(year, 9999), title_sort, id",
        "substr(artist_sort, 1, 1)",
    ),
    "title": ("title_sort, artist_sort, id", "title_sort DESC, artist_sort, id", "substr(title_sort, 1, 1)"),
    "year": (
        "coalesce(year, 9999), artist_sort, title_sort, id",
        "year DESC, artist_sort, title_sort, id",
        "year / 10 * 10",
    ),
    "added": ("added_at DESC, id DESC", "added_at, id", "strftime('%Y-%m', added_at, 'unixepoch')"),
    "plays": (
        "plays DESC, last_played_at DESC, artist_sort, id",
        "plays, artist_sort, id",
        "CASE WHEN plays >= 20 THEN 20 WHEN plays >= 10 THEN 10 WHEN plays >= 5 THEN 5 WHEN plays >= 2 THEN 2 ELSE plays END",
    ),
    "played": (
        "last_played_at DESC, artist_sort, id",
        "last_played_at IS NULL, last_played_at, artist_sort, id",
        "strftime('%Y', last_played_at, 'unixepoch')",
    ),
    "rating": (f"{_STARS} DESC, artist_sort, title_sort, id", f"{_STARS} IS NULL, {_STARS}, artist_sort, title_sort, id", _STARS),
    "label": (
        "label = '', label COLLATE NOCASE, catno, id",
        "label = '', label COLLATE NOCASE DESC, catno, id",
        _letter("label"),
    ),
    "shelf": (
        "shelf = '', shelf COLLATE NOCASE, artist_sort, title_sort, id",
        "shelf = '', shelf COLLATE NOCASE DESC, artist_sort, title_sort, id",
        _letter("shelf"),
    ),
    "price": (
        "price = '', CAST(price AS REAL) DESC, artist_sort, title_sort, id",
        "price = '', CAST(price AS REAL), artist_sort, title_sort, id",
        _band("price"),
    ),
    "value": (
        "value = '', CAST(value AS REAL) DESC, artist_sort, title_sort, id",
        "value = '', CAST(value AS REAL), artist_sort, title_sort, id",
        _band("value"),
    ),
    # The token is the condition as it is written; `by_grade` puts the records in order.
    "condition": ("artist_sort, title_sort, id", "artist_sort, title_sort, id", "media_condition"),
}


def by_grade(rows: Iterable[tuple[int, str]], *, is_reversed: bool) -> Iterator[tuple[int, int | None]]:
    """Yield (album id, place of its grade) of (album id, condition), the best grade first or last; without a grade at the end."""
    places = {grade: place for place, grade in enumerate(GRADES)}
    graded = [(album_id, places.get(grade_of(condition))) for album_id, condition in rows]
    known = [(album_id, place) for album_id, place in graded if place is not None]
    yield from sorted(known, key=lambda pair: pair[1], reverse=is_reversed)
    yield from ((album_id, None) for album_id, place in graded if place is None)
