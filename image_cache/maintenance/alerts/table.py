"""Table module of alerts in `catalog.db`: which verdict was announced, and what was sent. SQL only; the rules are in `service`."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row
from image_cache.frozen import frozen

HEALTHY = "healthy"
TEST = "test"  # the event of a test; those of the others are in `service`
KEPT_S = 90 * 86400.0


@frozen
class Turn:
    """The verdict turned from `was` to `state`. `trouble_at`: when it stopped being healthy; `at`: when it turned."""

    was: str
    state: str
    trouble_at: float
    at: float


@frozen
class AlertDraft:
    """What a message says, before it has destinations. `event` is `health.changed` or `test`."""

    event: str
    text: str
    facts: Mapping[str, Any]


@frozen
class AlertMessage:
    """One message to one destination. `state` is waiting, sending, sent or failed; `reason` says why it did not arrive."""

    id: int
    destination: str
    event: str
    text: str
    facts: Mapping[str, Any]
    created_at: float
    state: str
    tries: int
    due_at: float
    ended_at: float
    reason: str


class AlertTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def look(self, verdict: str, now: float, held_s: float, enqueue: Callable[[Connection, Turn], None]) -> Turn | None:
        """Note the verdict; once it was the same for `held_s`, announce it: `enqueue` is called in the same transaction.

        Writes only when something changes. Of several processes that look at the same time, one announces.
        """
        row = self._db.rows("SELECT announced, seen FROM alert_state")[0]
        if row["seen"] == verdict == row["announced"]:
            return None
        with self._db.write() as conn:
            row = conn.execute("SELECT announced, trouble_at, seen, seen_at FROM alert_state").fetchone()
            if row["seen"] != verdict or row["seen_at"] > now:  # in the future: the clock was set back
                conn.execute("UPDATE alert_state SET seen = ?, seen_at = ?", (verdict, now))
                return None
            if row["announced"] == verdict or now - row["seen_at"] < held_s:
                return None
            is_new = row["announced"] == HEALTHY
            turn = Turn(row["announced"], verdict, row["seen_at"] if is_new else row["trouble_at"], row["seen_at"])
            conn.execute("UPDATE alert_state SET announced = ?, trouble_at = ?", (verdict, turn.trouble_at))
            enqueue(conn, turn)
            conn.execute("DELETE FROM alert_messages WHERE created_at < ?", (now - KEPT_S,))
            return turn

    def told(self, conn: Connection, since: float) -> set[str]:
        """Return the destinations that a message about this trouble was meant for."""
        rows = conn.execute(
            "SELECT DISTINCT destination FROM alert_messages WHERE event <> ? AND created_at >= ?", (TEST, since)
        ).fetchall()
        return {str(row[0]) for row in rows}

    def add(self, conn: Connection, destinations: Iterable[str], draft: AlertDraft, now: float) -> None:
        conn.executemany(
            "INSERT INTO alert_messages (destination, event, text, facts, created_at, due_at) VALUES (?, ?, ?, ?, ?, ?)",
            [(destination, draft.event, draft.text, json.dumps(draft.facts), now, now) for destination in destinations],
        )

    def supersede(self, conn: Connection, now: float, reason: str) -> None:
        """Give up what still waits for a retry: it must not arrive after the news that follow it."""
        conn.execute(
            "UPDATE alert_messages SET state = 'failed', reason = ?, ended_at = ? WHERE state = 'waiting' AND event <> ?",
            (reason, now, TEST),
        )

    def add_test(self, destination: str, draft: AlertDraft, now: float) -> None:
        """Enqueue a test; one that still waits is enough."""
        with self._db.write() as conn:
            waits = "SELECT 1 FROM alert_messages WHERE destination = ? AND event = ? AND state IN ('waiting', 'sending')"
            if conn.execute(waits, (destination, TEST)).fetchone() is None:
                self.add(conn, [destination], draft, now)

    def is_due(self, now: float) -> bool:
        return self._db.row("SELECT 1 FROM alert_messages WHERE state = 'waiting' AND due_at <= ?", (now,)) is not None

    def claim(self, now: float) -> AlertMessage | None:
        """Return the oldest message that is due, noted as being sent; None if there is none."""
        if not self.is_due(now):
            return None
        with self._db.write() as conn:
            row = conn.execute(
                "UPDATE alert_messages SET state = 'sending', tries = tries + 1, due_at = ?1 WHERE id ="
                " (SELECT min(id) FROM alert_messages WHERE state = 'waiting' AND due_at <= ?1) RETURNING *",
                (now,),
            ).fetchone()
        return _message(row) if row else None

    def end(self, message_id: int, now: float, reason: str = "") -> None:
        """Note that a message was sent, or with a reason that it was given up."""
        self._set(message_id, "failed" if reason else "sent", reason, due_at=now, ended_at=now)

    def retry(self, message_id: int, due_at: float, reason: str) -> None:
        self._set(message_id, "waiting", reason, due_at=due_at, ended_at=0)

    def give_up_lost(self, before: float, now: float, reason: str) -> None:
        """End what was being sent when its process died: it may have arrived, and nothing is sent twice."""
        lost = "SELECT 1 FROM alert_messages WHERE state = 'sending' AND due_at < ?"
        if self._db.row(lost, (before,)) is None:
            return
        with self._db.write() as conn:
            conn.execute(
                "UPDATE alert_messages SET state = 'failed', reason = ?, ended_at = ? WHERE state = 'sending' AND due_at < ?",
                (reason, now, before),
            )

    def last(self, destination: str) -> AlertMessage | None:
        """Return the newest message of a destination."""
        row = self._db.row("SELECT * FROM alert_messages WHERE destination = ? ORDER BY id DESC LIMIT 1", (destination,))
        return _message(row) if row else None

    def forget(self, destination: str) -> None:
        """Delete the messages of a destination that was removed."""
        with self._db.write() as conn:
            conn.execute("DELETE FROM alert_messages WHERE destination = ?", (destination,))

    def _set(self, message_id: int, state: str, reason: str, *, due_at: float, ended_at: float) -> None:
        with self._db.write() as conn:
            conn.execute(
                "UPDATE alert_messages SET state = ?, reason = ?, due_at = ?, ended_at = ? WHERE id = ?",
                (state, reason, due_at, ended_at, message_id),
            )


def _message(row: Row) -> AlertMessage:
    values = dict(row)
    return AlertMessage(**{**values, "facts": json.loads(values["facts"])})
