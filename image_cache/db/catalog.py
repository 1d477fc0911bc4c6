"""`catalog.db`, the precious database: opened, migrated, written durably. Also the settings that operators change at run time."""

from pathlib import Path

from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.database import Database


class CatalogDatabase(Database):
    """The catalogue's file. Any thread, several processes; the tables of each room share it."""

    def __init__(self, path: Path, *, is_reader: bool = False) -> None:
        super().__init__(path, MIGRATIONS, synchronous="FULL", is_reader=is_reader)


class SettingsTable:
    """Names and values. Any thread, several processes; a change holds for all of them."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def values(self, prefix: str) -> dict[str, str]:
        """Return the settings whose names begin with the prefix."""
        rows = self._db.rows("SELECT name, value FROM settings WHERE substr(name, 1, ?) = ?", (len(prefix), prefix))
        return {str(name): str(value) for name, value in rows}

    def set(self, values: dict[str, str]) -> None:
        with self._db.write() as conn:
            conn.executemany(
                "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", list(values.items())
            )
