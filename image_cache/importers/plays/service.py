"""Import of old plays for pages: upload, preview, import, undo. The tasks read the file; pages never do."""

import time
from collections.abc import Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import IO, Any

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import ImportRejected, TableRejected, UnknownTask
from image_cache.import_models import ImportStatus
from image_cache.importers.plays.listens import Listen, read_listens
from image_cache.importers.plays.match import FoundPlay, RecordMatcher, plays_from
from image_cache.importers.plays.table import PlayImport, PlayImportTable
from image_cache.importers.tables.inbox import UploadInbox, is_waiting
from image_cache.models import TaskState
from image_cache.records.library import Library
from image_cache.tasks.runner import Task, TaskRunner

PREVIEW, IMPORT = "plays-look", "plays"  # the kinds of tasks
MAX_ROWS = 2_000_000
SHOWN_REJECTED = 100
SHOWN_UNMATCHED = 2000  # of the download; a page shows fewer
STEP = 2000


class PlaysImporter:
    """Imports of old plays of one vault. Any thread, several processes."""

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogDatabase,
        *,
        library: Library,
        tasks: TaskRunner,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rows = PlayImportTable(catalog)
        self._uploads = UploadInbox(settings.intray_dir, floor_bytes=settings.floor_bytes)
        self._library = library
        self._tasks = tasks
        self._clock = clock
        tasks.register(PREVIEW, self._preview)
        tasks.register(IMPORT, self._import)

    def status(self) -> ImportStatus:
        preview, imported = self._tasks.latest(PREVIEW), self._tasks.latest(IMPORT)
        return ImportStatus(preview, imported, is_waiting(self._tasks, self._uploads, preview, imported))

    def imports(self) -> list[PlayImport]:
        return self._rows.imports()

    def upload(self, file: IO[bytes], name: str, account_id: int | None) -> int | None:
        """Store a file and start its preview; return the task, None if another one is in progress. Raises `StorageError`."""
        before = self._tasks.latest(PREVIEW)
        if before is not None and before.is_over:
            self._uploads.delete(_path(before))
        path = str(self._uploads.store(file))
        started = self._started(PREVIEW, {"path": path, "name": name, "account_id": account_id})
        if started is None:
            self._uploads.delete(path)
        return started

    def start_import(self, task_id: int) -> int | None:
        """Import the plays of a preview; return the task, None if its file has expired or another import runs. Raises `UnknownTask`."""
        preview = self._preview_of(task_id)
        is_there = not self._tasks.is_here(preview) or self._uploads.has(_path(preview))
        return self._started(IMPORT, preview.wanted) if is_there else None

    def discard(self, task_id: int) -> None:
        """Delete the file of a preview. Raises `UnknownTask`."""
        preview = self._preview_of(task_id)
        self._uploads.delete(_path(preview))
        if not self._tasks.is_here(preview):
            self._tasks.discard(task_id)

    def undo(self, import_id: int) -> int | None:
        """Remove the plays of an import; return how many, None if there is no such import."""
        return self._rows.undo(import_id)

    def _preview(self, task: Task) -> Mapping[str, Any]:
        """Task: report what an import would do."""
        try:
            plays, outcome = self._read(task)
        except TableRejected:
            self._uploads.delete(task.wanted["path"])
            raise
        new = [play for play in plays if not self._rows.is_known(play)]
        outcome |= {"plays": len(new), "known": len(plays) - len(new), "records": len({play.album_id for play in new})}
        return {**outcome, "says": f"Preview of {task.wanted['name']} (nothing imported yet): {_counted(len(new))}."}

    def _import(self, task: Task) -> Mapping[str, Any]:
        """Task: add the plays, all or none, then delete the file."""
        plays, outcome = self._read(task)
        added = self._rows.add(str(task.wanted["name"]), plays, task.wanted.get("account_id"), self._clock())
        self._uploads.delete(task.wanted["path"])
        outcome |= {"plays": added, "known": len(plays) - added, "records": len({play.album_id for play in plays})}
        return {**outcome, "says": f"{task.wanted['name']}: {_counted(added)} imported."}

    def _read(self, task: Task) -> tuple[list[FoundPlay], dict[str, Any]]:
        """Return the plays of a file, and the outcome so far. Raises `TableRejected` with the name that users know."""
        name = str(task.wanted["name"])
        listens: list[Listen] = []
        rejected: list[list[Any]] = []
        rejected_count = 0
        words: dict[str, str] = {}  # one copy of each name: a hundred thousand rows have a few thousand
        try:
            for row in read_listens(Path(task.wanted["path"]), self._clock()):
                if isinstance(row, ImportRejected):
                    rejected_count += 1
                    if len(rejected) < SHOWN_REJECTED:
                        rejected.append([row.line, row.reason])
                    continue
                names = (words.setdefault(text, text) for text in (row.artist, row.record, row.track))
                listens.append(Listen(row.row, row.at, *names))
                if len(listens) > MAX_ROWS:
                    raise TableRejected(name, f"more than {MAX_ROWS:,} rows. Divide the file")
                if len(listens) % STEP == 0:
                    task.progress(len(listens), None, f"{name}: {len(listens):,} rows read")
        except TableRejected as error:
            refusal = TableRejected(name, error.reason)
            refusal.hint = ""  # it names a path on the server, which users must not see
            raise refusal from error
        task.check()
        matcher = RecordMatcher({listen.artist for listen in listens}, self._library.albums())
        plays, unmatched = plays_from(listens, matcher)
        outcome = {
            "name": name,
            "read": len(listens) + rejected_count,
            "rejected": rejected,
            "rejected_count": rejected_count,
            "unmatched": [list(astuple(one)) for one in unmatched[:SHOWN_UNMATCHED]],
            "unmatched_count": len(unmatched),
        }
        return plays, outcome

    def _started(self, kind: str, wanted: Mapping[str, Any]) -> int | None:
        task_id = self._tasks.start(kind, wanted, is_here="node" not in wanted)
        state = self._tasks.get(task_id)
        return task_id if state is not None and _path(state) == wanted["path"] else None

    def _preview_of(self, task_id: int) -> TaskState:
        state = self._tasks.get(task_id)
        if state is None or state.kind != PREVIEW:
            raise UnknownTask(task_id)
        return state


def _path(state: TaskState) -> str:
    return str(state.wanted.get("path"))


def _counted(plays: int) -> str:
    return f"{plays:,} {'play' if plays == 1 else 'plays'}"
