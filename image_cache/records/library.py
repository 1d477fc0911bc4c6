"""Library: the records of a collection, read in their orders and changed by plays, ratings, notes, imports and removal."""

import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from image_cache.covers.own_covers import OwnCovers
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.errors import FieldRejected, ImportRejected, UnknownAlbum
from image_cache.import_models import ImportReport, ImportRow
from image_cache.models import Album, AlbumQuery, Track
from image_cache.records.batches.imports import ImportBatch
from image_cache.records.batches.service import Batches
from image_cache.records.editing.own_values import as_source
from image_cache.records.hidden_table import HiddenTable
from image_cache.records.merge import add_details
from image_cache.records.orders.appearance_table import RecordAppearanceTable
from image_cache.records.orders.sorts import SORTS
from image_cache.records.playing.moods import ANY, MoodTable, SpinMood
from image_cache.records.playing.plays_table import PlaysTable
from image_cache.records.playing.random_pick import RandomPicker, reason_for
from image_cache.records.removal import GoneRecords, RecordRemoval, Removed
from image_cache.records.shelf import COLOUR, Shelf
from image_cache.records.statistics.statistics import StatisticsReader
from image_cache.records.table import Revisions
from image_cache.records.wants.wantlist import Wantlist
from image_cache.tables.read import read_table
from image_cache.tables.write import table_text, write_table

__all__ = ["COLOUR", "SORTS", "Library"]

MAX_NOTES_CHARS = 5000


