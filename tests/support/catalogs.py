"""Catalogues for tests, of both databases: in files of SQLite, or in schemas of one PostgreSQL server."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from image_cache.cluster.index_schema import COVERS, SHARED_INDEX
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.database import Database
from image_cache.db.postgres.schema import schema
from image_cache.engine.schema import MIGRATIONS as INDEX_MIGRATIONS
from tests.support.postgres import USER, Postgres, program


class Catalogs(Protocol):
    """Opens catalogues by the paths that SQLite would give them: the same path is the same catalogue."""

    kind: str

    def open(self, path: Path, *, is_reader: bool = False) -> CatalogDatabase: ...

    def settings(self, folder: Path) -> dict[str, str]:
        """Return the settings of an application whose catalogue is in this database, one for each folder."""
        ...

    def open_index(self, path: Path) -> Database:
        """Open the index of covers: the same path is the same index."""
        ...


class SqliteCatalogs:
    kind = "sqlite"

    def open(self, path: Path, *, is_reader: bool = False) -> CatalogDatabase:
        return CatalogDatabase(path, is_reader=is_reader)

    def settings(self, folder: Path) -> dict[str, str]:
        return {}

    def open_index(self, path: Path) -> Database:
        return Database(path, INDEX_MIGRATIONS, synchronous="NORMAL", is_disposable=True)


class PostgresCatalogs:
    """What one test, or one module, has opened in the schemas of a server."""

    kind = "postgres"

    def __init__(self, pool: "SchemaPool") -> None:
        self._pool = pool
        self.names: dict[Path, str] = {}
        self._opened: list[Database] = []

    def open(self, path: Path, *, is_reader: bool = False) -> CatalogDatabase:
        from image_cache.db.postgres.database import PgDatabase

        if path not in self.names:
            self.names[path] = self._pool.take()
        opened = PgDatabase(self._pool.dsn, self.names[path], str(path), is_reader=is_reader)
        self._opened.append(opened)
        return opened

    def settings(self, folder: Path) -> dict[str, str]:
        if folder not in self.names:
            self.names[folder] = self._pool.take()
        return {"DATABASE": self._pool.url, "DATABASE_SCHEMA": self.names[folder]}

    def open_index(self, path: Path) -> Database:
        catalog = self.open(path)
        beside: Database = catalog.beside(COVERS, SHARED_INDEX)  # type: ignore[attr-defined]
        self._opened.append(beside)
        return beside

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()
        for name in self.names.values():
            self._pool.give_back(name)


class SchemaPool:
    """Schemas of one server. A used one is emptied: making one takes fifty times as long."""

    def __init__(self, server: Postgres) -> None:
        import psycopg

        self.dsn = f"host={server.folder} user={USER} dbname={USER}"
        self.url = f"postgresql://{USER}@/{USER}?host={quote(str(server.folder), safe='')}"
        self._conn: Any = psycopg.connect(self.dsn, autocommit=True)
        self._free: list[str] = []
        self._count = 0
        self._first_rows = [sql for sql in schema(MIGRATIONS) if sql.startswith(("INSERT", "ALTER"))]

    def take(self) -> str:
        if self._free:
            return self._free.pop()
        self._count += 1
        return f"vault{self._count}"

    def give_back(self, name: str) -> None:
        self._empty(name, self._first_rows)
        self._empty(name + COVERS, [])
        self._free.append(name)

    def _empty(self, name: str, first_rows: list[str]) -> None:
        tables = [row[0] for row in self._conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (name,))]
        numbered = [row[0] for row in self._conn.execute("SELECT sequencename FROM pg_sequences WHERE schemaname = %s", (name,))]
        if tables:  # it was used at all
            begin = [f"SET search_path = {name}", "SET session_replication_role = replica"]  # no triggers, no order of tables
            emptied = [f"DELETE FROM {table}" for table in tables if table != "schema_version"]
            restarted = [f"ALTER SEQUENCE {sequence} RESTART" for sequence in numbered]
            self._conn.execute("; ".join([*begin, *emptied, *restarted, *first_rows]))

    def run(self, sql: str) -> None:
        self._conn.execute(sql)

    def close(self) -> None:
        self._conn.close()


_current: Catalogs = SqliteCatalogs()


def catalog_at(path: Path, *, is_reader: bool = False) -> CatalogDatabase:
    """Open a catalogue of the database that the running test is about: see the fixture `catalogs`."""
    return _current.open(path, is_reader=is_reader)


@contextmanager
def current(catalogs: Catalogs) -> Iterator[Catalogs]:
    """Let `catalog_at` open catalogues of these."""
    global _current  # noqa: PLW0603  # one test at a time
    before, _current = _current, catalogs
    try:
        yield catalogs
    finally:
        _current = before


def has_postgres() -> bool:
    """Return True if there is a server to start, and the library for it."""
    return all(map(program, ("initdb", "pg_ctl", "postgres"))) and find_spec("psycopg") is not None
