"""A connection to PostgreSQL that behaves as one of sqlite3: its rows, its values, its errors.

Statements come in the words of `dialect`: no table module knows which database it asks.
"""

import contextlib
import os
import socket
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import errors
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.types.string import StrDumperUnknown

from image_cache.db.connection import DatabaseError, Locked, OperationalError
from image_cache.db.postgres.sql import Values, translated
from image_cache.db.postgres.tokens import Tokenizer

CONNECT_S = 5
ROWS_AT_A_TIME = 2000  # of a large result
NUL = "\ufffd"  # PostgreSQL stores no NUL in text, and login names and searches may have one
_CODES: dict[type[Exception], tuple[int, str]] = {
    errors.DiskFull: (sqlite3.SQLITE_FULL, "SQLITE_FULL"),
    errors.ReadOnlySqlTransaction: (sqlite3.SQLITE_READONLY, "SQLITE_READONLY"),
}


class PgRow:
    """A row by name, by number and in order, as `sqlite3.Row` has it."""

    __slots__ = ("_names", "_places", "_values")

    def __init__(self, names: Sequence[str], places: dict[str, int], values: Sequence[Any]) -> None:
        self._names, self._places, self._values = names, places, tuple(values)

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            if key not in self._places:
                raise IndexError("No item with that key")
            return self._values[self._places[key]]
        return self._values[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PgRow) and (self._names, self._values) == (other._names, other._values)

    def __hash__(self) -> int:
        return hash(self._values)

    def keys(self) -> list[str]:
        return list(self._names)


def _rows(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], PgRow]:
    names = [column.name for column in cursor.description or ()]
    places = {name: place for place, name in reversed(list(enumerate(names)))}  # of two with one name the first is meant
    return lambda values: PgRow(names, places, values)


class _Text(StrDumperUnknown):
    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", NUL) if "\0" in obj else obj)


class _Truth(Dumper):
    oid = 21  # smallint: SQLite has no other

    def dump(self, obj: bool) -> bytes:
        return b"1" if obj else b"0"


class _LoadTruth(Loader):
    def load(self, data: Buffer) -> int:
        return int(bytes(data) == b"t")


class _LoadNumber(Loader):
    """Of `numeric`: a sum of whole numbers is one."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data).decode()
        return float(text) if "." in text else int(text)


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise the errors of psycopg as those of sqlite3 that callers know."""
    try:
        yield
    except errors.LockNotAvailable as error:
        raise Locked(path) from error
    except psycopg.Error as error:
        kinds = (psycopg.IntegrityError, psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError)
        name = next((kind.__name__ for kind in kinds if isinstance(error, kind)), "OperationalError")
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        ours: DatabaseError = getattr(sqlite3, name)(f"{path}: {said}")
        if type(error) in _CODES:
            ours.sqlite_errorcode, ours.sqlite_errorname = _CODES[type(error)]
        raise ours from error


