"""A database of somebody else: read, never written, and not believed."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from image_cache.db.connection import CACHE_KIB, Connection, Row, linked

__all__ = ["foreign"]


@contextlib.contextmanager
def foreign(path: Path, *, longest_bytes: int) -> Iterator[Connection]:
    """Open a database of somebody else for reading: nothing is written beside it, and nothing in it is believed.

    A value longer than `longest_bytes` raises `DatabaseError`. The schema cannot call functions that do more than calculate.
    """
    conn = _connected(path)
    try:
        conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, longest_bytes)
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "query_only=ON", f"cache_size=-{CACHE_KIB}"):
            conn.execute(f"PRAGMA {pragma}")
        # What is no UTF-8 gets the sign that stands for a letter: one broken title does not end the reading.
        conn.text_factory = lambda data: data.decode("utf-8", errors="replace")
        conn.row_factory = Row
        yield conn
    finally:
        conn.close()


def _connected(path: Path) -> Connection:
    # A file in WAL mode whose WAL is gone would get a new one beside it, unless SQLite is told that nobody writes.
    with path.open("rb") as file:
        is_wal = file.read(20)[18:20] == b"\2\2"
    is_alone = is_wal and not path.with_name(path.name + "-wal").exists()
    return linked(path, "ro&immutable=1" if is_alone else "ro")
