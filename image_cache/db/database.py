"""SQLite, in one place: connections lent for a moment, pragmas, short IMMEDIATE writes, schema versions.

Both databases use it: `index.db` (disposable, synchronous NORMAL) and `catalog.db` (precious, synchronous FULL). It knows no table.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from image_cache.db.connection import (
    BUSY_TIMEOUT_S,
    CACHE_KIB,
    COMPANIONS,
    Connection,
    Cursor,
    DatabaseError,
    FairLock,
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
from image_cache.db.migrations import migrate
from image_cache.filesystem import create_file, inode_of, lock_folder, make_folder

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

T = TypeVar("T")

KEPT_IDLE = 3  # connections of one file: each holds a schema of its own and a page cache, 200 to 800 KB
WAL_BYTES = 4 << 20  # what a checkpoint leaves of the WAL; one large transaction would keep its size for ever


class Database:
    """One SQLite file, opened lazily, in WAL mode; on a disk that became read-only, for reading only.

    `migrations` is a sequence of SQL scripts; script n takes the schema from `user_version` n to n + 1. A disposable file
    that turns out to be broken is set aside wherever that shows: reads go on with a new, empty one, writes raise once.
    A reader makes, moves and migrates nothing, whatever it finds, and leaves no file behind that was not there.
    May be used by any thread and by several processes. A connection is lent to one thread at a time, and survives no fork.
    """

    def __init__(
        self, path: Path, migrations: Sequence[str], *, synchronous: str, is_disposable: bool = False, is_reader: bool = False
    ) -> None:
        self.path = path
        self.inode = 0  # of the file in use; 0 before the first use. A successor may have the same one, once this file is closed
        self.generation = 0  # another number for each file that was in use
        self._migrations = migrations
        self._synchronous = synchronous
        self._is_disposable = is_disposable and not is_reader
        self._is_reader = is_reader
        # Protects what is above and below, and held while a connection opens, so that nobody opens a file that is being moved.
        self._guard = threading.Lock()
        self._idle: list[Connection] = []  # another list from when the file is another one
        self._writing = threading.local()  # .conn: the one this thread writes with, which sees what is not committed yet
        self._turns = FairLock()  # to write: an import that writes in a loop would starve whoever wants to cancel it

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend a connection for more than one statement. Raises `DatabaseError` when the file is not a usable database."""
        conn, home = self._borrow()
        try:
            yield conn
        finally:
            self._give_back(conn, home)

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
            conn, home = self._borrow()
            self._writing.conn = conn
            is_sound = True
            try:
                if not is_durable:
                    conn.execute("PRAGMA synchronous = NORMAL")
                conn.execute("BEGIN IMMEDIATE")
                yield conn
                conn.commit()
                if not is_durable:
                    conn.execute(f"PRAGMA synchronous = {self._synchronous}")
            except BaseException as error:  # also of the commit: a full disk refuses it and leaves the transaction open
                is_sound = is_durable  # nobody must take one that does not wait for the disk for one that does
                with contextlib.suppress(DatabaseError):
                    conn.rollback()
                if isinstance(error, DatabaseError):
                    self._is_replaced(error, home)
                raise
            finally:
                del self._writing.conn
                if is_sound:
                    self._give_back(conn, home)
                else:
                    conn.close()
        finally:
            self._turns.leave()

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        return self._asked(sql, parameters, Cursor.fetchall)

    def row(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """Return the first row only; the query stops there."""
        found: Row | None = self._asked(sql, parameters, Cursor.fetchone)
        return found

    def stream(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield plain tuples, one at a time: for results that should not be in memory at once."""
        conn, home = self._borrow()
        # One generator and no context manager in it: of two that are collected together the inner one may be ended first, and
        # the connection would be lent to somebody else with the cursor still open.
        try:
            cursor = conn.execute(sql, parameters)
            cursor.row_factory = None
            try:
                # While this thread is writing all of it is read now: the block may be over before the result is.
                yield from cursor.fetchall() if home is None else cursor
            finally:
                cursor.close()
        finally:
            self._give_back(conn, home)

    def notice_replacement(self) -> None:
        """Let go of a file that somebody deleted or replaced: SQLite would go on in the one that has no name any more."""
        with self._guard:
            if self.inode and inode_of(self.path) != self.inode:
                self._forget()

    def set_aside(self) -> None:
        """Rename the file and its companions to `.broken`, in place of an older one; the next use makes a new file.

        When another process was faster, its new file stays.
        """
        with self._guard, lock_folder(self.path.parent):
            self._set_aside()

    def close(self) -> None:
        """Close what is idle; what is in use closes when it is given back: under a running statement that would end the process."""
        with self._guard:
            self._forget()

    def _is_replaced(self, error: DatabaseError, home: "list[Connection] | None") -> bool:
        """Set the file aside when the error says that it is broken and it is disposable; tell whether that was so.

        Only the file that the connection was of: when another thread was faster, its new file stays, and the broken one as well.
        """
        if not (self._is_disposable and is_broken(error)) or home is None:  # of a write block, which sees to it at its end
            return False
        with contextlib.suppress(OSError):  # on a read-only disk it stays where it is
            with self._guard:
                if home is self._idle:
                    with lock_folder(self.path.parent):
                        self._set_aside()
            return True
        return False

    def _forget(self) -> None:
        idle, self._idle = self._idle, []
        self.inode = 0
        self.generation += 1
        _close_all(idle)

    def _set_aside(self) -> None:
        if self.inode in (0, inode_of(self.path)):
            for suffix in ("", *COMPANIONS):
                source, target = (self.path.with_name(self.path.name + end) for end in (suffix, ".broken" + suffix))
                target.unlink(missing_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    source.rename(target)
            logger.error("database broken, set aside path=%s.broken", self.path)
        self._forget()

    def _asked(self, sql: str, parameters: Sequence[object], fetch: Callable[[Cursor], T]) -> T:
        conn, home = self._borrow()
        try:
            return self._ask(conn, home, sql, parameters, fetch)
        except DatabaseError as error:
            if not self._is_replaced(error, home):
                raise
        conn, home = self._borrow()
        return self._ask(conn, home, sql, parameters, fetch)

    def _ask(
        self,
        conn: Connection,
        home: "list[Connection] | None",
        sql: str,
        parameters: Sequence[object],
        fetch: Callable[[Cursor], T],
    ) -> T:
        try:
            return fetch(conn.execute(sql, parameters))
        finally:
            self._give_back(conn, home)

    def _borrow(self) -> tuple[Connection, "list[Connection] | None"]:
        """Return a connection, and the list that it goes back to; none for the one that this thread is writing with."""
        conn: Connection | None = getattr(self._writing, "conn", None)
        if conn is not None:
            return conn, None
        home = self._idle
        try:
            return home.pop(), home  # the newest, whose pages are still in memory
        except IndexError:
            return self._connect()

    def _give_back(self, conn: Connection, home: "list[Connection] | None") -> None:
        if home is None:  # the write block it was lent by gives it back
            return
        if home is not self._idle or len(home) >= KEPT_IDLE or conn.in_transaction:  # of a rollback that failed
            conn.close()
            return
        home.append(conn)
        if home is not self._idle:  # forgotten at this very moment
            _close_all(home)

    def _connect(self) -> tuple[Connection, list[Connection]]:
        with self._guard:
            try:
                conn = looked_into(self.path, len(self._migrations)) if self._is_reader else self._made_or_opened()
            except OSError as error:
                raise OperationalError(f"{self.path}: {error.strerror or error}") from error
            return conn, self._idle

    def _made_or_opened(self) -> Connection:
        make_folder(self.path.parent)
        with lock_folder(self.path.parent):
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
            create_file(self.path).close()
        if self.inode not in (0, inode_of(self.path)):  # another process put it there
            self._forget()
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
            migrate(conn, self.path, self._migrations, keeps_copies=not self._is_disposable)
        except BaseException:
            conn.close()
            raise
        return conn


def _close_all(idle: list[Connection]) -> None:
    with contextlib.suppress(IndexError):
        while True:
            idle.pop().close()


def marks(count: int) -> str:
    """Return `count` parameter marks for an IN list."""
    return ",".join("?" * count)