class PgConnection:
    """A connection with the methods of sqlite3's that the table modules use. One thread at a time."""

    def __init__(self, conn: psycopg.Connection[Any], path: Path, tokenizer: Tokenizer) -> None:
        self._conn, self._path, self._tokenizer = conn, path, tokenizer
        self.has_images = False  # whether a statement named the images of streams

    def execute(self, sql: str, parameters: Values = ()) -> psycopg.Cursor[Any]:
        statement = translated(sql)
        self.has_images |= "stream_images" in sql
        with told(self._path):
            values = statement.values(parameters, self._tokenizer)
            if self.in_transaction:
                # A statement that was prepared fails once a table has a new column, and with it all of the transaction.
                return self._conn.execute(statement.sql, values, prepare=False)
            try:
                return self._conn.execute(statement.sql, values)
            except errors.FeatureNotSupported:
                self._conn.execute("ROLLBACK")  # psycopg forgets what it has prepared
                return self._conn.execute(statement.sql, values)

    def executemany(self, sql: str, many: Iterable[Values]) -> psycopg.Cursor[Any]:
        statement = translated(sql)
        self.has_images |= "stream_images" in sql
        cursor = self._conn.cursor()
        with told(self._path):
            cursor.executemany(statement.sql, [statement.values(values, self._tokenizer) for values in many])
        return cursor

    def insert_many(self, sql: str, many: Iterable[Values]) -> list[int]:
        """Run an insert for each of the rows, and return the number that each of them returns."""
        statement = translated(sql)
        self.has_images |= "stream_images" in sql
        cursor, found = self._conn.cursor(), list[int]()
        with told(self._path):
            cursor.executemany(statement.sql, [statement.values(values, self._tokenizer) for values in many], returning=True)
            while cursor.pgresult is not None:
                found += [int(row[0]) for row in cursor]
                if not cursor.nextset():
                    break
        return found

    def copy_in(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add rows to a table, as fast as the server takes them."""
        with told(self._path), self._conn.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def iterate(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a statement in PostgreSQL's words, some at a time, inside a transaction."""
        with told(self._path), psycopg.ServerCursor(self._conn, "rows") as cursor:
            cursor.itersize = ROWS_AT_A_TIME
            yield from map(tuple, cursor.execute(cast(Any, sql)))

    def last_number(self, table: str, column: str) -> int:
        """Return the last number that a column which counts up has given, 0 if it has given none."""
        row = self.execute(f"SELECT pg_get_serial_sequence('{table}', '{column}')").fetchone()
        if row is None or row[0] is None:
            return 0
        found = self.execute(f"SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM {row[0]}").fetchone()
        return 0 if found is None else int(found[0])

    def tell(self, sql: str) -> None:
        """Run statements that are PostgreSQL's own."""
        with told(self._path):
            self._conn.execute(sql)

    def begin(self, first: str) -> None:
        """Begin a transaction with these statements; if they fail there is none."""
        self.has_images = False
        self.tell("BEGIN")
        try:
            self.tell(first)
        except DatabaseError:
            with contextlib.suppress(DatabaseError):
                self.tell("ROLLBACK")
            raise

    def commit(self) -> None:
        """Commit. Raises `OperationalError` after an error in the transaction that was caught: the server would undo it and not say so."""
        if self._conn.info.transaction_status == psycopg.pq.TransactionStatus.INERROR:
            raise OperationalError(f"{self._path}: nothing was saved, because a statement failed")
        self.tell("COMMIT")

    def took_notifications(self) -> bool:
        """Read what the server has sent unasked, and drop it; return False if the connection was cut. Does not wait."""
        try:
            self._conn.pgconn.consume_input()
            while self._conn.pgconn.notifies() is not None:
                pass
        except psycopg.Error:
            return False
        return not self._conn.closed

    @property
    def in_transaction(self) -> bool:
        return self._conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE

    @property
    def is_closed(self) -> bool:
        return self._conn.closed

    @property
    def pid(self) -> int:
        """The process of the server that answers this connection."""
        return self._conn.info.backend_pid

    def fileno(self) -> int:
        """Return the number of its socket, for `select`. Raises `OperationalError` if it is closed."""
        with told(self._path):
            return self._conn.fileno()

    def cut(self) -> None:
        """Break the line, so that a thread which waits for an answer gets an error now. Any thread."""
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._conn.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._conn.close()


def connect(dsn: str, options: str, path: Path, tokenizer: Tokenizer, *, timeout_s: int = CONNECT_S) -> PgConnection:
    """Open a connection; `options` are settings of its session. Raises `OperationalError`, which names `path`."""
    with told(path):
        raw = psycopg.connect(
            dsn,
            autocommit=True,
            options=options,
            connect_timeout=timeout_s,
            application_name="vinylvault",
            client_encoding="utf8",
            cursor_factory=psycopg.RawCursor,
            row_factory=cast(Any, _rows),
        )
    raw.adapters.register_dumper(str, _Text)
    raw.adapters.register_dumper(bool, _Truth)
    raw.adapters.register_loader("bool", _LoadTruth)
    raw.adapters.register_loader("numeric", _LoadNumber)
    return PgConnection(raw, path, tokenizer)
