"""Table module of originals: which uploaded files the catalogue names, for scrub, backup and restore."""

from collections.abc import Iterator

from image_cache.db.database import Connection, Database
from image_cache.frozen import frozen

IDS_PER_STATEMENT = 500
# Images in the trash keep their originals until they are deleted for good.
_FACTS = "id, file_path, size_bytes, sha256"
FIRST, LAST = "", "g"  # below and above every id: they are hexadecimal


@frozen
class StoredOriginal:
    """The untouched bytes of a stream image: their path in the storage, size and checksum."""

    image_id: str
    file_path: str
    size_bytes: int
    sha256: bytes


def originals_in(conn: Connection) -> Iterator[StoredOriginal]:
    """Yield the originals that a catalogue of any version names; one from before there were streams names none."""
    for table in ("stream_images", "trashed_images"):
        if conn.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            for row in conn.execute(f"SELECT {_FACTS} FROM {table} ORDER BY id"):
                yield StoredOriginal(row["id"], row["file_path"], row["size_bytes"], row["sha256"])


class OriginalTable:
    """Any thread, several processes."""

    def __init__(self, database: Database) -> None:
        self.db = database

    def originals(self, first: str = FIRST, last: str = LAST) -> Iterator[StoredOriginal]:
        """Yield the originals of the image ids from `first` up to `last`, by id. Reads in chunks, so that no transaction stays open."""
        both = (
            f"SELECT {_FACTS} FROM (SELECT {_FACTS} FROM stream_images WHERE id >= ? AND id < ? ORDER BY id LIMIT ?) AS shown"
            f" UNION ALL SELECT {_FACTS} FROM (SELECT {_FACTS} FROM trashed_images WHERE id >= ? AND id < ? ORDER BY id LIMIT ?) AS trashed"
            " ORDER BY id LIMIT ?"
        )
        while rows := self.db.rows(both, (*(first, last, IDS_PER_STATEMENT) * 2, IDS_PER_STATEMENT)):
            yield from (StoredOriginal(row["id"], row["file_path"], row["size_bytes"], row["sha256"]) for row in rows)
            first = rows[-1]["id"] + " "

    def is_known(self, file_path: str) -> bool:
        """Return True if an image, one in the trash or an orphan has this path."""
        tables = ("stream_images", "trashed_images", "stray_originals")
        sql = " UNION ALL ".join(f"SELECT 1 FROM {table} WHERE file_path = ?" for table in tables)
        return self.db.row(sql, (file_path,) * len(tables)) is not None

    def count(self) -> int:
        return int(self.db.rows("SELECT (SELECT count(*) FROM stream_images) + (SELECT count(*) FROM trashed_images)")[0][0])

    def total_bytes(self) -> int:
        return sum(
            int(self.db.rows(f"SELECT coalesce(sum(size_bytes), 0) FROM {table}")[0][0])
            for table in ("stream_images", "trashed_images")
        )
