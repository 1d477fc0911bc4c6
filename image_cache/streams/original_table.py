"""Table module of originals: which uploaded files the catalogue names, for scrub, backup and restore."""

from collections.abc import Iterator
from dataclasses import dataclass

from image_cache.db.database import Connection, Database

IDS_PER_STATEMENT = 500
FIRST, LAST = "", "g"  # below and above every id: they are hexadecimal


@dataclass(frozen=True, slots=True)
class StoredOriginal:
    """The untouched bytes of a stream image: their path in the storage, size and checksum."""

    image_id: str
    file_path: str
    size_bytes: int
    sha256: bytes


def originals_in(conn: Connection) -> Iterator[StoredOriginal]:
    """Yield the originals that a catalogue of any version names; one from before there were streams names none."""
    if conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'stream_images'").fetchone():
        for row in conn.execute("SELECT id, file_path, size_bytes, sha256 FROM stream_images ORDER BY id"):
            yield StoredOriginal(row["id"], row["file_path"], row["size_bytes"], row["sha256"])


class OriginalTable:
    """Any thread, several processes."""

    def __init__(self, database: Database) -> None:
        self.db = database

    def originals(self, first: str = FIRST, last: str = LAST) -> Iterator[StoredOriginal]:
        """Yield the originals of the image ids from `first` up to `last`, by id. Reads in chunks, so that no transaction stays open."""
        sql = "SELECT id, file_path, size_bytes, sha256 FROM stream_images WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
        while rows := self.db.rows(sql, (first, last, IDS_PER_STATEMENT)):
            yield from (StoredOriginal(row["id"], row["file_path"], row["size_bytes"], row["sha256"]) for row in rows)
            first = rows[-1]["id"] + " "

    def is_known(self, file_path: str) -> bool:
        """Return True if an image or an orphan has this path."""
        sql = "SELECT 1 FROM stream_images WHERE file_path = ? UNION ALL SELECT 1 FROM stray_originals WHERE file_path = ?"
        return self.db.row(sql, (file_path, file_path)) is not None

    def count(self) -> int:
        return int(self.db.rows("SELECT count(*) FROM stream_images")[0][0])

    def total_bytes(self) -> int:
        row = self.db.row("SELECT coalesce(sum(size_bytes), 0) FROM stream_images")
        return int(row[0]) if row else 0
