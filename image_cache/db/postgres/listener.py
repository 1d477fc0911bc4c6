"""Waits for notifications of PostgreSQL on a connection of its own. They are hints: who waits looks by itself as well."""

import contextlib
import os
import select

from image_cache.db.connection import DatabaseError
from image_cache.db.postgres.connection import PgConnection
from image_cache.db.postgres.database import PgDatabase


class Listener:
    """One channel of a schema. `wait` is for one thread; `close` for any."""

    def __init__(self, database: PgDatabase, channel: str) -> None:
        self._database, self._channel = database, channel
        self._conn: PgConnection | None = None
        self._stopped, self._stop = os.pipe()

    def wait(self, timeout_s: float) -> bool:
        """Wait for a notification, for the end of the time, or for `close`; return False only once it was closed.

        While the server is away this waits for the time to end, and the next call connects again.
        """
        waiting = [self._stopped]
        if self._conn is None:
            try:
                self._conn = self._database.connection()
                self._conn.tell(f"LISTEN {self._channel}")
            except DatabaseError:
                self._end()
        if self._conn is not None:
            waiting.append(self._conn.fileno())
        ready, _, _ = select.select(waiting, [], [], timeout_s)
        if self._stopped in ready:
            self._end()
            return False
        if ready and self._conn is not None and not self._conn.took_notifications():
            self._end()
            return not select.select([self._stopped], [], [], timeout_s)[0]  # it was cut: no hot loop
        return True

    def close(self) -> None:
        """End a wait. Idempotent."""
        with contextlib.suppress(OSError):
            os.write(self._stop, b"x")

    def _end(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()

    def __del__(self) -> None:
        self._end()
        for end in (self._stopped, self._stop):
            with contextlib.suppress(OSError):
                os.close(end)
