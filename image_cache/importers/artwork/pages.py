"""What the pages about covers show: records without one, cover problems, and the choices for one record."""

from collections.abc import Sequence

from image_cache.covers import VISIBLE, ImageCache
from image_cache.engine.registry import ImageRecord
from image_cache.frozen import frozen
from image_cache.importers.artwork.table import ArtworkTable, CoverOffer, CoverTries
from image_cache.models import Album, Cover
from image_cache.records.library import Library
from image_cache.records.orders.appearance_table import RecordAppearanceTable, UnfetchedCover

DUMMY, TWINS = "dummy", "twins"  # flaws beside those of a single image, `small` and `oblong`


@frozen
class CoverOptions:
    """What there is to choose from for one record. `image` is what is known about its cover; offers come with their covers.

    `rejected` is the cover of its source if that is not shown because it is taken for no cover.
    """

    cover: Cover
    image: ImageRecord | None
    tries: CoverTries
    offers: list[tuple[CoverOffer, Cover]]
    rejected: Cover | None = None


@frozen
class FlawedRecord:
    album: Album
    cover: Cover
    image: ImageRecord | None


class CoverPages:
    """Pages about covers. Any thread."""

    def __init__(self, rows: ArtworkTable, appearances: RecordAppearanceTable, *, library: Library, covers: ImageCache) -> None:
        self._rows = rows
        self._appearances = appearances
        self._library = library
        self._covers = covers

    def count_missing(self) -> int:
        return self._rows.count_missing()

    def missing(self, first: int, count: int) -> list[tuple[Album, CoverTries]]:
        """Return records without a cover, by artist, with what was tried for each."""
        return self._rows.missing(first, count)

    def count_unfetched(self) -> int:
        """Return how many records have an address of a cover that their source does not send."""
        return self._appearances.count_unfetched(self._covers.clock())

    def unfetched(self, first: int, count: int) -> list[tuple[Album, UnfetchedCover]]:
        """Return records whose source does not send its cover, by id, with the reason."""
        found = {item.album_id: item for item in self._appearances.unfetched(self._covers.clock(), first, count)}
        return [(album, found[album.id]) for album in self._library.albums_by_id(list(found))]

    def count_to_come(self) -> int:
        """Return how many records have an address of a cover that is not fetched yet, without those that `unfetched` lists."""
        with_address = self._library.count() - self.count_missing()
        return max(0, with_address - self._appearances.count_fetched() - self.count_unfetched())

    def choice(self, album: Album) -> CoverOptions:
        """Return what there is to choose from. Offered images are shown by our own cache, so they are registered and enqueued."""
        tries = self._rows.tries(album.id)
        offers = [offer for offer in tries.offers if offer.url != album.picture]
        rejected = album.cover_url if album.is_source_rejected else None
        urls = [album.picture, rejected, *(offer.url for offer in offers)]
        covers = self._covers.for_page(urls, load=[url for url in urls if url != rejected], priority=VISIBLE)
        image = self._covers.images_at([album.picture])[0]
        return CoverOptions(
            covers[album.picture],
            image,
            tries,
            [(offer, covers[offer.url]) for offer in offers],
            covers[rejected] if rejected else None,
        )

    def count_flaws(self) -> dict[str, int]:
        """Return how many records have each flaw, and how many groups of records look the same."""
        return {DUMMY: self._rows.count_rejected(), **self._appearances.counts()}

    def flawed(self, kind: str, first: int, count: int) -> list[list[FlawedRecord]]:
        """Return records with a flaw, in groups: groups of more than one for `twins` only."""
        groups = self._groups(kind, first, count)
        albums = self._library.albums_by_id([album_id for group in groups for album_id in group])
        urls = [album.picture for album in albums]
        covers, images = self._covers.for_page(urls, load=()), self._covers.images_at(urls)
        found = {album.id: FlawedRecord(album, covers[album.picture], image) for album, image in zip(albums, images, strict=True)}
        shown = ([found[album_id] for album_id in group if album_id in found] for group in groups)
        return [group for group in shown if group]

    def _groups(self, kind: str, first: int, count: int) -> Sequence[Sequence[int]]:
        if kind == TWINS:
            return self._appearances.twins(first, count)
        if kind == DUMMY:
            return [[album_id] for album_id in self._rows.rejected(first, count)]
        return [[album_id] for album_id in self._appearances.flawed(kind, first, count)]
