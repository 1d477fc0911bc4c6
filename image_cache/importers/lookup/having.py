"""Do I have it? The answer from the collection and the wantlist alone: no service is asked, and nothing is written."""

from collections.abc import Iterable
from dataclasses import replace

from image_cache.db.catalog import CatalogDatabase
from image_cache.frozen import frozen
from image_cache.importers.lookup.barcodes import barcode_of, spellings
from image_cache.importers.lookup.table import OwnedTable
from image_cache.models import Album, AlbumQuery
from image_cache.records.library import Library
from image_cache.records.search.question import read_question
from image_cache.records.search.rules import code_key, name_key, plain, squash
from image_cache.records.table import AlbumTable
from image_cache.records.wants.want import Want

MAX_SHOWN = 12
MAX_LIKELY = 6


@frozen
class Having:
    """What the collection has of what was asked for. `copies` are it, `pressings` the same record in another pressing.

    `likely` are records that the words fit as well; `correction` is what was looked for instead. `barcode` is "" for words.
    """

    text: str
    barcode: str = ""
    copies: tuple[Album, ...] = ()
    pressings: tuple[Album, ...] = ()
    likely: tuple[Album, ...] = ()
    wants: tuple[Want, ...] = ()
    correction: str = ""

    @property
    def is_wanted(self) -> bool:
        """True if a want is what was asked for by name or number, and not only by one of its words."""
        question = read_question(self.text)
        codes = (question.code and code_key(plain(want.catno)) == question.code for want in self.wants)
        return (
            bool(self.barcode and self.wants)
            or any(codes)
            or any(question.key and question.key in _names(want) for want in self.wants)
        )

    @property
    def is_known(self) -> bool:
        return bool(self.copies or self.pressings or self.wants)

    @property
    def albums(self) -> tuple[Album, ...]:
        return (*self.copies, *self.pressings, *self.likely)


class HavingReader:
    """Any thread."""

    def __init__(self, catalog: CatalogDatabase, library: Library) -> None:
        self._owned = OwnedTable(catalog)
        self._albums = AlbumTable(catalog)
        self._library = library

    def answer(self, text: str, *, with_notes: bool) -> Having:
        """Return what there is of a barcode, a number or words. `with_notes` False: words in notes find nothing."""
        text = " ".join(text.split())
        code = barcode_of(text)
        wants = self._library.wants.search(text)
        if code:
            copies = self._albums.albums(self._owned.with_barcode(spellings(code))[:MAX_SHOWN], tracks=False)
            return self._completed(Having(text, code, tuple(copies), wants=tuple(wants)))
        page = self._library.page(AlbumQuery(text=text, sort="match", with_notes=with_notes), 1)
        question = read_question(page.correction or text)
        copies = [album for album in page.albums if question.code and code_key(plain(album.catno)) == question.code]
        copies = copies or [album for album in page.albums if question.key and question.key in _names(album)]
        found = Having(text, "", tuple(copies[:MAX_SHOWN]), likely=page.albums, wants=tuple(wants), correction=page.correction)
        return self._completed(found)

    def other_pressings(self, names: Iterable[tuple[str, str]]) -> tuple[list[Album], list[Want]]:
        """Return what the collection and the wantlist have of these (artist, title), whatever the pressing."""
        wanted = list(dict.fromkeys(names))
        ids = self._owned.with_names([_both(artist, title) for artist, title in wanted])
        return self._albums.albums(ids[:MAX_SHOWN], tracks=False), self._library.wants.other_pressings(wanted)

    def _completed(self, found: Having) -> Having:
        """Return the answer with the other pressings of what it has found, and each record once."""
        names = [(album.artist, album.title) for album in found.copies]
        names += [(want.artist, want.title) for want in found.wants]
        others, wants = self.other_pressings(names)
        copies = {album.id for album in found.copies}
        pressings = tuple(album for album in others if album.id not in copies)
        shown = copies | {album.id for album in pressings}
        likely = tuple(album for album in found.likely if album.id not in shown)[:MAX_LIKELY]
        every = {want.id: want for want in (*found.wants, *wants)}
        return replace(found, pressings=pressings, likely=likely, wants=tuple(every.values()))


def _names(album: Album | Want) -> tuple[str, str, str]:
    """Return the keys of what a record may be called: its title, or artist and title either way round."""
    artist, title = name_key(plain(album.artist)), name_key(plain(album.title))
    return title, squash(artist + title), squash(title + artist)


def _both(artist: str, title: str) -> str:
    return squash(name_key(plain(artist)) + name_key(plain(title)))
