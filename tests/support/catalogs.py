"""Catalogues for tests, of both databases: in files of SQLite, or in schemas of one PostgreSQL server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.postgres_schema import schema
from tests.support.postgres import USER, Postgres


class Catalogs(Protocol):
    """Opens catalogues by the paths that SQLite would give them: the same path is the same catalogue."""

    kind: str

    def open(self, path: Path, *, is_reader: bool = False) -> CatalogDatabase: ...


class SqliteCatalogs:
    kind = "sqlite"

    def open(self, path: Path, *, is_reader: bool = False) -> CatalogDatabase:
        return CatalogDatabase(path, is_reader=is_reader)


class PostgresCatalogs:
    """Schemas of a server that is shared by the tests of one process. They are emptied, not made anew: that takes a fiftieth."""

    kind = "postgres"

    def __init__(self, server: Postgres) -> None:
        import psycopg

        self.dsn = f"host={server.folder} user={USER} dbname={USER}"
        self._conn: Any = psycopg.connect(self.dsn, autocommit=True)
        self._free: list[str] = []
        self._used: dict[Path, str] = {}
        self._opened: list[CatalogDatabase] = []
        self._count = 0
        self._first_rows = [sql for sql in schema(MIGRATIONS) if sql.startswith(("INSERT", "ALTER"))]

    def open(self, path: Path, *, is_reader: bool = False) -> CatalogDatabase:
        from image_cache.db.postgres import PgDatabase

        name = self._used.get(path) or self._schema()
        self._used[path] = name
        opened = PgDatabase(self.dsn, name, str(path), is_reader=is_reader)
        self._opened.append(opened)
        return opened

    @contextmanager
    def lent(self) -> Iterator["PostgresCatalogs"]:
        """Empty what a test used at its end."""
        try:
            yield self
        finally:
            while self._opened:
                self._opened.pop().close()
            for name in self._used.values():
                self._empty(name)
            self._free += self._used.values()
            self._used.clear()

    def _schema(self) -> str:
        if self._free:
            return self._free.pop()
        self._count += 1
        return f"vault{self._count}"

    def _empty(self, name: str) -> None:
        tables = [row[0] for row in self._conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (name,))]
        numbered = [row[0] for row in self._conn.execute("SELECT sequencename FROM pg_sequences WHERE schemaname = %s", (name,))]
        emptied = [f"DELETE FROM {table}" for table in tables if table != "schema_version"]
        restarted = [f"ALTER SEQUENCE {sequence} RESTART" for sequence in numbered]
        begin = [f"SET search_path = {name}", "SET session_replication_role = replica"]  # no triggers, no order of tables
        self._conn.execute("; ".join([*begin, *emptied, *restarted, *self._first_rows]))

    def close(self) -> None:
        self._conn.close()


def has_postgres() -> bool:
    """Return True if the tests of PostgreSQL can run here."""
    from importlib.util import find_spec

    from tests.support.postgres import program

    return all(map(program, ("initdb", "pg_ctl", "postgres"))) and find_spec("psycopg") is not None and "PG_NONE" not in os.environ
