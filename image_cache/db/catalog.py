"""What operators change while the program runs, in `catalog.db`. Statements only; what is allowed is the caller's business."""

from image_cache.records.table import Catalog


class SettingRows:
    """Names and values. Any thread, several processes; a change holds for all of them."""

    def __init__(self, catalog: Catalog) -> None:
        self._db = catalog.db

    def values(self, prefix: str) -> dict[str, str]:
        """Return the settings whose names begin with the prefix."""
        rows = self._db.rows("SELECT name, value FROM settings WHERE substr(name, 1, ?) = ?", (len(prefix), prefix))
        return {str(name): str(value) for name, value in rows}

    def set(self, values: dict[str, str]) -> None:
        with self._db.write() as conn:
            conn.executemany(
                "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", list(values.items())
            )
