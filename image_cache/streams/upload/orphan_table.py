"""Table module of originals without an image in `catalog.db`: uploads that may not have ended. SQL only."""

from image_cache.db.catalog import CatalogDatabase


class OrphanTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def record(self, file_path: str, image_id: str, now: float) -> None:
        with self.db.write() as conn:
            conn.execute(
                "INSERT INTO stray_originals (file_path, image_id, since) VALUES (?, ?, ?)"
                " ON CONFLICT (file_path) DO UPDATE SET image_id = excluded.image_id, since = excluded.since",
                (file_path, image_id, now),
            )

    def before(self, moment: float) -> list[tuple[str, str]]:
        """Return (file path, image id) of the orphans recorded before a time, and of those from the future: a clock was set back."""
        rows = self.db.rows(
            "SELECT file_path, image_id FROM stray_originals WHERE NOT since BETWEEN ? AND ? LIMIT 500",
            (moment, moment + 86400 * 366),
        )
        return [(row["file_path"], row["image_id"]) for row in rows]

    def delete(self, file_path: str) -> None:
        with self.db.write() as conn:
            conn.execute("DELETE FROM stray_originals WHERE file_path = ?", (file_path,))
