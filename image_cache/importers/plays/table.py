"""Table module of imported plays in `catalog.db`. SQL only."""

from collections.abc import Iterable

from image_cache.db.catalog import CatalogDatabase
from image_cache.frozen import frozen
from image_cache.importers.plays.match import SITTING_S, FoundPlay

SHOWN = 20


@frozen
class PlayImport:
    """A file of plays that was imported, and how many plays of how many records are left of it."""

    id: int
    name: str
    imported_at: float
    plays: int
    records: int


class PlayImportTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def imports(self) -> list[PlayImport]:
        """Return the newest imports that have plays left."""
        rows = self._db.rows(
            "SELECT play_imports.id, name, imported_at, count(*), count(DISTINCT album_id) FROM play_imports"
            " JOIN plays ON import_id = play_imports.id GROUP BY play_imports.id ORDER BY play_imports.id DESC LIMIT ?",
            (SHOWN,),
        )
        return [PlayImport(*row) for row in rows]

    def is_known(self, play: FoundPlay) -> bool:
        """Return True if a play of the record is stored that may be the same: within one sitting."""
        around = (play.album_id, play.played_at - SITTING_S, play.played_at + SITTING_S)
        return self._db.row(f"{_NEAR} LIMIT 1", around) is not None

    def add(self, name: str, plays: Iterable[FoundPlay], account_id: int | None, now: float) -> int:
        """Add the plays that are not known yet, in one transaction; return how many."""
        added = 0
        with self._db.write(is_bulk=True) as conn:
            row = conn.execute("INSERT INTO play_imports (name, imported_at) VALUES (?, ?) RETURNING id", (name, now)).fetchone()
            import_id = int(row["id"])
            who = conn.execute("SELECT id FROM accounts WHERE id = ?", (account_id,)).fetchone()
            for play in plays:
                around = (play.album_id, play.played_at - SITTING_S, play.played_at + SITTING_S, import_id)
                if conn.execute(f"{_NEAR} AND import_id IS DISTINCT FROM ? LIMIT 1", around).fetchone():
                    continue
                added += conn.execute(
                    "INSERT INTO plays (album_id, played_at, sides, account_id, import_id)"
                    " SELECT id, ?, ?, ?, ? FROM albums WHERE id = ?",
                    (play.played_at, "\n".join(play.sides), who["id"] if who else None, import_id, play.album_id),
                ).rowcount
            conn.execute(
                "UPDATE albums SET plays = plays + added.n,"
                " last_played_at = CASE WHEN last_played_at > added.latest THEN last_played_at ELSE added.latest END"
                " FROM (SELECT album_id, count(*) AS n, max(played_at) AS latest FROM plays WHERE import_id = ? GROUP BY album_id)"
                " AS added WHERE albums.id = added.album_id",
                (import_id,),
            )
        return added

    def undo(self, import_id: int) -> int | None:
        """Remove the plays of an import; return how many, None if there is no such import."""
        if not 0 < import_id < 2**63:
            return None
        with self._db.write(is_bulk=True) as conn:
            sql = "SELECT album_id, count(*) FROM plays WHERE import_id = ? GROUP BY album_id"
            counts = [tuple(row) for row in conn.execute(sql, (import_id,))]
            removed = conn.execute("DELETE FROM plays WHERE import_id = ?", (import_id,)).rowcount
            if not conn.execute("DELETE FROM play_imports WHERE id = ?", (import_id,)).rowcount:
                return None
            conn.executemany(
                "UPDATE albums SET plays = CASE WHEN plays > ?2 THEN plays - ?2 ELSE 0 END,"
                " last_played_at = (SELECT max(played_at) FROM plays WHERE album_id = albums.id) WHERE id = ?1",
                counts,
            )
            return int(removed)


_NEAR = "SELECT 1 FROM plays WHERE album_id = ? AND played_at BETWEEN ? AND ?"
