"""Reading side of the library: pages of the wall, their orders, search, neighbours, and what there is to filter by."""

import logging
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from random import Random

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.errors import UnknownPage
from image_cache.frozen import frozen
from image_cache.models import Album, AlbumPage, AlbumQuery
from image_cache.records.filters.narrowing import Facets, Narrowing, has_filters
from image_cache.records.filters.saved_views import SavedView, SavedViewTable
from image_cache.records.filters.sets import bits_of
from image_cache.records.orders.appearance_table import RecordAppearanceTable
from image_cache.records.orders.ordering import ShelfOrder, ShelfResult, build_colour_order, build_order, filter_order, rank_hits
from image_cache.records.orders.sorts import SORTS
from image_cache.records.search.tiers import TieredSearch
from image_cache.records.table import AlbumTable, Revisions
from image_cache.text import sort_key

logger = logging.getLogger(__name__)

NEAR = 60  # places on each side in the order by colour that are compared for what is near
COLOUR = "colour"  # the one order of the wall that the catalogue does not know
MATCH = "match"  # the order of a search: what fits best first
MEMO_ORDERS = 5  # remembered beside that by artist: 1.2 MB each at 100,000 records
MEMO_RESULTS = 8  # queries remembered: a few pages and searches; 800 KB each at 100,000 hits


@frozen
class ShelfPage:
    """A page of the wall, what there is to filter by, and how many records there are: all of one state of the catalogue."""

    page: AlbumPage
    facets: Facets
    count: int
    views: tuple[SavedView, ...] = ()


