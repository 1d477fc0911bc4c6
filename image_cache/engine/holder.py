"""Holders of jobs: processes named by pid and start time, so that a later process with the same pid is another holder."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Protocol


class Holders(Protocol):
    """Who may hold jobs of a queue, and which of them have ended."""

    def name(self) -> str:
        """Return the name of this process."""
        ...

    def is_ours(self, holder: str) -> bool:
        """Return True if its running jobs count against the limit of this server."""
        ...

    def dead(self, holders: Collection[str]) -> list[str]:
        """Return those that have ended. May raise `DatabaseError`."""
        ...


class LocalHolders:
    """The processes of this server."""

    def name(self) -> str:
        return holder_name()

    def is_ours(self, holder: str) -> bool:
        return True

    def dead(self, holders: Collection[str]) -> list[str]:
        return [holder for holder in holders if not is_holder_alive(holder)]


def holder_name() -> str:
    """Return the name of this process."""
    return f"{os.getpid()}:{_start_time(os.getpid())}"


def is_holder_alive(holder: str) -> bool:
    """Return True if the process of this name still runs."""
    pid, _, started = holder.partition(":")
    return _start_time(int(pid)) == started


def _start_time(pid: int) -> str:
    # Field 22 of /proc/PID/stat; the command name may contain spaces and brackets, so the fields after it are counted. A zombie
    # (state Z) counts as ended.
    try:
        facts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "gone" if facts[0] in "ZX" else facts[19]
    except (OSError, IndexError):
        return "gone"