class Library(Shelf):
    """The record collection. Any thread. `own` are the uploaded covers, which are removed with their last record."""

    def __init__(
        self,
        catalog: CatalogDatabase,
        *,
        clock: Callable[[], float] = time.time,
        page_size: int = 60,
        rng: random.Random | None = None,
        appearances: RecordAppearanceTable | None = None,
        own: OwnCovers | None = None,
        hide_stale_cover: Callable[[Album], Album] | None = None,
    ) -> None:
        super().__init__(catalog, page_size=page_size, appearances=appearances, hide_stale_cover=hide_stale_cover)
        self.statistics = StatisticsReader(catalog, self, appearances)
        self.wants = Wantlist(catalog, clock=clock)
        self.removal = RecordRemoval(catalog, own, appearances, clock=clock)
        self.batches = Batches(catalog, self.removal, clock=clock)
        self.hidden = HiddenTable(catalog)
        self._catalog = catalog
        self._plays = PlaysTable(catalog)
        self._moods = MoodTable(catalog)
        self._clock = clock
        self._picker = RandomPicker(catalog, clock, rng or random.Random())  # noqa: S311  (which record to play is no secret)

    def random(self, exclude: Collection[int] = (), *, genre: str = "", decade: int | None = None) -> Album | None:
        """Pick an album at random, of a genre and a decade (like 1970) if given; see `spin`."""
        return self.spin(SpinMood(genre=genre, decade=decade), exclude)

    def spin(self, mood: SpinMood = ANY, exclude: Collection[int] = ()) -> Album | None:
        """Pick an album at random that fits a mood; one not played for long is more likely.

        None of the last 20 picks, of `exclude`, or of what is gone, while there is another. None if there is none.
        """
        now = self._albums.revisions()
        ids = self._fitting(mood, now)
        return self.album(self._picker.pick(ids, self._order("artist", now), exclude)) if ids else None

    def count_mood(self, mood: SpinMood) -> int:
        """Return how many albums fit a mood."""
        return len(self._fitting(mood, self._albums.revisions()))

    def _fitting(self, mood: SpinMood, now: Revisions) -> Sequence[int]:
        ids = self._result(AlbumQuery(genre=mood.genre, decade=mood.decade, format=mood.format), now).ids
        fitting = self._moods.matching(mood, self._clock())
        return ids if fitting is None else [album_id for album_id in ids if album_id in fitting]

    def why(self, album: Album) -> str:
        """Return in half a line why a record was picked."""
        return reason_for(album, self._clock())

    def record_play(self, album_id: int) -> int:
        """Record a play now; return how many there are. Raises `UnknownAlbum`."""
        with self._catalog.write() as conn:
            self._plays.add_play(conn, album_id, self._clock(), "", None)
        return self._play_count(album_id)

    def unplay(self, album_id: int) -> int:
        """Undo the last play of a record; return the count. Without one it changes nothing. Raises `UnknownAlbum`."""
        with self._catalog.write() as conn:
            last = self._plays.last_play_of(conn, album_id)
            if last is not None:
                self._plays.remove_play(conn, last)
        return self._play_count(album_id)

    def _play_count(self, album_id: int) -> int:
        found = self._albums.album(album_id)
        if found is None:
            raise UnknownAlbum(album_id)
        return found.plays

    def detail(self, album_id: int, tracks: Sequence[Track], barcode: str, cover_url: str | None) -> Album | None:
        """Add the details that a source returns for a single record; a cover only if it has none.

        Returns the record, None if it was removed meanwhile.
        """
        return next(iter(self.detail_many([(album_id, tracks, barcode, cover_url)])), None)

    def detail_many(self, details: Iterable[tuple[int, Sequence[Track], str, str | None]]) -> list[Album]:
        """Add the details of several records in one transaction, each with its id as for `detail`; return those that are still there."""
        found = []
        with self._catalog.write() as conn:
            for album_id, tracks, barcode, cover_url in details:
                known = self._albums.album(album_id)
                if known is not None:
                    before = as_source(known)
                    self._albums.update(conn, before, add_details(before, tracks, barcode, cover_url, self._clock()))
                    found.append(self._albums.album(album_id) or known)
        return found

    def date_plays(self, dates: Mapping[int, Sequence[float]]) -> None:
        """Store when plays were that records count already: by the id of the record, in Unix seconds."""
        with self._catalog.write() as conn:
            for album_id, moments in dates.items():
                self._albums.add_plays(conn, album_id, moments)
                self._albums.set_last_played(conn, album_id, max(moments))

    def rate(self, album_id: int, stars: int | None) -> None:
        """Rate a record with 1 to 5 stars; None removes the rating, so that the source's counts. No import changes it.

        Raises `UnknownAlbum`, and `FieldRejected` for another number.
        """
        if stars is not None and not 1 <= stars <= 5:
            raise FieldRejected("stars", "The rating must be from 1 to 5 stars.")
        if not self._albums.rate(album_id, stars):
            raise UnknownAlbum(album_id)

    def write_notes(self, album_id: int, text: str) -> str:
        """Write the owner's notes about a record, empty to remove them; return them as stored. No import changes them.

        Raises `UnknownAlbum`, and `FieldRejected` for more than 5,000 characters.
        """
        text = _plain(text)
        if len(text) > MAX_NOTES_CHARS:
            raise FieldRejected(
                "own_notes", f"The notes are too long: {len(text):,} characters, and the limit is {MAX_NOTES_CHARS:,}."
            )
        with self._catalog.write() as conn:
            album = self._albums.album(album_id)
            if album is None:
                raise UnknownAlbum(album_id)
            self._albums.write_notes(conn, album, text)
        return text

    def import_rows(
        self,
        rows: Iterable[ImportRow | ImportRejected],
        *,
        dry_run: bool = False,
        progress: Callable[[int], None] | None = None,
        save: Callable[[Connection, ImportReport], None] | None = None,
        resume: ImportReport | None = None,
        each: Callable[[ImportRow, str], None] | None = None,
        batch: ImportBatch | None = None,
    ) -> ImportReport:
        """Import rows into the catalogue, or with `dry_run` only report what would happen. `progress` gets the rows read so far.

        Short transactions, read between them: the wall stays usable, and a killed import is simply run again, or resumed after
        `resume`, the last report that `save` was given inside of a transaction. `each` gets every row after `resume`, with the
        result: new, changed, same or hidden. With a `batch` the import can be undone. Raises `StorageError` when the disk refuses; what was written before stays.
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
            import_batch=batch,
        )

    def sync_rows(
        self,
        rows: Iterable[ImportRow],
        *,
        failing: Collection[str] = (),
        also: Callable[[Connection, Counter[str]], None] = lambda _conn, _counts: None,
        batch: ImportBatch | None = None,
    ) -> Counter[str]:
        """Write a page of a source into the catalogue in one transaction; return how many rows were new, changed and the same.

        A row without a difference writes nothing. `also` writes the position of the sync in the same transaction. Raises
        `StorageError` when the disk refuses; then nothing of the page is written.
        """
        from image_cache.records.import_rows import sync_rows

        return sync_rows(self._catalog, rows, now=float(int(self._clock())), failing=failing, also=also, batch=batch)

    def batch(self, words: str, task_id: int | None = None) -> ImportBatch:
        """Return the batch of an import, under which it can be undone; of a task that continues after a stop, the same one."""
        return ImportBatch(self._catalog, words, now=self._clock(), task_id=task_id)

    def import_table(
        self, path: Path, *, dry_run: bool = False, progress: Callable[[int], None] | None = None, words: str = ""
    ) -> ImportReport:
        """Import a CSV or JSON file, or the database of the original program. Raises `TableRejected` if it is none of them."""
        batch = None if dry_run else self.batch(words or f"{path.name} imported")
        return self.import_rows(read_table(path), dry_run=dry_run, progress=progress, batch=batch)

    def export_table(self, path: Path) -> int:
        """Write all albums to a `.csv` or `.json` file, atomically; return how many. Raises `TableRejected`."""
        return write_table(path, self.albums())

    def table_text(self, kind: str) -> Iterator[str]:
        """Yield all albums as the text of a table, `csv` or `json`, piece by piece."""
        return table_text(kind, self.albums())

    def remove(self, album_ids: Iterable[int], only: GoneRecords | None = None) -> list[Removed]:
        """Remove records permanently; see `RecordRemoval.remove`."""
        return self.removal.remove(album_ids, only)

    def remove_source(self, source: str) -> int:
        """Remove every record of a source permanently; return how many."""
        return self.removal.remove_source(source)


def _plain(text: str) -> str:
    """Return typed text with our line ends, without control characters and half surrogates, without space around it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(char for char in text if char in "\n\t" or not _is_unprintable(char)).strip()


def _is_unprintable(char: str) -> bool:
    return char < " " or "\x7f" <= char < "\xa0" or "\ud800" <= char <= "\udfff"
