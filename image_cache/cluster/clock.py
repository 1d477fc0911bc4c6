"""The clock of the database's server, which all nodes go by: their own may differ by minutes, and a lease must end for all at once."""

import time
from collections.abc import Callable

from image_cache.db.database import Database, DatabaseError

# Unix seconds by the server's clock, also within a long transaction.
NOW = "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


class DatabaseClock:
    """Returns Unix seconds without asking: the difference to the time since this machine's start was measured before.

    Thread-safe. While the server was never reached, `fallback` is asked.
    """

    def __init__(self, fallback: Callable[[], float] = time.time) -> None:
        self._fallback = fallback
        self._offset: float | None = None
        self._database: Database | None = None  # to ask again, when the server was away at the start

    def __call__(self) -> float:
        if self._offset is None and self._database is not None:  # a wrong clock would free leases that are alive
            self.measure(self._database)
        offset = self._offset
        return self._fallback() if offset is None else since_boot() + offset

    def set(self, server_time: float, began: float, ended: float) -> None:
        """Take over a time that the server said between these two times since the start of this machine."""
        self._offset = server_time - (began + ended) / 2

    def measure(self, database: Database) -> None:
        """Ask the server. If it is away the clock goes on as before."""
        self._database = database
        began = since_boot()
        try:
            row = database.row(f"SELECT {NOW}")
        except DatabaseError:
            return
        if row is not None:
            self.set(row[0], began, since_boot())


def since_boot() -> float:
    """Return the seconds since this machine started, those in which it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