class Shelf:
    """The records in their orders. Any thread; what another process changes is seen by the next call.

    `appearances` is the order by colour; `hide_stale_cover` returns what is shown of a record.
    """

    def __init__(
        self,
        catalog: CatalogDatabase,
        *,
        page_size: int = 60,
        appearances: RecordAppearanceTable | None = None,
        hide_stale_cover: Callable[[Album], Album] | None = None,
    ) -> None:
        self.page_size = page_size
        self._albums = AlbumTable(catalog)
        self._narrowing = Narrowing(catalog)
        self.views = SavedViewTable(catalog)
        self._search = TieredSearch(catalog)
        self._appearances = appearances
        self._hide_stale_cover = hide_stale_cover
        self._guard = threading.Lock()  # protects the memos below, each with the revision that it was built from
        self._orders: dict[str, tuple[int, ShelfOrder]] = {}
        self._results: OrderedDict[AlbumQuery, tuple[int, ShelfResult]] = OrderedDict()
        self._known_facets: tuple[int, Facets] | None = None
        self._known_views: tuple[int, tuple[SavedView, ...]] = (0, ())

    def wall(self, query: AlbumQuery, number: int) -> ShelfPage:
        """Return everything for a page of the wall; of an empty collection page 1, whatever the number. Raises as `page`."""
        now = self._albums.revisions()
        count = len(self._order("artist", now).ids)
        facets = self._narrowed_facets(query, now) if has_filters(query) else self._facets(now)
        return ShelfPage(self._page(query, number if count else 1, now), facets, count, self._views(now))

    def page(self, query: AlbumQuery, number: int) -> AlbumPage:
        """Return a page of the wall, counted from 1. An empty result has one page.

        Raises `UnknownPage` for a number outside, `ValueError` for a `sort` that is not one of `SORTS`.
        """
        return self._page(query, number, self._albums.revisions())

    def facets(self) -> Facets:
        return self._facets(self._albums.revisions())

    def narrowed_facets(self, query: AlbumQuery) -> Facets:
        """Return all there is to filter by, under the filters of a query."""
        return self._narrowed_facets(query, self._albums.revisions())

    def ids(self, query: AlbumQuery) -> Sequence[int]:
        """Return the ids of all records of a result, in its order."""
        return self._result(query, self._albums.revisions()).ids

    def figures(self, query: AlbumQuery) -> tuple[int | None, int | None, int]:
        """Return the first year, the last year and the plays of all records of a result."""
        return self._narrowing.table.figures(self._result(query, self._albums.revisions()).ids)

    def count(self) -> int:
        return len(self._order("artist", self._albums.revisions()).ids)

    def unindexed(self) -> int:
        """Return how many records cannot be searched yet, but by their names."""
        return self._albums.index.pending()

    def album(self, album_id: int) -> Album | None:
        found = self._albums.album(album_id)
        return self._shown([found])[0] if found else None

    def albums_by_id(self, album_ids: Sequence[int]) -> list[Album]:
        """Return these albums in this order; one that was removed is left out."""
        return self._albums.albums(album_ids)

    def sample(self, count: int, rng: Random) -> list[Album]:
        """Return up to `count` albums at random, without their tracks."""
        ids = self._order("artist", self._albums.revisions()).ids
        return self._shown(self._albums.albums(rng.sample(ids, min(count, len(ids))), tracks=False))

    def neighbours(self, album_id: int, each: int = 20) -> list[Album]:
        """Return the album with up to `each` others on both sides of it in artist order; empty if there is no such album."""
        ids = self._order("artist", self._albums.revisions()).around(album_id, each)
        return self._shown(self._albums.albums(ids, tracks=False))

    def near_in_colour(self, album_id: int, count: int = 6) -> list[Album]:
        """Return albums whose covers have similar colours, the nearest first; none before the cover was analysed.

        Compares some hundred that stand near it in the order by colour: the cost does not grow with the collection.
        """
        if self._appearances is None:
            return []
        around = self._order(COLOUR, self._albums.revisions()).around(album_id, NEAR)
        try:
            nearest = self._appearances.nearest(album_id, around, count) if around else []
        except DatabaseError as error:  # the index is away, and the record is shown without them
            logger.warning("no covers near in colour reason=%s", error)
            nearest = []
        return self._shown(self._albums.albums(nearest, tracks=False)) if nearest else []

    def nearby(self, text: str, count: int) -> list[Album]:
        """Return up to `count` albums around the place where an artist of this name would stand, in artist order."""
        following = self._albums.from_artist(sort_key(text[:200]), 1)
        order = self._order("artist", self._albums.revisions())
        place = order.place_of(following[0].id) if following else len(order.ids)
        start = max(0, min(place - count // 2, len(order.ids) - count))
        return self._shown(self._albums.albums(order.ids[start : start + count]))

    def cover_urls(self) -> Iterator[str]:
        """Yield the URL of every cover. Reads in chunks: the catalogue may change meanwhile."""
        return self._albums.cover_urls()

    def albums(self) -> Iterator[Album]:
        """Yield every album, in the order they were added."""
        return self._albums.all_albums()

    def revisions(self) -> Revisions:
        """Return numbers that change with the records, their plays and ratings."""
        return self._albums.revisions()

    def in_order(self, at_a_time: int) -> Iterator[list[Album]]:
        """Yield all albums by artist, without their tracks, so many at a time: memory does not grow with the collection."""
        ids = self._order("artist", self._albums.revisions()).ids
        for start in range(0, len(ids), at_a_time):
            yield self._shown(self._albums.albums(ids[start : start + at_a_time], tracks=False))

    def count_source(self, source: str) -> int:
        """Return how many records came from a source."""
        return self._albums.count_source(source)

    def _page(self, query: AlbumQuery, number: int, now: Revisions) -> AlbumPage:
        found = self._result(query, now)
        pages = max(1, -(-len(found.ids) // self.page_size))
        if not 1 <= number <= pages:
            raise UnknownPage(number, pages)
        first = (number - 1) * self.page_size
        shown = found.ids[first : first + self.page_size]
        opened = range(bisect_left(found.starts, first), bisect_left(found.starts, first + len(shown)))
        return AlbumPage(
            query=query,
            albums=tuple(
                self._shown(self._albums.albums(shown, tracks=bool(query.text)))
            ),  # a search shows the tracks that match
            page=number,
            pages=pages,
            total=len(found.ids),
            groups=found.groups,
            heads={shown[found.starts[g] - first]: found.groups[g] for g in opened},
            correction=found.correction,
            has_more=found.has_more,
            is_incomplete=found.is_incomplete,
        )

    def _views(self, now: Revisions) -> tuple[SavedView, ...]:
        with self._guard:
            known = self._known_views
        if known[0] != now.views:
            known = (now.views, self.views.views())
            with self._guard:
                self._known_views = known
        return known[1]

    def _shown(self, albums: Iterable[Album]) -> list[Album]:
        return [self._hide_stale_cover(album) for album in albums] if self._hide_stale_cover else list(albums)

    def _facets(self, now: Revisions) -> Facets:
        with self._guard:
            known = self._known_facets
        if known and known[0] == now.albums:
            return known[1]
        table = self._albums
        facets = Facets(tuple(table.facets("genre")), tuple(table.facets("format")), tuple(table.decades()), table.sources())
        with self._guard:
            self._known_facets = (now.albums, facets)
        return facets

    def _narrowed_facets(self, query: AlbumQuery, now: Revisions) -> Facets:
        size = len(self._order("artist", now).place)
        text = query.text.strip()
        every = bits_of(self._search.find(text, with_notes=query.with_notes).tiers, size) if text else -1
        return self._narrowing.facets(query, self._facets(now), every, now, size)

    def _matching(self, query: AlbumQuery, now: Revisions) -> list[int] | None:
        size = len(self._order("artist", now).place) if query.filters else 0
        return self._narrowing.matching(query, now, size)

    def _order(self, sort: str, now: Revisions, *, is_reversed: bool = False) -> ShelfOrder:
        if sort == MATCH:
            sort = "artist"
        if sort not in SORTS and sort != COLOUR:
            raise ValueError(f"unknown sort order {sort[:40]!r}; choose one of {', '.join((*SORTS, COLOUR))}")
        is_reversed &= sort != COLOUR
        revision = self._revision(now, sort)
        name = f"-{sort}" if is_reversed else sort
        with self._guard:
            known = self._orders.get(name)
        if known and known[0] == revision:
            return known[1]
        # The revision was read first: if the albums change while they are read, the memo is newer than it says, never older.
        if sort == COLOUR:
            order = build_colour_order(self._order("artist", now), self._appearances.order() if self._appearances else ())
        else:
            order = build_order(self._albums.order(sort, is_reversed=is_reversed))
        with self._guard:
            self._orders[name] = (revision, order)
            rare = [other for other in self._orders if other not in ("artist", name)]
            for other in rare[: max(0, len(rare) - MEMO_ORDERS)]:
                del self._orders[other]
        return order

    def _revision(self, now: Revisions, sort: str, *filters: str) -> int:
        if sort != COLOUR or self._appearances is None:
            return now.of(sort, *filters)
        # Both parts only go up, and the second one by far less than a part of the first.
        return now.albums << 40 | self._appearances.revision()

    def _found(self, query: AlbumQuery, among: set[int] | None, now: Revisions) -> ShelfResult:
        hits = self._search.find(query.text, with_notes=query.with_notes, among=among)
        order = self._order(query.sort, now, is_reversed=query.is_reversed)
        if query.sort == MATCH:
            found = ShelfResult(rank_hits(order, hits.tiers), (), ())
        else:
            found = filter_order(order, list(hits.tiers), query.sort, self.page_size)
        return replace(found, correction=hits.correction, has_more=hits.has_more, is_incomplete=hits.is_incomplete)

    def _result(self, query: AlbumQuery, now: Revisions) -> ShelfResult:
        revision = self._revision(now, query.sort, *(kind for kind, _ in query.filters))
        with self._guard:
            known = self._results.get(query)
            if known and known[0] == revision:
                self._results.move_to_end(query)
                return known[1]
        wanted = self._matching(query, now)
        if query.text.strip():
            found = self._found(query, None if wanted is None else set(wanted), now)
        else:
            order = self._order(query.sort, now, is_reversed=query.is_reversed)
            found = filter_order(order, wanted, query.sort, self.page_size)
        if not found.is_incomplete:  # nothing tells when the index of the search is complete
            with self._guard:
                self._results[query] = (revision, found)
                while len(self._results) > MEMO_RESULTS:
                    self._results.popitem(last=False)
        return found
