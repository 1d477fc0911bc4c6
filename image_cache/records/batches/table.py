"""Table module of batches in `catalog.db`: what was done to many records at once, and what each changed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.frozen import frozen

KEPT_S = 30 * 86400.0  # how long a batch can be undone
AT_A_TIME = 200


@frozen
class RecordBatch:
    """One row. `kind` is edit, remove, merge or import; `added` and `changed` count its records, `who` is "" if unknown."""

    id: int
    kind: str
    words: str
    made_at: float
    added: int
    changed: int
    first_id: int | None
    last_id: int | None
    undone_at: float | None
    outcome: str
    who: str = ""

    def is_open(self, now: float) -> bool:
        """Return True while it can be undone: a merge at any time, anything else for 30 days."""
        return self.undone_at is None and (self.kind == "merge" or now - self.made_at < KEPT_S)

    @property
    def undo_until(self) -> float:
        return self.made_at + KEPT_S


class BatchTable:
    """Any thread, several processes. Methods with a connection belong into the caller's `write()` block."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def add(
        self, conn: Connection, kind: str, words: str, now: float, *, account_id: int | None = None, task_id: int | None = None
    ) -> int:
        """Add a batch; of a task that continues after a stop, return the one it has."""
        if task_id is not None:
            known = conn.execute("SELECT id FROM batches WHERE task_id = ?", (task_id,)).fetchone()
            if known:
                return int(known[0])
        sql = "INSERT INTO batches (kind, words, made_at, account_id, task_id) VALUES (?, ?, ?, ?, ?) RETURNING id"
        return int(conn.execute(sql, (kind, words, now, account_id, task_id)).fetchone()[0])

    def batch(self, batch_id: int) -> RecordBatch | None:
        row = self.db.row(f"{_BATCHES} WHERE b.id = ?", (batch_id,)) if 0 < batch_id < 2**63 else None
        return RecordBatch(*row) if row else None

    def of_task(self, task_id: int) -> int | None:
        """Return the batch of an import that a task ran, None if it changed nothing."""
        row = self.db.row("SELECT id FROM batches WHERE task_id = ?", (task_id,))
        return int(row[0]) if row else None

    def imports(self, count: int) -> list[RecordBatch]:
        """Return the newest imports, the newest first."""
        rows = self.db.rows(f"{_BATCHES} WHERE b.kind = 'import' ORDER BY b.id DESC LIMIT ?", (count,))
        return [RecordBatch(*row) for row in rows]

    def recent(self, count: int) -> list[RecordBatch]:
        """Return the newest batches that are no imports, the newest first; also one that failed half way."""
        did = "(changed > 0 OR EXISTS (SELECT 1 FROM record_changes WHERE batch_id = b.id))"
        rows = self.db.rows(f"{_BATCHES} WHERE b.kind <> 'import' AND {did} ORDER BY b.id DESC LIMIT ?", (count,))
        return [RecordBatch(*row) for row in rows]

    def say(self, conn: Connection, batch_id: int, words: str) -> None:
        conn.execute("UPDATE batches SET words = ? WHERE id = ?", (words, batch_id))

    def count(self, conn: Connection, batch_id: int, added: int, changed: int, ids: Sequence[int]) -> None:
        """Add to the counts of an import; `ids` are the lowest and the highest id of what it added, or empty."""
        conn.execute("UPDATE batches SET added = added + ?, changed = changed + ? WHERE id = ?", (added, changed, batch_id))
        if ids:
            conn.execute(
                "UPDATE batches SET first_id = CASE WHEN first_id <= ?1 THEN first_id ELSE ?1 END,"
                " last_id = CASE WHEN last_id >= ?2 THEN last_id ELSE ?2 END WHERE id = ?3",
                (min(ids), max(ids), batch_id),
            )

    def set_changed(self, conn: Connection, batch_id: int, changed: int) -> None:
        conn.execute("UPDATE batches SET changed = ? WHERE id = ?", (changed, batch_id))

    def end(self, conn: Connection, batch_id: int, now: float, outcome: str) -> None:
        """Mark a batch as undone."""
        conn.execute("UPDATE batches SET undone_at = ?, outcome = ? WHERE id = ?", (now, outcome, batch_id))

    def purge(self, conn: Connection, now: float) -> list[str]:
        """Delete the batches that can no longer be undone; return the uploaded covers of what was removed by them."""
        before = now - KEPT_S
        sql = (
            "SELECT address FROM removed_files JOIN removed_records USING (album_id) JOIN batches AS b ON b.id = batch_id"
            " WHERE made_at <= ? AND kind <> 'merge'"
        )
        covers = [row[0] for row in conn.execute(sql, (before,))]
        conn.execute("DELETE FROM batches WHERE made_at <= ? AND kind <> 'merge'", (before,))
        return covers

    # What a batch changed of records

    def note(self, conn: Connection, batch_id: int, album_id: int, body: Mapping[str, Any]) -> bool:
        """Keep what a batch changed of a record, with what it has changed of it before; return True if it was the first time."""
        text = _json(body)
        sql = "INSERT INTO batch_changes VALUES (?, ?, ?) ON CONFLICT (batch_id, album_id) DO NOTHING"
        added = conn.execute(sql, (batch_id, album_id, text)).rowcount
        if added:
            return True
        known = self.noted(conn, batch_id, album_id)
        for name, (before, after) in body.items():
            known[name] = [known[name][0] if name in known else before, after]
        where = (_json(known), batch_id, album_id)
        conn.execute("UPDATE batch_changes SET body = ? WHERE batch_id = ? AND album_id = ?", where)
        return False

    def noted(self, conn: Connection, batch_id: int, album_id: int) -> dict[str, Any]:
        sql = "SELECT body FROM batch_changes WHERE batch_id = ? AND album_id = ?"
        row = conn.execute(sql, (batch_id, album_id)).fetchone()
        found: dict[str, Any] = json.loads(row[0]) if row else {}
        return found

    def changed_ids(self, batch_id: int) -> Iterator[list[int]]:
        """Yield the records that a batch changed, some at a time."""
        last = 0
        sql = "SELECT album_id FROM batch_changes WHERE batch_id = ? AND album_id > ? ORDER BY album_id LIMIT ?"
        while rows := self.db.rows(sql, (batch_id, last, AT_A_TIME)):
            yield [row[0] for row in rows]
            last = rows[-1][0]

    # What an import added

    def untouched(self, batch: RecordBatch) -> Iterator[int]:
        """Yield what an import added, is still there, and no one has played, rated, edited or put in a crate since."""
        last = (batch.first_id or 1) - 1
        sql = f"SELECT id FROM albums WHERE id > ? AND id <= ? AND import_id = ? AND NOT {_TOUCHED} ORDER BY id LIMIT ?"
        while rows := self.db.rows(sql, (last, batch.last_id or 0, batch.id, batch.made_at, AT_A_TIME)):
            yield from (row[0] for row in rows)
            last = rows[-1][0]

    def count_added(self, batch: RecordBatch) -> tuple[int, int]:
        """Return how many records of an import are still there, and how many of them a person has touched since."""
        sql = f"SELECT count(*), count(*) FILTER (WHERE {_TOUCHED}) FROM albums WHERE id BETWEEN ? AND ? AND import_id = ?"
        row = self.db.row(sql, (batch.made_at, batch.first_id or 1, batch.last_id or 0, batch.id))
        return (int(row[0]), int(row[1])) if row else (0, 0)


_TOUCHED = (
    "(is_touched = 1 OR own_rating IS NOT NULL OR own_cover IS NOT NULL OR source_values <> '' OR coalesce(last_played_at, 0) > ? OR EXISTS (SELECT 1 FROM crate_records WHERE album_id = albums.id)"
    " OR EXISTS (SELECT 1 FROM record_images WHERE album_id = albums.id)"
    " OR EXISTS (SELECT 1 FROM record_changes WHERE album_id = albums.id))"
)
_BATCHES = (
    "SELECT b.id, kind, words, made_at, added, changed, first_id, last_id, undone_at, outcome, coalesce(name, '') AS who"
    " FROM batches AS b LEFT JOIN accounts ON accounts.id = b.account_id"
)


def _json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
