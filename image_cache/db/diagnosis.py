"""What is wrong with a database, in a word and in a sentence. Knows no SQL."""

import errno
from pathlib import Path

from image_cache.db.database import DatabaseError, WrongVersion, is_broken

_OF_ERRNO = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
    errno.EACCES: "closed",
    errno.EPERM: "closed",
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "read-only",
}
# The first two words of SQLite's own name; the rest of it tells apart what comes to the same here.
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
    "missing": "There is none.",
    "closed": "This user may not open it.",
    "locked": "Another process keeps it locked.",
    "newer": "A newer version of VinylVault made it.",
    "older": "An older version of VinylVault made it.",
    "broken": "It is damaged.",
    "full": "The disk is full.",
    "read-only": "The disk is read-only.",
    "unknown": "It cannot be read.",
}


def kind_of(error: DatabaseError) -> str:
    """Return missing, closed, locked, newer, older, broken, full, read-only, or unknown."""
    if isinstance(error, WrongVersion):
        return "older" if error.version < error.known else "newer"
    if is_broken(error):
        return "broken"
    if isinstance(error.__cause__, OSError):
        return _OF_ERRNO.get(error.__cause__.errno or 0, "unknown")
    name = getattr(error, "sqlite_errorname", "")
    return _OF_NAME.get("_".join(name.split("_")[:2]), "unknown")


def sentence_of(kind: str) -> str:
    """Return a kind as a sentence about the file."""
    return _SENTENCES[kind]


def advice_for(kind: str, path: Path, *, is_precious: bool) -> str:
    """Return what an operator does about a database of this kind of fault. Precious: the catalogue; the others are caches."""
    shared = {
        "closed": f"Run this as the user that owns {path.parent}, or give the folder back: sudo chown -R vinylvault: {path.parent}",
        "locked": f"Find out who holds {path}: sudo fuser -v {path}. A backup or a shell on the file is waited for, or ended.",
        "newer": "Install the newer version again. Nothing was changed.",
        "older": "The service brings it up to date when it starts: sudo systemctl restart vinylvault",
        "full": f"Make room on the disk of {path.parent}.",
        "read-only": "Look why the disk became read-only (dmesg | tail); a card that does this is near its end.",
    }
    if kind in shared:
        return shared[kind]
    if is_precious:
        return (
            f"Stop the service, keep {path} aside, and bring the last backup back:"
            " cache_monitor.py --action restore --file BACKUP. cache_monitor.py --action doctor looks whether it can be mended."
        )
    if kind == "missing":
        return "The service makes it anew when it starts, from the files and the catalogue."
    return "Nothing is lost: the service sets it aside and makes it anew, from the files. cache_monitor.py --action doctor does it now."
