"""Table module of plays and of what plays now, in `catalog.db`. SQL only; the rules are in `turntable`."""

from collections.abc import Iterable

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.frozen import frozen


@frozen
class NowPlaying:
    """A side that was started. `length_s` is None if unknown; `play_id` is that of the sitting, None until its first side counted.

    `revision` goes up with every change, also when nothing plays: then `album_id` is 0.
    """

    revision: int
    album_id: int
    side: str
    started_at: float
    length_s: int | None
    play_id: int | None
    is_counted: bool  # this side
    account_id: int | None


@frozen
class Play:
    """One time that a record was played. `sides` as they were played, "" if unknown; `player` is "" for a guest at home."""

    id: int
    album_id: int
    played_at: float
    sides: tuple[str, ...]
    player: str


IDLE = NowPlaying(0, 0, "", 0.0, None, None, False, None)


class PlaysTable:
    """Any thread, several processes. Methods with a connection belong into the caller's `write()` block."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def revision(self) -> int:
        row = self.db.row("SELECT revision FROM now_playing")
        return int(row["revision"]) if row else 0

    def now(self, conn: Connection | None = None) -> NowPlaying:
        sql = "SELECT revision, album_id, side, started_at, length_s, play_id, is_counted, account_id FROM now_playing"
        row = conn.execute(sql).fetchone() if conn is not None else self.db.row(sql)
        if row is None:
            return IDLE
        revision, album_id, side, started_at, length_s, play_id, is_counted, account_id = row
        return NowPlaying(revision, album_id, side, started_at, length_s, play_id, bool(is_counted), account_id)

    def put(self, conn: Connection, now: NowPlaying) -> None:
        """Write what plays, under the next revision."""
        values = (now.album_id, now.side, now.started_at, now.length_s, now.play_id, int(now.is_counted), now.account_id)
        conn.execute(
            "UPDATE now_playing SET revision = revision + 1, album_id = ?, side = ?, started_at = ?, length_s = ?, play_id = ?,"
            " is_counted = ?, account_id = ?",
            values,
        )

    def add_play(self, conn: Connection, album_id: int, played_at: float, side: str, account_id: int | None) -> int | None:
        """Count a play; return its id, None if there is no such record (any more)."""
        updated = conn.execute(
            "UPDATE albums SET plays = plays + 1,"
            " last_played_at = CASE WHEN last_played_at > ?1 THEN last_played_at ELSE ?1 END WHERE id = ?2",
            (played_at, album_id),
        ).rowcount
        if not updated:
            return None
        sql = "INSERT INTO plays (album_id, played_at, sides, account_id) VALUES (?, ?, ?, ?) RETURNING id"
        return int(conn.execute(sql, (album_id, played_at, side, account_id)).fetchone()["id"])

    def add_heard(
        self,
        conn: Connection,
        play_id: int,
        side: str,
        started_at: float,
        ended_at: float | None,
        *,
        length_s: int | None = None,
        account_id: int | None = None,
    ) -> None:
        """Write when a side of a play was heard, "" for the whole record. `ended_at` None: it still plays, perhaps to its end."""
        conn.execute(
            "INSERT INTO sides_heard (play_id, side, started_at, length_s, ended_at, account_id) VALUES (?, ?, ?, ?, ?, ?)",
            (play_id, side, started_at, length_s, ended_at, account_id),
        )

    def end_heard(self, conn: Connection, play_id: int, started_at: float, ended_at: float) -> None:
        """Write that the side of a play that was started then was flipped or stopped."""
        conn.execute(
            "UPDATE sides_heard SET ended_at = ? WHERE play_id = ? AND started_at = ? AND ended_at IS NULL",
            (ended_at, play_id, started_at),
        )

    def add_side(self, conn: Connection, play_id: int, side: str) -> bool:
        """Add a side to a play; False if the play was undone."""
        sql = "UPDATE plays SET sides = sides || '\n' || ? WHERE id = ?"
        return conn.execute(sql, (side, play_id)).rowcount == 1

    def without_sides(self, conn: Connection, album_id: int) -> list[int]:
        """Return the plays of a record of which no one knows the sides, the oldest first."""
        rows = conn.execute("SELECT id FROM plays WHERE album_id = ? AND sides = '' ORDER BY played_at, id", (album_id,))
        return [row["id"] for row in rows.fetchall()]

    def name_sides(self, conn: Connection, plays: Iterable[tuple[int, str]]) -> None:
        """Write which sides were heard, of (play, sides with a line end between them)."""
        conn.executemany("UPDATE plays SET sides = ? WHERE id = ?", [(sides, play_id) for play_id, sides in plays])

    def remove_play(self, conn: Connection, play_id: int, since: float = 0.0) -> int | None:
        """Remove a play of that time or later; return the id of its record, None if there is no such play."""
        row = conn.execute("DELETE FROM plays WHERE id = ? AND played_at >= ? RETURNING album_id", (play_id, since)).fetchone()
        if row is None:
            return None
        conn.execute(
            "UPDATE albums SET plays = CASE WHEN plays > 0 THEN plays - 1 ELSE 0 END,"
            " last_played_at = (SELECT max(played_at) FROM plays WHERE album_id = albums.id) WHERE id = ?",
            (row["album_id"],),
        )
        # The side that plays stays settled, or it would be counted again in a few seconds.
        conn.execute(
            "UPDATE now_playing SET play_id = NULL, is_counted = 1, revision = revision + 1 WHERE play_id = ?", (play_id,)
        )
        return int(row["album_id"])

    def last_play_of(self, conn: Connection, album_id: int) -> int | None:
        row = conn.execute("SELECT max(id) AS id FROM plays WHERE album_id = ?", (album_id,)).fetchone()
        return None if row["id"] is None else int(row["id"])

    def plays(self, before: tuple[float, int], limit: int) -> list[Play]:
        """Return plays before a (time, id), the newest first."""
        rows = self.db.rows(
            "SELECT plays.id, album_id, played_at, sides, coalesce(name, '') AS player FROM plays"
            " LEFT JOIN accounts ON accounts.id = account_id"
            " WHERE (played_at, plays.id) < (?, ?) ORDER BY played_at DESC, plays.id DESC LIMIT ?",
            (*before, limit),
        )
        return [Play(row[0], row[1], row[2], tuple(filter(None, row[3].split("\n"))), row[4]) for row in rows]
