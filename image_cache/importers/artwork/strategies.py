"""The ways to a cover for a record that has none: a table, the surest first. Each yields pictures that may be it."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from image_cache.covers.identity import is_dummy_address
from image_cache.errors import OriginNotFound, SourceRefused
from image_cache.importers.artwork.cover_art_archive import CoverArtArchive
from image_cache.importers.artwork.musicbrainz import MusicBrainz, Release
from image_cache.importers.artwork.table import CoverOffer
from image_cache.models import Album
from image_cache.text import fold

if TYPE_CHECKING:
    from image_cache.importers.discogs.client import DiscogsClient

SURE_SCORE = 90  # of 100, for a release that only its names tell
OFFERED_SCORE = 60
MOST_RELEASES = 4  # of one answer that are asked for pictures
VARIOUS = {"various", "various artists", "va"}
_NOT_WORDS = re.compile(r"[\W_]+")
_BRACKETS = re.compile(r"[(\[].*?[)\]]")


@dataclass(frozen=True, slots=True)
class ArtworkClients:
    """Whom the ways ask."""

    musicbrainz: MusicBrainz
    coverart: CoverArtArchive
    discogs: "DiscogsClient | None" = None  # only with a token


@dataclass(frozen=True, slots=True)
class SearchStrategy:
    """One way: whether a record has what it takes, and what it finds. `says` completes "looked for by"."""

    name: str
    says: str
    fits: Callable[[Album], bool]
    find: Callable[[ArtworkClients, Album], Iterator[CoverOffer]]


def discogs_release(album: Album) -> str:
    """Return the number of the release at Discogs that a record came from, empty when it came from elsewhere."""
    return album.release_id if album.source == "discogs" and album.release_id.isdigit() else ""


def by_discogs(services: ArtworkClients, album: Album) -> Iterator[CoverOffer]:
    """The release itself, which has a picture more often than the listing that a collection or a table is made of."""
    if services.discogs is None:
        return
    with suppress(OriginNotFound, SourceRefused):  # what is wrong with the token is said where it was typed
        found = services.discogs.release(discogs_release(album))
        if found.cover_url and not is_dummy_address(found.cover_url):
            yield CoverOffer(found.cover_url, "Of its release at Discogs", "discogs", is_sure=True)


def by_mbid(services: ArtworkClients, album: Album) -> Iterator[CoverOffer]:
    """The id of the release says which it is; the archive is asked before MusicBrainz, which only knows its group."""
    yield from _pictures(services, Release(album.mbid), "mbid", is_sure=True)
    for release in services.musicbrainz.by_mbid(album.mbid):
        yield from _group(services, release, "mbid", is_sure=True)


def by_discogs_link(services: ArtworkClients, album: Album) -> Iterator[CoverOffer]:
    for release in services.musicbrainz.by_discogs(discogs_release(album))[:MOST_RELEASES]:
        yield from _all(services, release, "discogs-link", is_sure=True)


def by_barcode(services: ArtworkClients, album: Album) -> Iterator[CoverOffer]:
    """Barcodes were given out twice, so one name at least has to agree."""
    for release in services.musicbrainz.by_barcode(album.barcode)[:MOST_RELEASES]:
        is_sure = is_alike(album.title, release.title) or is_alike(album.artist, release.artist)
        yield from _all(services, release, "barcode", is_sure=is_sure)


def by_catno(services: ArtworkClients, album: Album) -> Iterator[CoverOffer]:
    """Numbers such as 001 are on many labels, so the title has to agree."""
    for release in services.musicbrainz.by_catno(album.catno, album.label, album.artist)[:MOST_RELEASES]:
        yield from _all(services, release, "catno", is_sure=is_alike(album.title, release.title))


def by_names(services: ArtworkClients, album: Album) -> Iterator[CoverOffer]:
    found = [one for one in services.musicbrainz.by_names(album.artist, album.title) if one.score >= OFFERED_SCORE]
    for release in found[:MOST_RELEASES]:
        is_sure = (
            release.score >= SURE_SCORE
            and is_alike(album.title, release.title)
            and (is_alike(album.artist, release.artist) or bare(album.artist) in VARIOUS)
        )
        yield from _all(services, release, "names", is_sure=is_sure)


WAYS = (
    SearchStrategy("discogs", "its release at Discogs", lambda album: bool(discogs_release(album)), by_discogs),
    SearchStrategy("mbid", "its id at MusicBrainz", lambda album: bool(album.mbid), by_mbid),
    SearchStrategy("discogs-link", "its link with Discogs", lambda album: bool(discogs_release(album)), by_discogs_link),
    SearchStrategy("barcode", "its barcode", lambda album: bool(album.barcode), by_barcode),
    SearchStrategy("catno", "its catalogue number", lambda album: bool(album.catno and (album.label or album.artist)), by_catno),
    SearchStrategy("names", "artist and title", lambda album: bool(album.artist and album.title), by_names),
)
SAYS = {way.name: way.says for way in WAYS}


def bare(text: str) -> str:
    """Return the words of a name and nothing else: no case, no accents, no brackets, no punctuation."""
    return _NOT_WORDS.sub(" ", fold(_BRACKETS.sub(" ", text) or text)).strip()


def is_alike(one: str, other: str) -> bool:
    """Tell whether two names are the same to a reader: equal words, or all words of the shorter one in the longer one."""
    first, second = bare(one), bare(other)
    if not first or not second:
        return False
    words = sorted((set(first.split()), set(second.split())), key=len)
    return first == second or (len(words[0]) > 1 and words[0] <= words[1])


def _all(services: ArtworkClients, release: Release, way: str, *, is_sure: bool) -> Iterator[CoverOffer]:
    """Yield the release's own fronts; when it has none, that of all its pressings."""
    has_any = False
    for offer in _pictures(services, release, way, is_sure=is_sure):
        has_any = True
        yield offer
    if not has_any:
        yield from _group(services, release, way, is_sure=is_sure)


def _pictures(services: ArtworkClients, release: Release, way: str, *, is_sure: bool) -> Iterator[CoverOffer]:
    for picture in services.coverart.of_release(release.mbid):
        if picture.is_front:
            yield CoverOffer(picture.url, _told(picture.says, release.says), way, is_sure)


def _group(services: ArtworkClients, release: Release, way: str, *, is_sure: bool) -> Iterator[CoverOffer]:
    if release.group:
        for picture in services.coverart.of_group(release.group):
            if picture.is_front:
                yield CoverOffer(picture.url, _told(picture.says, release.says, "of another pressing"), way, is_sure)


def _told(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
