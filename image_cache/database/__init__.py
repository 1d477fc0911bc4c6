"""SQLite, in one place: a connection per thread, pragmas, short IMMEDIATE writes, schema versions.

Both databases use it: `index.db` (disposable, synchronous NORMAL) and `catalog.db` (precious, synchronous FULL). It knows no table.
"""

import contextlib
import gc
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from image_cache.database.opening import (
    BUSY_TIMEOUT_S,
    CACHE_KIB,
    COMPANIONS,
    Connection,
    DatabaseError,
    IntegrityError,
    Locked,
    OperationalError,
    Row,
    WrongVersion,
    copy_into,
    is_broken,
    linked,
    looked_into,
    opened,
    read_only,
    use_wal,
)
from image_cache.database.turns import Turns
from image_cache.folders import alone_in, inode_of, make_folder

__all__ = [
    "COMPANIONS",
    "Connection",
    "Database",
    "DatabaseError",
    "IntegrityError",
    "Locked",
    "OperationalError",
    "Row",
    "WrongVersion",
    "copy_into",
    "is_broken",
    "marks",
    "opened",
]

logger = logging.getLogger(__name__)

WAL_BYTES = 4 << 20  # what a checkpoint leaves of the WAL; one large transaction would keep its size for ever
KEPT_COPIES = 2  # of a precious file, from before its schema changed


