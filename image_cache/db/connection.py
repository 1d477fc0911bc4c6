"""One file of SQLite: opened in its ways, copied, judged. Its connections are kept by `Database`."""

import contextlib
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from image_cache.filesystem import replacing

Row = sqlite3.Row
Connection = sqlite3.Connection
Cursor = sqlite3.Cursor
DatabaseError = sqlite3.DatabaseError
IntegrityError = sqlite3.IntegrityError
OperationalError = sqlite3.OperationalError

BUSY_TIMEOUT_S = 5.0
READING_TIMEOUT_S = 2.0  # a person waits for it
CACHE_KIB = 512  # page cache per connection; a dozen threads hold one each, so SQLite's 2 MB default would be 24 MB
COMPANIONS = ("-wal", "-shm")


class WrongVersion(DatabaseError):
    """The file has the schema of another version of this program. `version` is the file's, `known` is ours."""

    def __init__(self, path: Path, version: int, known: int) -> None:
        super().__init__(f"{path} has schema {version}, this program knows {known}")
        self.version = version
        self.known = known


class Locked(OperationalError):
    """Another thread of this process writes and writes; as SQLite says it of another process."""

    sqlite_errorcode = sqlite3.SQLITE_BUSY
    sqlite_errorname = "SQLITE_BUSY"

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is locked")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Connection]:
    """Open a file as it is: no schema is made or changed, nothing set aside. Raises `DatabaseError` when it is no database."""
    conn = linked(path, "rw") if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else read_only(path)
    try:
        conn.execute("PRAGMA user_version").fetchone()
        yield conn
    finally:
        conn.close()


def copy_into(conn: Connection, target: Path) -> None:
    """Write all of a database to a new file, durable, whole or not at all, while others go on writing. Raises `DatabaseError`."""
    try:
        with replacing(target, is_durable=True, temp=target.with_name(f".{target.name}.part")) as file:
            conn.execute("VACUUM INTO ?", (file.name,))  # into an empty file, because SQLite would make one with the umask's mode
    except OSError as error:
        raise OperationalError(f"{target}: {error.strerror or error}") from error


def is_broken(error: DatabaseError) -> bool:
    """Tell a file that is damaged, or of another schema, from one that is only busy, full, closed or out of reach."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by Python: a newer schema, or a text that is no UTF-8
        return isinstance(error, WrongVersion) or type(error) is DatabaseError or "decode to UTF-8" in str(error)
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT):
        return True
    is_schema = any(words in str(error) for words in ("no such table", "no such column", "already exists"))
    return code == sqlite3.SQLITE_IOERR_SHORT_READ or (code == sqlite3.SQLITE_ERROR and is_schema)


def linked(path: Path, mode: str, timeout_s: float = BUSY_TIMEOUT_S) -> Connection:
    """Open a connection in a mode of SQLite's: rw or ro."""
    conn = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        timeout=timeout_s,
        isolation_level=None,
        check_same_thread=False,
        uri=True,
    )
    conn.row_factory = Row
    return conn


def looked_into(path: Path, known: int) -> Connection:
    """Open a connection that leaves everything as it is, to a file of the schema that is known.

    Raises `OSError` when there is no such file, `WrongVersion` for another schema, `DatabaseError` for no database.
    """
    path.stat()
    # Without its companions nobody has the file open: SQLite would make them, unless told that nobody writes.
    is_at_rest = not any(path.with_name(path.name + suffix).exists() for suffix in COMPANIONS)
    conn = linked(path, "ro&immutable=1" if is_at_rest else "ro", READING_TIMEOUT_S)
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


def read_only(path: Path) -> Connection:
    """Open a connection to a file that cannot be written."""
    # With its WAL beside it SQLite can read a file on a read-only disk; without one only if told that nobody writes.
    conn = linked(path, "ro")
    try:
        conn.execute("PRAGMA user_version").fetchone()
    except OperationalError:
        conn.close()
        conn = linked(path, "ro&immutable=1")
    return conn


def use_wal(conn: Connection) -> None:
    """Switch a database to WAL mode."""
    # The one statement that the busy timeout does not hold for: of two processes that open a new file at once, one would fail.
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


class FairLock:
    """A lock that serves whoever came first. `threading.Lock`, like SQLite's own, goes to whoever asks at the right moment: a
    thread that writes in a loop takes it again before those who wait have noticed that it was free.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()  # protects what follows
        self._is_taken = False
        self._waiting: deque[threading.Event] = deque()

    def take(self, timeout_s: float) -> bool:
        """Wait for the turn; False when it did not come in time."""
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        try:
            has_come = mine.wait(timeout_s)
        except BaseException:  # of a signal: a turn that came to nobody would never be handed on
            if not self._is_given_up(mine):
                self.leave()
            raise
        return has_come or not self._is_given_up(mine)

    def leave(self) -> None:
        """Hand the turn on. Only for whoever has it."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._is_taken = False

    def _is_given_up(self, mine: threading.Event) -> bool:
        """Leave the line; False when the turn came at the last moment."""
        with self._guard:
            if mine.is_set():
                return False
            self._waiting.remove(mine)
            return True


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
