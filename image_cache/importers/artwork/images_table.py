"""Table module of the further images of records in `catalog.db`: back, inner sleeve, label. SQL only."""

from image_cache.db.catalog import CatalogDatabase
from image_cache.frozen import frozen


@frozen
class RecordImage:
    """One further image. `kind` is one of `KINDS`; `address` is that of the uploaded file, as for covers."""

    id: int
    kind: str
    address: str


class RecordImageTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def of(self, album_id: int) -> list[RecordImage]:
        """Return the images of a record in their order."""
        rows = self._db.rows("SELECT id, kind, address FROM record_images WHERE album_id = ? ORDER BY place", (album_id,))
        return [RecordImage(*row) for row in rows]

    def add(self, album_id: int, kind: str, address: str, limit: int) -> bool:
        """Add an image at the end; False if the record is gone, has it already, or has as many as `limit`."""
        with self._db.write() as conn:
            return (
                conn.execute(
                    "INSERT INTO record_images (album_id, kind, address, place)"
                    " SELECT id, ?2, ?3, (SELECT coalesce(max(place), 0) + 1 FROM record_images WHERE album_id = ?1) FROM albums"
                    " WHERE id = ?1 AND (SELECT count(*) FROM record_images WHERE album_id = ?1) < ?4"
                    " ON CONFLICT (album_id, address) DO NOTHING",
                    (album_id, kind, address, limit),
                ).rowcount
                == 1
            )

    def has(self, album_id: int, address: str) -> bool:
        sql = "SELECT 1 FROM record_images WHERE album_id = ? AND address = ?"
        return self._db.row(sql, (album_id, address)) is not None

    def move(self, album_id: int, image_id: int, *, is_later: bool) -> bool:
        """Change places with the image after it, or the one before; False if there is none."""
        relation, order = (">", "") if is_later else ("<", " DESC")
        with self._db.write() as conn:
            sql = "SELECT place FROM record_images WHERE album_id = ? AND id = ?"
            own = conn.execute(sql, (album_id, image_id)).fetchone()
            if own is None:
                return False
            sql = f"SELECT id, place FROM record_images WHERE album_id = ? AND place {relation} ? ORDER BY place{order} LIMIT 1"
            other = conn.execute(sql, (album_id, own["place"])).fetchone()
            if other is None:
                return False
            places = [(other["place"], image_id), (own["place"], other["id"])]
            conn.executemany("UPDATE record_images SET place = ? WHERE id = ?", places)
            return True

    def remove(self, album_id: int, image_id: int) -> str | None:
        """Remove an image; return its address, None if the record has no such image."""
        with self._db.write() as conn:
            sql = "DELETE FROM record_images WHERE album_id = ? AND id = ? RETURNING address"
            row = conn.execute(sql, (album_id, image_id)).fetchone()
            return str(row["address"]) if row else None
