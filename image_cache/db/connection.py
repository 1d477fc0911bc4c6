"""Connections to one SQLite file, and its errors. `Database` pools them."""

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from image_cache.filesystem import create_file, replacing

Row = sqlite3.Row
Connection = sqlite3.Connection
Cursor = sqlite3.Cursor
DatabaseError = sqlite3.DatabaseError
IntegrityError = sqlite3.IntegrityError
OperationalError = sqlite3.OperationalError

BUSY_TIMEOUT_S = 5.0
READING_TIMEOUT_S = 2.0  # shorter, because a person waits
NEW_S = 10.0  # a file that was written so recently, and has no tables, may be about to get them
CACHE_KIB = 512  # page cache per connection; a dozen threads hold one each, so SQLite's 2 MB default would be 24 MB
STATEMENTS = 40  # kept compiled per connection: a page has 10. SQLite's IN lists differ by length, and a long one takes 20 KB
COMPANIONS = ("-wal", "-shm")
DEFAULT_PAGE_BYTES = 4096
WAL_BYTES = 4 << 20  # after which it is written back to the database, and its size after that
# Of transactions of thousands of rows: pages that change again are written once. The file of the WAL is short again after it.
BULK_CACHE_KIB, BULK_WAL_BYTES = 20_480, 96 << 20


class WrongVersion(DatabaseError):
    """The file has the schema of another version of this program. `version` is that of the file, `known` that of the program."""

    def __init__(self, path: Path, version: int, known: int) -> None:
        super().__init__(f"{path} uses schema {version}, but this version supports {known}")
        self.version = version
        self.known = known


class Locked(OperationalError):
    """Other threads of this process held the write lock for too long. Looks like SQLite's own error for other processes."""

    sqlite_errorcode = sqlite3.SQLITE_BUSY
    sqlite_errorname = "SQLITE_BUSY"

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is locked")


class ReadOnlyDisk(OperationalError):
    """The disk became read-only while the file was open. SQLite only knows that writing failed."""

    sqlite_errorcode = sqlite3.SQLITE_READONLY
    sqlite_errorname = "SQLITE_READONLY"


@contextlib.contextmanager
def open_unchanged(path: Path) -> Iterator[Connection]:
    """Open a file without changing its schema or setting it aside. Raises `DatabaseError` if it is not a database."""
    conn = connect(path, "rw") if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else connect_read_only(path)
    try:
        conn.execute("PRAGMA user_version").fetchone()
        yield conn
    finally:
        conn.close()


def copy_into(conn: Connection, target: Path) -> None:
    """Copy a database to a file, durably and atomically, while others write to it. Raises `DatabaseError`."""
    try:
        with replacing(target, is_durable=True, temp=target.with_name(f".{target.name}.part")) as file:
            # Into an empty file, because SQLite would create one with the mode of the umask.
            conn.execute("VACUUM INTO ?", (_uri(Path(file.name)),))
    except OSError as error:
        raise OperationalError(f"{target}: {error.strerror or error}") from error


def is_broken(error: DatabaseError) -> bool:
    """Return True if the file is damaged or has another schema; False if it is only locked, full, or not accessible."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by Python: another schema version, or text that is not UTF-8
        return isinstance(error, WrongVersion) or type(error) is DatabaseError or "decode to UTF-8" in str(error)
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT):
        return True
    is_schema = any(words in str(error) for words in ("no such table", "no such column", "already exists"))
    return code == sqlite3.SQLITE_IOERR_SHORT_READ or (code == sqlite3.SQLITE_ERROR and is_schema)


def connect(path: Path, mode: str, timeout_s: float = BUSY_TIMEOUT_S) -> Connection:
    """Open a connection in one of SQLite's modes, rw or ro."""
    conn = sqlite3.connect(
        f"{_uri(path)}?mode={mode}",
        timeout=timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS,
        uri=True,
    )
    conn.row_factory = Row
    return conn


def _uri(path: Path) -> str:
    """Return a path as SQLite takes it also when its name is not UTF-8."""
    return f"file:{quote(os.fsencode(path))}"


