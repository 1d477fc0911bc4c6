"""Import methods: what the first page and `/import` offer. A method is offered if the application has its page."""

from typing import NamedTuple

from flask import current_app
from werkzeug.exceptions import HTTPException

from image_cache.records.batches.tasks import KIND as BATCH


class ImportMethod(NamedTuple):
    """A method. `kinds` are those of its tasks; `sleeve` is its drawing below `static/img/ways`, `cover` the text on it."""

    name: str
    title: str
    path: str
    description: str
    kinds: tuple[str, ...]
    sleeve: str
    cover: str
    is_first: bool = True  # offered while the wall is empty


# In the order of the page. A further method needs a line here and a route.
METHODS = (
    ImportMethod("discogs", "Discogs", "/import/discogs", "Connect your account with a token. Takes about a minute per 1,000 records.",
        ("discogs", "discogs-test"), "discogs", "Discogs"),
    ImportMethod("table", "CSV or JSON", "/import/table", "Upload an export you already have. It stays on this server.",
        ("table", "table-look"), "table", "CSV, JSON"),
    ImportMethod("music", "Music folder", "/import/music", "Albums and covers from the music files on a drive or USB stick.",
        ("music",), "folder", "Folder"),
    ImportMethod("demo", "Demo collection", "/import/demo", "240 records that never existed. Remove them again with one click.",
        ("demo",), "demo", "Demo"),
    ImportMethod("plays", "Old plays", "/import/plays", "What you played before, from ListenBrainz, Last.fm or a table.",
        ("plays", "plays-look"), "table", "Plays", False),
    ImportMethod("covers", "Missing covers", "/covers/missing", "Find or upload covers for records that have none.",
        ("covers",), "covers", "No cover", False),
)  # fmt: skip
QUIET = (  # tasks that these pages do not show
    BATCH,
    "discogs-details",
    "discogs-tracks",
    "demo-rest",
    "take-along",
    "scrobble",
    "lookup",
    "lookup-2",
    "lookup-3",
)


def available_methods() -> list[ImportMethod]:
    """Return the methods whose page this application has."""
    return [way for way in METHODS if _has_page(way.path)]


def first_methods() -> list[ImportMethod]:
    """Return the methods that are offered while the wall is empty."""
    return [way for way in available_methods() if way.is_first]


def method_of(kind: str) -> ImportMethod | None:
    """Return the method whose tasks are of a kind."""
    return next((way for way in METHODS if kind in way.kinds), None)


def _has_page(path: str) -> bool:
    try:
        current_app.url_map.bind("localhost").match(path, "GET")
    except HTTPException:
        return False
    return True
