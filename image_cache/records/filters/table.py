"""Filters of the wall in `catalog.db`: which records pass them, and what all records are filtered by."""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import parameter_marks
from image_cache.db.dialect import NUMBERS, lowered
from image_cache.models import AlbumQuery
from image_cache.records.filters.sets import FilterRow, UseRow
from image_cache.records.search.question import storable
from image_cache.records.search.rules import name_key, plain

BY_TABLE = ("artist", "label", "shelf", "year")  # filters that no set is needed for
NAMED = {"artist": ("a", "j"), "label": ("l",)}  # filters by name, and the kinds of keys that they look at


class FilterTable:
    """Reads only. Any thread."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def rows(self) -> Iterator[FilterRow]:
        """Yield what every album is filtered by, and what seldom changes."""
        sql = "SELECT id, year, genres, styles, formats, label, media_condition, added_at, shelf, price FROM albums"
        for row in self.db.stream(sql):
            yield FilterRow(*row[:2], *(_tuple(text) for text in row[2:5]), *row[5:])

    def use(self) -> Iterator[UseRow]:
        """Yield how every album is rated, and when it was played."""
        sql = "SELECT id, coalesce(own_rating, rating), last_played_at, plays, value FROM albums"
        return (UseRow(*row) for row in self.db.stream(sql))

    def figures(self, ids: Iterable[int]) -> tuple[int | None, int | None, int]:
        """Return the first year, the last year and the plays of some records."""
        sql = f"SELECT min(year), max(year), coalesce(sum(plays), 0) FROM albums WHERE id IN ({NUMBERS})"
        row = self.db.row(sql, (json.dumps(list(ids)),))
        return (row[0], row[1], int(row[2])) if row else (None, None, 0)

    def matching(self, query: AlbumQuery) -> list[int] | None:
        """Return the ids that the filters of `query` match, in no order; None if it has none."""
        parts: list[str] = []
        values: list[object] = []
        for kind, wanted in (("genre", query.genre), ("format", query.format)):
            if wanted:
                parts.append("SELECT album_id FROM facets WHERE kind = ? AND value = ?")
                values.extend((kind, storable(wanted)))
        if query.source:
            parts.append("SELECT id FROM albums WHERE source = ? AND gone_at IS NULL")
            values.append(storable(query.source))
        for kind, value in query.filters:
            if kind in NAMED:
                parts.append(f"SELECT album_id FROM keys WHERE kind IN ({parameter_marks(len(NAMED[kind]))}) AND key = ?")
                values.extend((*NAMED[kind], name_key(plain(storable(value)))))
            elif kind == "shelf":
                parts.append("SELECT id FROM albums WHERE lower(shelf) = ? AND shelf <> ''")
                values.append(lowered(storable(value)))
            elif kind == "year":
                parts.append("SELECT id FROM albums WHERE year = ?")
                values.append(int(value))
        if query.decade is not None:
            decade = max(-1, min(query.decade, 9999))
            parts.append("SELECT id FROM albums WHERE year BETWEEN ? AND ?")
            values.extend((decade, decade + 9))
        if not parts:
            return None
        return [found[0] for found in self.db.stream(" INTERSECT ".join(parts), values)]


@lru_cache(maxsize=1024)  # a collection has a few hundred different lists
def _tuple(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))
