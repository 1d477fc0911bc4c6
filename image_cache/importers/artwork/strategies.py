"""Search strategies for missing covers: a table, the surest first. Each yields images that may be the cover."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress

from image_cache.covers.identity import is_dummy_address
from image_cache.errors import OriginNotFound, SourceRefused
from image_cache.frozen import frozen
from image_cache.importers.artwork.cover_art_archive import CoverArtArchive
from image_cache.importers.artwork.musicbrainz import MusicBrainz, Release
from image_cache.importers.artwork.table import CoverOffer
from image_cache.importers.discogs.client import DiscogsClient
from image_cache.models import Album
from image_cache.text import fold

SURE_SCORE = 90  # of 100, for a release that was found by its names only
OFFERED_SCORE = 60
MAX_RELEASES = 4  # of one result whose images are requested
VARIOUS = {"various", "various artists", "va"}
_NOT_WORDS = re.compile(r"[\W_]+")
_BRACKETS = re.compile(r"[(\[].*?[)\]]")


@frozen
class ArtworkClients:
    """The services that strategies search. `discogs` is None without a token."""

    musicbrainz: MusicBrainz
    coverart: CoverArtArchive
    discogs: DiscogsClient | None = None


@frozen
class SearchStrategy:
    """A strategy: whether it applies to a record, and what it finds. `label` completes "found by"."""

    name: str
    label: str
    fits: Callable[[Album], bool]
    find: Callable[[ArtworkClients, Album], Iterator[CoverOffer]]


def discogs_release(album: Album) -> str:
    """Return the Discogs release number of a record, empty if it is not from Discogs."""
    return album.release_id if album.source == "discogs" and album.release_id.isdigit() else ""


def by_discogs(clients: ArtworkClients, album: Album) -> Iterator[CoverOffer]:
    """The release itself, which has an image more often than its entry in a collection or a table."""
    if clients.discogs is None:
        return
    with suppress(OriginNotFound, SourceRefused):  # the page of Discogs shows what is wrong with the token
        found = clients.discogs.release(discogs_release(album))
        if found.cover_url and not is_dummy_address(found.cover_url):
            yield CoverOffer(found.cover_url, "From its Discogs release", "discogs", is_sure=True)


def by_mbid(clients: ArtworkClients, album: Album) -> Iterator[CoverOffer]:
    """The id of the release. The archive first; MusicBrainz only knows the release group."""
    yield from _images(clients, Release(album.mbid), "mbid", is_sure=True)
    for release in clients.musicbrainz.by_mbid(album.mbid):
        yield from _group(clients, release, "mbid", is_sure=True)


def by_discogs_link(clients: ArtworkClients, album: Album) -> Iterator[CoverOffer]:
    for release in clients.musicbrainz.by_discogs(discogs_release(album))[:MAX_RELEASES]:
        yield from _all(clients, release, "discogs-link", is_sure=True)


def by_barcode(clients: ArtworkClients, album: Album) -> Iterator[CoverOffer]:
    """Some barcodes were used twice, so that artist or title has to match too."""
    for release in clients.musicbrainz.by_barcode(album.barcode)[:MAX_RELEASES]:
        is_sure = is_alike(album.title, release.title) or is_alike(album.artist, release.artist)
        yield from _all(clients, release, "barcode", is_sure=is_sure)


def by_catno(clients: ArtworkClients, album: Album) -> Iterator[CoverOffer]:
    """Numbers such as 001 are on many labels, so that the title has to match too."""
    for release in clients.musicbrainz.by_catno(album.catno, album.label, album.artist)[:MAX_RELEASES]:
        yield from _all(clients, release, "catno", is_sure=is_alike(album.title, release.title))


def by_names(clients: ArtworkClients, album: Album) -> Iterator[CoverOffer]:
    releases = clients.musicbrainz.by_names(album.artist, album.title)
    found = [release for release in releases if release.score >= OFFERED_SCORE]
    for release in found[:MAX_RELEASES]:
        is_sure = (
            release.score >= SURE_SCORE
            and is_alike(album.title, release.title)
            and (is_alike(album.artist, release.artist) or plain(album.artist) in VARIOUS)
        )
        yield from _all(clients, release, "names", is_sure=is_sure)


STRATEGIES = (
    SearchStrategy("discogs", "its Discogs release", lambda album: bool(discogs_release(album)), by_discogs),
    SearchStrategy("mbid", "its MusicBrainz ID", lambda album: bool(album.mbid), by_mbid),
    SearchStrategy(
        "discogs-link", "the Discogs link in MusicBrainz", lambda album: bool(discogs_release(album)), by_discogs_link
    ),
    SearchStrategy("barcode", "its barcode", lambda album: bool(album.barcode), by_barcode),
    SearchStrategy("catno", "its catalogue number", lambda album: bool(album.catno and (album.label or album.artist)), by_catno),
    SearchStrategy("names", "artist and title", lambda album: bool(album.artist and album.title), by_names),
)
LABELS = {strategy.name: strategy.label for strategy in STRATEGIES}


def plain(text: str) -> str:
    """Return the words of a name without case, accents, brackets and punctuation."""
    return _NOT_WORDS.sub(" ", fold(_BRACKETS.sub(" ", text) or text)).strip()


def is_alike(left: str, right: str) -> bool:
    """Return True if two names are alike to a reader: equal words, or all words of the shorter one in the longer one."""
    first, second = plain(left), plain(right)
    if not first or not second:
        return False
    words = sorted((set(first.split()), set(second.split())), key=len)
    return first == second or (len(words[0]) > 1 and words[0] <= words[1])


def _all(clients: ArtworkClients, release: Release, way: str, *, is_sure: bool) -> Iterator[CoverOffer]:
    """Yield the front covers of a release; if it has none, that of its group, all pressings together."""
    has_any = False
    for offer in _images(clients, release, way, is_sure=is_sure):
        has_any = True
        yield offer
    if not has_any:
        yield from _group(clients, release, way, is_sure=is_sure)


def _images(clients: ArtworkClients, release: Release, way: str, *, is_sure: bool) -> Iterator[CoverOffer]:
    for image in clients.coverart.of_release(release.mbid):
        if image.is_front:
            yield CoverOffer(image.url, _label(image.label, release.label), way, is_sure)


def _group(clients: ArtworkClients, release: Release, way: str, *, is_sure: bool) -> Iterator[CoverOffer]:
    if release.group:
        for image in clients.coverart.of_group(release.group):
            if image.is_front:
                yield CoverOffer(image.url, _label(image.label, release.label, "from another pressing"), way, is_sure)


def _label(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
