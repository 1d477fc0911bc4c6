"""What a pass through somebody else's collection asks of `catalog.db`: copies of releases, what was seen, what is gone, wishes.

Statements only; what they mean is the library's business.
"""

from collections.abc import Iterable

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.models import Album
from image_cache.records.table import album_columns, album_from

MOST_WISHES = (
    100  # that may be asked for; somebody who opens more gets the newest first and the others when they are opened again
)
MOST_FAILED = 1000

_KNOWN = "source = ? AND instance_id <> '' AND instance_id NOT IN (SELECT instance_id FROM sync_seen WHERE source = ?)"


class SyncTable:
    """Rows of a source in the catalogue. Methods with a connection belong into the caller's `write()` block."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.catalog = catalog
        self.db = catalog

    # A pass

    def begin(self, conn: Connection, source: str) -> None:
        conn.execute("DELETE FROM sync_seen WHERE source = ?", (source,))

    def saw(self, conn: Connection, source: str, instance_ids: Iterable[str]) -> None:
        conn.executemany("INSERT OR IGNORE INTO sync_seen VALUES (?, ?)", [(source, one) for one in instance_ids if one])

    def missing(self, source: str) -> int:
        """Return how many copies were there before and were not seen in this pass."""
        row = self.db.row(f"SELECT count(*) AS n FROM albums WHERE {_KNOWN} AND gone_at IS NULL", (source, source))
        return int(row["n"]) if row else 0

    def mark_gone(self, conn: Connection, source: str, now: float, seen_at: float | None) -> int:
        """Mark what was not seen as gone; `seen_at` is when all of it was seen last. Returns how many."""
        return conn.execute(
            f"UPDATE albums SET gone_at = ?, seen_at = coalesce(?, seen_at) WHERE {_KNOWN} AND gone_at IS NULL",
            (now, seen_at, source, source),
        ).rowcount

    def gone(self, source: str, most: int) -> tuple[int, list[Album]]:
        """Return how many albums are gone, and the first of them by artist."""
        where = "source = ? AND gone_at IS NOT NULL"
        count = self.db.row(f"SELECT count(*) AS n FROM albums WHERE {where}", (source,))
        sql = f"SELECT {album_columns()} FROM albums WHERE {where} ORDER BY artist_sort, title_sort, id LIMIT ?"
        return int(count["n"]) if count else 0, [album_from(row) for row in self.db.rows(sql, (source, most))]

    # Wishes

    def enqueue_details(self, album_id: int, now: float) -> bool:
        """Wish for the details of an album; tell whether they are on their way. A wish that is known writes nothing."""
        row = self.db.row("SELECT retry_at FROM detail_wishes WHERE album_id = ?", (album_id,))
        if row is not None:
            return bool(row["retry_at"] <= now)
        with self.db.write() as conn:
            conn.execute(
                "INSERT INTO detail_wishes (album_id, asked_at) SELECT id, ? FROM albums WHERE id = ? ON CONFLICT DO NOTHING",
                (now, album_id),
            )
            for most, failed in ((MOST_WISHES, "="), (MOST_FAILED, ">")):
                conn.execute(
                    f"DELETE FROM detail_wishes WHERE failures {failed} 0 AND album_id NOT IN"
                    f" (SELECT album_id FROM detail_wishes WHERE failures {failed} 0 ORDER BY asked_at DESC LIMIT ?)",
                    (most,),
                )
        return True

    def next_details(self, now: float) -> tuple[int, int] | None:
        """Return (album id, failures so far) of the newest wish that may be asked for now."""
        row = self.db.row(
            "SELECT album_id, failures FROM detail_wishes WHERE retry_at <= ? ORDER BY failures, asked_at DESC LIMIT 1", (now,)
        )
        return (row["album_id"], row["failures"]) if row else None

    def details_failed(self, album_id: int, retry_at: float) -> None:
        with self.db.write() as conn:
            conn.execute(
                "UPDATE detail_wishes SET failures = failures + 1, retry_at = ? WHERE album_id = ?", (retry_at, album_id)
            )

    def details_done(self, conn: Connection, album_id: int) -> None:
        conn.execute("DELETE FROM detail_wishes WHERE album_id = ?", (album_id,))

    def clear_details(self) -> None:
        with self.db.write() as conn:
            conn.execute("DELETE FROM detail_wishes")
