"""Saved views: walls with their filters and order, under a name. A table of `catalog.db`."""

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.dialect import lowered
from image_cache.errors import FieldRejected
from image_cache.frozen import frozen

MAX_NAME_CHARS = 60
MAX_ADDRESS_CHARS = 1000
MAX_VIEWS = 100


@frozen
class SavedView:
    """A wall with a name. `address` is the query of its URL; `account_id` None: everyone sees it."""

    id: int
    account_id: int | None
    name: str
    address: str


class SavedViewTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def views(self) -> tuple[SavedView, ...]:
        """Return all views, by name."""
        rows = self.db.rows("SELECT id, account_id, name, address FROM saved_views ORDER BY lower(name), id")
        return tuple(SavedView(*row) for row in rows)

    def save(self, name: str, address: str, account_id: int | None, now: float) -> int:
        """Save a view; one of the same name and account is replaced. Return its id. Raises `FieldRejected`."""
        name = " ".join(char for char in name.split() if char.isprintable())
        if not 0 < len(name) <= MAX_NAME_CHARS:
            raise FieldRejected("name", f"Enter a name of 1 to {MAX_NAME_CHARS} characters.")
        if not 0 < len(address) <= MAX_ADDRESS_CHARS:
            raise FieldRejected("address", "Choose at least one filter or a sort order first.")
        with self.db.write() as conn:
            sql = "DELETE FROM saved_views WHERE lower(name) = ? AND account_id IS NOT DISTINCT FROM ?"
            conn.execute(sql, (lowered(name), account_id))
            if conn.execute("SELECT count(*) FROM saved_views").fetchone()[0] >= MAX_VIEWS:
                raise FieldRejected("name", f"You can save up to {MAX_VIEWS} views. Remove one first.")
            row = conn.execute(
                "INSERT INTO saved_views (account_id, name, address, created_at) VALUES (?, ?, ?, ?) RETURNING id",
                (account_id, name, address, now),
            ).fetchone()
            return int(row[0])

    def remove(self, view_id: int, account_id: int | None) -> bool:
        """Remove a view that everyone sees, or one of this account; return True if there was one."""
        if not 0 < view_id < 2**63:
            return False
        sql = "DELETE FROM saved_views WHERE id = ? AND (account_id IS NULL OR account_id = ?)"
        with self.db.write() as conn:
            return bool(conn.execute(sql, (view_id, account_id)).rowcount)
