"""What thumbnails look like: rows of `looks` in the index, so disposable. What the bytes in them mean is the caller's business."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from image_cache.db.database import Connection, Database, marks


@dataclass(frozen=True, slots=True)
class Appearance:
    """One row. `hash` None: not comparable; `colours` None: it could not be looked at."""

    digest: str
    hash: int | None = None
    colours: bytes | None = None
    is_blank: bool = False


class AppearanceTable:
    """Thread-safe and process-safe; methods with a connection belong into the caller's `write()` block."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def open(self, count: int) -> list[str]:
        """Return digests that are still to be looked at."""
        rows = self.database.rows("SELECT digest FROM looks WHERE looked_at IS NULL LIMIT ?", (count,))
        return [row[0].hex() for row in rows]

    def count(self) -> int:
        """Return how often looks were written since the index is there: a number that changes with each."""
        row = self.database.row("SELECT value FROM meta WHERE name = 'looked'")
        return int(row[0]) if row else 0

    def put(self, conn: Connection, looks: Iterable[Appearance], now: float) -> None:
        """Write what was seen; a digest that went meanwhile stays gone."""
        conn.execute("INSERT INTO meta VALUES ('looked', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1")
        conn.executemany(
            "UPDATE looks SET looked_at = ?, hash = ?, colours = ?, is_blank = ? WHERE digest = ?",
            [
                (
                    now,
                    None if one.hash is None else one.hash.to_bytes(8, "big"),
                    one.colours,
                    one.is_blank,
                    bytes.fromhex(one.digest),
                )
                for one in looks
            ],
        )

    def get_many(self, digests: Sequence[str]) -> dict[str, Appearance]:
        """Return those of the digests that were looked at. At most some hundred."""
        rows = self.database.rows(
            f"SELECT digest, hash, colours, is_blank FROM looks WHERE digest IN ({marks(len(digests))}) AND colours IS NOT NULL",
            [bytes.fromhex(digest) for digest in digests],
        )
        return {
            digest.hex(): Appearance(
                digest.hex(), None if shape is None else int.from_bytes(shape, "big"), colours, bool(is_blank)
            )
            for digest, shape, colours, is_blank in rows
        }
