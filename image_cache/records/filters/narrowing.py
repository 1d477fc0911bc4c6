"""Narrowing of the wall: which records pass all filters, and how many are left of each value under those of the other kinds."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import field

from image_cache.db.catalog import CatalogDatabase
from image_cache.frozen import frozen
from image_cache.models import AlbumQuery
from image_cache.records.filters.sets import FilterSets, bits_of, ids_of, lasting_sets, narrowed, use_sets
from image_cache.records.filters.table import BY_TABLE, FilterTable
from image_cache.records.table import Revisions

# What is counted under other filters.
SETS = ("genre", "style", "format", "decade", "label", "shelf", "stars", "condition", "price", "value", "played", "added")
NARROWED_BY = ("plays", "stars", "value")  # what the sets depend on, besides the records


@frozen
class Facets:
    """What there is to filter by, each value with the number of its records; and which sources there are.

    Under filters the numbers are those that pass the filters of the other kinds. `others`: the kinds that are not named here.
    """

    genres: tuple[tuple[str, int], ...]
    formats: tuple[tuple[str, int], ...]
    decades: tuple[tuple[int, int], ...]
    sources: frozenset[str]
    others: Mapping[str, Sequence[tuple[str, int]]] = field(default_factory=dict)


def has_filters(query: AlbumQuery) -> bool:
    return bool(query.genre or query.decade is not None or query.format or query.source or query.filters)


class Narrowing:
    """Filters of one vault. Any thread. `now` is the state of the catalogue, `size` is above every id."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.table = FilterTable(catalog)
        self._guard = threading.Lock()  # protects the memos below, each with the revision that it was built from
        self._lasting: tuple[int, FilterSets] | None = None
        self._use: tuple[int, FilterSets] | None = None

    def matching(self, query: AlbumQuery, now: Revisions, size: int) -> list[int] | None:
        """Return the records that pass the filters, in no order; None if there are none."""
        wanted = self.table.matching(query)
        in_sets = [(kind, value) for kind, value in query.filters if kind in SETS and kind not in BY_TABLE]
        if not in_sets:
            return wanted
        sets = self._sets(now, size)
        left = -1 if wanted is None else bits_of(wanted, size)
        for kind, value in in_sets:
            left &= sets.bits(kind, value)
        return ids_of(left)

    def facets(self, query: AlbumQuery, known: Facets, every: int, now: Revisions, size: int) -> Facets:
        """Return all there is to filter by, under the filters of a query, among the records of the set `every`."""
        sets = self._sets(now, size)
        named = {
            "genre": AlbumQuery(genre=query.genre),
            "decade": AlbumQuery(decade=query.decade),
            "format": AlbumQuery(format=query.format),
            "source": AlbumQuery(source=query.source),
        }
        found = {kind: self.table.matching(one) for kind, one in named.items()}
        chosen = {kind: bits_of(ids, size) for kind, ids in found.items() if ids is not None}
        for kind, value in query.filters:
            ids = self.table.matching(AlbumQuery(filters=((kind, value),))) if kind in BY_TABLE or kind not in SETS else None
            chosen[kind] = sets.bits(kind, value) if ids is None else bits_of(ids, size)
        counts = {kind: sets.counts(kind, narrowed(chosen, kind, every)) for kind in SETS}
        return Facets(
            tuple(counts.pop("genre")),
            tuple(counts.pop("format")),
            tuple((int(decade), count) for decade, count in counts.pop("decade")),
            known.sources,
            counts,
        )

    def _sets(self, now: Revisions, size: int) -> FilterSets:
        """Return all sets. Playing or rating a record rebuilds only the sets that depend on it."""
        with self._guard:
            lasting, use = self._lasting, self._use
        if lasting is None or lasting[0] != now.albums:
            lasting = (now.albums, lasting_sets(self.table.rows(), size))
        revision = now.of(*NARROWED_BY)
        if use is None or use[0] != revision:
            use = (revision, use_sets(self.table.use(), size, time.time()))
        with self._guard:
            self._lasting, self._use = lasting, use
        return lasting[1].with_others(use[1])
