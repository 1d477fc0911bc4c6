"""Table module of the last change of many images that an account can undo. SQL only; `selection` says what is undone how."""

import json
from dataclasses import field
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.frozen import frozen


@frozen
class Undo:
    """One change. `before` depends on the action; `failed` has the reason for each image that was not changed, by its id."""

    number: int
    stream_id: int
    account_id: int
    action: str
    before: dict[str, Any]
    failed: dict[str, str] = field(default_factory=dict)
    created_at: float = 0.0


class UndoTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def set(self, undo: Undo) -> int:
        """Store a change in place of the last one of its account; return its number, which is not given out twice."""
        with self._db.write() as conn:
            conn.execute("DELETE FROM stream_undos WHERE account_id = ?", (undo.account_id,))
            row = conn.execute(
                "INSERT INTO stream_undos (stream_id, account_id, action, before, failed, created_at) VALUES (?, ?, ?, ?, ?, ?)"
                " RETURNING id",
                (
                    undo.stream_id,
                    undo.account_id,
                    undo.action,
                    json.dumps(undo.before),
                    json.dumps(undo.failed),
                    undo.created_at,
                ),
            ).fetchone()
            return int(row["id"])

    def get(self, number: int, account_id: int) -> Undo | None:
        row = self._db.row("SELECT * FROM stream_undos WHERE id = ? AND account_id = ?", (number, account_id))
        if row is None:
            return None
        return Undo(
            row["id"],
            row["stream_id"],
            row["account_id"],
            row["action"],
            json.loads(row["before"]),
            json.loads(row["failed"]),
            row["created_at"],
        )

    def delete(self, number: int) -> bool:
        """Delete a change; return False if there is none: then it was undone, or another came after it."""
        with self._db.write() as conn:
            return conn.execute("DELETE FROM stream_undos WHERE id = ?", (number,)).rowcount == 1
