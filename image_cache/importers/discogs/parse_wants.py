"""Parser of a wantlist: its entries are those of a collection, but for the notes, which are one text. Pure functions."""

from typing import Any

from image_cache.errors import ImportRejected
from image_cache.frozen import frozen
from image_cache.import_models import ImportRow
from image_cache.importers.discogs.parse import MAX_ID, page_from, text_from
from image_cache.net.json_values import integer, objects
from image_cache.tables.cells import MAX_LONG_CHARS


@frozen
class WantsPage:
    """One page of a wantlist: (row, notes) each, and the releases on it, also of rejected entries."""

    pages: int
    items: int
    rows: tuple[tuple[ImportRow | ImportRejected, str], ...]
    releases: tuple[str, ...]


def wants_from(number: int, data: Any) -> WantsPage | None:
    """Return a page of a wantlist, or None if the response is no such page."""
    if not isinstance(data, dict) or not isinstance(data.get("wants"), list):
        return None
    page = page_from(number, {**data, "releases": [{**item, "notes": []} for item in objects(data["wants"], 1000)]}, {})
    if page is None:
        return None
    entries = objects(data["wants"], len(page.rows))
    notes = [text_from(entry.get("notes"), MAX_LONG_CHARS) for entry in entries]
    releases = [integer(entry.get("id"), 1, MAX_ID) for entry in entries]
    return WantsPage(page.pages, page.items, tuple(zip(page.rows, notes, strict=True)), tuple(map(str, filter(None, releases))))
