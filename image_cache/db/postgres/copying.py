"""The whole catalogue from SQLite to PostgreSQL and back: table by table, all or nothing, compared at the end.

All of it is one transaction, or one new file that gets its name at the end: a copy that was cut short is not there. That takes
seconds for tens of thousands of records, so there is nothing to resume.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.connection import COMPANIONS, Connection, OperationalError
from image_cache.db.postgres.connection import NUL, PgConnection
from image_cache.db.postgres.database import PgDatabase
from image_cache.db.postgres.schema import opened, schema
from image_cache.frozen import frozen

_TABLES = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
# What belongs to the person who uses it: a target with any of these is not empty.
CONTENT = ("albums", "streams", "accounts", "wants", "crates", "trashed_streams")
SUFFIX = ".moving"  # of a file that is not complete yet
Report = Callable[["CopiedTable"], object]
AddWords = Callable[[Connection], object]  # adds the words of the records for the search


@frozen
class CopiedTable:
    """A table with its rows, and the SHA-256 over all of them in the order of their keys, the same on both sides."""

    name: str
    rows: int
    sha256: str


@frozen
class _Table:
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    number: str  # the column that counts up, "" if none does

    @property
    def ordered(self) -> str:
        return f"SELECT {', '.join(self.columns)} FROM {self.name} ORDER BY {', '.join(self.key)}"


def copy_to_postgres(source: CatalogDatabase, target: PgDatabase, add_words: AddWords, report: Report) -> None:
    """Copy the catalogue into a schema that is empty or not there. Raises `DatabaseError`; then nothing was changed."""
    with source.reading() as conn:
        conn.execute("BEGIN")  # all of it as it is at one moment
        try:
            tables = _tables_of(conn)
            statements = schema(MIGRATIONS)
            with target.replacing() as made:
                _tell(made, statements, "CREATE TABLE")
                sums = {}
                for table in tables:
                    summed = _Sum(conn.execute(table.ordered))
                    made.copy_in(table.name, table.columns, summed)
                    sums[table.name] = summed
                _tell(made, statements, "CREATE INDEX", "CREATE UNIQUE")
                _number(made, tables, _highest(conn, tables))
                made.tell("ANALYZE")
                _compare(tables, sums, made.iterate, report)
                add_words(cast(Connection, made))
                target.add_image_words(made)
                _tell(made, statements, "CREATE FUNCTION", "CREATE TRIGGER")
        finally:
            conn.rollback()


def copy_from_postgres(source: PgDatabase, target: Path, add_words: AddWords, report: Report) -> None:
    """Copy the catalogue into a file that is not there yet. Raises `DatabaseError`, `OSError`; then nothing was changed."""
    temp = target.with_name(target.name + SUFFIX)
    _remove(temp)
    catalog = CatalogDatabase(temp)
    try:
        with source.alone() as conn, catalog.write(is_bulk=True) as made:
            _fill(conn, made, add_words, report)
        catalog.close()
        with catalog.reading() as made:
            made.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            problem = made.execute("PRAGMA foreign_key_check").fetchone()
        if problem is not None:
            raise OperationalError(f"a row of {problem[0]} refers to one of {problem[2]} that does not exist")
        catalog.close()
        os.link(temp, target)  # raises if there is one by now
    finally:
        catalog.close()
        _remove(temp)


def counts(catalog: CatalogDatabase) -> dict[str, int]:
    """Return how many rows each table of the catalogue has."""
    fresh = _fresh_tables()
    return {table.name: int((catalog.row(f"SELECT count(*) FROM {table.name}") or [0])[0]) for table in fresh}


def content_of(catalog: CatalogDatabase) -> str:
    """Return the first table of a catalogue that has something of its users in it; "" if none has."""
    return next((name for name in CONTENT if catalog.row(f"SELECT 1 FROM {name} LIMIT 1") is not None), "")


def _fill(conn: PgConnection, made: Connection, add_words: AddWords, report: Report) -> None:
    """Fill a new file of SQLite, without its triggers: what they would do was done already."""
    made.execute("PRAGMA defer_foreign_keys = ON")
    triggers = made.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        made.execute(f"DROP TRIGGER {name}")
    tables = _tables_of(made)
    sums = {}
    for table in tables:
        made.execute(f"DELETE FROM {table.name}")
    for table in tables:
        summed = sums[table.name] = _Sum(conn.iterate(table.ordered))
        marks = ", ".join("?" * len(table.columns))
        made.executemany(f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks})", summed)
    counted = {row[0] for row in made.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'")}
    for table in tables:
        if table.name in counted and (last := conn.last_number(table.name, table.number)):
            made.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
            made.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table.name, last))
    _compare(tables, sums, made.execute, report)
    add_words(made)
    made.execute(
        "INSERT INTO image_words (rowid, title, description, folded) SELECT number, title, description, folded FROM stream_images"
    )
    for _, sql in triggers:
        made.execute(sql)


class _Sum:
    """Rows that pass by, counted and summed."""

    def __init__(self, rows: Iterable[Sequence[Any]]) -> None:
        self._rows = rows
        self._sha256 = hashlib.sha256()
        self.count = 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for row in self._rows:
            values = tuple(value.replace("\0", NUL) if isinstance(value, str) and "\0" in value else value for value in row)
            self._sha256.update(repr(values).encode("utf-8", "surrogatepass"))
            self.count += 1
            yield values

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


def _compare(
    tables: Sequence[_Table], sums: Mapping[str, _Sum], ask: Callable[[str], Iterable[Sequence[Any]]], report: Report
) -> None:
    """Read every table again where it was copied to. Raises `OperationalError` for one that differs."""
    for table in tables:
        copied, read = _Sum(ask(table.ordered)), sums[table.name]
        for _ in copied:
            pass
        if (copied.count, copied.hexdigest()) != (read.count, read.hexdigest()):
            raise OperationalError(f"{table.name} differs after the copy ({read.count:,} rows, {copied.count:,} copied)")
        report(CopiedTable(table.name, copied.count, copied.hexdigest()))


def _tables_of(conn: Connection) -> list[_Table]:
    """Return the tables of a file of SQLite, those that others refer to first."""
    waiting = {}
    for (name,) in conn.execute(_TABLES).fetchall():
        info = conn.execute("SELECT name, pk, type FROM pragma_table_info(?)", (name,)).fetchall()  # without generated columns
        columns = tuple(row[0] for row in info)
        key = tuple(row[0] for row in sorted(info, key=lambda row: row[1]) if row[1]) or columns
        is_counted = len(key) == 1 and any(row[1] and row[2] == "INTEGER" for row in info)
        parents = {row[0] for row in conn.execute('SELECT "table" FROM pragma_foreign_key_list(?)', (name,))} - {name}
        waiting[name] = _Table(name, columns, key, key[0] if is_counted else ""), parents
    ordered: list[_Table] = []
    while waiting:
        ready = [name for name, (_, parents) in waiting.items() if not parents & waiting.keys()]
        ordered += [waiting.pop(name)[0] for name in ready]
    return ordered


def _fresh_tables() -> list[_Table]:
    with opened(MIGRATIONS) as conn:
        return _tables_of(conn)


def _highest(conn: Connection, tables: Sequence[_Table]) -> dict[str, int]:
    """Return the highest number that each table has ever given to a row."""
    given = dict(conn.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    return {
        table.name: max(
            int(given.get(table.name) or 0),
            int(conn.execute(f"SELECT coalesce(max({table.number}), 0) FROM {table.name}").fetchone()[0]),
        )
        for table in tables
        if table.number
    }


def _number(made: PgConnection, tables: Sequence[_Table], highest: Mapping[str, int]) -> None:
    for table in tables:
        if highest.get(table.name):
            made.tell(f"ALTER TABLE {table.name} ALTER COLUMN {table.number} RESTART WITH {highest[table.name] + 1}")


def _tell(conn: PgConnection, statements: Iterable[str], *beginnings: str) -> None:
    for sql in statements:
        if sql.startswith(beginnings):
            conn.tell(sql)


def _remove(path: Path) -> None:
    for suffix in ("", *COMPANIONS):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
