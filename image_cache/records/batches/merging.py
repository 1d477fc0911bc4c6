"""Two records that are one: merging them, and splitting them again at any time."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.errors import FieldRejected, UnknownAlbum
from image_cache.frozen import frozen
from image_cache.models import Album
from image_cache.records.batches.imports import mark_of
from image_cache.records.batches.merge_table import MergeTable
from image_cache.records.batches.removed_table import RemovedTable
from image_cache.records.batches.table import BatchTable, RecordBatch
from image_cache.records.columns import column_values, from_column
from image_cache.records.editing.own_values import FIELDS, edited, text_of
from image_cache.records.hidden_table import HiddenTable
from image_cache.records.removal import RecordRemoval
from image_cache.records.table import AlbumTable
from image_cache.tables.cells import MAX_OWN_CHARS

logger = logging.getLogger(__name__)

MOVED = ("play_ids", "crate_ids", "plays")  # parts of what a merge notes that are no values of a column


@frozen
class Difference:
    """A field that two records have different values of, as texts."""

    name: str
    label: str
    first: str
    second: str


class RecordMerger:
    """Merges and splits records. Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase, removal: RecordRemoval, *, clock: Callable[[], float]) -> None:
        self._db = catalog
        self._albums = AlbumTable(catalog)
        self._rows = MergeTable(catalog)
        self._batches = BatchTable(catalog)
        self._removed = RemovedTable(catalog)
        self._hidden = HiddenTable(catalog)
        self._removal = removal
        self._clock = clock

    def differences(self, first: Album, second: Album) -> list[Difference]:
        """Return the fields in which two records differ."""
        texts = ((name, label, text_of(first, name), text_of(second, name)) for name, label in FIELDS.items())
        return [Difference(*one) for one in texts if one[2] != one[3]]

    def state(self, first: Album, second: Album) -> str:
        """Return a short text that changes with the fields of either record."""
        texts = [[text_of(album, name) for name in FIELDS] + [album.own_notes] for album in (first, second)]
        return hashlib.sha256(json.dumps(texts).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def merges(self, album_id: int) -> list[tuple[int, str]]:
        """Return the merges into a record that can be undone: (batch, what was merged)."""
        return self._rows.merges(album_id)

    def merge(
        self, first_id: int, second_id: int, takes: Mapping[str, bool], state: str, account_id: int | None = None
    ) -> RecordBatch | None:
        """Merge the second record into the first, which takes the fields of `takes` from it; None if one was changed since `state`.

        Plays, notes, crates, rating and cover go along. Imports do not bring the second one back. Raises `UnknownAlbum`, and
        `FieldRejected` if the notes are too long together.
        """
        if first_id == second_id:
            raise FieldRejected("with", "Choose another record to merge with.")
        now = self._clock()
        with self._db.write() as conn:
            first, second = self._known(conn, first_id), self._known(conn, second_id)
            if self.state(first, second) != state:
                return None
            words = f"Merged: {second.artist}, {second.title} into {first.artist}, {first.title}."
            batch_id = self._batches.add(conn, "merge", words, now, account_id=account_id)
            values = {name: getattr(second, name) for name, is_taken in takes.items() if is_taken and name in FIELDS}
            after = replace(
                edited(first, values),
                own_notes=_joined(first.own_notes, second.own_notes),
                plays=first.plays + second.plays,
                last_played_at=max(first.last_played_at or 0.0, second.last_played_at or 0.0) or None,
            )
            own, theirs = self._rows.own(conn, first_id), self._rows.own(conn, second_id)
            plays, crates = self._rows.move(conn, second_id, first_id)
            self._hidden.hide_in(conn, [second_id], now)
            self._removal.remove_in(conn, second_id, batch_id)
            self._albums.write_own(conn, first, after)
            taken = {name: theirs[name] for name in own if own[name] is None and theirs[name] is not None}
            for name, value in taken.items():
                self._rows.set_own(conn, first_id, name, value)
            old, new = column_values(first), column_values(after)
            body = {name: [old[name], mark_of(new[name])] for name in old if old[name] != new[name] and name not in MOVED}
            body |= {name: [None, mark_of(value)] for name, value in taken.items()}
            moved = {"play_ids": [plays, 0], "crate_ids": [crates, 0], "plays": [second.plays, 0]}
            self._batches.note(conn, batch_id, first_id, body | moved)
            self._batches.count(conn, batch_id, 0, 2, ())
        logger.info("records merged id=%d from=%d account_id=%s", first_id, second_id, account_id)
        return self._batches.batch(batch_id)

    def split(self, batch: RecordBatch) -> str:
        """Undo a merge; return what came of it. Raises `FieldRejected` if the merged record was removed since."""
        first_id = next((ids[0] for ids in self._batches.changed_ids(batch.id)), 0)
        second_id = next(iter(self._removed.ids(batch.id, 1)), 0)
        with self._db.write() as conn:
            first = self._albums.album(first_id)
            if first is None or not second_id:
                raise FieldRejected("batch", "The merged record has been removed. Put it back first, then split it.")
            body = self._batches.noted(conn, batch.id, first_id)
            if not self._removed.put_back(conn, second_id):
                raise FieldRejected("batch", "The other record is already back, with plays or notes of its own.")
            since = self._take_back(conn, first, second_id, body)
        words = "Two records again, as before the merge."
        if since:
            fields = ", ".join(FIELDS.get(name, "notes" if name == "own_notes" else "rating or cover").lower() for name in since)
            words = f"Two records again. Changed since, and kept: {fields}."
        return words

    def _take_back(self, conn: Connection, first: Album, second_id: int, body: dict[str, list[object]]) -> list[str]:
        """Give the first record the values from before; return the fields that people changed since."""
        plays, crates, count = (body.pop(name)[0] for name in ("play_ids", "crate_ids", "plays"))
        stored, own = self._albums.stored(conn, first.id) or first, self._rows.own(conn, first.id)
        now = column_values(stored)
        since = [name for name, (_, mark) in body.items() if mark_of(own.get(name, now.get(name))) != mark]
        values = {name: from_column(name, value) for name, (value, _) in body.items() if name in now and name not in since}
        after = replace(stored, **values, plays=max(0, stored.plays - int(str(count))))
        self._albums.write_own(conn, stored, after)
        for name in own.keys() & body.keys() - set(since):
            self._rows.set_own(conn, first.id, name, body[name][0])
        self._rows.move_back(conn, first.id, second_id, list(plays), list(crates))  # type: ignore[call-overload]
        return [name for name in since if name in FIELDS or name in ("own_notes", *own)]

    def _known(self, conn: Connection, album_id: int) -> Album:
        album = self._albums.stored(conn, album_id)
        if album is None:
            raise UnknownAlbum(album_id)
        return album


def _joined(first: str, second: str) -> str:
    notes = first if second in first else "\n\n".join(filter(None, (first, second)))
    if len(notes) > MAX_OWN_CHARS:
        raise FieldRejected("own_notes", f"The notes of both are too long together: {len(notes):,} characters.")
    return notes
