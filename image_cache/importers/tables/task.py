"""Table tasks: `table-look` previews an import, `table` runs it and continues where a stop left it.

They want the `path` of the file, its `name` for users, and its `origin`, upload or folder. Their outcome has the counts, the first
reasons for rejected rows, and a sentence. After the import an upload is deleted, a file of the folder is moved.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from image_cache.covers import ImageCache
from image_cache.db.database import Connection
from image_cache.errors import CacheError, StorageError, TableRejected
from image_cache.import_models import ImportReport, ImportRow
from image_cache.importers.tables.inbox import UploadInbox, file_away
from image_cache.records.library import Library
from image_cache.records.wants.wantlist import bought_sentence
from image_cache.tables.read import Table, is_database
from image_cache.tasks.runner import Task, TaskCancelled, TaskStopped

PREVIEW, IMPORT = "table-look", "table"  # the kinds of tasks
SHOWN_ROWS = 12
SHOWN_REASONS = 100


class TableTasks:
    """The runners of both kinds."""

    def __init__(self, library: Library, covers: ImageCache, uploads: UploadInbox) -> None:
        self._library = library
        self._covers = covers
        self._uploads = uploads

    def preview(self, task: Task) -> Mapping[str, Any]:
        """Report what the import would do. The file is kept for it, unless it is rejected."""
        shown: list[dict[str, Any]] = []
        is_export = False

        def note(row: ImportRow, what: str) -> None:
            nonlocal is_export
            is_export |= row.counts_copies
            if len(shown) < SHOWN_ROWS:
                shown.append(_shown(row, what))

        try:
            report = self._run(
                task, lambda table, progress: self._library.import_rows(table, dry_run=True, progress=progress, each=note)
            )
        except TaskStopped:
            raise
        except CacheError:
            self._uploads.delete(task.wanted["path"])
            raise
        kind = "discogs" if is_export else "original" if is_database(Path(task.wanted["path"])) else "table"
        message = f"Preview of {task.wanted['name']} (nothing imported yet): {summary(report)}."
        return {**_outcome(report), "says": message, "rows": shown, "kind": kind, "name": task.wanted["name"]}

    def run_import(self, task: Task) -> Mapping[str, Any]:
        """Import the file, register the covers, then delete or move the file."""
        resume = ImportReport(**task.position, rejected=()) if task.position else None
        bought = self._library.wants.table.count_bought()
        is_from_folder = task.wanted.get("origin") == "folder"
        try:
            saving = self._saving(task)
            batch = self._library.batch(f"{task.wanted['name']} imported", task.id)
            report = self._run(
                task,
                lambda table, progress: self._library.import_rows(
                    table, progress=progress, save=saving(table), resume=resume, batch=batch
                ),
            )
            self._covers.try_register(self._library.cover_urls())
        except TaskStopped:  # continues after the next start
            raise
        except StorageError:  # a full or broken disk is no fault of the table: it stays in its folder
            if not is_from_folder:
                self._uploads.delete(task.wanted["path"])
            raise
        except CacheError as error:
            if is_from_folder:
                file_away(Path(task.wanted["path"]), is_refused=True, report=_refusal(error))
            self._uploads.delete(task.wanted["path"])
            raise
        bought = self._library.wants.table.count_bought() - bought
        says = f"{task.wanted['name']}: {summary(report)}.{bought_sentence(bought)}"
        outcome = {**_outcome(report), "says": says, "name": task.wanted["name"]}
        if is_from_folder:
            is_refused = report.read > 0 and report.rejected_count == report.read
            file_away(Path(task.wanted["path"]), is_refused=is_refused, report=_report(report))
        self._uploads.delete(task.wanted["path"])
        return outcome

    def _run(self, task: Task, run: Callable[[Table, Callable[[int], None]], ImportReport]) -> ImportReport:
        """Read the file of a task. Raises `TableRejected` with the name that users know."""
        table, name = Table(Path(task.wanted["path"])), str(task.wanted["name"])
        task.progress(0, None, f"{name}: starting")
        try:
            return run(table, lambda read: task.progress(read, _total(table, read), f"{name}: {read:,} rows read"))
        except TableRejected as error:
            refusal = TableRejected(name, error.reason)
            refusal.hint = ""  # it names a path on the server, which users must not see
            raise refusal from error

    def _saving(self, task: Task) -> Callable[[Table], Callable[[Connection, ImportReport], None]]:
        def of(table: Table) -> Callable[[Connection, ImportReport], None]:
            def save(conn: Connection, report: ImportReport) -> None:
                position = {name: getattr(report, name) for name in ("read", "new", "changed", "same", "hidden")}
                task.save(
                    conn, position, report.read, _total(table, report.read), f"{task.wanted['name']}: {report.read:,} rows read"
                )

            return save

        return of


def _total(table: Table, read: int) -> int | None:
    """Return how many rows the table will have, by the share of its bytes that was read."""
    return max(read, round(read * table.size / table.done)) if table.size and table.done else None


def summary(report: ImportReport) -> str:
    """Return the counts as a sentence."""
    counts = (
        (report.new, "new"),
        (report.changed, "changed"),
        (report.same, "unchanged"),
        (report.rejected_count, "rejected"),
        (report.hidden, "hidden"),
    )
    parts = ", ".join(f"{count:,} {word}" for count, word in counts if count or word == "new")
    lossy = f"; {report.lossy:,} with a value that was shortened, guessed or skipped" if report.lossy else ""
    return f"{report.read:,} {'row' if report.read == 1 else 'rows'} read: {parts}{lossy}"


def _outcome(report: ImportReport) -> dict[str, Any]:
    facts = {name: getattr(report, name) for name in ("read", "new", "changed", "same", "lossy")}
    rejected = [list(pair) for pair in report.rejected[:SHOWN_REASONS]]
    lines = [list(dataclasses.astuple(loss)) for loss in report.lines()]
    return {
        **facts,
        "rejected": rejected,
        "rejected_count": report.rejected_count,
        "report": lines,
        "summary": f"{summary(report)}.",
    }


def _report(report: ImportReport) -> str:
    lines = [f"{summary(report)}.", *(f"row {loss.row}: {loss.named}{loss.what}" for loss in report.lines())]
    if report.rejected_count > len(report.rejected):
        lines.append(f"and {report.rejected_count - len(report.rejected):,} more rejected")
    return "\n".join(lines) + "\n"


def _refusal(error: CacheError) -> str:
    return "Cancelled. Rows already imported stay.\n" if isinstance(error, TaskCancelled) else f"{error}.\n"


def _shown(row: ImportRow, what: str) -> dict[str, Any]:
    return {
        "line": row.line,
        "artist": row.artist,
        "title": row.title,
        "year": row.year,
        "label": row.label or "",
        "formats": ", ".join(row.formats or ()),
        "what": what,
    }
