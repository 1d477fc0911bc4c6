"""Memory of a server at rest: what SQLite and malloc keep for later goes back to the system."""

import contextlib
import ctypes
from collections.abc import Iterable

from image_cache.db.database import Database
from image_cache.engine.pool import PeriodicJob

EVERY_S, SETTLED_S = 60.0, 20.0  # the first time once the start is over


def memory_job(*databases: Database) -> PeriodicJob:
    return PeriodicJob("memory", EVERY_S, lambda: release_memory(databases), first_s=SETTLED_S)


def release_memory(databases: Iterable[Database]) -> None:
    """Close spare connections, empty page caches, and return freed memory. A few milliseconds.

    malloc returns only the end of its heap by itself, and a few rows that stay there hold megabytes below. Without glibc it
    decides alone.
    """
    for database in databases:
        database.trim()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
