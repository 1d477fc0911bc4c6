"""Table module of removed records in `catalog.db`: all that a record was, so that it can be put back under its old address."""

import itertools
import json
import zlib
from collections.abc import Sequence
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, parameter_marks
from image_cache.records.merge import numbered_id
from image_cache.records.search.index_table import SearchIndexTable

# Tables of what hangs on a record, with the columns that are kept.
_OF_RECORD = {
    "plays": ("played_at", "sides", "account_id", "import_id"),
    "record_changes": ("field", "before", "after", "changed_at", "account_id", "batch_id"),
    "crate_records": ("crate_id", "place"),
    "record_images": ("kind", "address", "place"),
    "record_copies": ("group_id",),
}
# What may have been deleted meanwhile: then nothing is referred to.
_PARENTS = {
    "account_id": "(SELECT id FROM accounts WHERE id = ?)",
    "import_id": "(SELECT id FROM play_imports WHERE id = ?)",
}
_GENERATED = "picture"
HAS_IMAGES = "EXISTS (SELECT 1 FROM record_images WHERE album_id = albums.id)"
OWN = f"(plays > 0 OR own_rating IS NOT NULL OR own_notes <> '' OR own_cover IS NOT NULL OR {HAS_IMAGES})"


class RemovedTable:
    """Any thread, several processes. Methods with a connection belong into the caller's `write()` block."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def keep(self, conn: Connection, batch_id: int, album_ids: Sequence[int]) -> None:
        """Keep records, at most some hundred, before they are deleted."""
        if not album_ids:
            return
        for row in conn.execute(f"SELECT * FROM albums WHERE id IN ({parameter_marks(len(album_ids))})", album_ids).fetchall():
            album = dict(row)
            del album[_GENERATED]
            body: dict[str, Any] = {"albums": album}
            for table, columns in _OF_RECORD.items():
                sql = f"SELECT {', '.join(columns)} FROM {table} WHERE album_id = ?"
                if found := [list(one) for one in conn.execute(sql, (album["id"],))]:
                    body[table] = found
            packed = zlib.compress(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())
            # What was kept of an earlier record goes along with its files.
            conn.execute("DELETE FROM removed_records WHERE album_id = ?", (album["id"],))
            conn.execute("INSERT INTO removed_records VALUES (?, ?, ?)", (album["id"], batch_id, packed))
            files = [album["own_cover"], *(image[1] for image in body.get("record_images", ()))]
            conn.executemany("INSERT INTO removed_files VALUES (?, ?)", [(album["id"], one) for one in files if one])

    def ids(self, batch_id: int, count: int, after: int = 0) -> list[int]:
        """Return the records that a batch removed and that are not back, some at a time."""
        sql = "SELECT album_id FROM removed_records WHERE batch_id = ? AND album_id > ? ORDER BY album_id LIMIT ?"
        return [row[0] for row in self.db.rows(sql, (batch_id, after, count))]

    def count(self, batch_id: int) -> int:
        row = self.db.row("SELECT count(*) FROM removed_records WHERE batch_id = ?", (batch_id,))
        return int(row[0]) if row else 0

    def batch_of(self, album_id: int) -> int | None:
        """Return the batch that removed a record, None if it cannot be put back."""
        row = (
            self.db.row("SELECT batch_id FROM removed_records WHERE album_id = ?", (album_id,)) if 0 < album_id < 2**63 else None
        )
        return int(row[0]) if row else None

    def body(self, conn: Connection, album_id: int) -> dict[str, Any] | None:
        """Return all that a removed record was, by table."""
        row = conn.execute("SELECT body FROM removed_records WHERE album_id = ?", (album_id,)).fetchone()
        found: dict[str, Any] | None = json.loads(zlib.decompress(row[0])) if row else None
        return found

    def put_back(self, conn: Connection, album_id: int) -> bool:
        """Put a record back as it was, and no longer hidden; False if its source has brought it back already and people have used that one since."""
        body = self.body(conn, album_id)
        if body is None:
            return False
        album = body["albums"]
        sql = f"SELECT id, {OWN} OR source_values <> '', instance_id FROM albums WHERE source = ? AND source_id = ?"
        again = conn.execute(sql, (album["source"], album["source_id"])).fetchone()
        if again and again[2] and again[2] != album["instance_id"]:  # another copy of the same release has its name now
            album["source_id"], again = self._free_name(conn, album["source"], album["source_id"]), None
        if again and again[1]:
            return False
        index = SearchIndexTable(self.db)
        if again:  # a copy of the same record that no one has used: the old one has all that was theirs
            index.remove(conn, [again[0]])
            conn.execute("DELETE FROM albums WHERE id = ?", (again[0],))
        names = list(album)
        conn.execute(f"INSERT INTO albums ({', '.join(names)}) VALUES ({parameter_marks(len(names))})", list(album.values()))
        for table, columns in _OF_RECORD.items():
            marks = ", ".join(_PARENTS.get(name, "?") for name in columns)
            into = f"INSERT INTO {table} ({', '.join(columns)}, album_id) SELECT {marks}, ? WHERE"
            into += " EXISTS (SELECT 1 FROM crates WHERE id = ?)" if table == "crate_records" else " true"
            into += " ON CONFLICT DO NOTHING"
            for one in body.get(table, ()):
                conn.execute(into, (*one, album_id, one[0]) if table == "crate_records" else (*one, album_id))
        index.put_back(conn, album_id)
        conn.execute("DELETE FROM removed_records WHERE album_id = ?", (album_id,))
        conn.execute("DELETE FROM hidden_records WHERE album_id = ?", (album_id,))
        return True

    def _free_name(self, conn: Connection, source: str, release: str) -> str:
        sql = "SELECT 1 FROM albums WHERE source = ? AND source_id = ?"
        names = (numbered_id(release.partition("-")[0], number) for number in itertools.count(2))
        return next(name for name in names if conn.execute(sql, (source, name)).fetchone() is None)
