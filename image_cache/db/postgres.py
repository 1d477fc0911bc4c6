"""The catalogue in PostgreSQL, with the interface of `Database`. The only module that imports psycopg; imported only with a DSN.

Statements come in the words of `dialect`, rows behave as `sqlite3.Row`, errors are those of sqlite3: no table module knows which
database it asks.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import psycopg
from psycopg import errors
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.types.string import StrDumperUnknown

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.connection import BUSY_TIMEOUT_S, Connection, DatabaseError, Locked, OperationalError, Row, WrongVersion
from image_cache.db.fair_lock import FairLock
from image_cache.db.postgres_schema import schema
from image_cache.db.postgres_sql import Values, translated
from image_cache.db.tokens import Tokenizer

T = TypeVar("T")
MAX_IDLE = 3
MIN_SERVER = 13
CONNECT_S = 5
NUL = "\ufffd"  # PostgreSQL stores no NUL in text, and login names and searches may have one
# What is written without a wait for the disk is lost with the power, as with SQLite.
_NOT_DURABLE = "SET LOCAL synchronous_commit = off"
# One writer at a time, of all processes and machines: quotas, first operators and tries rely on it, as they do on BEGIN IMMEDIATE.
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 0))"
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
            return self._conn.execute(statement.sql, statement.values(parameters, self._tokenizer))  # type: ignore[arg-type]

    def executemany(self, sql: str, many: Iterable[Values]) -> psycopg.Cursor[Any]:
        statement = translated(sql)
        self.has_images |= "stream_images" in sql
        cursor = self._conn.cursor()
        with told(self._path):
            cursor.executemany(statement.sql, [statement.values(values, self._tokenizer) for values in many])  # type: ignore[arg-type]
        return cursor

    def tell(self, sql: str) -> None:
        """Run statements that are PostgreSQL's own."""
        with told(self._path):
            self._conn.execute(sql)  # type: ignore[call-overload]

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

    @property
    def in_transaction(self) -> bool:
        return self._conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE

    @property
    def is_closed(self) -> bool:
        return self._conn.closed

    def close(self) -> None:
        self._conn.close()


