"""Tables as tasks: `table-look` says what an import would do, `table` does it and goes on where a stop left it.

What they want: `path` of the file, `name` as people know it, `origin` upload or folder. What comes of them: the counts, the
first reasons for refused rows, and a sentence. An upload is deleted when its import ended; a file of the folder is put away.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from image_cache.covers import ImageCache
from image_cache.db.database import Connection
from image_cache.errors import CacheError, StorageError, TableRejected
from image_cache.importers.tables.inbox import UploadInbox, put_away
from image_cache.models import AlbumRow, ImportReport
from image_cache.records.library import Library
from image_cache.tables.read import Table, is_database
from image_cache.tasks.runner import Task, TaskCancelled, TaskStopped

LOOK, TAKE = "table-look", "table"
SHOWN_ROWS = 12
SHOWN_REASONS = 100


class TableTasks:
    """Runs both kinds of tasks, for one vault."""

    def __init__(self, library: Library, covers: ImageCache, intray: UploadInbox) -> None:
        self._library = library
        self._covers = covers
        self._intray = intray

    def preview(self, task: Task) -> Mapping[str, Any]:
        """Say what the import would do. The file stays for it; one that is refused does not."""
        shown: list[dict[str, Any]] = []
        is_export = False

        def note(row: AlbumRow, what: str) -> None:
            nonlocal is_export
            is_export |= row.counts_copies
            if len(shown) < SHOWN_ROWS:
                shown.append(_shown(row, what))

        try:
            report = self._run(task, lambda table, tell: self._library.import_rows(table, dry_run=True, progress=tell, each=note))
        except TaskStopped:
            raise
        except CacheError:
            self._intray.delete(task.wanted["path"])
            raise
        kind = "discogs" if is_export else "original" if is_database(Path(task.wanted["path"])) else "table"
        told = f"Looked through {task.wanted['name']}, nothing changed: {says(report)}."
        return {**_outcome(report), "says": told, "rows": shown, "kind": kind, "name": task.wanted["name"]}

    def run_import(self, task: Task) -> Mapping[str, Any]:
        """Import the file, register the covers, clear the file away."""
        resume = ImportReport(**task.position, rejected=()) if task.position else None
        is_from_folder = task.wanted.get("origin") == "folder"
        try:
            with_save = self._saving(task)
            report = self._run(
                task,
                lambda table, tell: self._library.import_rows(table, progress=tell, save=with_save(table), resume=resume),
            )
            self._covers.register(self._library.cover_urls())
        except TaskStopped:  # goes on after the next start
            raise
        except StorageError:  # full or broken: the table is not to blame, and stays where somebody put it
            if not is_from_folder:
                self._intray.delete(task.wanted["path"])
            raise
        except CacheError as error:
            if is_from_folder:
                put_away(Path(task.wanted["path"]), is_refused=True, report=_refusal(error))
            self._intray.delete(task.wanted["path"])
            raise
        outcome = {**_outcome(report), "says": f"{task.wanted['name']}: {says(report)}.", "name": task.wanted["name"]}
        if is_from_folder:
            is_refused = report.read > 0 and report.rejected_count == report.read
            put_away(Path(task.wanted["path"]), is_refused=is_refused, report=_report(report))
        self._intray.delete(task.wanted["path"])
        return outcome

    def _run(self, task: Task, run: Callable[[Table, Callable[[int], None]], ImportReport]) -> ImportReport:
        """Read the file of a task. Raises what the file is refused for, by the name that people know."""
        table, name = Table(Path(task.wanted["path"])), str(task.wanted["name"])
        task.progress(0, None, f"{name}: reading begins")
        try:
            return run(table, lambda read: task.progress(table.done, table.size or None, f"{name}: {read:,} rows read"))
        except TableRejected as error:
            refusal = TableRejected(name, error.reason)
            refusal.hint = ""  # names a file on this machine, which whoever sends a table may not see
            raise refusal from error

    def _saving(self, task: Task) -> Callable[[Table], Callable[[Connection, ImportReport], None]]:
        def of(table: Table) -> Callable[[Connection, ImportReport], None]:
            def save(conn: Connection, report: ImportReport) -> None:
                position = {name: getattr(report, name) for name in ("read", "new", "changed", "same")}
                task.save(conn, position, table.done, table.size or None, f"{task.wanted['name']}: {report.read:,} rows read")

            return save

        return of


def says(report: ImportReport) -> str:
    """Write the counts as a sentence."""
    counts = ((report.new, "new"), (report.changed, "changed"), (report.same, "the same"), (report.rejected_count, "rejected"))
    told = ", ".join(f"{count:,} {word}" for count, word in counts if count or word == "new")
    return f"{report.read:,} {'row' if report.read == 1 else 'rows'} read: {told}"


def _outcome(report: ImportReport) -> dict[str, Any]:
    facts = {name: value for name, value in dataclasses.asdict(report).items() if name != "rejected"}
    rejected = [list(pair) for pair in report.rejected[:SHOWN_REASONS]]
    return {**facts, "rejected": rejected, "rejected_count": report.rejected_count, "summary": f"{says(report)}."}


def _report(report: ImportReport) -> str:
    lines = [f"{says(report)}.", *(f"line {line}: {reason}" for line, reason in report.rejected)]
    if report.rejected_count > len(report.rejected):
        lines.append(f"and {report.rejected_count - len(report.rejected):,} more")
    return "\n".join(lines) + "\n"


def _refusal(error: CacheError) -> str:
    return "Cancelled. What was saved stays.\n" if isinstance(error, TaskCancelled) else f"{error}.\n"


def _shown(row: AlbumRow, what: str) -> dict[str, Any]:
    return {
        "line": row.line,
        "artist": row.artist,
        "title": row.title,
        "year": row.year,
        "label": row.label or "",
        "formats": ", ".join(row.formats or ()),
        "what": what,
    }
