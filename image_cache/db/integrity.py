"""What a database file holds, whatever made it: schema version, objects, rows of tables, and whether its pages are intact."""

from collections.abc import Iterable

from image_cache.db.database import Connection, Database


def schema_version(conn: Connection) -> int:
    return int(conn.execute("PRAGMA user_version").fetchone()[0])


def schema_objects(conn: Connection) -> dict[tuple[str, str], str]:
    """Return (kind, name) of every table, index, view and trigger, with the SQL that made it."""
    rows = conn.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    return {(row["type"], row["name"]): row["sql"] or "" for row in rows}


def row_counts(conn: Connection, tables: Iterable[str]) -> dict[str, int]:
    """Return how many rows each of these tables has; 0 for a table that this file does not have."""
    known = {row[0] for row in conn.execute("SELECT name FROM sqlite_master")}
    return {name: conn.execute(f"SELECT count(*) FROM {name}").fetchone()[0] if name in known else 0 for name in tables}


def is_intact(conn: Connection) -> bool:
    """Check every page, every row and every index. Takes seconds on a large file."""
    return bool(conn.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok")


def page_fault(database: Database) -> str:
    """Return what the first damaged page is said to be, "" when there is none. Indexes are not compared with their tables."""
    row = database.row("PRAGMA quick_check(1)")
    return "" if row is None or row[0] == "ok" else str(row[0])
