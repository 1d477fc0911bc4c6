"""SQLite, in one place: a connection per thread, pragmas, short IMMEDIATE writes, schema versions.

Both databases use it: `index.db` (disposable, synchronous NORMAL) and `catalog.db` (precious, synchronous FULL). It knows no table.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

Row = sqlite3.Row
Connection = sqlite3.Connection
DatabaseError = sqlite3.DatabaseError
IntegrityError = sqlite3.IntegrityError
OperationalError = sqlite3.OperationalError

BUSY_TIMEOUT_S = 5.0
CACHE_KIB = 512  # page cache per connection; a dozen threads hold one each, so SQLite's 2 MB default would be 24 MB


class Database:
    """One SQLite file, opened lazily, once per thread, in WAL mode.

    `migrations` is a sequence of SQL scripts; script n takes the schema from `user_version` n to n + 1. All of them run
    when the first connection opens. May be used by any thread and by several processes; a connection never crosses threads.
    Must not be opened before a fork and used after it.
    """

    def __init__(self, path: Path, migrations: Sequence[str], *, synchronous: str) -> None:
        self.path = path
        self._migrations = migrations
        self._synchronous = synchronous
        self._local = threading.local()
        self._guard = threading.Lock()  # protects _open, _migrated, _inode
        self._open: dict[int, tuple[threading.Thread, sqlite3.Connection]] = {}
        self._migrated = False
        self._inode = 0  # of the file that was migrated, to tell it from a successor

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection. Raises `DatabaseError` when the file is not a usable database."""
        conn: sqlite3.Connection | None = getattr(self._local, "conn", None)
        if conn is None:
            conn = self._connect()
            self._local.conn = conn
        return conn

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run one IMMEDIATE transaction; commits at the end of the block, rolls back when it raises.

        IMMEDIATE takes the write lock at once: a deferred transaction that upgrades later fails with SQLITE_BUSY
        without waiting when another process wrote in between.
        """
        conn = self.connection()
        conn.execute("BEGIN IMMEDIATE")
        try:
            yield conn
        except BaseException:
            conn.rollback()
            raise
        conn.commit()

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        return self.connection().execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[object] = ()) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self.connection().execute(sql, parameters).fetchone()
        return found

    def set_aside(self, name: str) -> None:
        """Rename the file and its companions to `name`; the next use of any thread makes a new one.

        When another process was faster, its new file stays. Connections of other threads are left to those threads: closing
        one while it runs is not safe.
        """
        with self._guard:
            try:
                is_ours = self.path.stat().st_ino == self._inode or not self._inode
            except FileNotFoundError:
                is_ours = False
            if is_ours:
                for suffix in ("", "-wal", "-shm"):
                    with contextlib.suppress(FileNotFoundError):
                        self.path.with_name(self.path.name + suffix).rename(self.path.with_name(name + suffix))
            self._inode = 0
            self._migrated = False
            self._open.clear()
            self._local = threading.local()

    def close(self) -> None:
        """Close every thread's connection. No other thread may be using one."""
        with self._guard:
            for _, conn in self._open.values():
                conn.close()
            self._open.clear()
            self._migrated = False
        self._local = threading.local()

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # SQLite gives -wal and -shm the mode of the file, which it would make with the umask's. A file that is there must not be
        # opened here: closing any descriptor of it drops all POSIX locks of this process, those of other connections too.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        conn = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            conn.row_factory = sqlite3.Row
            _use_wal(conn)
            conn.execute(f"PRAGMA synchronous={self._synchronous}")
            conn.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            conn.execute("PRAGMA temp_store=MEMORY")
            conn.execute("PRAGMA foreign_keys=ON")
            with self._guard:
                if not self._migrated:
                    self._migrate(conn)
                    self._migrated = True
                    self._inode = self.path.stat().st_ino
                self._forget_dead_threads()
                self._open[id(conn)] = (threading.current_thread(), conn)
        except BaseException:
            conn.close()
            raise
        return conn

    def _migrate(self, conn: sqlite3.Connection) -> None:
        if conn.execute("PRAGMA user_version").fetchone()[0] == len(self._migrations):
            return
        # Two processes may start at once: the version is read again under the write lock.
        conn.execute("BEGIN IMMEDIATE")
        try:
            version = conn.execute("PRAGMA user_version").fetchone()[0]
            if version > len(self._migrations):
                raise sqlite3.DatabaseError(f"{self.path} has schema {version}, this program knows {len(self._migrations)}")
            for script in self._migrations[version:]:
                for statement in _statements(script):
                    conn.execute(statement)
            conn.execute(f"PRAGMA user_version={len(self._migrations)}")
        except BaseException:
            conn.rollback()
            raise
        conn.commit()

    def _forget_dead_threads(self) -> None:
        # A WSGI server's threads come and go; without this their connections would pile up until the process ends.
        for key, (thread, conn) in list(self._open.items()):
            if not thread.is_alive():
                conn.close()
                del self._open[key]


def _use_wal(conn: sqlite3.Connection) -> None:
    # The one statement that the busy timeout does not hold for: of two processes that open a new file at once, one would fail.
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            conn.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _statements(script: str) -> Iterator[str]:
    """Split a script at statement ends, trigger bodies kept whole (`executescript` would commit the open transaction)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError(f"unfinished SQL statement: {statement.strip()[:80]}")


def marks(count: int) -> str:
    """Return `count` parameter marks for an IN list."""
    return ",".join("?" * count)