def connect_reader(path: Path, known: int) -> Connection:
    """Open a connection that only reads, to a file with the known schema version. Waits for a file that is just being created.

    Raises `OSError` if there is no such file, `WrongVersion` for another schema, `DatabaseError` if it is not a database.
    """
    until = time.monotonic() + READING_TIMEOUT_S
    while True:
        try:
            return _connect_reader(path, known)
        except DatabaseError as error:
            is_newer = isinstance(error, WrongVersion) and error.version > known
            was_written = time.time() - path.stat().st_mtime < NEW_S
            if is_newer or not is_broken(error) or not was_written or time.monotonic() > until:
                raise
        time.sleep(0.02)


def _connect_reader(path: Path, known: int) -> Connection:
    path.stat()
    # Without -wal and -shm no process has the file open. SQLite would create them, unless it is told that the file never changes.
    is_at_rest = not any(path.with_name(path.name + suffix).exists() for suffix in COMPANIONS)
    conn = connect(path, "ro&immutable=1" if is_at_rest else "ro", READING_TIMEOUT_S)
    try:
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            raise DatabaseError(f"{path} is empty")
        if version != known:
            raise WrongVersion(path, version, known)
        conn.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    except BaseException:
        conn.close()
        raise
    return conn


def connect_read_only(path: Path) -> Connection:
    """Open a connection to a file that cannot be written."""
    # On a read-only disk SQLite can read a file that has a WAL; without one only if it is told that the file never changes.
    conn = connect(path, "ro")
    try:
        conn.execute("PRAGMA user_version").fetchone()
    except OperationalError:
        conn.close()
        conn = connect(path, "ro&immutable=1")
    return conn


def lacks_room(error: BaseException, path: Path) -> bool:
    """Return True if a file cannot be opened for writing because the disk has no room for the WAL beside it.

    What an existing WAL holds is part of the database: without it the file alone must not be read.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    wal = path.with_name(f"{path.name}-wal")
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and not (
        wal.is_file() and wal.stat().st_size
    )


def refuse_if_read_only(path: Path, error: DatabaseError) -> None:
    """Raise `ReadOnlyDisk` if writing to a file failed with an error of the disk, and the disk is read-only."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_IOERR:
        return
    try:
        os.utime(path.parent)  # the flags of a mount do not say that ext4 stopped after an error
    except OSError as refusal:
        if refusal.errno == errno.EROFS:
            raise ReadOnlyDisk(f"{path}: the disk is read-only") from error


