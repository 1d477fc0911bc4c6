"""`log`: what happens to one URL, live: a line for each fact that changes, and the lines of the log that name it."""

import os
import time
from pathlib import Path
from typing import IO

import click

from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.maintenance.explain import explained
from image_cache.cli.maintenance.explain_others import Explanation
from image_cache.cli.maintenance.monitor import ended_by_signals
from image_cache.cli.params import LONGEST_S, Number
from image_cache.db.database import DatabaseError
from image_cache.logs import without_secrets

POLL_S = 0.5
SHORTEST_MARK = 8  # of a text in a log line that stands for this URL


@click.command("log", cls=MaintenanceCommand, is_reading=True)
@click.argument("what", metavar="URL|DIGEST")
@click.option("--follow", "-f", "is_following", is_flag=True, help="continue with what happens until Ctrl-C")
@click.option(
    "--for",
    "seconds",
    type=Number(LONGEST_S),
    metavar="S",
    help="with --follow: stop after S seconds; the exit status is that of explain",
)
def log_url(context: CommandContext, what: str, is_following: bool, seconds: float | None) -> int:
    """Show what happens to one cover, large file or stream image.

    A line for each change: queued, downloading, downloaded, rendered, failed and when it is tried again. With
    VINYL_VAULT_LOG_FILE set, also the lines of the log that name it. The exit status is 0 if it is stored, 1 if not, 2 if it is unknown.
    """
    until = float("inf") if seconds is None else time.monotonic() + seconds
    before: dict[str, str] | None = None
    tail = _Tail(context.settings.LOG_FILE)
    try:
        with ended_by_signals() as stop:
            while True:
                known = _look(context, what)
                facts = _facts(known)
                _show(context, facts, before)
                for line in tail.lines(_marks(what, known)):
                    _line(context, "log", line)
                before = facts
                context.out.flush()
                if not is_following or time.monotonic() >= until or stop.wait(POLL_S):
                    return 2 if known is None else 0 if known.is_stored else 1
    finally:
        tail.close()


def _look(context: CommandContext, what: str) -> Explanation | None:
    context.reopen()  # a reader of a vault at rest does not see what a service writes that starts later
    try:
        return explained(context, what)
    except DatabaseError:  # the index is being replaced: the next look sees the new one
        return None


def _facts(known: Explanation | None) -> dict[str, str]:
    if known is None:
        return {"State": "Unknown: no record, file or stream has it."}
    return {"State": known.why, **known.facts, **known.variants}


def _show(context: CommandContext, facts: dict[str, str], before: dict[str, str] | None) -> None:
    """Write what is new or different; at first the state and what is known."""
    for name, value in facts.items():
        if before is None or before.get(name) != value:
            _line(context, name, value)
    for name in (before or {}).keys() - facts.keys():
        _line(context, name, "gone")


def _line(context: CommandContext, name: str, value: str) -> None:
    now = time.strftime("%H:%M:%S", time.localtime(context.clock()))
    context.out.wrapped(f"{now}  {name:<11}  ", value)
    context.out.json({"at": context.clock(), "name": name, "value": value})


def _marks(what: str, known: Explanation | None) -> tuple[str, ...]:
    """Return the texts that a log line about this URL has: the URL without its query, and keys."""
    facts = known.facts if known else {}
    found = {
        without_secrets(what.partition("?")[0]),
        facts.get("URL", "").partition("?")[0],
        facts.get("Key", "").rpartition("/")[2],
    }
    return tuple(mark for mark in found if len(mark) >= SHORTEST_MARK)


class _Tail:
    """The new lines of a file, from where it ended when this was made. A file that is not there has none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file = self._opened()
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)

    def lines(self, marks: tuple[str, ...]) -> list[str]:
        """Return the lines since the last call that have one of these texts."""
        if self._file is None or self._is_moved():
            self.close()
            self._file = self._opened()
        if self._file is None:
            return []
        return [line.rstrip() for line in self._file if any(mark in line for mark in marks)]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> IO[str] | None:
        try:
            return self._path.open(encoding="utf-8", errors="replace") if self._path is not None else None
        except OSError:
            return None

    def _is_moved(self) -> bool:
        """Return True if logrotate moved the file."""
        try:
            return (
                self._file is not None
                and self._path is not None
                and self._path.stat().st_ino != os.fstat(self._file.fileno()).st_ino
            )
        except OSError:
            return False
