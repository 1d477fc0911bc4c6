"""Schemas and their versions: a sequence of scripts, applied under the write lock; what is precious is copied before."""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from image_cache.db.connection import Connection, DatabaseError, WrongVersion, copy_into

logger = logging.getLogger(__name__)

KEPT_COPIES = 2  # of a precious file, from before its schema changed


def migrate(conn: Connection, path: Path, migrations: Sequence[str], *, keeps_copies: bool) -> None:
    """Bring the schema up to the last of the scripts. Raises `WrongVersion` for one of the future, `DatabaseError`."""
    if conn.execute("PRAGMA user_version").fetchone()[0] == len(migrations):
        return
    if keeps_copies:
        _keep_copy(conn, path, len(migrations))
    # A command may start beside the service: the version is read again under the write lock.
    conn.execute("BEGIN IMMEDIATE")
    try:
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        if version > len(migrations):
            raise WrongVersion(path, version, len(migrations))
        for script in migrations[version:]:
            for statement in _statements(script):
                conn.execute(statement)
        conn.execute(f"PRAGMA user_version={len(migrations)}")
        conn.commit()
    except BaseException:
        with contextlib.suppress(DatabaseError):
            conn.rollback()
        raise


def _keep_copy(conn: Connection, path: Path, known: int) -> None:
    """Keep the file as it is before its schema changes: `catalog.db.schema-3` is what a program that knows only 3 can use.

    When there is no room for it, nothing is changed either.
    """
    version = conn.execute("PRAGMA user_version").fetchone()[0]
    if not 0 < version < known:
        return
    copy_into(conn, path.with_name(f"{path.name}.schema-{version}"))
    copies = [copy for copy in path.parent.glob(f"{path.name}.schema-*") if copy.name.rpartition("-")[2].isdigit()]
    for old in sorted(copies, key=lambda copy: int(copy.name.rpartition("-")[2]))[:-KEPT_COPIES]:
        old.unlink(missing_ok=True)
    logger.info("schema changes, copy kept path=%s.schema-%s", path, version)


def _statements(script: str) -> Iterator[str]:
    """Split a script at statement ends, trigger bodies kept whole (`executescript` would commit the open transaction)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError(f"unfinished SQL statement: {statement.strip()[:80]}")
