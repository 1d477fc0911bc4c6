"""Which images have their variants in the store: the column `stored_at` of the shared register, which only many nodes have."""

from collections.abc import Iterable, Iterator

from image_cache.db.database import Connection, Database
from image_cache.frozen import frozen


@frozen
class FetchedImage:
    """An image that was fetched, with the SHA-256 of what its origin sent."""

    digest: str
    body_sha256: bytes


class StoredTable:
    """Any thread, all nodes. `stored_at` is None while the store does not have what was rendered from the body in the row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_stored(self, digest: str) -> bool:
        """Return True if the store had the variants of the image when they were stored."""
        row = self._database.row("SELECT stored_at FROM images WHERE digest = ?", (bytes.fromhex(digest),))
        return row is not None and row[0] is not None

    def is_registered(self, conn: Connection, digest: str) -> bool:
        """Return True if the image is in the register; it may have been cleared or deleted since a job began."""
        return conn.execute("SELECT 1 FROM images WHERE digest = ?", (bytes.fromhex(digest),)).fetchone() is not None

    def keeper_of(self, digest: str) -> str | None:
        """Return the process that has fetched what the store does not have; None if it is stored, or that is not known."""
        row = self._database.row("SELECT kept_by FROM images WHERE digest = ? AND stored_at IS NULL", (bytes.fromhex(digest),))
        return None if row is None else row[0]

    def keepers(self) -> list[str]:
        """Return all processes whose nodes have what the store does not have."""
        sql = "SELECT DISTINCT kept_by FROM images WHERE stored_at IS NULL AND kept_by IS NOT NULL"
        return [row[0] for row in self._database.rows(sql)]

    def record(self, conn: Connection, digest: str, stored_at: float | None, kept_by: str | None) -> None:
        """Write it in the transaction that records the fetch: another body is not in the store because the last one was."""
        conn.execute("UPDATE images SET stored_at = ?, kept_by = ? WHERE digest = ?", (stored_at, kept_by, bytes.fromhex(digest)))

    def mark(self, images: Iterable[FetchedImage], stored_at: float) -> None:
        """Record that the store has these images now, but none that was fetched again with another body."""
        with self._database.write() as conn:
            conn.executemany(
                "UPDATE images SET stored_at = ? WHERE digest = ? AND body_sha256 = ?",
                [(stored_at, bytes.fromhex(image.digest), image.body_sha256) for image in images],
            )

    def unmark(self, image: FetchedImage) -> None:
        """Record that the store has lost the image: a node that has its files stores it again."""
        with self._database.write() as conn:
            conn.execute(
                "UPDATE images SET stored_at = NULL WHERE digest = ? AND body_sha256 = ?",
                (bytes.fromhex(image.digest), image.body_sha256),
            )

    def unstored(self, namespace: str, after: str, count: int) -> list[FetchedImage]:
        """Return fetched images that are not in the store, in the order of their digests, those after one of them."""
        rows = self._database.rows(
            "SELECT digest, body_sha256 FROM images WHERE namespace = ? AND fetched_at IS NOT NULL AND stored_at IS NULL"
            " AND body_sha256 IS NOT NULL AND digest > ? ORDER BY digest LIMIT ?",
            (namespace, bytes.fromhex(after), count),
        )
        return [FetchedImage(row[0].hex(), row[1]) for row in rows]

    def fetched(self) -> Iterator[FetchedImage]:
        """Yield all fetched images."""
        for digest, body_sha256 in self._database.stream("SELECT digest, body_sha256 FROM images WHERE body_sha256 IS NOT NULL"):
            yield FetchedImage(digest.hex(), body_sha256)

    def body_of(self, digest: str) -> bytes | None:
        """Return the SHA-256 of the body that the image was rendered from; None if it is not registered or was not fetched."""
        row = self._database.row("SELECT body_sha256 FROM images WHERE digest = ?", (bytes.fromhex(digest),))
        return None if row is None else row[0]
