"""Makes the tables of a schema, and changes them for a newer version: each script once, by one node, while others serve.

`schema_version` says what the schema has had, and the oldest program that can still work with it. A change comes in two steps: the
first adds what the new version needs, the second takes away what the old one needed, once no node runs that any more.
"""

from collections.abc import Sequence
from pathlib import Path

from image_cache.db.connection import BUSY_TIMEOUT_S, OperationalError, WrongVersion
from image_cache.db.migrations import statements
from image_cache.db.postgres.cluster_schema import Tables
from image_cache.db.postgres.connection import PgConnection
from image_cache.db.postgres.schema import statement_twin
from image_cache.frozen import frozen

_COLUMNS = (
    "SELECT column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = 'schema_version' ORDER BY 1"
)
_ADDED = "bigint NOT NULL DEFAULT 0"  # columns that 0.2.0 did not have


@frozen
class SchemaState:
    """What a schema has had: migrations of SQLite and scripts of PostgreSQL; and the oldest level that works with it."""

    migrations: int
    scripts: int
    oldest_reader: int

    @property
    def level(self) -> int:
        """One number for both lists: each of them only grows."""
        return self.migrations + self.scripts


NOTHING = SchemaState(0, 0, 0)


def state_of(conn: PgConnection, schema: str) -> SchemaState:
    """Return what a schema has had; `NOTHING` for one that is not there."""
    names = {row[0] for row in conn.execute(_COLUMNS, (schema,)).fetchall()}
    if not names:
        return NOTHING
    listed = ", ".join(name if name in names else "0" for name in ("version", "scripts", "oldest_reader"))
    row = conn.execute(f"SELECT {listed} FROM {schema}.schema_version").fetchone()
    return NOTHING if row is None else SchemaState(*map(int, row))


def refuse_other(path: Path, state: SchemaState, tables: Tables) -> None:
    """Raise `WrongVersion` for a schema that this program cannot work with: an older one, or one that needs a newer program."""
    if state.level < tables.level or state.oldest_reader > tables.level:
        raise WrongVersion(path, state.level, tables.level)


def is_foreign(state: SchemaState, tables: Tables) -> bool:
    """Return True for a schema that this program cannot use: older than it can update, or made for a newer program."""
    return 0 < state.migrations < tables.first_version or state.oldest_reader > tables.level


def bring_up(conn: PgConnection, path: Path, schema: str, tables: Tables) -> tuple[int, int]:
    """Make or change the tables of a schema; return its level before and after. Any number of nodes may do this at once.

    Each step is a transaction of its own: one that fails leaves the steps before it. Raises `Locked` if a table is in use for too
    long, and `WrongVersion` for a schema that needs a newer program.
    """
    first = state = state_of(conn, schema)
    if is_foreign(state, tables):
        raise WrongVersion(path, state.level, tables.level)
    while state.level < tables.level:
        conn.begin(f"SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock(hashtextextended('{schema}/migrate', 0))")
        try:
            conn.tell(f"SET LOCAL lock_timeout = '{BUSY_TIMEOUT_S:.0f}s'")
            state = state_of(conn, schema)  # another node may have been faster
            if state == NOTHING:
                _make(conn, schema, tables)
            elif state.level < tables.level:
                _step(conn, state, tables)
            conn.commit()
        except BaseException:
            if not conn.is_closed:
                conn.tell("ROLLBACK")
            raise
        before, state = state, state_of(conn, schema)
        if before == state and state.level < tables.level:
            raise OperationalError(f"{path}: schema {state.level} did not change")
    return first.level, state.level


def _make(conn: PgConnection, schema: str, tables: Tables) -> None:
    conn.tell(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    conn.tell(";\n".join(tables.first()))
    make_version(conn, tables)


def make_version(conn: PgConnection, tables: Tables) -> None:
    """Make the table of versions for tables that are as this program makes them, then run the scripts."""
    conn.tell(f"CREATE TABLE schema_version (version bigint, scripts {_ADDED}, oldest_reader {_ADDED})")
    conn.tell(f"INSERT INTO schema_version (version) VALUES ({tables.version})")
    for script in tables.scripts:
        conn.tell(script)
    _note(conn, tables, "scripts", len(tables.scripts))


def _step(conn: PgConnection, state: SchemaState, tables: Tables) -> None:
    """Do the next migration, or the next script."""
    for name in ("scripts", "oldest_reader"):
        conn.tell(f"ALTER TABLE schema_version ADD COLUMN IF NOT EXISTS {name} {_ADDED}")
    if state.migrations < tables.version:
        for sql in migration_text(tables, state.migrations):
            conn.tell(sql)
        _note(conn, tables, "version", state.migrations + 1)
    else:
        conn.tell(tables.scripts[state.scripts])
        _note(conn, tables, "scripts", state.scripts + 1)


def _note(conn: PgConnection, tables: Tables, column: str, number: int) -> None:
    conn.tell(f"UPDATE schema_version SET {column} = {number}, oldest_reader = greatest(oldest_reader, {tables.oldest_reader})")


def migration_text(tables: Tables, number: int) -> Sequence[str]:
    """Return a migration of SQLite in PostgreSQL's words: its own text, or its statements translated one by one."""
    if number in tables.own:
        return [tables.own[number]]
    return [twin for sql in statements(tables.migrations[number]) for twin in statement_twin(sql)]
