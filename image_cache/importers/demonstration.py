"""The demo collection in a vault of one's own, as a task: its records are taken in, its sleeves drawn when they are looked at."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from image_cache.covers import ImageCache
from image_cache.covers.local_sources import SCHEME
from image_cache.models import AlbumRow
from image_cache.records.library import Library
from image_cache.tables.rows import row_from
from image_cache.tasks.runner import Task

KIND, SOURCE = "demo", "demo"


def take_in(task: Task, library: Library, covers: ImageCache) -> Mapping[str, Any]:
    """Put the demo on the shelf. A second time changes nothing."""
    rows = list(_rows())
    report = library.import_rows(rows, progress=lambda read: task.progress(read, len(rows), f"{read} of {len(rows)} records"))
    covers.remember_all(row.cover_url for row in rows if row.cover_url)
    here = report.same + report.changed
    says = f"{report.new} records that never existed are on the shelf." if report.new else "The demo is on the shelf already."
    return {"new": report.new, "same": here, "says": says}


def _rows() -> Iterator[AlbumRow]:
    from demo.records import records

    for number, record in enumerate(records(), 1):
        name = str(record.pop("cover_url")).rpartition("/")[2]
        yield replace(row_from(number, record), cover_url=SCHEME + name)
