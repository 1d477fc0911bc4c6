"""The catalogue in PostgreSQL, with the interface of `Database`. Imported only with a DSN."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.connection import BUSY_TIMEOUT_S, Connection, DatabaseError, Locked, OperationalError, Row, WrongVersion
from image_cache.db.fair_lock import FairLock
from image_cache.db.postgres.advisory import AdvisoryLocks
from image_cache.db.postgres.cluster_schema import CATALOG, Tables
from image_cache.db.postgres.connection import PgConnection, connect
from image_cache.db.postgres.tokens import Tokenizer
from image_cache.locks import Locks

T = TypeVar("T")
MAX_IDLE = 3
SLOW_S = 1.0  # a connection that fails after so long is tried by one thread at a time: the others fail at once
# Of a session, in case its node stops in the middle of a transaction: the server ends it then, and others can write.
_IDLE = (
    "-c idle_in_transaction_session_timeout=8s -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
)
MIN_SERVER = 13
# What is written without a wait for the disk is lost with the power, as with SQLite.
_NOT_DURABLE = "SET LOCAL synchronous_commit = off"
# One writer at a time, of all processes and machines: quotas, first operators and tries rely on it, as they do on BEGIN IMMEDIATE.
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 0))"


class PgDatabase(CatalogDatabase):
    """One schema of a PostgreSQL database. Any thread, several processes, several machines.

    `where` names it in messages. The first use of an empty schema makes its tables; one of another version is refused.
    What is disposable is written without a wait for the disk.
    """

    def __init__(
        self,
        dsn: str,
        name: str,
        where: str,
        *,
        is_reader: bool = False,
        tables: Tables = CATALOG,
        is_disposable: bool = False,
    ) -> None:
        self.path = Path(where)
        self.inode = self.generation = 0
        self._dsn, self._schema, self._is_reader = dsn, name, is_reader
        self._tables, self._is_disposable = tables, is_disposable
        self._tokenizer = Tokenizer()
        self._locks = AdvisoryLocks(self._new, name)
        self._guard = threading.Lock()  # protects the next two
        self._spare: list[PgConnection] = []
        self._busy: dict[PgConnection, float] = {}  # since when each is in use (monotonic time)
        self._looking = threading.Lock()  # protects the next one; held while the schema is looked at
        self._is_known = False  # whether the schema was looked at
        self._writing = threading.local()  # .conn: the connection of this thread's transaction
        self._write_lock = FairLock()
        self._probing = threading.Lock()  # held by the thread that tries whether a silent server answers again
        self._silence = ""  # why the last connection failed, if that took long; unlocked, because a lost race costs one more try

    def beside(self, suffix: str, tables: Tables) -> "PgDatabase":
        """Return a disposable database of these tables, in the schema with this suffix. It has writers, and connections, of its own."""
        return PgDatabase(
            self._dsn, self._schema + suffix, str(self.path), is_reader=self._is_reader, tables=tables, is_disposable=True
        )

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
        first = _ALONE if is_durable and not self._is_disposable else f"{_NOT_DURABLE}; {_ALONE}"
        try:
            _, conn = self._ask(lambda conn: conn.begin(first))
            self._writing.conn = conn
            try:
                yield cast(Connection, conn)
                if conn.has_images:
                    self._add_words(conn)
                conn.commit()
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

    def cut(self, older_than_s: float) -> None:
        """Break the connections that are in use for longer, because the server does not answer, and drop all that are kept."""
        with self._guard:
            unused, self._spare = self._spare, []
            silent = [conn for conn, since in self._busy.items() if time.monotonic() - since > older_than_s]
        for conn in silent:
            conn.cut()
        for conn in unused:
            conn.cut()
            conn.close()

    def close(self) -> None:
        self._locks.close()
        with self._guard:
            unused, self._spare = self._spare, []
        for conn in unused:
            conn.close()
        self._tokenizer.close()

    def __del__(self) -> None:
        for conn in getattr(self, "_spare", []):
            conn.close()

    def locks(self, folder: Path) -> Locks:
        """Return locks that hold over all nodes; the folder is not used."""
        return self._locks

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
            with self._guard:
                self._busy[conn] = time.monotonic()
            try:
                return ask(conn), conn
            except BaseException:
                was_cut = conn.is_closed
                self._keep(conn)
                if kept is None or not was_cut:
                    raise

    def _keep(self, conn: PgConnection) -> None:
        """Keep a connection for the next who asks, unless there are enough."""
        with self._guard:
            self._busy.pop(conn, None)
        if not conn.is_closed and not conn.in_transaction:
            with self._guard:
                if len(self._spare) < MAX_IDLE:
                    self._spare.append(conn)
                    return
        conn.close()

    def listening(self, channel: str) -> PgConnection:
        """Return a connection of its own that gets the notifications of a channel; the caller closes it. Raises `DatabaseError`."""
        conn = self._new()
        try:
            conn.tell(f"LISTEN {channel}")
        except BaseException:
            conn.close()
            raise
        return conn

    def survey(self) -> tuple[int, str, int | None, int]:
        """Return the server's major version and encoding, the version of the schema (None: it is new), and its records and streams."""
        conn = self._new()
        try:
            number, encoding = conn.execute(
                "SELECT CAST(current_setting('server_version_num') AS bigint), current_setting('server_encoding')"
            ).fetchone()  # type: ignore[misc]
            server = number // 10_000
            if not self._has_tables(conn):
                return server, encoding, None, 0
            version = self._version(conn)
            count = conn.execute("SELECT (SELECT count(*) FROM albums) + (SELECT count(*) FROM streams)").fetchone()[0]  # type: ignore[index]
            return server, encoding, version, int(count)
        finally:
            conn.close()

    def _connected(self) -> PgConnection:
        """Return a new connection to a schema that was looked at."""
        conn = self._new()
        try:
            with self._looking:
                if not self._is_known:
                    self._look_at_schema(conn)
                    self._is_known = True
        except BaseException:
            conn.close()
            raise
        return conn

    def _new(self) -> PgConnection:
        settings = f"-c search_path={self._schema} -c lock_timeout={BUSY_TIMEOUT_S:.0f}s {_IDLE}"
        if self._is_reader:
            settings += " -c default_transaction_read_only=on"
        is_probing = bool(self._silence) and self._probing.acquire(blocking=False)
        if self._silence and not is_probing:
            raise OperationalError(self._silence)
        began = time.monotonic()
        try:
            conn = connect(self._dsn, settings, self.path, self._tokenizer)
        except DatabaseError as error:
            self._silence = str(error) if time.monotonic() - began > SLOW_S else ""
            raise
        finally:
            if is_probing:
                self._probing.release()
        self._silence = ""
        return conn

    def _look_at_schema(self, conn: PgConnection) -> None:
        """Make the tables of an empty schema, and those that only many nodes need. Raises `WrongVersion` for another version."""
        if not self._is_reader and self._scripts_run(conn) < len(self._tables.scripts):
            conn.begin(f"SELECT pg_advisory_xact_lock(hashtextextended('{self._schema}', 0))")  # two nodes may start at once
            if not self._has_tables(conn):
                conn.tell(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
                conn.tell(";\n".join(self._tables.first()))
                conn.tell("CREATE TABLE schema_version (version bigint, scripts bigint NOT NULL DEFAULT 0)")
                conn.tell(f"INSERT INTO schema_version VALUES ({self._tables.version}, 0)")
            if self._version(conn) == self._tables.version:
                self._run_scripts(conn)
            conn.commit()
        if not self._has_tables(conn):
            raise OperationalError(f"{self.path} has no schema {self._schema} yet")
        if self._version(conn) != self._tables.version:
            raise WrongVersion(self.path, self._version(conn), self._tables.version)

    def _run_scripts(self, conn: PgConnection) -> None:
        """Run the scripts that the schema has not had yet, in the caller's transaction."""
        conn.tell("ALTER TABLE schema_version ADD COLUMN IF NOT EXISTS scripts bigint NOT NULL DEFAULT 0")  # 0.2.0 had none
        for script in self._tables.scripts[max(0, self._scripts_run(conn)) :]:
            conn.tell(script)
        conn.tell(f"UPDATE schema_version SET scripts = {len(self._tables.scripts)}")

    def _scripts_run(self, conn: PgConnection) -> int:
        """Return how many scripts the schema has had; -1 for one that has no tables or is of 0.2.0."""
        row = conn.execute(
            "SELECT 1 FROM information_schema.columns WHERE table_schema = ? AND table_name = 'schema_version' AND column_name = 'scripts'",
            (self._schema,),
        ).fetchone()
        return -1 if row is None else int(conn.execute("SELECT scripts FROM schema_version").fetchone()[0])  # type: ignore[index]

    def _version(self, conn: PgConnection) -> int:
        return int(conn.execute("SELECT version FROM schema_version").fetchone()[0])  # type: ignore[index]

    def _has_tables(self, conn: PgConnection) -> bool:
        row = conn.execute("SELECT to_regclass(?)", (f"{self._schema}.schema_version",)).fetchone()
        return row is not None and row[0] is not None
