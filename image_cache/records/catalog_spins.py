"""What random picked last, and what it looks at to pick: two questions to `catalog.db`. Statements only."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, marks


@dataclass(frozen=True, slots=True)
class PlayHistory:
    """When a record was played, and when it came in, in Unix seconds. `last_played_at` None: never, or nobody knows when."""

    plays: int
    last_played_at: float | None
    added_at: float


class SpinTable:
    """The last picks of all processes. Any thread."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    @contextmanager
    def turn(self) -> Iterator[Connection]:
        """Hold the only turn to pick, over all processes. Not written through to the disk: a power cut may forget the last picks."""
        with self._db.write(is_durable=False) as conn:
            yield conn

    def recent(self, conn: Connection, most: int) -> list[int]:
        """Return the last picks, newest last."""
        rows = conn.execute("SELECT album_id FROM spins ORDER BY id DESC LIMIT ?", (most,))
        return [row["album_id"] for row in rows][::-1]

    def note(self, conn: Connection, album_id: int, now: float, most: int) -> None:
        """Remember a pick, and forget those before the last `most`."""
        conn.execute("INSERT INTO spins (album_id, spun_at) VALUES (?, ?)", (album_id, now))
        conn.execute("DELETE FROM spins WHERE id <= (SELECT max(id) FROM spins) - ?", (most,))

    def gone(self) -> set[int]:
        """Return the albums that are gone from where they came from."""
        return {row["id"] for row in self._db.rows("SELECT id FROM albums WHERE gone_at IS NOT NULL")}

    def heard(self, album_ids: Sequence[int]) -> dict[int, PlayHistory]:
        """Return what is known of some albums, at most some hundred."""
        sql = f"SELECT id, plays, last_played_at, added_at FROM albums WHERE id IN ({marks(len(album_ids))})"
        return {
            row["id"]: PlayHistory(row["plays"], row["last_played_at"], row["added_at"]) for row in self._db.rows(sql, album_ids)
        }
