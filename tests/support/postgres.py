"""A PostgreSQL server for tests, asked by `psql`, and what the catalogue and the index would be in it.

Its databases have the tables alone, without triggers: enough to see whether a statement is understood.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from image_cache.db.postgres.schema import schema
from image_cache.db.postgres.sql import translated
from tests.support.programs import PATH
from tests.support.servers import about_to_start

USER = "postgres"
NULL, FIELD, ROW = "\u2400", "\x1f", "\x1e"


def program(name: str) -> str | None:
    """Return the path of a program of the server."""
    return shutil.which(name, path=PATH)


class Postgres:
    """`with Postgres() as server:` has a new, empty server on a socket of its own, which loses everything at its end."""

    def __init__(self, port: int = 0) -> None:
        """With a port it listens on loopback as well."""
        about_to_start()
        self._home = tempfile.TemporaryDirectory(prefix="vinylvault-pg-", dir="/tmp")  # the path of a socket must be short
        self.folder = Path(self._home.name)
        self._port = port
        self._as = ("runuser", "-u", USER, "--") if os.geteuid() == 0 else ()  # it refuses to run as root

    def __enter__(self) -> "Postgres":
        if self._as:
            shutil.chown(self.folder, USER)
        data = self.folder / "data"
        self._run("initdb", "-D", str(data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        self._home.cleanup()

    def start(self) -> None:
        where = f"-c listen_addresses=127.0.0.1 -p {self._port}" if self._port else "-c listen_addresses=''"
        options = f"-k {self.folder} {where} -c fsync=off"
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-o", options, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    def asks_for_passwords(self) -> None:
        """Ask everyone from now on who does not come by the socket."""
        (self.folder / "data/pg_hba.conf").write_text("local all all trust\nhost all all all scram-sha-256\n", encoding="ascii")
        self._run("pg_ctl", "-D", str(self.folder / "data"), "reload")

    def script(self, text: str, database: str = USER, *options: str) -> str:
        """Run a script; return what it printed, errors included. A statement that fails does not end it."""
        done = subprocess.run(
            [
                str(program("psql")),
                "-h",
                str(self.folder),
                *(("-p", str(self._port)) if self._port else ()),
                "-U",
                USER,
                "-d",
                database,
                "-X",
                "-q",
                "-A",
                "-t",
                *options,
            ],
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
        made = [sql for sql in schema(migrations) if sql.startswith(("CREATE TABLE", "CREATE INDEX", "CREATE UNIQUE"))]
        problems = self.script(";\n".join(made) + ";", database)
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
        said = self.script(f"\\pset null '{NULL}'\n{translated(sql).sql};\n", database, "-F", FIELD, "-R", ROW).removesuffix("\n")
        return [line.split(FIELD) for line in said.split(ROW)] if said else []

    def misunderstood(self, database: str, statements: Sequence[str]) -> dict[str, str]:
        """Return the statements that it cannot prepare, and why."""
        script = "".join(
            f"\\echo @{number}\nPREPARE s{number} AS {translated(sql).sql};\n" for number, sql in enumerate(statements)
        )
        said = re.split(r"^@(\d+)\n", self.script(script, database), flags=re.MULTILINE)[1:]
        return {statements[int(number)]: why.strip() for number, why in zip(said[::2], said[1::2], strict=True) if why.strip()}

    def _run(self, name: str, *arguments: str) -> None:
        command = [*self._as, str(program(name)), *arguments]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=self.folder)


def literal(value: object) -> str:
    """Return a value as it stands in a statement."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    return "'" + str(value).replace("'", "''") + "'"