class Database:
    """One SQLite file, opened lazily, once per thread, in WAL mode; on a disk that became read-only, for reading only.

    `migrations` is a sequence of SQL scripts; script n takes the schema from `user_version` n to n + 1. A disposable file
    that turns out to be broken is set aside wherever that shows: reads go on with a new, empty one, writes raise once.
    A reader makes, moves and migrates nothing, whatever it finds, and leaves no file behind that was not there.
    May be used by any thread and by several processes; a connection never crosses threads, nor a fork.
    """

    def __init__(
        self, path: Path, migrations: Sequence[str], *, synchronous: str, is_disposable: bool = False, is_reader: bool = False
    ) -> None:
        self.path = path
        self.inode = 0  # of the file in use, to tell it from a successor; 0 before the first use
        self._migrations = migrations
        self._synchronous = synchronous
        self._is_disposable = is_disposable and not is_reader
        self._is_reader = is_reader
        self._local = threading.local()
        # Protects what is above and below, and held while a connection opens, so that nobody opens a file that is being moved.
        self._guard = threading.Lock()
        self._open: dict[int, tuple[threading.Thread, Connection]] = {}
        self._turns = Turns()  # to write: an import that writes in a loop would starve whoever wants to cancel it

    def connection(self) -> Connection:
        """Return this thread's connection. Raises `DatabaseError` when the file is not a usable database."""
        conn: Connection | None = getattr(self._local, "conn", None)
        return conn if conn is not None else self._connect()

    @contextlib.contextmanager
    def write(self, *, is_durable: bool = True) -> Iterator[Connection]:
        """Run one IMMEDIATE transaction; commits at the end of the block, rolls back when it raises.

        What is not `is_durable` does not wait for the disk: a power cut may lose it, and breaks nothing.

        IMMEDIATE takes the write lock at once: a deferred transaction that upgrades later fails with SQLITE_BUSY
        without waiting when another process wrote in between. Raises `Locked` when the threads before this one take too long.
        """
        if not self._turns.take(BUSY_TIMEOUT_S):
            raise Locked(self.path)
        try:
            conn = self.connection()
            if not is_durable:
                conn.execute("PRAGMA synchronous = NORMAL")
            try:
                conn.execute("BEGIN IMMEDIATE")
                yield conn
                conn.commit()
            except BaseException:  # also of the commit: a full disk refuses it and leaves the transaction open
                with contextlib.suppress(DatabaseError):
                    conn.rollback()
                raise
            finally:
                if not is_durable:
                    with contextlib.suppress(DatabaseError):
                        conn.execute(f"PRAGMA synchronous = {self._synchronous}")
        except DatabaseError as error:
            self._is_replaced(error)
            raise
        finally:
            self._turns.leave()

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        try:
            return self.connection().execute(sql, parameters).fetchall()
        except DatabaseError as error:
            if not self._is_replaced(error):
                raise
            return self.connection().execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """Return the first row only; the query stops there."""
        try:
            found: Row | None = self.connection().execute(sql, parameters).fetchone()
        except DatabaseError as error:
            if not self._is_replaced(error):
                raise
            found = self.connection().execute(sql, parameters).fetchone()
        return found

    def notice_replacement(self) -> None:
        """Let go of a file that somebody deleted or replaced: SQLite would go on in the one that has no name any more."""
        with self._guard:
            if self.inode and inode_of(self.path) != self.inode:
                self._forget()

    def set_aside(self) -> None:
        """Rename the file and its companions to `.broken`, in place of an older one; the next use makes a new file.

        When another process was faster, its new file stays. Connections of other threads are left to those threads, as in `close`.
        """
        with self._guard, alone_in(self.path.parent):
            self._set_aside()

    def close(self) -> None:
        """Close the connections of this thread and of those that ended; another's closes when that thread lets go of it.

        Closing a connection while its thread runs a statement crashes the process; nothing is freed under a frame that holds it.
        """
        with self._guard:
            self._forget_dead_threads()
            own: Connection | None = getattr(self._local, "conn", None)
            if own is not None:
                own.close()
            has_others = any(thread is not threading.current_thread() for thread, _ in self._open.values())
            self._forget()
        if has_others:
            gc.collect()  # a connection and its cache of statements hold each other

    def _is_replaced(self, error: DatabaseError) -> bool:
        """Set the file aside when the error says that it is broken and it is disposable; tell whether that was so."""
        if not (self._is_disposable and is_broken(error)):
            return False
        with contextlib.suppress(OSError):  # on a read-only disk it stays where it is
            self.set_aside()
            return True
        return False

    def _forget(self) -> None:
        self._open.clear()
        self._local = threading.local()
        self.inode = 0

    def _set_aside(self) -> None:
        if self.inode in (0, inode_of(self.path)):
            for suffix in ("", *COMPANIONS):
                source, target = (self.path.with_name(self.path.name + end) for end in (suffix, ".broken" + suffix))
                target.unlink(missing_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    source.rename(target)
            logger.error("database broken, set aside path=%s.broken", self.path)
        self._forget()

    def _connect(self) -> Connection:
        with self._guard:
            try:
                conn = looked_into(self.path, len(self._migrations)) if self._is_reader else self._made_or_opened()
            except OSError as error:
                raise OperationalError(f"{self.path}: {error.strerror or error}") from error
            self._forget_dead_threads()
            self._open[id(conn)] = (threading.current_thread(), conn)
            self._local.conn = conn
            return conn

    def _made_or_opened(self) -> Connection:
        make_folder(self.path.parent)
        with alone_in(self.path.parent):
            try:
                return self._opened()
            except DatabaseError as error:
                if not (self._is_disposable and is_broken(error)):
                    raise
                self._set_aside()
                return self._opened()

    def _opened(self) -> Connection:
        """Open a connection, making the file and its schema when they are missing. The caller is alone in the folder."""
        if not self.path.exists():
            # A WAL whose database is gone must not meet a new one: SQLite might take its pages for the new file's.
            for suffix in COMPANIONS:
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            # SQLite gives -wal and -shm the mode of the file, which it would make with the umask's. A file that is there must not
            # be opened here: closing any descriptor of it drops all POSIX locks of this process, those of other connections too.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        is_writable = os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        self.inode = inode_of(self.path)
        conn = linked(self.path, "rw") if is_writable else read_only(self.path)
        try:
            if is_writable:
                use_wal(conn)
                conn.execute(f"PRAGMA synchronous={self._synchronous}")
                conn.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
            conn.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            conn.execute("PRAGMA temp_store=MEMORY")
            conn.execute("PRAGMA foreign_keys=ON")
            self._migrate(conn)
        except BaseException:
            conn.close()
            raise
        return conn

    def _migrate(self, conn: Connection) -> None:
        if conn.execute("PRAGMA user_version").fetchone()[0] == len(self._migrations):
            return
        if not self._is_disposable:
            self._keep_copy(conn)
        # A command may start beside the service: the version is read again under the write lock.
        conn.execute("BEGIN IMMEDIATE")
        try:
            version = conn.execute("PRAGMA user_version").fetchone()[0]
            if version > len(self._migrations):
                raise WrongVersion(self.path, version, len(self._migrations))
            for script in self._migrations[version:]:
                for statement in _statements(script):
                    conn.execute(statement)
            conn.execute(f"PRAGMA user_version={len(self._migrations)}")
            conn.commit()
        except BaseException:
            with contextlib.suppress(DatabaseError):
                conn.rollback()
            raise

    def _keep_copy(self, conn: Connection) -> None:
        """Keep the file as it is before its schema changes: `catalog.db.schema-3` is what a program that knows only 3 can use.

        When there is no room for it, nothing is changed either.
        """
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        if not 0 < version < len(self._migrations):
            return
        copy_into(conn, self.path.with_name(f"{self.path.name}.schema-{version}"))
        copies = [path for path in self.path.parent.glob(f"{self.path.name}.schema-*") if path.name.rpartition("-")[2].isdigit()]
        for old in sorted(copies, key=lambda path: int(path.name.rpartition("-")[2]))[:-KEPT_COPIES]:
            old.unlink(missing_ok=True)
        logger.info("schema changes, copy kept path=%s.schema-%s", self.path, version)

    def _forget_dead_threads(self) -> None:
        # A WSGI server's threads come and go; without this their connections would pile up until the process ends.
        for key, (thread, conn) in list(self._open.items()):
            if not thread.is_alive():
                conn.close()
                del self._open[key]


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
