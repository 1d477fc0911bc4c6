"""Table module of the lookup: which records of the collection have a barcode, or a name."""

from collections.abc import Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import parameter_marks


class OwnedTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def with_barcode(self, barcodes: Sequence[str]) -> list[int]:
        """Return the ids of the records with one of these barcodes, the oldest first."""
        if not barcodes:
            return []
        # The condition of the partial index is repeated: SQLite cannot know it from a parameter.
        sql = f"SELECT id FROM albums WHERE barcode IN ({parameter_marks(len(barcodes))}) AND barcode <> '' ORDER BY id"
        return [row["id"] for row in self._db.rows(sql, list(barcodes))]

    def with_names(self, keys: Sequence[str]) -> list[int]:
        """Return the ids of the records with one of these keys of artist and title, the oldest first."""
        if not keys:
            return []
        sql = f"SELECT DISTINCT album_id FROM keys WHERE kind = 'b' AND key IN ({parameter_marks(len(keys))}) ORDER BY album_id"
        return [row["album_id"] for row in self._db.rows(sql, list(keys))]
