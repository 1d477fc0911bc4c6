"""Schema migrations: a sequence of SQL scripts, applied under the write lock, after a copy of a precious file."""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from image_cache.db.connection import Connection, DatabaseError, WrongVersion, copy_into

logger = logging.getLogger(__name__)

MAX_COPIES = 2  # of a precious file, from before a migration


def migrate(conn: Connection, path: Path, migrations: Sequence[str], *, keeps_copies: bool) -> None:
    """Apply the scripts that the file has not had yet. Raises `WrongVersion` for a file of a newer program, `DatabaseError`."""
    if conn.execute("PRAGMA user_version").fetchone()[0] == len(migrations):
        return
    if keeps_copies:
        _keep_copy(conn, path, len(migrations))
    # A command may start at the same time as the service: the version is read again under the write lock.
    conn.execute("BEGIN IMMEDIATE")
    try:
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        if version > len(migrations):
            raise WrongVersion(path, version, len(migrations))
        for script in migrations[version:]:
            for statement in statements(script):
                conn.execute(statement)
        conn.execute(f"PRAGMA user_version={len(migrations)}")
        conn.commit()
    except BaseException:
        with contextlib.suppress(DatabaseError):
            conn.rollback()
        raise


def _keep_copy(conn: Connection, path: Path, known: int) -> None:
    """Copy the file before its schema changes: `catalog.db.schema-3` can be used by a program that knows only version 3.

    If there is no room for the copy, the migration fails and changes nothing.
    """
    version = conn.execute("PRAGMA user_version").fetchone()[0]
    if not 0 < version < known:
        return
    copy_into(conn, path.with_name(f"{path.name}.schema-{version}"))
    copies = [copy for copy in path.parent.glob(f"{path.name}.schema-*") if copy.name.rpartition("-")[2].isdigit()]
    for old in sorted(copies, key=lambda copy: int(copy.name.rpartition("-")[2]))[:-MAX_COPIES]:
        old.unlink(missing_ok=True)
    logger.info("schema changes, copy kept path=%s.schema-%s", path, version)


def statements(script: str) -> Iterator[str]:
    """Split a script into statements, keeping trigger bodies together (`executescript` would commit the open transaction)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError(f"unfinished SQL statement: {statement.strip()[:80]}")
