"""Saves a damaged catalogue whose rows can all still be read: damage often hits an index, which is only a copy."""

from pathlib import Path

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, DatabaseError

TABLES = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'"
LAST = ("revisions",)  # triggers of the copy count in it


def salvage(path: Path, copy: Path) -> int:
    """Write every row of the catalogue into a new one at `copy`; returns how many records. The damaged file is only read.

    Raises `DatabaseError` when a row cannot be read, and leaves no copy then.
    """
    damaged, whole = CatalogDatabase(path, is_reader=True), CatalogDatabase(copy)
    try:
        with damaged.reading() as source, whole.write() as conn:
            conn.execute("PRAGMA defer_foreign_keys=ON")
            names = [row[0] for row in conn.execute(TABLES)]
            for name in sorted(names, key=lambda name: (name in LAST, name)):
                _copy(source, conn, name)
            # Ids that were given once are never given again, also those of rows that are gone.
            numbers = damaged.rows("SELECT name, seq FROM sqlite_sequence")
            conn.execute("DELETE FROM sqlite_sequence")
            conn.executemany("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", map(tuple, numbers))
        check = whole.row("PRAGMA quick_check(1)")
        if check is None or check[0] != "ok":
            raise DatabaseError(f"{copy}: {check and check[0]}")
        return int(whole.rows("SELECT count(*) FROM albums")[0][0])
    except DatabaseError:
        whole.close()
        for suffix in ("", "-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        raise
    finally:
        damaged.close()
        whole.close()


def _copy(damaged: Connection, whole: Connection, name: str) -> None:
    # Generated columns are not among those of table_info.
    columns = ",".join(row[0] for row in whole.execute("SELECT name FROM pragma_table_info(?)", (name,)))
    cursor = damaged.execute(f"SELECT {columns} FROM {name} NOT INDEXED")  # in the order of the table, past its indexes
    marks = ",".join("?" * len(cursor.description))
    whole.executemany(f"INSERT OR REPLACE INTO {name} ({columns}) VALUES ({marks})", map(tuple, cursor))
