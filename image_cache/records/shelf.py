"""The reading side of the library: pages of the wall, their orders, search, neighbours, what there is to filter by."""

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import UnknownPage
from image_cache.models import Album, AlbumPage, AlbumQuery
from image_cache.records.ordering import NOWHERE, ShelfOrder, ShelfResult, arrange, keep, position
from image_cache.records.table import SORTS, AlbumTable
from image_cache.text import sort_key

if TYPE_CHECKING:  # loaded when the order by colour is asked for
    from image_cache.records.appearance import RecordAppearances

NEAR = 60  # places on each side in the order by colour that are looked at for what is near
COLOUR = "colour"  # the one order that the catalogue does not know
MEMO_RESULTS = 8  # queries remembered: the pages that somebody turns and a few searches; 800 KB each at 100,000 hits

_Filters = tuple[list[tuple[str, int]], list[tuple[str, int]], list[tuple[int, int]]]


class Shelf:
    """The records as they stand. Any thread; another process may change the catalogue meanwhile, the next call sees it."""

    def __init__(
        self,
        catalog: CatalogDatabase,
        *,
        page_size: int = 60,
        looks: "Callable[[], RecordAppearances] | None" = None,
        hide_stale_cover: Callable[[Album], Album] | None = None,
    ) -> None:
        self._hide_stale_cover = hide_stale_cover  # returns what is shown of a record; None: all of it
        self._catalog = catalog
        self._albums = AlbumTable(catalog)
        self._page_size = page_size
        self._looks = looks  # made when the order by colour is asked for: most never ask
        self._guard = threading.Lock()  # protects the memories below
        self._orders: dict[str, tuple[int, ShelfOrder]] = {}
        self._results: OrderedDict[AlbumQuery, tuple[int, ShelfResult]] = OrderedDict()
        self._counts: tuple[int, _Filters] | None = None

    def page(self, query: AlbumQuery, number: int) -> AlbumPage:
        """Return a page of the wall, counted from 1. An empty result has one page.

        Raises `UnknownPage` for a number outside, `ValueError` for a `sort` that is not one of `SORTS`.
        """
        found = self._found(query)
        pages = max(1, -(-len(found.ids) // self._page_size))
        if not 1 <= number <= pages:
            raise UnknownPage(number, pages)
        first = (number - 1) * self._page_size
        shown = found.ids[first : first + self._page_size]
        opened = range(bisect_left(found.starts, first), bisect_left(found.starts, first + len(shown)))
        return AlbumPage(
            query=query,
            albums=tuple(self._shown(shown)),
            page=number,
            pages=pages,
            total=len(found.ids),
            groups=found.groups,
            heads={shown[found.starts[g] - first]: found.groups[g] for g in opened},
        )

    def album(self, album_id: int) -> Album | None:
        found = self._albums.album(album_id)
        return self._hide_stale_cover(found) if found and self._hide_stale_cover else found

    def albums_by_id(self, album_ids: Sequence[int]) -> list[Album]:
        """Return these albums in this order; one that is gone is left out."""
        return self._albums.albums(album_ids)

    def count(self) -> int:
        return len(self._order("artist").ids)

    def neighbours(self, album_id: int, each: int = 20) -> list[Album]:
        """Return the album with up to `each` others on both sides of it in artist order; empty when there is no such album."""
        order = self._order("artist")
        at = position(order, album_id)
        if at == NOWHERE:
            return []
        return self._shown(order.ids[max(0, at - each) : at + each + 1])

    def near_in_colour(self, album_id: int, count: int = 6) -> list[Album]:
        """Return albums whose sleeves have colours like this one's, the nearest first; none before its sleeve was looked at.

        Looks at some hundred that stand near it in the order by colour: the cost does not grow with the collection.
        """
        if self._looks is None:
            return []
        order = self._order(COLOUR)
        at = position(order, album_id)
        if at == NOWHERE:
            return []
        around = order.ids[max(0, at - NEAR) : at + NEAR + 1]
        return self._albums.albums(self._looks().nearest(album_id, around, count))

    def previous(self, album_id: int) -> Album | None:
        """Return the album before this one in artist order, None at the beginning of the shelf."""
        return self._beside(album_id, -1)

    def next(self, album_id: int) -> Album | None:
        """Return the album behind this one in artist order, None at the end of the shelf."""
        return self._beside(album_id, 1)

    def nearby(self, text: str, count: int = 6) -> list[Album]:
        """Return albums that stand where an artist of this name would: what an empty search offers instead."""
        found = self._albums.from_artist(sort_key(text[:200]), count)
        return [self._hide_stale_cover(one) for one in found] if self._hide_stale_cover else found

    def genres(self) -> list[tuple[str, int]]:
        return self._filters()[0]

    def formats(self) -> list[tuple[str, int]]:
        return self._filters()[1]

    def decades(self) -> list[tuple[int, int]]:
        return self._filters()[2]

    def cover_urls(self) -> Iterator[str]:
        """Yield the address of every cover. Reads in chunks: the catalogue may change meanwhile."""
        return self._albums.cover_urls()

    def albums(self) -> Iterator[Album]:
        """Yield every album, in the order they came in."""
        return self._albums.all_albums()

    def count_source(self, source: str) -> int:
        """Return how many records came from a source."""
        return self._albums.count_source(source)

    def _filters(self) -> _Filters:
        revision = self._albums.revision("artist")
        with self._guard:
            known = self._counts
        if known and known[0] == revision:
            return known[1]
        counts = self._albums.facets("genre"), self._albums.facets("format"), self._albums.decades()
        with self._guard:
            self._counts = (revision, counts)
        return counts

    def _shown(self, ids: Sequence[int]) -> list[Album]:
        found = self._albums.albums(ids)
        return [self._hide_stale_cover(one) for one in found] if self._hide_stale_cover else found

    def _beside(self, album_id: int, step: int) -> Album | None:
        order = self._order("artist")
        at = position(order, album_id)
        if at == NOWHERE or not 0 <= at + step < len(order.ids):
            return None
        return self.album(order.ids[at + step])

    def _order(self, sort: str) -> ShelfOrder:
        if sort not in SORTS and sort != COLOUR:
            raise ValueError(f"{sort[:40]!r} is none of {', '.join((*SORTS, COLOUR))}")
        # The revision is read first: when the albums change while we read them, the memo is older than it could be, never newer.
        revision = self._revision(sort)
        with self._guard:
            known = self._orders.get(sort)
        if known and known[0] == revision:
            return known[1]
        order = arrange(self._by_colour() if sort == COLOUR else self._albums.order(sort))
        with self._guard:
            self._orders[sort] = (revision, order)
        return order

    def _revision(self, sort: str) -> int:
        revision = self._albums.revision(sort)
        # Both parts only go up, and the second one by far less than a part of the first.
        return revision if sort != COLOUR or self._looks is None else revision << 40 | self._looks().revision()

    def _by_colour(self) -> Iterator[tuple[int, int | None]]:
        """Yield every album in the order by colour; those whose sleeves were not looked at, or that have none, at the end."""
        shelf = self._order("artist").ids
        left = set(shelf)
        for album_id, band in self._looks().order() if self._looks else ():
            if album_id in left:  # not one that was deleted a moment ago
                left.discard(album_id)
                yield album_id, band
        yield from ((album_id, None) for album_id in shelf if album_id in left)

    def _found(self, query: AlbumQuery) -> ShelfResult:
        revision = self._revision(query.sort)
        with self._guard:
            known = self._results.get(query)
            if known and known[0] == revision:
                self._results.move_to_end(query)
                return known[1]
        found = keep(self._order(query.sort), self._albums.matching(query), query.sort, self._page_size)
        with self._guard:
            self._results[query] = (revision, found)
            while len(self._results) > MEMO_RESULTS:
                self._results.popitem(last=False)
        return found
