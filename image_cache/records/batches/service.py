"""What is done to many records at once, and its undo: edits, removals, imports. Each answers with a sentence."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import FieldRejected
from image_cache.frozen import frozen
from image_cache.records.batches.edit import FieldEdit, RecordsEditor
from image_cache.records.batches.imports import restored
from image_cache.records.batches.merging import RecordMerger
from image_cache.records.batches.removed_table import RemovedTable
from image_cache.records.batches.table import BatchTable, RecordBatch
from image_cache.records.editing.own_values import FIELDS, source_values
from image_cache.records.removal import RECORDS_A_WRITE, GoneRecords, RecordRemoval, Removed
from image_cache.records.table import AlbumTable
from image_cache.units import counted

logger = logging.getLogger(__name__)

SHOWN = 50
BACK_AT_A_TIME = 50  # each is put in the index of the search again
Progress = Callable[[int], object]
MAX_NAME_CHARS = 60


@frozen
class ImportUndo:
    """What the undo of an import would do. `stays` were added by it and touched by a person since."""

    goes: int
    stays: int
    removed: int
    changed: int


class Batches:
    """Any thread, several processes. Long ones write in portions, between which others write."""

    def __init__(self, catalog: CatalogDatabase, removal: RecordRemoval, *, clock: Callable[[], float]) -> None:
        self.rows = BatchTable(catalog)
        self.removed = RemovedTable(catalog)
        self._albums = AlbumTable(catalog)
        self._editor = RecordsEditor(catalog, clock)
        self.merger = RecordMerger(catalog, removal, clock=clock)
        self._removal = removal
        self._db = catalog
        self._clock = clock

    def batch(self, batch_id: int) -> RecordBatch | None:
        return self.rows.batch(batch_id)

    def is_open(self, batch: RecordBatch) -> bool:
        """Return True if a batch can be undone."""
        return batch.is_open(self._clock())

    def imports(self) -> list[RecordBatch]:
        """Return the imports of the last 30 days, the newest first."""
        return self.rows.imports(SHOWN)

    def recent(self) -> list[RecordBatch]:
        """Return what else was done to many records, the newest first."""
        return self.rows.recent(SHOWN)

    def edit(self, ids: Sequence[int], edits: Mapping[str, FieldEdit], account_id: int | None = None) -> RecordBatch:
        """Edit records. Raises `FieldRejected` for a value that is wrong, and then changes nothing."""
        return self.run_edit(self.begin_edit(edits, account_id), ids, edits, account_id)

    def begin_edit(self, edits: Mapping[str, FieldEdit], account_id: int | None) -> int:
        """Begin the batch of an edit; return its number. Raises as `edit`."""
        if not self._editor.parse(edits):
            raise FieldRejected("fields", "Change at least one field first.")
        return self._begin("edit", "Editing records.", account_id)

    def run_edit(
        self,
        batch_id: int,
        ids: Sequence[int],
        edits: Mapping[str, FieldEdit],
        account_id: int | None = None,
        progress: Progress = int,
    ) -> RecordBatch:
        """Edit the records of a batch; one that was edited before a stop is counted as having the values already."""
        values = self._editor.parse(edits)
        count = self._editor.edit(ids, values, batch_id, account_id, progress)
        names = [FIELDS[name].lower() for name in values]
        what = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        words = f"{counted(count.changed, 'record')} edited: {what}."
        words += f" {counted(count.same, 'record')} had that already." if count.same else ""
        words += f" {counted(count.missing, 'record')} had been removed meanwhile." if count.missing else ""
        for reason, number in (count.failed or {}).items():
            words += f" {counted(number, 'record')} not changed: {reason}"
        return self._say(batch_id, words, count.changed)

    def remove(self, ids: Sequence[int], account_id: int | None = None, *, words: str = "") -> RecordBatch:
        """Remove records so that they can be put back. Raises `StorageError`; what was removed before that can be put back too."""
        return self.run_removal(self.begin_removal(account_id), ids, words=words)

    def begin_removal(self, account_id: int | None) -> int:
        """Begin the batch of a removal; return its number."""
        return self._begin("remove", "Removing records.", account_id)

    def run_removal(self, batch_id: int, ids: Sequence[int], progress: Progress = int, *, words: str = "") -> RecordBatch:
        """Remove the records of a batch; see `remove`."""
        removed: list[Removed] = []
        try:
            for start in range(0, len(ids), RECORDS_A_WRITE):
                progress(start)
                removed += self._removal.remove(ids[start : start + RECORDS_A_WRITE], batch_id=batch_id)
        finally:
            found = self.removed.count(batch_id)
            batch = self._say(batch_id, words or f"{counted(found, 'record')} removed.", found)
        if found == len(removed) == 1 and not words:
            batch = self._say(batch_id, f"Removed: {_cut(removed[0].artist)}, {_cut(removed[0].title)}.", 1)
        return batch

    def remove_gone(self, only: GoneRecords, account_id: int | None = None) -> list[Removed]:
        """Remove the records that are gone from their source so that they can be put back; see `RecordRemoval.remove_gone`."""
        batch_id = self._begin("remove", "Removing.", account_id)
        try:
            return self._removal.remove_gone(only, batch_id=batch_id)
        finally:
            found = self.removed.count(batch_id)
            self._say(batch_id, f"{counted(found, 'record')} removed that were missing at their source.", found)

    def undo(self, batch_id: int, account_id: int | None = None) -> RecordBatch:
        """Undo a batch; return it with what came of that. Raises `FieldRejected` if it cannot be undone."""
        batch = self.rows.batch(batch_id)
        if batch is None or not self.is_open(batch):
            raise FieldRejected("batch", "This was already undone, or is more than 30 days old.")
        if batch.kind == "edit":
            outcome = self._undo_edit(batch)
        elif batch.kind == "remove":
            outcome = self._undo_removal(batch)
        elif batch.kind == "merge":
            outcome = self.merger.split(batch)
        else:
            outcome = self._undo_import(batch, account_id)
        with self._db.write() as conn:
            self.rows.end(conn, batch_id, self._clock(), outcome)
        logger.info("batch undone id=%d kind=%s account_id=%s", batch_id, batch.kind, account_id)
        return self._known(batch_id)

    def bring_back(self, album_id: int) -> bool:
        """Put one removed record back; return False if it was removed more than 30 days ago, or is there."""
        if self.removed.batch_of(album_id) is None:
            return False
        with self._db.write() as conn:
            return self.removed.put_back(conn, album_id)

    def import_undo(self, batch: RecordBatch) -> ImportUndo:
        """Return what the undo of an import would do."""
        there, touched = self.rows.count_added(batch)
        return ImportUndo(there - touched, touched, batch.added - there, batch.changed)

    def _undo_edit(self, batch: RecordBatch) -> str:
        done, since = self._editor.undo(batch.id)
        words = f"{counted(done, 'record')} as before."
        return words + (f" {counted(since, 'record')} changed again since, or removed: those stay as they are." if since else "")

    def _undo_removal(self, batch: RecordBatch) -> str:
        back = left = last = 0
        while portion := self.removed.ids(batch.id, BACK_AT_A_TIME, last):
            last = portion[-1]
            with self._db.write() as conn:
                for album_id in portion:
                    is_back = self.removed.put_back(conn, album_id)
                    back, left = back + is_back, left + (not is_back)
        words = f"{counted(back, 'record')} put back."
        return words + (f" {counted(left, 'record')} not: the source has brought it back already." if left else "")

    def _undo_import(self, batch: RecordBatch, account_id: int | None) -> str:
        before, kept, since = self._restore(batch)
        will = self.import_undo(batch)
        words = []
        if will.goes:
            removed = self.remove(list(self.rows.untouched(batch)), account_id, words=f"Removed by undoing “{batch.words}”.")
            words.append(f"{counted(self.removed.count(removed.id), 'record')} removed.")
        if will.stays:
            words.append(f"{counted(will.stays, 'record')} kept: played, rated, edited or put in a crate since.")
        if before:
            words.append(f"{counted(before, 'record')} with the values from before.")
        if kept:
            words.append(f"{counted(kept, 'record')} with values of yours, which stay.")
        if since:
            words.append(f"{counted(since, 'record')} changed by a later import, or removed since.")
        return " ".join(words) or "Nothing was left to undo."

    def _restore(self, batch: RecordBatch) -> tuple[int, int, int]:
        """Give records the values from before an import.

        Return how many have them, in how many of those a person's own values stay, and how many were changed since.
        """
        before = kept = since = 0
        for portion in self.rows.changed_ids(batch.id):
            with self._db.write() as conn:
                for album_id in portion:
                    album, stored = self._albums.as_known(conn, album_id), self._albums.album(album_id)
                    body = self.rows.noted(conn, batch.id, album_id)
                    if album is None or stored is None:
                        since += 1
                        continue
                    after, newer = restored(album, body)
                    self._albums.update(conn, album, after)
                    own = source_values(stored)
                    before += len(newer) < len(body)
                    since += bool(newer)
                    kept += not own.keys().isdisjoint(body)
        return before, kept, since

    def _begin(self, kind: str, words: str, account_id: int | None) -> int:
        now = self._clock()
        with self._db.write() as conn:
            covers = self.rows.purge(conn, now)
            batch_id = self.rows.add(conn, kind, words, now, account_id=account_id)
        self._delete(covers)
        return batch_id

    def _delete(self, covers: Iterable[str]) -> None:
        self._removal.delete_covers(covers)

    def _say(self, batch_id: int, words: str, changed: int = 0) -> RecordBatch:
        with self._db.write() as conn:
            self.rows.say(conn, batch_id, words)
            self.rows.set_changed(conn, batch_id, changed)
        return self._known(batch_id)

    def _known(self, batch_id: int) -> RecordBatch:
        found = self.rows.batch(batch_id)
        if found is None:
            raise FieldRejected("batch", "This is more than 30 days old.")
        return found


def _cut(text: str) -> str:
    return text if len(text) <= MAX_NAME_CHARS else text[: MAX_NAME_CHARS - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