class PgDatabase(CatalogDatabase):
    """One schema of a PostgreSQL database. Any thread, several processes, several machines.

    `where` names it in messages. The first use of an empty schema makes its tables; one of another version is refused.
    """

    def __init__(self, dsn: str, name: str, where: str, *, is_reader: bool = False) -> None:
        self.path = Path(where)
        self.inode = self.generation = 0
        self._dsn, self._schema, self._is_reader = dsn, name, is_reader
        self._tokenizer = Tokenizer()
        self._guard = threading.Lock()  # protects the next two
        self._spare: list[PgConnection] = []
        self._is_known = False  # whether the schema was looked at
        self._writing = threading.local()  # .conn: the connection of this thread's transaction
        self._write_lock = FairLock()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        conn: PgConnection | None = getattr(self._writing, "conn", None)
        if conn is not None:
            yield cast(Connection, conn)
            return
        _, conn = self._ask(lambda conn: conn.execute("SELECT 1"))  # it may be one that a restart of the server has cut
        try:
            yield cast(Connection, conn)
        finally:
            self._keep(conn)

    @contextlib.contextmanager
    def write(self, *, is_durable: bool = True, is_bulk: bool = False) -> Iterator[Connection]:
        """Run one transaction, alone among all writers of the schema. Raises `Locked` if others hold the lock for too long."""
        if not self._write_lock.acquire(BUSY_TIMEOUT_S):
            raise Locked(self.path)
        try:
            _, conn = self._ask(lambda conn: conn.begin(_ALONE if is_durable else f"{_NOT_DURABLE}; {_ALONE}"))
            self._writing.conn = conn
            try:
                yield cast(Connection, conn)
                if conn.has_images:
                    self._add_words(conn)
                conn.tell("COMMIT")
            except BaseException:
                with contextlib.suppress(DatabaseError):
                    conn.tell("ROLLBACK")
                raise
            finally:
                del self._writing.conn
                self._keep(conn)
        finally:
            self._write_lock.release()

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        return self._answer(lambda conn: conn.execute(sql, parameters).fetchall())

    def row(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        return self._answer(lambda conn: cast(Row | None, conn.execute(sql, parameters).fetchone()))

    def stream(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        yield from map(tuple, self._answer(lambda conn: conn.execute(sql, parameters)))

    def version(self) -> tuple[int, int]:
        """Return numbers that change with every commit: two equal snapshots see the same rows."""
        row = self.row("SELECT CAST(pg_current_snapshot() AS text)")
        return self.generation, hash(row and row[0])

    def drop_if_replaced(self) -> None:
        """Do nothing: there is no file."""

    def set_aside(self) -> None:
        raise OperationalError(f"{self.path}: a server's database is not moved aside")

    def trim(self) -> None:
        with self._guard:
            unused, self._spare[:] = self._spare[1:], self._spare[:1]
        for conn in unused:
            conn.close()

    def close(self) -> None:
        with self._guard:
            unused, self._spare = self._spare, []
        for conn in unused:
            conn.close()

    def __del__(self) -> None:
        for conn in getattr(self, "_spare", []):
            conn.close()

    def _add_words(self, conn: PgConnection) -> None:
        """Add the words of images that are new or reworded: a trigger leaves their rows empty, because it has no tokenizer."""
        found = conn.execute(
            "SELECT number, title, description, stream_images.folded FROM image_words"
            " JOIN stream_images ON number = rowid WHERE tokens IS NULL"
        ).fetchall()
        if found:
            rows = [(self._tokenizer.vector(row[1:]), row[0]) for row in found]
            conn.executemany("UPDATE image_words SET tokens = CAST(? AS tsvector) WHERE rowid = ?", rows)

    def _answer(self, ask: Callable[[PgConnection], T]) -> T:
        conn: PgConnection | None = getattr(self._writing, "conn", None)
        if conn is not None:
            return ask(conn)
        answer, conn = self._ask(ask)
        self._keep(conn)
        return answer

    def _ask(self, ask: Callable[[PgConnection], T]) -> tuple[T, PgConnection]:
        """Ask on a connection that is kept, or on a new one; return the answer, and the connection, which the caller gives back.

        A restart of the server has cut all that are kept: they are tried until there is none.
        """
        while True:
            with self._guard:
                kept = self._spare.pop() if self._spare else None
            conn = kept or self._connected()
            try:
                return ask(conn), conn
            except BaseException:
                was_cut = conn.is_closed
                self._keep(conn)
                if kept is None or not was_cut:
                    raise

    def _keep(self, conn: PgConnection) -> None:
        """Keep a connection for the next who asks, unless there are enough."""
        if not conn.is_closed and not conn.in_transaction:
            with self._guard:
                if len(self._spare) < MAX_IDLE:
                    self._spare.append(conn)
                    return
        conn.close()

    def survey(self) -> tuple[int, int | None, int]:
        """Return the major version of the server, the version of the schema (None: it is new), and how many records and streams it has."""
        conn = self._new()
        try:
            server = int(conn.execute("SELECT current_setting('server_version_num')").fetchone()[0]) // 10_000  # type: ignore[index]
            if not self._has_tables(conn):
                return server, None, 0
            version = int(conn.execute("SELECT version FROM schema_version").fetchone()[0])  # type: ignore[index]
            count = conn.execute("SELECT (SELECT count(*) FROM albums) + (SELECT count(*) FROM streams)").fetchone()[0]  # type: ignore[index]
            return server, version, int(count)
        finally:
            conn.close()

    def _connected(self) -> PgConnection:
        """Return a new connection to a schema that was looked at."""
        conn = self._new()
        try:
            with self._guard:
                if not self._is_known:
                    self._look_at_schema(conn)
                    self._is_known = True
        except BaseException:
            conn.close()
            raise
        return conn

    def _new(self) -> PgConnection:
        settings = f"-c search_path={self._schema} -c lock_timeout={BUSY_TIMEOUT_S:.0f}s"
        if self._is_reader:
            settings += " -c default_transaction_read_only=on"
        with told(self.path):
            raw = psycopg.connect(
                self._dsn,
                autocommit=True,
                options=settings,
                connect_timeout=CONNECT_S,
                application_name="vinylvault",
                client_encoding="utf8",
                cursor_factory=psycopg.RawCursor,
                row_factory=cast(Any, _rows),
            )
        raw.adapters.register_dumper(str, _Text)
        raw.adapters.register_dumper(bool, _Truth)
        raw.adapters.register_loader("bool", _LoadTruth)
        raw.adapters.register_loader("numeric", _LoadNumber)
        return PgConnection(raw, self.path, self._tokenizer)

    def _look_at_schema(self, conn: PgConnection) -> None:
        """Make the tables of an empty schema, and refuse one of another version. Raises `WrongVersion`."""
        if not self._has_tables(conn) and not self._is_reader:
            conn.begin(f"SELECT pg_advisory_xact_lock(hashtextextended('{self._schema}', 0))")  # two nodes may start at once
            if not self._has_tables(conn):
                conn.tell(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
                conn.tell(";\n".join(schema(MIGRATIONS)))
                conn.tell(f"CREATE TABLE schema_version (version bigint); INSERT INTO schema_version VALUES ({len(MIGRATIONS)})")
            conn.tell("COMMIT")
        version = int(conn.execute("SELECT version FROM schema_version").fetchone()[0])  # type: ignore[index]
        if version != len(MIGRATIONS):
            raise WrongVersion(self.path, version, len(MIGRATIONS))

    def _has_tables(self, conn: PgConnection) -> bool:
        row = conn.execute("SELECT to_regclass(?)", (f"{self._schema}.schema_version",)).fetchone()
        return row is not None and row[0] is not None
