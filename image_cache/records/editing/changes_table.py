"""Table module of the changes that people made to records, in `catalog.db`: what, who, when, so that each can be undone."""

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row
from image_cache.frozen import frozen

KEPT = 50  # changes of one record; older ones are forgotten


@frozen
class RecordChange:
    """One field of a record that was changed. `before` and `after` are texts as in the form; `who` is "" if unknown."""

    id: int
    album_id: int
    field: str
    before: str
    after: str
    changed_at: float
    who: str = ""


class ChangesTable:
    """Any thread, several processes. Methods with a connection belong into the caller's `write()` block."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def add(self, conn: Connection, change: RecordChange, account_id: int | None, batch_id: int | None = None) -> None:
        values = (change.album_id, change.field, change.before, change.after, change.changed_at, account_id, batch_id)
        conn.execute(
            "INSERT INTO record_changes (album_id, field, before, after, changed_at, account_id, batch_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        conn.execute(
            "DELETE FROM record_changes WHERE album_id = ? AND id <="
            " (SELECT id FROM record_changes WHERE album_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (change.album_id, change.album_id, KEPT),
        )

    def changes(self, album_id: int) -> list[RecordChange]:
        """Return the changes of a record, the newest first."""
        return [_change(row) for row in self.db.rows(f"{_CHANGES} WHERE album_id = ? ORDER BY c.id DESC", (album_id,))]

    def of_batch(self, batch_id: int, count: int, after: int = 0) -> list[RecordChange]:
        """Return changes that a batch made and that are not undone, by id, some at a time."""
        sql = f"{_CHANGES} WHERE batch_id = ? AND c.id > ? ORDER BY c.id LIMIT ?"
        return [_change(row) for row in self.db.rows(sql, (batch_id, after, count))]

    def change(self, conn: Connection, change_id: int) -> RecordChange | None:
        row = conn.execute(f"{_CHANGES} WHERE c.id = ?", (change_id,)).fetchone()
        return _change(row) if row else None

    def remove(self, conn: Connection, change_id: int) -> None:
        conn.execute("DELETE FROM record_changes WHERE id = ?", (change_id,))


_CHANGES = (
    "SELECT c.id, album_id, field, before, after, changed_at, coalesce(name, '') AS who FROM record_changes AS c"
    " LEFT JOIN accounts ON accounts.id = c.account_id"
)


def _change(row: Row) -> RecordChange:
    return RecordChange(*row)
