"""Table imports for pages and housekeeping: uploads, their previews, and the watched folder. The tasks are in `task`."""

from collections.abc import Mapping
from pathlib import Path
from typing import IO

from image_cache.config import Settings
from image_cache.covers import ImageCache
from image_cache.engine.pool import PeriodicJob
from image_cache.errors import CacheError, UnknownTask
from image_cache.import_models import ImportStatus
from image_cache.importers.tables.inbox import ImportsFolder, UploadInbox, is_waiting
from image_cache.importers.tables.task import IMPORT, PREVIEW, TableTasks
from image_cache.logs import printable
from image_cache.models import TaskState
from image_cache.records.library import Library
from image_cache.tasks.runner import TaskRunner

POLL_S = 3.0  # how soon a table in the watched folder is noticed


class TableConflict(CacheError):
    """Another table is in progress, or this one was deleted meanwhile. Its text says what to do."""


class TableService:
    """Table imports of one vault. Any thread, several processes."""

    def __init__(self, settings: Settings, library: Library, covers: ImageCache, tasks: TaskRunner) -> None:
        self._tasks = tasks
        self._uploads = UploadInbox(settings.intray_dir, floor_bytes=settings.floor_bytes)
        self._folder = ImportsFolder(settings.imports_dir, self._start_from_folder)
        runs = TableTasks(library, covers, self._uploads)
        tasks.register(PREVIEW, runs.preview)
        tasks.register(IMPORT, runs.run_import)

    def status(self) -> ImportStatus:
        preview, imported = self._tasks.latest(PREVIEW), self._tasks.latest(IMPORT)
        return ImportStatus(preview, imported, is_waiting(self._tasks, self._uploads, preview, imported))

    def upload(self, file: IO[bytes], name: str) -> int:
        """Store an upload and start its preview; return the task. A table that was previewed before and not imported is deleted.

        Raises `TableConflict`, `StorageError`.
        """
        self._delete_previewed()
        path = str(self._uploads.store(file))
        task_id = self._started(PREVIEW, path, {"path": path, "name": name, "origin": "upload"})
        if task_id is None:
            self._uploads.delete(path)
            raise TableConflict("Another file is being checked. Try again in a moment.")
        return task_id

    def start_import(self, task_id: int) -> int:
        """Import the table of a preview; return the task. Raises `UnknownTask`, `TableConflict`."""
        preview = self._preview(task_id)
        if self._tasks.is_here(preview) and not self._uploads.has(_path(preview)):
            raise TableConflict("The uploaded file has expired. Upload it again.")
        started = self._started(IMPORT, _path(preview), preview.wanted)
        if started is None:
            raise TableConflict("Another import is running. Start this one when it has finished.")
        return started

    def discard(self, task_id: int) -> None:
        """Delete the table of a preview. Raises `UnknownTask`."""
        preview = self._preview(task_id)
        self._uploads.delete(_path(preview))
        if not self._tasks.is_here(preview):
            self._tasks.discard(task_id)

    def periodic_job(self) -> PeriodicJob:
        return PeriodicJob("imports", POLL_S, self._folder.poll, first_s=1.0)

    def _start_from_folder(self, path: Path) -> bool:
        return self._started(IMPORT, str(path), {"path": str(path), "name": printable(path.name), "origin": "folder"}) is not None

    def _started(self, kind: str, path: str, wanted: Mapping[str, object]) -> int | None:
        """Start a task; return None if another one of its kind is in progress."""
        task_id = self._tasks.start(kind, wanted, is_here="node" not in wanted)
        state = self._tasks.get(task_id)
        return task_id if state is not None and _path(state) == path else None

    def _preview(self, task_id: int) -> TaskState:
        state = self._tasks.get(task_id)
        if state is None or state.kind != PREVIEW:
            raise UnknownTask(task_id)
        return state

    def _delete_previewed(self) -> None:
        preview, imported = self._tasks.latest(PREVIEW), self._tasks.latest(IMPORT)
        is_used = imported is not None and not imported.is_over and preview is not None and _path(imported) == _path(preview)
        if preview is not None and preview.is_over and not is_used:
            self._uploads.delete(_path(preview))


def _path(state: TaskState) -> str:
    return str(state.wanted.get("path"))
