"""Single numbers by name, in the table `meta` of an index."""

from image_cache.db.database import Connection, Database


def read_meta(database: Database, name: str, default: int = 0) -> int:
    row = database.row("SELECT value FROM meta WHERE name = ?", (name,))
    return default if row is None else int(row[0])


def write_meta(conn: Connection, name: str, value: float) -> None:
    conn.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))
