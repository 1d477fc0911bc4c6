"""Orders of the wall, as `AlbumTable` expects them. No I/O."""

_CONDITION = "upper(trim(media_condition))"
_GRADE = (
    "CASE"
    f" WHEN {_CONDITION} IN ('NM', 'M-', 'NEAR MINT') OR {_CONDITION} LIKE '%(NM%' THEN 1"
    f" WHEN {_CONDITION} IN ('M', 'MINT') OR {_CONDITION} LIKE '%(M)%' THEN 0"
    f" WHEN {_CONDITION} IN ('VG+', 'VG++', 'EX', 'EXCELLENT', 'VERY GOOD PLUS') OR {_CONDITION} LIKE '%(VG+%' THEN 2"
    f" WHEN {_CONDITION} IN ('VG', 'VERY GOOD') OR {_CONDITION} LIKE '%(VG)%' THEN 3"
    f" WHEN {_CONDITION} IN ('G+', 'GOOD PLUS') OR {_CONDITION} LIKE '%(G+)%' THEN 4"
    f" WHEN {_CONDITION} IN ('G', 'GOOD') OR {_CONDITION} LIKE '%(G)%' THEN 5"
    f" WHEN {_CONDITION} IN ('F', 'FAIR') OR {_CONDITION} LIKE '%(F)%' THEN 6"
    f" WHEN {_CONDITION} IN ('P', 'POOR') OR {_CONDITION} LIKE '%(P)%' THEN 7 END"
)
_STARS = "nullif(coalesce(own_rating, rating), 0)"
_LETTER = "CASE WHEN label = '' THEN NULL ELSE upper(substr(label, 1, 1)) END"
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
        _LETTER,
    ),
    "condition": (
        f"{_GRADE} IS NULL, {_GRADE}, artist_sort, title_sort, id",
        f"{_GRADE} DESC, artist_sort, title_sort, id",
        _GRADE,
    ),
}
