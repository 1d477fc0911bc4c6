"""A PostgreSQL server for tests, asked by `psql`, and what the catalogue and the index would be in it.

The tables are made from SQLite's, without triggers and without the words of FTS5: enough to see whether a statement is understood.
"""

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from image_cache.db import dialect
from tests.support.servers import about_to_start

USER = "postgres"
NULL, FIELD, ROW = "\u2400", "\x1f", "\x1e"


def program(name: str) -> str | None:
    """Return the path of a program of the server: Debian keeps them out of PATH."""
    return shutil.which(name) or next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None)


class Postgres:
    """`with Postgres() as server:` has a new, empty server on a socket of its own, which loses everything at its end."""

    def __init__(self) -> None:
        about_to_start()
        self._home = tempfile.TemporaryDirectory(prefix="vinylvault-pg-", dir="/tmp")  # the path of a socket must be short
        self.folder = Path(self._home.name)
        self._as = ("runuser", "-u", USER, "--") if os.geteuid() == 0 else ()  # it refuses to run as root

    def __enter__(self) -> "Postgres":
        if self._as:
            shutil.chown(self.folder, USER)
        data = self.folder / "data"
        self._run("initdb", "-D", str(data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        self._run("pg_ctl", "-D", str(data), "-o", options, "-l", str(self.folder / "log"), "-w", "start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")
        self._home.cleanup()

    def script(self, text: str, database: str = USER, *options: str) -> str:
        """Run a script; return what it printed, errors included. A statement that fails does not end it."""
        done = subprocess.run(
            [str(program("psql")), "-h", str(self.folder), "-U", USER, "-d", database, "-X", "-q", "-A", "-t", *options],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
            cwd=self.folder,
        )
        return done.stdout

    def create(self, database: str, migrations: Iterable[str]) -> None:
        """Create a database with the tables and indexes that SQLite has after these migrations. Raises `ValueError`."""
        self.script(f"CREATE DATABASE {database}")
        problems = self.script(";\n".join(tables(migrations)) + ";", database)
        if problems.strip():
            raise ValueError(problems)

    def fill(self, database: str, rows: Mapping[str, Iterable[Sequence[object]]]) -> None:
        """Insert rows by table, parents first. Raises `ValueError`."""
        inserts = (
            f"INSERT INTO {table} VALUES ({', '.join(map(literal, row))});" for table, many in rows.items() for row in many
        )
        problems = self.script("\n".join(inserts), database)
        if problems.strip():
            raise ValueError(problems[:2000])

    def rows(self, database: str, sql: str) -> list[list[str]]:
        """Return what a statement finds, each value as text."""
        said = self.script(f"\\pset null '{NULL}'\n{shared(sql)};\n", database, "-F", FIELD, "-R", ROW).removesuffix("\n")
        return [line.split(FIELD) for line in said.split(ROW)] if said else []

    def misunderstood(self, database: str, statements: Sequence[str]) -> dict[str, str]:
        """Return the statements that it cannot prepare, and why."""
        script = "".join(f"\\echo @{number}\nPREPARE s{number} AS {shared(sql)};\n" for number, sql in enumerate(statements))
        said = re.split(r"^@(\d+)\n", self.script(script, database), flags=re.MULTILINE)[1:]
        return {statements[int(number)]: why.strip() for number, why in zip(said[::2], said[1::2], strict=True) if why.strip()}

    def _run(self, name: str, *arguments: str) -> None:
        command = [*self._as, str(program(name)), *arguments]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=self.folder)


def tables(migrations: Iterable[str]) -> list[str]:
    """Return the statements that make the tables and indexes of SQLite, parents first."""
    conn = sqlite3.connect(":memory:")
    try:
        for script in migrations:
            conn.executescript(script)
        found = dict(conn.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL"))
        indexes = [row[0] for row in conn.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")]
    finally:
        conn.close()
    virtual = tuple(name for name, sql in found.items() if "VIRTUAL TABLE" in sql)
    waiting = {
        name: _typed(sql)
        for name, sql in found.items()
        if not name.startswith(("sqlite_", *(f"{one}_" for one in virtual), *virtual))
    }
    made: list[str] = []
    while waiting:
        ready = [
            name for name, sql in waiting.items() if not set(re.findall(r"REFERENCES (\w+)", sql)) & (waiting.keys() - {name})
        ]
        made += [waiting.pop(name) for name in ready]
    return made + indexes


def _typed(sql: str) -> str:
    for wanted, twin in TYPES.items():
        sql = re.sub(wanted, twin, sql)
    return sql


def literal(value: object) -> str:
    """Return a value as it stands in a statement."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    return "'" + str(value).replace("'", "''") + "'"


def shared(sql: str) -> str:
    """Return a statement with the marks of PostgreSQL for its parameters, and the twins of the forms that differ."""
    for form, twin in TWINS.items():
        sql = re.sub(re.escape(form).replace(r"\?", r"(\?|'[^']*')").replace("@", r"(\w+)"), twin, sql)
    count = 0
    names: dict[str, int] = {}

    def mark(found: re.Match[str]) -> str:
        nonlocal count
        if found[1]:  # :name
            return f"${names.setdefault(found[1], len(names) + 1)}"
        if found[2]:  # ?3
            return f"${found[2]}"
        count += 1
        return f"${count}"

    parts = re.split(r"('(?:[^']|'')*')", sql)  # texts in quotes are every second one
    parts[::2] = [re.sub(r"(?<!:):(\w+)|\?(\d*)", mark, part) for part in parts[::2]]
    return "".join(parts)
