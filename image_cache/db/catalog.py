"""The catalogue, `catalog.db`: the precious database, written durably; and the settings in it that operators change at run time."""

from pathlib import Path

from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.database import Connection, Database
from image_cache.locks import FileLocks, Locks


class CatalogDatabase(Database):
    """The database file, shared by the table modules of all rooms. Any thread, several processes."""

    node = ""  # the name of this node among those that share the catalogue; empty if there are no others

    def __init__(self, path: Path, *, is_reader: bool = False) -> None:
        super().__init__(path, MIGRATIONS, synchronous="FULL", is_reader=is_reader)

    def check(self) -> None:
        """Raise `DatabaseError` if the catalogue cannot be read, `WrongVersion` if it has the schema of another version."""
        self.row("SELECT value FROM revisions LIMIT 1")

    def locks(self, folder: Path) -> Locks:
        """Return locks for all who share this catalogue: the processes of this machine, by lock files in the folder."""
        return FileLocks(folder)


class SettingsTable:
    """Names and values. Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def values(self, prefix: str) -> dict[str, str]:
        """Return the settings whose names start with the prefix."""
        rows = self._db.rows("SELECT name, value FROM settings WHERE substr(name, 1, ?) = ?", (len(prefix), prefix))
        return {str(name): str(value) for name, value in rows}

    def set(self, values: dict[str, str]) -> None:
        with self._db.write() as conn:
            conn.executemany(
                "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", list(values.items())
            )


def gone_changed(conn: Connection) -> None:
    """Invalidate results of the wall: which records are missing has changed, and no trigger notices that."""
    conn.execute("UPDATE revisions SET value = value + 1 WHERE name = 'albums'")
