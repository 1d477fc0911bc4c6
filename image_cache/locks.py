"""Locks by name for work that must run once: over all processes of a machine, or over all nodes of a cluster.

Who needs one is given a `Locks`, and does not know which. `FileLocks` is for one machine; a catalogue in PostgreSQL has its own.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from image_cache.filesystem import make_folder, try_lock_file


class Hold(Protocol):
    """A lock that this block holds, as long as nothing cuts it off from the others."""

    def is_held(self) -> bool:
        """Return False once the lock may have been given to someone else. Asks no one: call it at every step."""

    def is_held_in(self, conn: Any) -> bool:
        """Return whether the lock is held, as seen by this transaction: what it writes counts only if it is."""

    def renew(self) -> bool:
        """Find out now, also if it takes a moment; return whether the lock is still held."""


class Locks(Protocol):
    """Any thread."""

    def try_hold(self, name: str) -> AbstractContextManager[Hold | None]:
        """Hold the lock for the block, or yield None if it is held elsewhere. Never waits for it.

        Raises `OSError` or `DatabaseError` if that cannot be found out.
        """

    def leading(self, name: str) -> AbstractContextManager[bool]:
        """Yield True if this process does the recurring work of this name. Never waits. Raises as `try_hold`.

        One node of a cluster goes on leading after the block, as long as it lives: what it remembers of the last time is right.
        """


class FileLocks:
    """Lock files `.<name>` in a folder, for the processes of one machine. A crash of the process releases them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def try_hold(self, name: str) -> Iterator[Hold | None]:
        make_folder(self._folder)
        with try_lock_file(self._folder / f".{name}") as is_alone:
            yield HELD if is_alone else None

    @contextmanager
    def leading(self, name: str) -> Iterator[bool]:
        with self.try_hold(name) as hold:
            yield hold is not None


class _Held:
    """A lock file, which nothing takes away."""

    def is_held(self) -> bool:
        return True

    def is_held_in(self, conn: Any) -> bool:
        return True

    def renew(self) -> bool:
        return True


HELD: Hold = _Held()
