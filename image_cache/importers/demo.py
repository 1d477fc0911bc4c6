"""Demo collection: imports 240 invented records as a task, and removes them again."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from image_cache.covers import ImageCache
from image_cache.covers.local_sources import SCHEME
from image_cache.import_models import ImportRow
from image_cache.models import TaskState
from image_cache.records.library import Library
from image_cache.tables.rows import row_from
from image_cache.tasks.runner import Task, TaskRunner

DEMO = "demo"  # the source of its records, and the kind of its task


class DemoImporter:
    """The demo collection of one vault. Any thread."""

    def __init__(self, library: Library, covers: ImageCache, tasks: TaskRunner) -> None:
        self.library = library
        self.covers = covers
        self.tasks = tasks
        tasks.register(DEMO, self._import)

    def start(self) -> int:
        """Start the import, unless it is in progress; return the task."""
        return self.tasks.start(DEMO, {})

    def latest(self) -> TaskState | None:
        return self.tasks.latest(DEMO)

    def count(self) -> int:
        """Return how many of its records are on the wall."""
        return self.library.count_source(DEMO)

    def remove(self) -> int:
        """Delete its records; return how many. Their covers are evicted from the cache later."""
        return self.library.remove_source(DEMO)

    def _import(self, task: Task) -> Mapping[str, Any]:
        """The task. Idempotent."""
        rows = list(_rows())
        report = self.library.import_rows(
            rows,
            progress=lambda read: task.progress(read, len(rows), f"{read} of {len(rows)} records"),
            batch=self.library.batch("Demo records added", task.id),
        )
        self.covers.register(row.cover_url for row in rows if row.cover_url)
        same = report.same + report.changed
        message = (
            f"Added {report.new} records that never existed."
            if report.new
            else "The demo records are already in your collection."
        )
        return {"new": report.new, "same": same, "says": message}


def _rows() -> Iterator[ImportRow]:
    from image_cache.demo.records import records  # 1.5 MB of the memory of a server that mostly never imports it

    for number, record in enumerate(records(), 1):
        name = str(record.pop("cover_url")).rpartition("/")[2]
        yield replace(row_from(number, record), cover_url=SCHEME + name)
