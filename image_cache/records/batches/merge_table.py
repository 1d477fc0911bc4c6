"""Table module of merged records in `catalog.db`: what moves from one record to another, and back."""

import json
from collections.abc import Sequence
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.db.dialect import NUMBERS

OWN_COLUMNS = ("own_rating", "own_cover")  # an import never writes them, so that no field of an album stands for them


class MergeTable:
    """Any thread, several processes. Methods with a connection belong into the caller's `write()` block."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def own(self, conn: Connection, album_id: int) -> dict[str, Any]:
        """Return the rating and the cover that were given here."""
        row = conn.execute(f"SELECT {', '.join(OWN_COLUMNS)} FROM albums WHERE id = ?", (album_id,)).fetchone()
        return dict(row) if row else {}

    def set_own(self, conn: Connection, album_id: int, name: str, value: object) -> None:
        if name in OWN_COLUMNS:
            conn.execute(f"UPDATE albums SET {name} = ? WHERE id = ?", (value, album_id))

    def move(self, conn: Connection, from_id: int, to_id: int) -> tuple[list[int], list[int]]:
        """Move the plays of a record to another, give that its further images, and put it in its crates.

        Returns the plays, and the crates that are new to it.
        """
        plays = [row[0] for row in conn.execute("SELECT id FROM plays WHERE album_id = ? ORDER BY id", (from_id,))]
        conn.execute("UPDATE plays SET album_id = ? WHERE album_id = ?", (to_id, from_id))
        conn.execute(
            "INSERT INTO record_images (album_id, kind, address, place) SELECT ?, kind, address, 1000 + place FROM record_images"
            " WHERE album_id = ? ON CONFLICT (album_id, address) DO NOTHING",
            (to_id, from_id),
        )
        sql = (
            "INSERT INTO crate_records SELECT crate_id, ?, place FROM crate_records WHERE album_id = ?"
            " ON CONFLICT (crate_id, album_id) DO NOTHING RETURNING crate_id"
        )
        return plays, [row[0] for row in conn.execute(sql, (to_id, from_id))]

    def move_back(self, conn: Connection, from_id: int, to_id: int, plays: Sequence[int], crates: Sequence[int]) -> None:
        """Move plays and further images back to a record that is there again, and take the other out of crates."""
        images = "SELECT address FROM record_images WHERE album_id = ?"
        conn.execute(f"DELETE FROM record_images WHERE album_id = ? AND address IN ({images})", (from_id, to_id))
        sql = f"UPDATE plays SET album_id = ? WHERE album_id = ? AND id IN ({NUMBERS})"
        conn.execute(sql, (to_id, from_id, json.dumps(list(plays))))
        sql = f"DELETE FROM crate_records WHERE album_id = ? AND crate_id IN ({NUMBERS})"
        conn.execute(sql, (from_id, json.dumps(list(crates))))

    def merges(self, album_id: int) -> list[tuple[int, str]]:
        """Return the merges into a record that can be undone: (batch, what was merged), the last one first."""
        sql = (
            "SELECT b.id, words FROM batches AS b JOIN batch_changes AS c ON c.batch_id = b.id AND c.album_id = ?"
            " WHERE kind = 'merge' AND undone_at IS NULL ORDER BY b.id DESC"
        )
        return [(row[0], row[1]) for row in self.db.rows(sql, (album_id,))]
