"""Table module of the lookup: which records of the collection have a barcode."""

from collections.abc import Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import parameter_marks


class BarcodeTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def records(self, barcodes: Sequence[str]) -> list[int]:
        """Return the ids of the records with one of these barcodes, the oldest first."""
        # The condition of the partial index is repeated: SQLite cannot know it from a parameter.
        sql = f"SELECT id FROM albums WHERE barcode IN ({parameter_marks(len(barcodes))}) AND barcode <> '' ORDER BY id"
        return [row["id"] for row in self._db.rows(sql, list(barcodes))]
