"""What a database in PostgreSQL does about its whole schema: looks whether it fits, changes it, reads or replaces all of it."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from image_cache.db.connection import DatabaseError, OperationalError
from image_cache.db.postgres.cluster_schema import Tables
from image_cache.db.postgres.connection import PgConnection
from image_cache.db.postgres.upkeep import NOTHING, SchemaState, bring_up, make_version, refuse_other, state_of

T = TypeVar("T")
# One writer at a time, of all processes and machines: quotas, first operators and tries rely on it, as they do on BEGIN IMMEDIATE.
ALONE = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 0))"
_PATIENT = "SET LOCAL idle_in_transaction_session_timeout = 0"  # the other side of a copy takes its time


class SchemaUpkeep(ABC):
    """The part of `PgDatabase` for those who start, move and look after it."""

    path: Path
    _schema: str
    _tables: Tables
    _migrates: bool
    _is_reader: bool

    @abstractmethod
    def _new(self) -> PgConnection: ...

    @abstractmethod
    def _connected(self) -> PgConnection: ...

    @abstractmethod
    def _answer(self, ask: Callable[[PgConnection], T]) -> T: ...

    @contextlib.contextmanager
    def alone(self) -> Iterator[PgConnection]:
        """Read all of the schema as it is at one moment, while no one writes. Raises `DatabaseError`."""
        conn = self._connected()
        try:
            conn.begin(f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; {_PATIENT}; {ALONE}")
            yield conn
        finally:
            conn.close()

    @contextlib.contextmanager
    def replacing(self) -> Iterator[PgConnection]:
        """Make the schema again, empty and without tables, in one transaction, which is undone if the block raises."""
        conn = self._new()
        try:
            conn.begin(f"{_PATIENT}; {ALONE}; DROP SCHEMA IF EXISTS {self._schema} CASCADE; CREATE SCHEMA {self._schema}")
            yield conn
            make_version(conn, self._tables)
            conn.commit()
        finally:
            conn.close()

    def level(self) -> int:
        """Return the level of the schema."""
        return self._answer(lambda conn: state_of(conn, self._schema)).level

    def migration_problem(self) -> DatabaseError | None:
        """Return why the schema does not fit this version, or why that cannot be told; None if it fits. Changes nothing."""
        try:
            conn = self._new()
            try:
                refuse_other(self.path, state_of(conn, self._schema), self._tables)
            finally:
                conn.close()
        except DatabaseError as error:
            return error
        return None

    def exists(self) -> bool:
        """Return True if the schema has the tables of VinylVault."""
        conn = self._new()
        try:
            return state_of(conn, self._schema) != NOTHING
        finally:
            conn.close()

    def migrate(self) -> tuple[int, int]:
        """Bring the schema up to date, once even if other nodes do the same; return its level before and after. Raises `DatabaseError`."""
        conn = self._new()
        try:
            return bring_up(conn, self.path, self._schema, self._tables)
        finally:
            conn.close()

    def check(self) -> None:
        state = self._answer(lambda conn: state_of(conn, self._schema))
        refuse_other(self.path, state, self._tables)

    def survey(self) -> tuple[int, str, SchemaState | None, int]:
        """Return the server's major version and encoding, the state of the schema (None: it is new), and its records and streams."""
        conn = self._new()
        try:
            number, encoding = conn.execute(
                "SELECT CAST(current_setting('server_version_num') AS bigint), current_setting('server_encoding')"
            ).fetchone()  # type: ignore[misc]
            server = number // 10_000
            state = state_of(conn, self._schema)
            if state == NOTHING:
                return server, encoding, None, 0
            count = conn.execute("SELECT (SELECT count(*) FROM albums) + (SELECT count(*) FROM streams)").fetchone()[0]  # type: ignore[index]
            return server, encoding, state, int(count)
        finally:
            conn.close()

    def _look_at_schema(self, conn: PgConnection) -> None:
        """Bring the schema up to date if that is ours to do, and refuse one that does not fit. Raises `WrongVersion`."""
        state = state_of(conn, self._schema)
        if state.level < self._tables.level and self._migrates and not self._is_reader:
            bring_up(conn, self.path, self._schema, self._tables)
            state = state_of(conn, self._schema)
        if state == NOTHING and self._is_reader:
            raise OperationalError(f"{self.path} has no schema {self._schema} yet")
        refuse_other(self.path, state, self._tables)
