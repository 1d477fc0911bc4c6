"""What runs as a task, by kind, and the look into the folder of imports. Each loads what it needs with the first task."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_cache.covers import ImageCache
from image_cache.records.library import Library
from image_cache.tasks.runner import Runner, Task, TaskRunner

if TYPE_CHECKING:
    from image_cache.importers.tables.task import TableTasks


def table_runners(library: Library, covers: ImageCache, intray: Path) -> dict[str, Runner]:
    """Return the runners of tables and of the demo. `intray` is the folder of uploads."""

    def tables() -> "TableTasks":
        from image_cache.importers.tables.intray import UploadInbox
        from image_cache.importers.tables.task import TableTasks

        return TableTasks(library, covers, UploadInbox(intray))

    def demo(task: Task) -> Mapping[str, Any]:
        from image_cache.importers.demonstration import take_in

        return take_in(task, library, covers)

    return {"table-look": lambda task: tables().look(task), "table": lambda task: tables().take(task), "demo": demo}


def folder_chore(folder: Path, tasks: TaskRunner) -> Callable[[], None]:
    """Return what looks into the folder of imports now and then, and begins the import of what lies there."""
    from image_cache.importers.tables.inbox import ImportsFolder

    def start(path: Path) -> bool:
        wanted = {"path": str(path), "name": path.name, "origin": "folder"}
        state = tasks.rows.get(tasks.start("table", wanted))
        return state is not None and state.wanted.get("path") == str(path)

    return ImportsFolder(folder, start).look
