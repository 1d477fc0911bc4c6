"""The catalogue in PostgreSQL, with the interface of `Database`. Imported only with a DSN."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.connection import BUSY_TIMEOUT_S, Connection, DatabaseError, Locked, OperationalError, Row
from image_cache.db.fair_lock import FairLock
from image_cache.db.postgres.advisory import AdvisoryLocks
from image_cache.db.postgres.cluster_schema import CATALOG, Tables
from image_cache.db.postgres.connection import CONNECT_S, PgConnection, connect
from image_cache.db.postgres.tokens import Tokenizer
from image_cache.db.postgres.whole import ALONE, SchemaUpkeep
from image_cache.locks import Locks

T = TypeVar("T")
MAX_IDLE = 3
SLOW_S = 1.0  # a connection that fails after so long is tried by one patient thread: all others fail at once
PROBE_S, ALONE_S = 2, 10.0  # how long it tries; after how long any thread does, because there is no patient one
# Of a session, in case its node stops in the middle of a transaction: the server ends it then, and others can write.
_IDLE = (
    "-c idle_in_transaction_session_timeout=8s -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
)
MIN_SERVER = 13
# What is written without a wait for the disk is lost with the power, as with SQLite.
_NOT_DURABLE = "SET LOCAL synchronous_commit = off"


class PgDatabase(SchemaUpkeep, CatalogDatabase):
    """One schema of a PostgreSQL database. Any thread, several processes, several machines.

    `where` names it in messages. The first use of a schema makes its tables, or changes those of an older version, unless `migrates`
    is False; one that does not fit is refused. What is disposable is written without a wait for the disk.
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
        migrates: bool = True,
        node: str = "",
    ) -> None:
        self.node = node
        self.path = Path(where)
        self.inode = self.generation = 0
        self._dsn, self._schema, self._is_reader = dsn, name, is_reader
        self._tables, self._is_disposable, self._migrates = tables, is_disposable, migrates
        self._tokenizer = Tokenizer()
        self._locks = AdvisoryLocks(self._new, name)
        self._guard = threading.Lock()  # protects the next two
        self._spare: list[PgConnection] = []
        self._busy: dict[PgConnection, float] = {}  # since when each is in use (monotonic time)
        self._looking = threading.Lock()  # protects the next one; held while the schema is looked at
        self._is_known = False  # whether the schema was looked at
        self._writing = threading.local()  # .conn: the connection of this thread's transaction
        self._write_lock = FairLock()
        self._patient = threading.local()  # .is_on: this thread may wait for a silent server
        self._probing = threading.Lock()  # held by the thread that tries whether it answers again
        # Why the last connection failed, if that took long, and when. Unlocked, because a lost race costs one more try.
        self._silence, self._silent_at = "", 0.0

    def beside(self, suffix: str, tables: Tables) -> "PgDatabase":
        """Return a disposable database of these tables, in the schema with this suffix. It has writers, and connections, of its own."""
        return PgDatabase(
            self._dsn,
            self._schema + suffix,
            str(self.path),
            is_reader=self._is_reader,
            tables=tables,
            is_disposable=True,
            migrates=self._migrates,
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
        first = ALONE if is_durable and not self._is_disposable else f"{_NOT_DURABLE}; {ALONE}"
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

    @contextlib.contextmanager
    def patience(self) -> Iterator[None]:
        """Let this thread wait for a server that has not answered, on behalf of all others, which fail at once."""
        self._patient.is_on = True
        try:
            yield
        finally:
            self._patient.is_on = False

    def cut(self, older_than_s: float) -> None:
        """Break the connections that are in use for longer, because the server does not answer, and drop all that are kept."""
        with self._guard:
            unused, self._spare = self._spare, []
            silent = [conn for conn, since in self._busy.items() if time.monotonic() - since > older_than_s]
        self._silence, self._silent_at = f"{self.path}: the server does not answer", time.monotonic()
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

    def connection(self) -> PgConnection:
        """Return a new connection, which the caller closes. Raises `DatabaseError`."""
        return self._new()

    def add_image_words(self, conn: PgConnection) -> None:
        """Add the words of all images of streams, for a copy of their table."""
        for row in conn.execute("SELECT number, title, description, folded FROM stream_images").fetchall():
            vector = self._tokenizer.vector(row[1:])
            conn.execute("INSERT INTO image_words (rowid, tokens) VALUES (?, CAST(? AS tsvector))", (row[0], vector))

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
        may_probe = getattr(self._patient, "is_on", False) or time.monotonic() - self._silent_at > ALONE_S
        is_probing = bool(self._silence) and may_probe and self._probing.acquire(blocking=False)
        if self._silence and not is_probing:
            raise OperationalError(self._silence)
        began = time.monotonic()
        try:
            timeout_s = PROBE_S if is_probing else CONNECT_S
            conn = connect(self._dsn, settings, self.path, self._tokenizer, timeout_s=timeout_s)
        except DatabaseError as error:
            self._silence, self._silent_at = str(error) if time.monotonic() - began > SLOW_S else "", time.monotonic()
            raise
        finally:
            if is_probing:
                self._probing.release()
        self._silence = ""
        return conn
