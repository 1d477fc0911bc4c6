"""Watches a database for commits, through its own read-only connection."""

import threading
from collections.abc import Callable

from image_cache.db.connection import Connection


class CommitWatch:
    """Tells whether anything was committed, by any thread or process. Thread-safe. `connect` opens a connection."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()  # protects the three below
        self._conn: Connection | None = None
        self._generation = 0
        self._opened = 0

    def version(self, generation: int) -> tuple[int, int]:
        """Return numbers that change with every commit. `generation` is that of the file: another file gets another connection."""
        with self._lock:
            if self._conn is None or self._generation != generation:
                self._close()
                self._conn, self._generation = self._connect(), generation
                self._opened += 1  # SQLite counts separately in each connection
            return self._opened, int(self._conn.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None
