"""Sync tables of `catalog.db`: which copies a pass has seen, which are gone, whose details are queued. Statements only."""

from collections.abc import Iterable

from image_cache.db.catalog import CatalogDatabase, gone_changed
from image_cache.db.database import Connection
from image_cache.db.dialect import by_index

MAX_QUEUED = 100  # records; the oldest ones beyond are queued again when they are opened again
MAX_FAILED = 1000

# The condition of the partial index `albums_untracked`, word by word.
_UNTRACKED = "source = 'discogs' AND detailed_at IS NULL AND gone_at IS NULL AND id NOT IN (SELECT album_id FROM detail_wishes)"
_BY_ID = by_index("albums_untracked")
_KNOWN = "source = ? AND instance_id <> '' AND instance_id NOT IN (SELECT instance_id FROM sync_seen WHERE source = ?)"


class SyncTable:
    """The rows of a source. Methods with a connection belong into the caller's `write()` block. Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    # A pass

    def start_pass(self, conn: Connection, source: str) -> None:
        conn.execute("DELETE FROM sync_seen WHERE source = ?", (source,))

    def mark_seen(self, conn: Connection, source: str, instance_ids: Iterable[str]) -> None:
        conn.executemany(
            "INSERT INTO sync_seen VALUES (?, ?) ON CONFLICT (source, instance_id) DO NOTHING",
            [(source, instance) for instance in instance_ids if instance],
        )

    def missing(self, source: str) -> int:
        """Return how many known copies this pass has not seen."""
        row = self.db.row(f"SELECT count(*) AS n FROM albums WHERE {_KNOWN} AND gone_at IS NULL", (source, source))
        return int(row["n"]) if row else 0

    def mark_gone(self, conn: Connection, source: str, now: float, seen_at: float | None) -> int:
        """Mark the copies that were not seen as gone; `seen_at` is when all of them were seen last. Return how many."""
        count = conn.execute(
            f"UPDATE albums SET gone_at = ?, seen_at = coalesce(?, seen_at) WHERE {_KNOWN} AND gone_at IS NULL",
            (now, seen_at, source, source),
        ).rowcount
        if count:
            gone_changed(conn)
        return count

    # Details

    def enqueue_details(self, album_id: int, now: float) -> bool:
        """Queue the details of an album; return True if they may be fetched now. Writes nothing if they are queued already."""
        row = self.db.row("SELECT retry_at FROM detail_wishes WHERE album_id = ?", (album_id,))
        if row is not None:
            return bool(row["retry_at"] <= now)
        with self.db.write() as conn:
            conn.execute(
                "INSERT INTO detail_wishes (album_id, asked_at) SELECT id, ? FROM albums WHERE id = ? ON CONFLICT (album_id) DO NOTHING",
                (now, album_id),
            )
            for limit, failed in ((MAX_QUEUED, "="), (MAX_FAILED, ">")):
                conn.execute(
                    f"DELETE FROM detail_wishes WHERE failures {failed} 0 AND album_id NOT IN"
                    f" (SELECT album_id FROM detail_wishes WHERE failures {failed} 0 ORDER BY asked_at DESC LIMIT ?)",
                    (limit,),
                )
        return True

    def next_details(self, now: float) -> tuple[int, int] | None:
        """Return (album id, failures so far) of the newest details that may be fetched now."""
        row = self.db.row(
            "SELECT album_id, failures FROM detail_wishes WHERE retry_at <= ? ORDER BY failures, asked_at DESC LIMIT 1", (now,)
        )
        return (row["album_id"], row["failures"]) if row else None

    def details_failed(self, album_id: int, retry_at: float) -> None:
        with self.db.write() as conn:
            conn.execute(
                "UPDATE detail_wishes SET failures = failures + 1, retry_at = ? WHERE album_id = ?", (retry_at, album_id)
            )

    def count_untracked(self) -> int:
        """Return how many records have never had their tracks fetched."""
        row = self.db.row(f"SELECT count(*) FROM albums{_BY_ID} WHERE {_UNTRACKED}")
        return int(row[0]) if row else 0

    def untracked(self, before: int | None, count: int) -> list[tuple[int, str]]:
        """Return (album id, source id) of records whose tracks are unknown, the newest first, from below an id on."""
        rows = self.db.rows(
            f"SELECT id, source_id FROM albums{_BY_ID} WHERE {_UNTRACKED} AND id < ? ORDER BY id DESC LIMIT ?",
            (2**63 - 1 if before is None else before, count),
        )
        return [(row["id"], row["source_id"]) for row in rows]

    def put_off_details(self, conn: Connection, album_id: int, now: float, retry_at: float) -> None:
        """Retry to fetch the details of an album later."""
        conn.execute(
            "INSERT INTO detail_wishes (album_id, asked_at, failures, retry_at) SELECT id, ?, 1, ? FROM albums WHERE id = ?"
            " ON CONFLICT (album_id) DO UPDATE SET failures = detail_wishes.failures + 1, retry_at = excluded.retry_at",
            (now, retry_at, album_id),
        )

    def details_done(self, conn: Connection, album_id: int) -> None:
        conn.execute("DELETE FROM detail_wishes WHERE album_id = ?", (album_id,))

    def clear_details(self) -> None:
        with self.db.write() as conn:
            conn.execute("DELETE FROM detail_wishes")
