"""Table module of scrobbling in `catalog.db`: sides that were heard, connections of accounts, the queue. SQL only."""

from collections.abc import Iterable, Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row, parameter_marks
from image_cache.frozen import frozen
from image_cache.scrobbling.tracks import UNKNOWN_SIDE_S, HeardTrack

SHOWN = 50  # refused tracks on a page


@frozen
class Scrobbler:
    """Where an account sends its plays. `state` is new, on or stopped; `message` says why it is stopped, or waits until `retry_at`."""

    account_id: int
    service: str
    name: str
    state: str
    message: str
    takes_guests: bool
    sent: int
    sent_at: float | None
    failures: int
    retry_at: float


@frozen
class HeardSide:
    """A side that was heard, or the whole record for ""; see `PlaysTable.add_heard`."""

    id: int
    play_id: int
    album_id: int
    side: str
    started_at: float
    ended_at: float | None
    account_id: int | None


@frozen
class Scrobble:
    """A track in the queue. `may_have_arrived`: it was sent, and no answer came. `message`: why the service refused it."""

    id: int
    track: HeardTrack
    may_have_arrived: bool
    message: str


class ScrobbleTable:
    """Any thread, several processes. Methods with a connection belong into the caller's `db.write()` block."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    # Connections

    def scrobbler(self, account_id: int, service: str) -> Scrobbler | None:
        row = self.db.row(f"{_SCROBBLER} WHERE account_id = ? AND service = ?", (account_id, service))
        return _scrobbler(row) if row else None

    def connect(self, account_id: int, service: str, now: float) -> None:
        """Add a connection, or test the new token of an old one; its queue stays."""
        with self.db.write() as conn:
            conn.execute(
                "INSERT INTO scrobblers (account_id, service, state, since) VALUES (?, ?, 'new', ?) ON CONFLICT (account_id, service) DO UPDATE SET"
                " state = 'new', says = '', failures = 0, retry_at = 0",
                (account_id, service, now),
            )

    def turn_on(self, account_id: int, service: str, name: str) -> None:
        with self.db.write() as conn:
            sql = "UPDATE scrobblers SET state = 'on', name = ?, says = '', failures = 0, retry_at = 0"
            conn.execute(f"{sql} WHERE account_id = ? AND service = ?", (name, account_id, service))

    def stop(self, account_id: int, service: str, message: str) -> None:
        with self.db.write() as conn:
            sql = "UPDATE scrobblers SET state = 'stopped', says = ? WHERE account_id = ? AND service = ?"
            conn.execute(sql, (message, account_id, service))

    def delay(self, account_id: int, service: str, message: str, retry_at: float) -> None:
        with self.db.write() as conn:
            sql = "UPDATE scrobblers SET failures = failures + 1, says = ?, retry_at = ? WHERE account_id = ? AND service = ?"
            conn.execute(sql, (message, retry_at, account_id, service))

    def set_guests(self, account_id: int, service: str, takes_guests: bool) -> None:
        with self.db.write() as conn:
            sql = "UPDATE scrobblers SET takes_guests = ? WHERE account_id = ? AND service = ?"
            conn.execute(sql, (int(takes_guests), account_id, service))

    def disconnect(self, account_id: int, service: str) -> int:
        """Remove a connection and its queue; return how many tracks were in it."""
        with self.db.write() as conn:
            waiting = conn.execute(f"SELECT count(*) FROM scrobbles {_OF}", (account_id, service)).fetchone()[0]
            conn.execute(f"DELETE FROM scrobblers {_OF}", (account_id, service))
            return int(waiting)

    def connections(self) -> set[tuple[int, str]]:
        return {(row[0], row[1]) for row in self.db.rows("SELECT account_id, service FROM scrobblers")}

    # From sides to tracks

    def heard(self, now: float, limit: int) -> list[HeardSide]:
        """Return sides that are over and whose tracks are not in the queue yet, the oldest first."""
        rows = self.db.rows(
            "SELECT sides_heard.id, play_id, album_id, side, started_at, ended_at, sides_heard.account_id FROM sides_heard"
            " JOIN plays ON plays.id = play_id WHERE is_queued = 0"
            " AND coalesce(ended_at, started_at + coalesce(length_s, ?)) <= ? ORDER BY sides_heard.id LIMIT ?",
            (UNKNOWN_SIDE_S, now, limit),
        )
        return [HeardSide(*row) for row in rows]

    def enqueue(self, conn: Connection, side: HeardSide, tracks: Iterable[HeardTrack]) -> None:
        """Queue the tracks for everyone who sends plays of this account, and did so before the side was over.

        Once: a second call for the side does nothing.
        """
        if not conn.execute("UPDATE sides_heard SET is_queued = 1 WHERE id = ? AND is_queued = 0", (side.id,)).rowcount:
            return
        over_at = side.started_at if side.ended_at is None else side.ended_at
        conn.executemany(
            "INSERT INTO scrobbles (account_id, service, play_id, listened_at, track)"
            " SELECT account_id, service, ?1, ?2, ?3 FROM scrobblers"
            " WHERE (account_id = ?4 OR (?4 IS NULL AND takes_guests = 1)) AND since <= ?5",
            [(side.play_id, track.listened_at, track.as_json(), side.account_id, over_at) for track in tracks],
        )

    # The queue

    def due(self, now: float) -> list[Scrobbler]:
        """Return the connections that have something to do: a token to test, or tracks to send."""
        waiting = "SELECT 1 FROM scrobbles WHERE (account_id, service) = (s.account_id, s.service) AND state != 'refused'"
        sql = f"{_SCROBBLER} AS s WHERE retry_at <= ? AND (state = 'new' OR (state = 'on' AND EXISTS ({waiting})))"
        return [_scrobbler(row) for row in self.db.rows(sql, (now,))]

    def unclear(self, account_id: int, service: str, limit: int) -> list[Scrobble]:
        """Return tracks that were sent without an answer, the oldest first."""
        sql = f"{_SCROBBLE} {_OF} AND state = 'sending' ORDER BY listened_at, id LIMIT ?"
        return [_scrobble(row) for row in self.db.rows(sql, (account_id, service, limit))]

    def claim(self, account_id: int, service: str, limit: int) -> list[Scrobble]:
        """Return the oldest tracks that wait, and mark them as being sent, so that a crash cannot send them twice unnoticed."""
        with self.db.write() as conn:
            sql = f"{_SCROBBLE} {_OF} AND state = 'waiting' ORDER BY listened_at, id LIMIT ?"
            found = [_scrobble(row) for row in conn.execute(sql, (account_id, service, limit))]
            _set_state(conn, "sending", [one.id for one in found])
            return found

    def release(self, ids: Sequence[int]) -> None:
        """Let tracks wait again that did not arrive."""
        with self.db.write() as conn:
            _set_state(conn, "waiting", ids)

    def settle(self, scrobbler: Scrobbler, sent: Sequence[int], refused: Iterable[tuple[int, str]], now: float) -> None:
        """Remove what was sent, and set aside with its reason what was refused."""
        with self.db.write() as conn:
            if sent:
                conn.execute(f"DELETE FROM scrobbles WHERE id IN ({parameter_marks(len(sent))})", tuple(sent))
            conn.executemany(
                "UPDATE scrobbles SET state = 'refused', says = ? WHERE id = ?", [(words, one) for one, words in refused]
            )
            conn.execute(
                "UPDATE scrobblers SET sent = sent + ?1, sent_at = CASE WHEN ?1 > 0 THEN ?2 ELSE sent_at END, says = '', failures = 0,"
                " retry_at = 0 WHERE account_id = ?3 AND service = ?4",
                (len(sent), now, scrobbler.account_id, scrobbler.service),
            )

    # What the page shows

    def counts(self, account_id: int, service: str) -> tuple[int, int]:
        """Return how many tracks wait, and how many were refused."""
        sql = f"SELECT count(*) FILTER (WHERE state != 'refused'), count(*) FILTER (WHERE state = 'refused') FROM scrobbles {_OF}"
        row = self.db.rows(sql, (account_id, service))[0]
        return int(row[0]), int(row[1])

    def refused(self, account_id: int, service: str) -> list[Scrobble]:
        """Return the newest refused tracks."""
        sql = f"{_SCROBBLE} {_OF} AND state = 'refused' ORDER BY listened_at DESC, id DESC LIMIT ?"
        return [_scrobble(row) for row in self.db.rows(sql, (account_id, service, SHOWN))]

    def retry(self, account_id: int, service: str) -> None:
        """Send refused tracks again, and do not wait any longer."""
        with self.db.write() as conn:
            conn.execute(f"UPDATE scrobbles SET state = 'waiting', says = '' {_OF} AND state = 'refused'", (account_id, service))
            again = "CASE WHEN state != 'stopped' THEN state WHEN name = '' THEN 'new' ELSE 'on' END"
            sql = f"UPDATE scrobblers SET retry_at = 0, state = {again}"
            conn.execute(f"{sql} {_OF}", (account_id, service))

    def drop_refused(self, account_id: int, service: str) -> int:
        with self.db.write() as conn:
            return conn.execute(f"DELETE FROM scrobbles {_OF} AND state = 'refused'", (account_id, service)).rowcount


_OF = "WHERE account_id = ? AND service = ?"
_SCROBBLER = "SELECT account_id, service, name, state, says, takes_guests, sent, sent_at, failures, retry_at FROM scrobblers"
_SCROBBLE = "SELECT id, track, state = 'sending', says FROM scrobbles"


def _set_state(conn: Connection, state: str, ids: Sequence[int]) -> None:
    if ids:
        conn.execute(f"UPDATE scrobbles SET state = ? WHERE id IN ({parameter_marks(len(ids))})", (state, *ids))


def _scrobbler(row: Row) -> Scrobbler:
    account_id, service, name, state, says, takes_guests, sent, sent_at, failures, retry_at = row
    return Scrobbler(account_id, service, name, state, says, bool(takes_guests), sent, sent_at, failures, retry_at)


def _scrobble(row: Row) -> Scrobble:
    return Scrobble(row[0], HeardTrack.from_json(row[1]), bool(row[2]), row[3])
