"""What runs as a task, by kind, and the look into the folder of imports. Each loads what it needs with the first task."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_cache.covers import ImageCache
from image_cache.covers.local_sources import SCHEME
from image_cache.models import AlbumRow
from image_cache.records.library import Library
from image_cache.tables.rows import row_from
from image_cache.tasks.runner import Runner, Task, TaskRunner

if TYPE_CHECKING:
    from image_cache.importers.tables.task import TableTasks


def table_runners(library: Library, covers: ImageCache, intray: Path) -> dict[str, Runner]:
    """Return the runners of tables and of the demo. `intray` is the folder of uploads."""

    def tables() -> "TableTasks":
        from image_cache.importers.tables.inbox import UploadInbox
        from image_cache.importers.tables.task import TableTasks

        return TableTasks(library, covers, UploadInbox(intray))

    def demo(task: Task) -> Mapping[str, Any]:
        from image_cache.importers.registry import take_in

        return take_in(task, library, covers)

    return {"table-look": lambda task: tables().preview(task), "table": lambda task: tables().run_import(task), "demo": demo}


def inbox_job(folder: Path, tasks: TaskRunner) -> Callable[[], None]:
    """Return what looks into the folder of imports now and then, and begins the import of what lies there."""
    from image_cache.importers.tables.inbox import ImportsFolder

    def start(path: Path) -> bool:
        wanted = {"path": str(path), "name": path.name, "origin": "folder"}
        state = tasks.rows.get(tasks.start("table", wanted))
        return state is not None and state.wanted.get("path") == str(path)

    return ImportsFolder(folder, start).poll


KIND, SOURCE = "demo", "demo"


def take_in(task: Task, library: Library, covers: ImageCache) -> Mapping[str, Any]:
    """Put the demo on the shelf. A second time changes nothing."""
    rows = list(_rows())
    report = library.import_rows(rows, progress=lambda read: task.progress(read, len(rows), f"{read} of {len(rows)} records"))
    covers.register(row.cover_url for row in rows if row.cover_url)
    here = report.same + report.changed
    says = f"{report.new} records that never existed are on the shelf." if report.new else "The demo is on the shelf already."
    return {"new": report.new, "same": here, "says": says}


def _rows() -> Iterator[AlbumRow]:
    from demo.records import records

    for number, record in enumerate(records(), 1):
        name = str(record.pop("cover_url")).rpartition("/")[2]
        yield replace(row_from(number, record), cover_url=SCHEME + name)