def why_unwritable(error: Exception) -> str:
    """Return why the disk did not take a change, as part of a sentence; nothing if that was not the reason."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return {sqlite3.SQLITE_FULL: "the disk is full", sqlite3.SQLITE_READONLY: "the disk is read-only"}.get(code, "")


def set_page_size(conn: Connection, page_bytes: int) -> None:
    """Give a new file pages of this size, and rewrite another one that has different ones, unless it is in use or the disk is full."""
    if conn.execute("PRAGMA page_size").fetchone()[0] == page_bytes:
        return
    with contextlib.suppress(OperationalError):
        conn.execute("PRAGMA busy_timeout=0")
        conn.execute("PRAGMA journal_mode=DELETE")  # the size of a page cannot change in WAL mode
        conn.execute(f"PRAGMA page_size={page_bytes}")
        conn.execute("VACUUM")
    conn.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000:.0f}")


def set_checkpoint(conn: Connection, wal_bytes: int) -> None:
    """Let a connection write the WAL back when it is as large as this."""
    conn.execute(f"PRAGMA wal_autocheckpoint={wal_bytes // conn.execute('PRAGMA page_size').fetchone()[0]}")


def set_bulk(conn: Connection, is_bulk: bool) -> None:
    """Let a connection keep the pages of a large transaction in memory, and leave them in the WAL for longer; or no more."""
    conn.execute(f"PRAGMA cache_size=-{BULK_CACHE_KIB if is_bulk else CACHE_KIB}")
    set_checkpoint(conn, BULK_WAL_BYTES if is_bulk else WAL_BYTES)
    if not is_bulk:
        conn.execute("PRAGMA shrink_memory")


def use_wal(conn: Connection) -> None:
    """Switch a database to WAL mode."""
    # The busy timeout does not apply to this statement: of two processes that open a new file at the same time, one would fail.
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            conn.execute("PRAGMA journal_mode=WAL")
        except OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def prepare(conn: Connection, synchronous: str, page_bytes: int) -> None:
    """Set the pragmas of a connection; `synchronous` is empty for one that only reads."""
    if synchronous:
        set_page_size(conn, page_bytes)
        use_wal(conn)
        set_checkpoint(conn, WAL_BYTES)
        conn.execute(f"PRAGMA synchronous={synchronous}")
        conn.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")  # it would stay as large as the largest transaction
    conn.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    conn.execute("PRAGMA temp_store=MEMORY")
    conn.execute("PRAGMA secure_delete=ON")  # what is deleted for good leaves no bytes; Debian's SQLite has it so, others may not
    conn.execute("PRAGMA foreign_keys=ON")


@contextlib.contextmanager
def open_untrusted(path: Path, *, max_value_bytes: int) -> Iterator[Connection]:
    """Open an untrusted database for reading, without writing any file next to it.

    A value longer than `max_value_bytes` raises `DatabaseError`. The schema cannot call functions with side effects.
    """
    conn = _connect_untrusted(path)
    try:
        conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max_value_bytes)
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "query_only=ON", f"cache_size=-{CACHE_KIB}"):
            conn.execute(f"PRAGMA {pragma}")
        # Invalid UTF-8 becomes replacement characters, so that one broken title does not stop an import.
        conn.text_factory = lambda data: data.decode("utf-8", errors="replace")
        conn.row_factory = Row
        yield conn
    finally:
        conn.close()


def _connect_untrusted(path: Path) -> Connection:
    # SQLite would create a WAL next to a file in WAL mode that has none, unless it is told that the file never changes.
    with path.open("rb") as file:
        is_wal = file.read(20)[18:20] == b"\2\2"
    is_alone = is_wal and not path.with_name(path.name + "-wal").exists()
    return connect(path, "ro&immutable=1" if is_alone else "ro")


def parameter_marks(count: int) -> str:
    """Return `count` parameter marks for an IN list: `?,?,?`.

    Raises `ValueError` for an empty list: `IN ()` is an error in PostgreSQL, and `NOT IN (NULL)` finds nothing anywhere.
    """
    if count < 1:
        raise ValueError("an IN list must not be empty")
    return ",".join("?" * count)


def insert_many(conn: Connection, sql: str, rows: Sequence[Sequence[object]]) -> list[int]:
    """Insert rows by a statement that returns the number of each; return the numbers in order. One round trip, not one a row."""
    at_once: Callable[..., list[int]] | None = getattr(conn, "insert_many", None)  # SQLite has none: it is no trip there
    return at_once(sql, rows) if at_once else [int(conn.execute(sql, row).fetchone()[0]) for row in rows]


def refuse_if_lost(path: Path) -> None:
    """Raise `OperationalError` if the file is missing or empty beside a WAL: SQLite and we would delete what is in the WAL."""
    wal = path.with_name(f"{path.name}-wal")
    sizes = [one.stat().st_size if one.is_file() else 0 for one in (path, wal)]
    if sizes[1] and not sizes[0]:
        state = "is empty" if path.exists() else "is missing"
        raise OperationalError(f"{path} {state}, but {wal.name} contains data that belongs to it. Nothing was changed")


def create_if_missing(path: Path) -> None:
    """Create an empty file for a new database, readable by its owner only. Raises `OSError`."""
    if path.exists():
        return
    # The WAL of a deleted database must not be found by a new one: SQLite might apply its pages to the new file.
    for suffix in COMPANIONS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    # SQLite copies the mode to -wal and -shm. A file that exists must not be opened here: closing any descriptor of it drops all
    # POSIX locks of this process, including those of other connections.
    create_file(path).close()


def close_all(idle: list[Connection]) -> None:
    """Close connections while other threads may take some of them from the list."""
    with contextlib.suppress(IndexError):
        while True:
            idle.pop().close()
