"""Diagnosis of a broken database: the kind of fault, advice for the operator, and salvage of the catalogue's rows."""

import errno
from pathlib import Path

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, DatabaseError, WrongVersion, is_broken
from image_cache.resources import own_command, service_command

_TABLES = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'"
_COPIED_LAST = ("revisions",)  # incremented by the triggers of the copy
_OF_ERRNO = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
    errno.EACCES: "closed",
    errno.EPERM: "closed",
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "read-only",
}
# By the first two words of SQLite's error name; the rest makes no difference here.
_OF_NAME = {
    "SQLITE_BUSY": "locked",
    "SQLITE_LOCKED": "locked",
    "SQLITE_FULL": "full",
    "SQLITE_READONLY": "read-only",
    "SQLITE_PERM": "closed",
    "SQLITE_CANTOPEN": "closed",
    "SQLITE_AUTH": "closed",
}
_SENTENCES = {
    "missing": "It does not exist.",
    "closed": "Permission denied.",
    "locked": "Another process has locked it.",
    "newer": "It was created by a newer version of VinylVault.",
    "older": "It was created by an older version of VinylVault.",
    "broken": "It is corrupt.",
    "full": "The disk is full.",
    "read-only": "The disk is read-only.",
    "unknown": "Cannot be read.",
}


def kind_of(error: DatabaseError) -> str:
    """Return the kind of fault: missing, closed, locked, newer, older, broken, full, read-only, or unknown."""
    if isinstance(error, WrongVersion):
        return "older" if error.version < error.known else "newer"
    if is_broken(error):
        return "broken"
    if isinstance(error.__cause__, OSError):
        return _OF_ERRNO.get(error.__cause__.errno or 0, "unknown")
    name = getattr(error, "sqlite_errorname", "")
    return _OF_NAME.get("_".join(name.split("_")[:2]), "unknown")


def sentence_of(kind: str) -> str:
    """Return a sentence about a file with this kind of fault."""
    return _SENTENCES[kind]


def advice_for(kind: str, path: Path, *, is_precious: bool) -> str:
    """Return what the operator can do about this kind of fault. The catalogue is precious, the others are caches."""
    shared = {
        "closed": f"Run this as the owner of {path.parent}, or fix the ownership: sudo chown -R vinylvault: {path.parent}",
        "locked": f"Find the process: sudo fuser -v {path}. If it is a backup or a database shell, wait for it or stop it.",
        "newer": "Install the newer version again. Nothing was changed.",
        "older": f"Restart the service to upgrade it: {service_command('restart')}",
        "full": f"Free up space on the disk that holds {path.parent}.",
        "read-only": "Check why the disk became read-only (dmesg | tail). An SD card that does this is failing: replace it.",
    }
    if kind in shared:
        return shared[kind]
    if is_precious:
        return (
            f"Stop the service, move {path} aside and restore the latest backup:"
            f" {own_command('restore BACKUP')}. To check whether it can be repaired instead: {own_command('repair')}"
        )
    if kind == "missing":
        return "The service rebuilds it from the cached files when it starts."
    return (
        "Nothing is lost: the service moves it aside and rebuilds it from the cached files."
        f" To do that now: {own_command('repair')}"
    )


def salvage(path: Path, copy: Path) -> int:
    """Copy every row of a damaged catalogue into a new one at `copy`; return the number of records. The damaged file is only read.

    Raises `DatabaseError` if a row cannot be read; then there is no copy.
    """
    damaged, rebuilt = CatalogDatabase(path, is_reader=True), CatalogDatabase(copy)
    try:
        with damaged.reading() as source, rebuilt.write() as conn:
            conn.execute("PRAGMA defer_foreign_keys=ON")
            names = [row[0] for row in conn.execute(_TABLES)]
            for name in sorted(names, key=lambda name: (name in _COPIED_LAST, name)):
                _copy(source, conn, name)
            # Ids are never reused, not even those of deleted rows.
            numbers = damaged.rows("SELECT name, seq FROM sqlite_sequence")
            conn.execute("DELETE FROM sqlite_sequence")
            conn.executemany("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", map(tuple, numbers))
        check = rebuilt.row("PRAGMA quick_check(1)")
        if check is None or check[0] != "ok":
            raise DatabaseError(f"{copy}: {check and check[0]}")
        return int(rebuilt.rows("SELECT count(*) FROM albums")[0][0])
    except DatabaseError:
        rebuilt.close()
        for suffix in ("", "-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        raise
    finally:
        damaged.close()
        rebuilt.close()


def _copy(damaged: Connection, rebuilt: Connection, name: str) -> None:
    # table_info does not list generated columns.
    columns = ",".join(row[0] for row in rebuilt.execute("SELECT name FROM pragma_table_info(?)", (name,)))
    cursor = damaged.execute(f"SELECT {columns} FROM {name} NOT INDEXED")  # in table order, without using its indexes
    marks = ",".join("?" * len(cursor.description))
    rebuilt.executemany(f"INSERT OR REPLACE INTO {name} ({columns}) VALUES ({marks})", map(tuple, cursor))
