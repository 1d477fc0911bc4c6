"""The wantlist of a collection: what is wanted, found, written down, and turned into a record when it is bought."""

import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import FieldRejected, UnknownWant
from image_cache.frozen import frozen
from image_cache.import_models import ImportRow
from image_cache.records.editing.own_values import HAND, parse
from image_cache.records.merge import create_album
from image_cache.records.search.question import read_question
from image_cache.records.table import AlbumTable
from image_cache.records.wants.table import WantsTable, names_key
from image_cache.records.wants.want import BOUGHT, HIDDEN, WANTED, Want
from image_cache.tables.rows import UNTITLED
from image_cache.units import counted

logger = logging.getLogger(__name__)

MAX_NOTES_CHARS = 2000
MAX_FOUND = 12
MAX_WANTS = 20_000
FIELDS = ("artist", "title", "label", "catno", "year", "formats", "barcode")


@frozen
class WantsSynced:
    """What reading a wantlist at its source came to."""

    listed: int
    new: int
    removed: int


class Wantlist:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase, *, clock: Callable[[], float] = time.time) -> None:
        self.table = WantsTable(catalog)
        self._albums = AlbumTable(catalog)
        self._db = catalog
        self._clock = clock

    def get(self, want_id: int) -> Want:
        """Raises `UnknownWant`, also for one that is hidden."""
        found = self.table.want(want_id)
        if found is None or found.state == HIDDEN:
            raise UnknownWant(want_id)
        return found

    def search(self, text: str, limit: int = MAX_FOUND) -> list[Want]:
        """Return the wants that a search finds: by artist, title, label, number or barcode."""
        question = read_question(text)
        return self.table.matching(question.words, question.code, limit)

    def other_pressings(self, names: Iterable[tuple[str, str]]) -> list[Want]:
        """Return the wants of these (artist, title), whatever the pressing."""
        return self.table.of_names({names_key(artist, title) for artist, title in names})

    def type(self, typed: Mapping[str, str]) -> int:
        """Want a record that was typed; return the want. Raises `FieldRejected` for the first field that is wrong."""
        values = {name: parse(name, typed.get(name, "")) for name in FIELDS}
        if not values["artist"] and not values["title"]:
            raise FieldRejected("title", "A record must have an artist or a title.")
        values["title"] = values["title"] or UNTITLED
        return self._put(Want(0, HAND, secrets.token_hex(12), notes=_notes(typed.get("notes", "")), **values))

    def add(self, row: ImportRow) -> int:
        """Want a release that a service found; return the want, also if it is wanted already."""
        return self._put(_want_of(row))

    def _put(self, want: Want) -> int:
        now = self._clock()
        with self._db.write() as conn:
            known = self.table.by_identity(want.source, want.source_id)
            if known is not None and known.state == WANTED:
                return known.id
            if known is None and self.table.count() >= MAX_WANTS:
                raise FieldRejected("title", f"The wantlist must have at most {MAX_WANTS:,} records.")
            notes, is_listed = (known.notes, known.is_listed) if known else (want.notes, False)
            return self.table.put(conn, replace(want, notes=notes, is_listed=is_listed, added_at=now, changed_at=now))

    def write_notes(self, want_id: int, text: str) -> None:
        """Raises `UnknownWant`, `FieldRejected`."""
        notes = _notes(text)
        with self._db.write() as conn:
            self.table.put(conn, replace(self.get(want_id), notes=notes))

    def remove(self, want_id: int) -> None:
        """Take a want off the list. One that its source lists stays hidden here, so that a sync does not bring it back."""
        with self._db.write() as conn:
            want = self.get(want_id)
            if want.is_listed:
                self.table.put(conn, replace(want, state=HIDDEN, changed_at=self._clock()))
            else:
                self.table.remove(conn, want.id)

    def want_again(self, want_id: int) -> None:
        """Put a want that was bought back on the list. Its record stays."""
        with self._db.write() as conn:
            want = self.get(want_id)
            if want.state == BOUGHT:
                self.table.put(conn, replace(want, state=WANTED, album_id=None, changed_at=self._clock()))

    def buy(self, want_id: int) -> int:
        """Turn a want into a record of the collection, with its notes; return the record. Raises `UnknownWant`."""
        now = self._clock()
        with self._db.write() as conn:
            want = self.get(want_id)
            if want.state == BOUGHT and want.album_id is not None:
                return want.album_id
            source, source_id = want.source, want.source_id
            if self._albums.by_identity(source, source_id) is not None:  # one more copy of a record that is there
                source, source_id = HAND, secrets.token_hex(12)
            album_id = self._albums.insert(conn, create_album(_row_of(want), source, source_id, float(int(now))))
            self.table.mark_bought(conn, [want], album_id, now)
        logger.info("want bought id=%d album_id=%d", want.id, album_id)
        return album_id

    def sync(self, rows: Sequence[tuple[ImportRow, str]], source: str, listed: Collection[str], *, is_whole: bool) -> WantsSynced:
        """Write the wantlist of a source, (row, notes) each, in one transaction.

        An entry that someone bought or removed here keeps that state. If the list `is_whole`, an entry that it no longer has is deleted,
        unless someone has written notes on it here.
        """
        now, new = self._clock(), 0
        with self._db.write() as conn:
            for row, notes in rows[:MAX_WANTS]:
                known = self.table.by_identity(row.source, row.source_id)
                found = replace(_want_of(row), source_notes=notes, is_listed=True, added_at=row.added_at or now, changed_at=now)
                if known is not None:
                    kept = {name: getattr(known, name) for name in ("id", "notes", "state", "album_id", "changed_at", "barcode")}
                    found = replace(found, added_at=row.added_at or known.added_at, **kept)
                if known != found:
                    self.table.put(conn, found)
                new += known is None
            removed = self.table.unlist(conn, source, listed) if is_whole else 0
        return WantsSynced(len(rows), new, removed)


def bought_sentence(count: int) -> str:
    """Return what an import says of the new records that were wanted, with a space in front; "" for none."""
    if count <= 0:
        return ""
    return f" {counted(count, 'new record')} {'was' if count == 1 else 'were'} on your wantlist."


def _want_of(row: ImportRow) -> Want:
    return Want(
        id=0,
        source=row.source,
        source_id=row.source_id,
        artist=row.artist,
        title=row.title,
        year=row.year,
        label=row.label or "",
        catno=row.catno or "",
        formats=row.formats or (),
        genres=row.genres or (),
        barcode=row.barcode or "",
        cover_url=row.cover_url,
    )


def _row_of(want: Want) -> ImportRow:
    return ImportRow(
        1,
        want.title,
        want.artist,
        year=want.year,
        label=want.label,
        catno=want.catno,
        formats=want.formats,
        genres=want.genres,
        barcode=want.barcode,
        cover_url=want.cover_url,
        own_notes=want.all_notes,
    )


def _notes(text: str) -> str:
    """Return typed notes. Raises `FieldRejected` for more than 2,000 characters."""
    if len(text) > MAX_NOTES_CHARS:
        raise FieldRejected("notes", f"The notes must have at most {MAX_NOTES_CHARS:,} characters, not {len(text):,}.")
    return str(parse("notes", text))
