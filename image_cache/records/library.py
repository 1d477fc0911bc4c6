"""The albums: the shelf and what is done with it: random and plays, notes, import and export. Knows no web and no SQL."""

import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import FieldRejected, ImportRejected, UnknownAlbum
from image_cache.models import Album, AlbumQuery, AlbumRow, ImportReport, Track
from image_cache.records.import_rows import sync_rows
from image_cache.records.merge import detailed
from image_cache.records.random_pick import RandomPicker, why
from image_cache.records.shelf import COLOUR, Shelf
from image_cache.records.table import SORTS, AlbumTable

if TYPE_CHECKING:
    from image_cache.covers.own_covers import OwnCovers
    from image_cache.db.database import Connection
    from image_cache.records.appearance import RecordAppearances
    from image_cache.records.removal import GoneRecords, Removed

__all__ = ["COLOUR", "SORTS", "Library"]


class Library(Shelf):
    """The record collection: what can be read of it, and what changes it."""

    def __init__(
        self,
        catalog: CatalogDatabase,
        *,
        clock: Callable[[], float] = time.time,
        page_size: int = 60,
        rng: random.Random | None = None,
        looks: "Callable[[], RecordAppearances] | None" = None,
        own: "OwnCovers | None" = None,
        hide_stale_cover: Callable[[Album], Album] | None = None,
    ) -> None:
        super().__init__(catalog, page_size=page_size, looks=looks, hide_stale_cover=hide_stale_cover)
        self._own = own  # the covers that people uploaded, which go with their last record
        self._clock = clock
        self._chance = RandomPicker(catalog, clock, rng or random.Random())  # noqa: S311  (which record to play is no secret)

    def random(self, exclude: Collection[int] = (), *, genre: str = "", decade: int | None = None) -> Album | None:
        """Pick an album by chance, of a genre and a decade (like 1970) if given, rather one that was not played for long.

        None of the last 20 picks of all processes, of `exclude`, or of what is gone, while there is another. None for nothing.
        """
        query = AlbumQuery(genre=genre, decade=decade)
        ids = self._found(query).ids
        return self.album(self._chance.pick(ids, self._order(query.sort), exclude)) if ids else None

    def why(self, album: Album) -> str:
        """Say in half a line what speaks for a record that was picked by chance."""
        return why(album, self._clock())

    def record_play(self, album_id: int) -> int:
        """Note that a record was played now; return how often by now. Raises `UnknownAlbum`."""
        return self._known(album_id, self._albums.play(album_id, self._clock()))

    def unplay(self, album_id: int) -> int:
        """Undo the last `played` of a record; return the count. Without one it changes nothing. Raises `UnknownAlbum`."""
        return self._known(album_id, self._albums.unplay(album_id))

    def detail(self, album_id: int, tracks: Sequence[Track], barcode: str, cover_url: str | None) -> Album | None:
        """Add what the source of a record tells when it is asked for this one alone; a cover only where there is none.

        Returns the record, None when it is gone meanwhile.
        """
        before = self._albums.album(album_id)
        if before is None:
            return None
        after = detailed(before, tracks, barcode, cover_url, self._clock())
        with self._catalog.write() as conn:
            self._albums.update(conn, before, after)
        return after

    def rate(self, album_id: int, stars: int | None) -> None:
        """Give a record 1 to 5 stars of one's own, None to go by its source again. No import changes them.

        Raises `UnknownAlbum`, and `FieldRejected` for another number.
        """
        if stars is not None and not 1 <= stars <= 5:
            raise FieldRejected("stars", f"{stars} is not 1 to 5 stars.")
        if not self._albums.rate(album_id, stars):
            raise UnknownAlbum(album_id)

    def write_notes(self, album_id: int, text: str) -> str:
        """Write notes of one's own about a record, empty to have none; return them as they are kept. No import changes them.

        Raises `UnknownAlbum`, and `FieldRejected` for more than 5,000 characters.
        """
        return write_notes(self._catalog, album_id, text)

    def import_rows(
        self,
        rows: Iterable[AlbumRow | ImportRejected],
        *,
        dry_run: bool = False,
        progress: Callable[[int], None] | None = None,
        save: "Callable[[Connection, ImportReport], None] | None" = None,
        resume: ImportReport | None = None,
        each: Callable[[AlbumRow, str], None] | None = None,
    ) -> ImportReport:
        """Put rows into the catalogue, or with `dry_run` only say what would happen. `progress` gets the rows read so far.

        Short transactions, read between them: the wall can be used meanwhile, and a killed import is simply run again, or goes
        on after `resume`, the last report that `save` was given inside of a transaction. `each` gets every row that was not
        there before `resume`, with what becomes of it: new, changed or same.
        Raises `StorageError` when the disk refuses; what was written before stays.
        """
        from image_cache.records.import_rows import NOTHING, import_rows

        return import_rows(
            self._catalog,
            rows,
            now=float(int(self._clock())),
            dry_run=dry_run,
            progress=progress,
            save=save,
            resume=resume or NOTHING,
            each=each,
        )

    def sync_rows(
        self,
        rows: Iterable[AlbumRow],
        *,
        failing: Collection[str] = (),
        also: "Callable[[Connection, Counter[str]], None]" = lambda _conn, _counts: None,
    ) -> "Counter[str]":
        """Put a page of a source into the catalogue in one transaction; return how many rows were new, changed and the same.

        A row that differs in nothing writes nothing. `also` writes what belongs together with the page, in the same transaction:
        how far the pass is. Raises `StorageError` when the disk refuses; then nothing of the page is in.
        """
        return sync_rows(self._catalog, rows, now=float(int(self._clock())), failing=failing, also=also)

    def import_table(self, path: Path, *, dry_run: bool = False, progress: Callable[[int], None] | None = None) -> ImportReport:
        """Import a CSV or JSON file, or the database of the original program. Raises `TableRejected` when it is none of them."""
        from image_cache.tables.read import read_table

        return self.import_rows(read_table(path), dry_run=dry_run, progress=progress)

    def export_table(self, path: Path) -> int:
        """Write all albums to a `.csv` or `.json` file, whole or not at all; return how many. Raises `TableRejected`."""
        from image_cache.tables.write import write_table

        return write_table(path, self.albums())

    def table_text(self, kind: str) -> Iterator[str]:
        """Yield all albums as the text of a table, `csv` or `json`, piece by piece."""
        from image_cache.tables.write import table_text

        return table_text(kind, self.albums())

    def remove(self, album_ids: Iterable[int], only: "GoneRecords | None" = None) -> "list[Removed]":
        """Delete records for good, with their plays, notes, stars and own covers; return those that were there, by portions of 200.

        With `only` those of them alone that are still as it says. What a source still has comes back with its next sync or scan.
        Raises `StorageError` when the disk refuses; what was removed before stays removed.
        """
        from image_cache.records.removal import remove

        looks = self._looks() if self._looks else None
        return remove(self._catalog, album_ids, only=only, own=self._own, looks=looks, now=self._clock())

    def remove_source(self, source: str) -> int:
        """Delete every record of a source, as `remove` does; return how many."""
        from image_cache.records.removal import RemovalTable

        return len(self.remove(RemovalTable(self._catalog).ids(source)))

    def _known(self, album_id: int, plays: int | None) -> int:
        if plays is None:
            raise UnknownAlbum(album_id)
        return plays


MAX_CHARS = 5000


def write_notes(catalog: CatalogDatabase, album_id: int, text: str) -> str:
    """Keep notes; see `Library.write_notes`."""
    text = _plain(text)
    if len(text) > MAX_CHARS:
        raise FieldRejected("own_notes", f"These are {len(text):,} characters, {MAX_CHARS:,} fit.")
    albums = AlbumTable(catalog)
    with catalog.write() as conn:
        album = albums.album(album_id)
        if album is None:
            raise UnknownAlbum(album_id)
        albums.write_notes(conn, album, text)
    return text


def _plain(text: str) -> str:
    """Return typed text with our line ends, without control characters and half surrogates, without space around it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(char for char in text if char in "\n\t" or not _is_mute(char)).strip()


def _is_mute(char: str) -> bool:
    return char < " " or "\x7f" <= char < "\xa0" or "\ud800" <= char <= "\udfff"
