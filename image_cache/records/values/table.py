"""Table module of values in `catalog.db`: what a marketplace asks for a record, and when it said so."""

from collections.abc import Iterable, Iterator

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.db.dialect import by_index
from image_cache.frozen import frozen
from image_cache.records.orders.sorts import amount

# The condition of the partial index `albums_by_valuation`, word by word.
_ASKED = "source = 'discogs' AND gone_at IS NULL"
_BY_AGE = by_index("albums_by_valuation")


@frozen
class ValuedRecord:
    """A row of the list of values. Prices are as `money` keeps them, "" if unknown; `valued_at` is Unix seconds."""

    id: int
    artist: str
    title: str
    grade: str
    shelf: str
    price: str
    bought: str
    value: str
    value_from: str
    valued_at: float | None


class ValuesTable:
    """Any thread, several processes. Methods with a connection belong into the caller's `write()` block."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def due(self, before: float, limit: int) -> list[tuple[int, str, str]]:
        """Return (album id, source id, condition) of records that were never valued, or before a time; the oldest first."""
        rows = self.db.rows(
            f"SELECT id, source_id, media_condition FROM albums{_BY_AGE} WHERE {_ASKED}"
            " AND coalesce(valued_at, 0) < ? ORDER BY coalesce(valued_at, 0), id LIMIT ?",
            (before, limit),
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def count_due(self, before: float) -> int:
        row = self.db.row(f"SELECT count(*) FROM albums{_BY_AGE} WHERE {_ASKED} AND coalesce(valued_at, 0) < ?", (before,))
        return int(row[0]) if row else 0

    def put(self, conn: Connection, values: Iterable[tuple[int, str, str]], now: float) -> None:
        """Write (album id, value, where it is from) of records; the value is "" where none is known."""
        sql = "UPDATE albums SET value = ?, value_from = ?, valued_at = ? WHERE id = ?"
        conn.executemany(sql, [(value, value_from, now, album_id) for album_id, value, value_from in values])

    def prices(self) -> Iterator[tuple[str, str, float | None]]:
        """Yield (price, value, valued at) of every record."""
        return self.db.stream("SELECT price, value, valued_at FROM albums")

    def listing(self, limit: int | None = None) -> Iterator[ValuedRecord]:
        """Yield the records, the dearest first: by value, else by price."""
        value, price = (f"coalesce({amount(column)}, 0)" for column in ("value", "price"))
        sql = (
            "SELECT id, artist, title, media_condition, shelf, price, bought, value, value_from, valued_at FROM albums"
            f" ORDER BY CASE WHEN {value} > {price} THEN {value} ELSE {price} END DESC, artist_sort, title_sort, id"
        )
        rows = self.db.stream(sql) if limit is None else self.db.stream(f"{sql} LIMIT ?", (limit,))
        return (ValuedRecord(*row) for row in rows)
