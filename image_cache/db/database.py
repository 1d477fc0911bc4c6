"""A SQLite database: pooled connections, pragmas, short IMMEDIATE transactions, schema versions.

Both databases use it: `index.db` (disposable, synchronous NORMAL) and `catalog.db` (precious, synchronous FULL). It knows no table.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from image_cache.db.commit_watch import CommitWatch
from image_cache.db.connection import (
    BUSY_TIMEOUT_S,
    COMPANIONS,
    DEFAULT_PAGE_BYTES,
    Connection,
    Cursor,
    DatabaseError,
    IntegrityError,
    Locked,
    OperationalError,
    Row,
    WrongVersion,
    close_all,
    connect,
    connect_read_only,
    connect_reader,
    create_if_missing,
    is_broken,
    lacks_room,
    parameter_marks,
    prepare,
    refuse_if_lost,
    refuse_if_read_only,
    set_bulk,
    why_unwritable,
)
from image_cache.db.fair_lock import FairLock
from image_cache.db.migrations import migrate
from image_cache.filesystem import inode_of, lock_folder, make_folder

__all__ = [
    "Connection",
    "Database",
    "DatabaseError",
    "IntegrityError",
    "Locked",
    "OperationalError",
    "Row",
    "WrongVersion",
    "is_broken",
    "parameter_marks",
    "why_unwritable",
]

logger = logging.getLogger(__name__)
T = TypeVar("T")
Idle = list[Connection]

MAX_IDLE = 3  # connections per file: each has its own copy of the schema and a page cache, 200 to 800 KB


class Database:
    """One SQLite file, opened lazily, in WAL mode; on a disk that is read-only or full, only for reading.

    `migrations` is a sequence of SQL scripts; script n takes the schema from `user_version` n to n + 1. A disposable file that is
    found broken is set aside: reads continue with a new, empty one, writes raise once.
    A reader creates, moves and migrates nothing, and leaves no new file. A file with other pages than `page_bytes` is rewritten
    once, when no one else has it open: a transaction writes whole pages, so small ones wear the card less where rows are spread.
    Any thread, several processes. A connection is used by one thread at a time, and never after a fork.
    """

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        *,
        synchronous: str,
        is_disposable: bool = False,
        is_reader: bool = False,
        page_bytes: int = DEFAULT_PAGE_BYTES,
    ) -> None:
        self.path = path
        self.inode = 0  # of the file in use; 0 before the first use. A new file may get the same one once this one is closed
        self.generation = 0  # incremented whenever another file is used
        self._is_writable = False  # the connection that was opened last; protected by _guard
        self._migrations = migrations
        self._synchronous = synchronous
        self._page_bytes = page_bytes
        self._is_disposable = is_disposable and not is_reader
        self._is_reader = is_reader
        # Protects inode, generation and _idle. Held while a connection opens, so that no file is opened while it is being moved.
        self._guard = threading.Lock()
        self._idle: Idle = []  # replaced by a new list when another file is used
        self._writing = threading.local()  # .conn: the connection of this thread's transaction, which sees uncommitted changes
        self._commits = CommitWatch(lambda: self._connect()[0])
        self._write_lock = FairLock()  # an import that writes in a loop would otherwise starve the request that cancels it

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Borrow a connection for several statements. Raises `DatabaseError` if the file is not a usable database."""
        conn, home = self._borrow()
        try:
            yield conn
        finally:
            self._give_back(conn, home)

    @contextlib.contextmanager
    def write(self, *, is_durable: bool = True, is_bulk: bool = False) -> Iterator[Connection]:
        """Run one IMMEDIATE transaction: commit at the end of the block, roll back if it raises.

        `is_bulk` is for thousands of rows: each page that they change is written once. With `is_durable=False` the commit does not
        wait for the disk: a power cut may lose it, but does no other harm.

        IMMEDIATE takes the write lock at once: a deferred transaction that upgrades later fails with SQLITE_BUSY
        without waiting if another process wrote in between. Raises `Locked` if other threads hold the lock for too long.
        """
        if not self._write_lock.acquire(BUSY_TIMEOUT_S):
            raise Locked(self.path)
        try:
            conn, home = self._borrow()
            self._writing.conn = conn
            is_sound = True
            try:
                if not is_durable:
                    conn.execute("PRAGMA synchronous = NORMAL")
                if is_bulk:
                    set_bulk(conn, True)
                conn.execute("BEGIN IMMEDIATE")
                yield conn
                conn.commit()
                if is_bulk:
                    set_bulk(conn, False)
                if not is_durable:
                    conn.execute(f"PRAGMA synchronous = {self._synchronous}")
            except BaseException as error:  # also a commit that fails on a full disk, which leaves the transaction open
                is_sound = is_durable and not is_bulk  # a connection with other pragmas must not be reused
                with contextlib.suppress(DatabaseError):
                    conn.rollback()
                if isinstance(error, DatabaseError):
                    self._set_aside_if_broken(error, home)
                    refuse_if_read_only(self.path, error)
                raise
            finally:
                del self._writing.conn
                if is_sound:
                    self._give_back(conn, home)
                else:
                    conn.close()
        finally:
            self._write_lock.release()

    def is_write_awaited(self) -> bool:
        """Return True if another thread of this process waits to write: a long write block should end then."""
        return self._write_lock.is_awaited()

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        return self._fetch(sql, parameters, Cursor.fetchall)

    def row(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """Return the first row, None if there is none; the query stops there."""
        return self._fetch(sql, parameters, Cursor.fetchone)  # type: ignore[no-any-return]

    def stream(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield plain tuples, one at a time, for results that are too large for memory."""
        conn, home = self._borrow()
        try:  # no context manager: of two generators that are collected, the inner one may be closed first, with the cursor open
            cursor = conn.execute(sql, parameters)
            cursor.row_factory = None
            try:
                # While this thread is writing all of it is read now: the block may be over before the result is.
                yield from cursor.fetchall() if home is None else cursor
            finally:
                cursor.close()
        finally:
            self._give_back(conn, home)

    def version(self) -> tuple[int, int]:
        """Return numbers that change with every commit, of any thread or process. Only for comparison within this process."""
        return self._commits.version(self.generation)

    def drop_if_replaced(self) -> None:
        """Close the connections if the file was deleted or replaced: SQLite would keep using the old, unlinked one."""
        with self._guard:
            if self.inode and inode_of(self.path) != self.inode:
                self._drop_connections()

    def trim(self) -> None:
        """Release memory: close the idle connections but the newest, which keeps the file open, and empty its page cache."""
        home = self._idle
        with contextlib.suppress(IndexError):  # all are in use
            kept = home.pop()
            close_all(home)
            kept.execute("PRAGMA shrink_memory")
            self._give_back(kept, home)

    def set_aside(self) -> None:
        """Rename the file and its companions to `.broken`; the next use creates a new file. One of another process stays."""
        with self._guard, lock_folder(self.path.parent):
            self._set_aside()

    def close(self) -> None:
        """Close the idle connections. One in use is closed when it is returned: closing it under a running statement would crash."""
        self._commits.close()
        with self._guard:
            self._drop_connections()

    def __del__(self) -> None:
        """Close what a script forgot to close. Python 3.13 warns of each connection that is left to the garbage collector."""
        close_all(getattr(self, "_idle", []))

    def _set_aside_if_broken(self, error: DatabaseError, home: Idle | None) -> bool:
        """Set a disposable file aside if the error means that it is broken; return True if it is.

        Only the file that the connection belonged to: if another thread was faster, its new file stays.
        """
        if not (self._is_disposable and is_broken(error)) or home is None:  # None in a write block, which does this at its end
            return False
        with contextlib.suppress(OSError):  # on a read-only disk it stays where it is
            with self._guard:
                if home is self._idle:
                    with lock_folder(self.path.parent):
                        self._set_aside()
            return True
        return False

    def _drop_connections(self) -> None:
        idle, self._idle = self._idle, []
        self.inode = 0
        self.generation += 1
        close_all(idle)

    def _set_aside(self) -> None:
        if self.inode in (0, inode_of(self.path)):
            for suffix in ("", *COMPANIONS):
                source, target = (self.path.with_name(self.path.name + end) for end in (suffix, ".broken" + suffix))
                target.unlink(missing_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    source.rename(target)
            logger.error("database corrupt, moved aside path=%s.broken", self.path)
        self._drop_connections()

    def _fetch(self, sql: str, parameters: Sequence[object], fetch: Callable[[Cursor], T]) -> T:
        conn, home = self._borrow()
        try:
            return self._fetch_once(conn, home, sql, parameters, fetch)
        except DatabaseError as error:
            if not self._set_aside_if_broken(error, home):
                raise
        return self._fetch_once(*self._borrow(), sql, parameters, fetch)

    def _fetch_once(
        self, conn: Connection, home: Idle | None, sql: str, parameters: Sequence[object], fetch: Callable[[Cursor], T]
    ) -> T:
        try:
            return fetch(conn.execute(sql, parameters))
        finally:
            self._give_back(conn, home)

    def _borrow(self) -> tuple[Connection, Idle | None]:
        """Return a connection, and the list to return it to; no list for the connection of this thread's transaction."""
        conn: Connection | None = getattr(self._writing, "conn", None)
        if conn is not None:
            return conn, None
        home = self._idle
        try:
            return home.pop(), home  # the newest, whose pages are still in memory
        except IndexError:
            return self._connect()

    def _give_back(self, conn: Connection, home: Idle | None) -> None:
        if home is None:  # the write block returns it
            return
        if home is not self._idle or len(home) >= MAX_IDLE or conn.in_transaction:  # after a rollback that failed
            conn.close()
        else:
            home.append(conn)
            if home is not self._idle:  # replaced in the meantime
                close_all(home)

    def _connect(self) -> tuple[Connection, Idle]:
        with self._guard:
            try:
                conn = connect_reader(self.path, len(self._migrations)) if self._is_reader else self._open_or_replace()
            except OSError as error:
                raise OperationalError(f"{self.path}: {error.strerror or error}") from error
            # One that only reads does not see that there is room again: it is used once.
            return conn, self._idle if self._is_writable or self._is_reader else []

    def _open_or_replace(self) -> Connection:
        make_folder(self.path.parent)
        with lock_folder(self.path.parent):
            try:
                return self._open()
            except DatabaseError as error:
                if not (self._is_disposable and is_broken(error)):
                    raise
                self._set_aside()
                return self._open()

    def _open(self) -> Connection:
        """Open a connection; create the file and its schema if they are missing. The caller holds the lock of the folder."""
        if not self._is_disposable:
            refuse_if_lost(self.path)
        create_if_missing(self.path)
        if self.inode not in (0, inode_of(self.path)):  # another process put it there
            self._drop_connections()
        self.inode = inode_of(self.path)
        if not (os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)):
            return self._set_up(connect_read_only(self.path), False)
        try:
            return self._set_up(connect(self.path, "rw"), True)
        except DatabaseError as error:
            if not lacks_room(error, self.path):
                raise
            return self._set_up(connect(self.path, "ro&immutable=1"), False)

    def _set_up(self, conn: Connection, is_writable: bool) -> Connection:
        try:
            prepare(conn, self._synchronous if is_writable else "", self._page_bytes)
            migrate(conn, self.path, self._migrations, keeps_copies=not self._is_disposable)
        except BaseException:
            conn.close()
            raise
        self.generation += is_writable != self._is_writable  # what was seen so far may be out of date
        self._is_writable = is_writable
        return conn
