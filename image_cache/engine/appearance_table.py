"""Table of appearances: the palette and shape hash of each thumbnail, in the disposable index. Knows no colours, only bytes."""

from collections.abc import Iterable, Sequence

from image_cache.db.database import Connection, Database, parameter_marks
from image_cache.frozen import frozen

COUNT = "INSERT INTO meta VALUES ('looked', 1) ON CONFLICT (name) DO UPDATE SET value = meta.value + 1"


@frozen
class Appearance:
    """One row. `hash` is None if it cannot be compared, `colours` if it could not be analysed."""

    digest: str
    hash: int | None = None
    colours: bytes | None = None
    is_blank: bool = False


class AppearanceTable:
    """Rows of `looks`. Thread-safe, process-safe; methods with a connection run in the caller's `write()` block."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def unanalysed(self, count: int) -> list[str]:
        """Return digests that have not been analysed yet."""
        rows = self.database.rows("SELECT digest FROM looks WHERE looked_at IS NULL LIMIT ?", (count,))
        return [row[0].hex() for row in rows]

    def count(self) -> int:
        """Return a number that changes with every `put`, and with every `add` for an image that has changed."""
        row = self.database.row("SELECT value FROM meta WHERE name = 'looked'")
        return int(row[0]) if row else 0

    def put(self, conn: Connection, appearances: Iterable[Appearance], now: float) -> None:
        """Write appearances; a digest that was removed in the meantime is ignored."""
        conn.execute(COUNT)
        conn.executemany(
            "UPDATE looks SET looked_at = ?, hash = ?, colours = ?, is_blank = ? WHERE digest = ?",
            [_values(item, now) for item in appearances],
        )

    def add(self, conn: Connection, item: Appearance, now: float, *, is_changed: bool) -> None:
        """Write the appearance of an image before its fetch is recorded, so that nothing is left to analyse.

        `count` changes only if the image has changed: a first fetch is counted already.
        """
        if is_changed:
            conn.execute(COUNT)
        conn.execute(
            "INSERT INTO looks (looked_at, hash, colours, is_blank, digest) VALUES (?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE"
            " SET looked_at = excluded.looked_at, hash = excluded.hash, colours = excluded.colours, is_blank = excluded.is_blank",
            _values(item, now),
        )

    def has_blank(self) -> bool:
        """Return True if any image that was analysed has one colour only."""
        return self.database.row("SELECT 1 FROM looks WHERE is_blank = 1 LIMIT 1") is not None

    def blank_bodies(self, least: int) -> dict[bytes, int]:
        """Return the SHA-256 of bytes that at least so many images of one colour have, and how many."""
        rows = self.database.rows(
            "SELECT body_sha256, count(*) FROM looks JOIN images USING (digest) WHERE is_blank = 1 AND body_sha256 IS NOT NULL"
            " GROUP BY body_sha256 HAVING count(*) >= ?",
            (least,),
        )
        return {row[0]: row[1] for row in rows}

    def get_many(self, digests: Sequence[str]) -> dict[str, Appearance]:
        """Return the appearances of the digests that were analysed. For at most a few hundred digests."""
        if not digests:
            return {}
        rows = self.database.rows(
            f"SELECT digest, hash, colours, is_blank FROM looks WHERE digest IN ({parameter_marks(len(digests))}) AND colours IS NOT NULL",
            [bytes.fromhex(digest) for digest in digests],
        )
        return {
            digest.hex(): Appearance(
                digest.hex(), None if shape is None else int.from_bytes(shape, "big"), colours, bool(is_blank)
            )
            for digest, shape, colours, is_blank in rows
        }


def _values(item: Appearance, now: float) -> tuple[object, ...]:
    shape = None if item.hash is None else item.hash.to_bytes(8, "big")
    return now, shape, item.colours, int(item.is_blank), bytes.fromhex(item.digest)
