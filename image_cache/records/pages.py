"""What the pages about records show: records with their covers, resolved, registered and enqueued once per page."""

from collections.abc import Callable, Mapping, Sequence

from image_cache.covers import ImageCache
from image_cache.covers.stats import Progress
from image_cache.frozen import frozen
from image_cache.models import Album, AlbumPage, AlbumQuery, Cover
from image_cache.records.filters.narrowing import Facets
from image_cache.records.filters.saved_views import SavedView
from image_cache.records.library import Library

Covers = Mapping[str | None, Cover]  # by the URL of the cover; None for a record without one


@frozen
class WallPage:
    """A page of the wall. `count` are all records of the collection."""

    page: AlbumPage
    page_size: int
    covers: Covers
    facets: Facets
    count: int
    progress: Progress | None
    views: tuple[SavedView, ...] = ()


@frozen
class RecordPage:
    """A record, its neighbours on the shelf, and the records near in colour, with the covers of all.

    `index` is the place of the record in `shelf`; `reason` is why it might be picked at random; `has_details_queued` says that its
    source is asked again.
    """

    album: Album
    index: int
    shelf: list[Album]
    near: list[Album]
    covers: Covers
    reason: str
    has_details_queued: bool


class RecordPages:
    """Pages about records. Any thread. `enqueue_details` asks the source of a record for its details, if it has to."""

    def __init__(self, library: Library, covers: ImageCache, enqueue_details: Callable[[Album], bool]) -> None:
        self._library = library
        self._covers = covers
        self._enqueue_details = enqueue_details

    def wall(self, query: AlbumQuery, number: int, *, also: str = "") -> WallPage:
        """Return a page of the wall; `also` as for `ImageCache.for_page`. Raises as `Library.wall`."""
        found = self._library.wall(query, number)
        covers = self._covers.for_page([album.picture for album in found.page.albums], also=also)
        return WallPage(
            found.page, self._library.page_size, covers, found.facets, found.count, self._covers.progress(), found.views
        )

    def nearby(self, text: str, count: int) -> tuple[list[Album], Covers]:
        """Return the records around the place where an artist of this name would stand, and their covers."""
        albums = self._library.nearby(text, count)
        return albums, self._covers.for_page([album.picture for album in albums])

    def record(self, album: Album, *, each: int, near: int) -> RecordPage:
        """Return a record with up to `each` neighbours on both sides and up to `near` records of similar colours."""
        shelf = _with_own(self._library.neighbours(album.id, each), album)
        similar = self._library.near_in_colour(album.id, near)
        # The neighbours are drawn as spines, in colours that are known already: only the record's own cover is enqueued.
        covers = self._covers.for_page([one.picture for one in (*shelf, *similar)], load=[album.picture])
        return RecordPage(
            album=album,
            index=shelf.index(album),
            shelf=shelf,
            near=similar,
            covers=covers,
            reason=self._library.why(album),
            has_details_queued=self._enqueue_details(album),
        )

    def cover(self, album: Album) -> Cover:
        """Return the cover of a record, without enqueuing it."""
        return self._covers.for_page([album.picture], load=())[album.picture]


def _with_own(neighbours: Sequence[Album], own: Album) -> list[Album]:
    """Return the shelf with the record itself in its place, whether the order has it already or not."""
    shelf = [own if album.id == own.id else album for album in neighbours]
    if own not in shelf:
        shelf = sorted([*shelf, own], key=lambda album: (album.artist_sort, album.year or 0, album.title_sort, album.id))
    return shelf
