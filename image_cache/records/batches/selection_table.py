"""Table module of selections in `catalog.db`: which records a person has selected, kept for an hour."""

import json
from collections.abc import Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.dialect import NUMBERS
from image_cache.errors import FieldRejected, UnknownSelection
from image_cache.frozen import frozen

KEPT_S = 3600.0
MAX_SELECTED = 10_000


@frozen
class Selection:
    """Selected records, in the order in which they were seen. `address` is the query of the wall that they were selected on."""

    id: int
    ids: tuple[int, ...]
    address: str


class SelectionTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def selection(self, selection_id: int) -> Selection | None:
        row = (
            self.db.row("SELECT id, ids, address FROM selections WHERE id = ?", (selection_id,))
            if 0 < selection_id < 2**63
            else None
        )
        return Selection(row[0], tuple(json.loads(row[1])), row[2]) if row else None

    def known(self, selection_id: int) -> Selection:
        """Return a selection. Raises `UnknownSelection`."""
        found = self.selection(selection_id)
        if found is None:
            raise UnknownSelection
        return found

    def save(self, ids: Sequence[int], address: str, now: float) -> Selection:
        """Keep a selection. Raises `FieldRejected` for more than 10,000 records."""
        if len(ids) > MAX_SELECTED:
            raise FieldRejected(
                "ids", f"You can select up to {MAX_SELECTED:,} records at once, and these are {len(ids):,}. Set a filter first."
            )
        with self.db.write(is_durable=False) as conn:
            conn.execute("DELETE FROM selections WHERE made_at < ?", (now - KEPT_S,))
            sql = "INSERT INTO selections (ids, address, made_at) VALUES (?, ?, ?) RETURNING id"
            made = conn.execute(sql, (json.dumps(list(ids), separators=(",", ":")), address, now)).fetchone()[0]
        return Selection(int(made), tuple(ids), address)

    def values(self, ids: Sequence[int], columns: Sequence[str]) -> dict[str, tuple[int, str]]:
        """Return how many different values records have in each column, and one of them, as it is stored."""
        parts = ", ".join(f"count(DISTINCT {name}), min({name})" for name in columns)
        sql = f"SELECT {parts} FROM albums WHERE id IN ({NUMBERS})"
        row = self.db.row(sql, (json.dumps(list(ids)),))
        return {name: (int(row[2 * n]), row[2 * n + 1] or "") for n, name in enumerate(columns)} if row else {}
