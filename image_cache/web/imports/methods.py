"""Import methods: what the first page and `/import` offer. A method is offered if the application has its page."""

from typing import NamedTuple

from flask import current_app
from werkzeug.exceptions import HTTPException


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
    ImportMethod("discogs", "Discogs", "/import/discogs", "Your collection by token, about a minute for a thousand records.",
        ("discogs", "discogs-test"), "discogs", "Discogs"),
    ImportMethod("table", "CSV or JSON", "/import/table", "An export you already have. It stays on this machine.",
        ("table", "table-look"), "table", "CSV, JSON"),
    ImportMethod("music", "Music folder", "/import/music", "Covers and tags from a disk or a USB stick.",
        ("music",), "folder", "Folder"),
    ImportMethod("demo", "Demo collection", "/import/demo", "240 records that never existed. They go again with one button.",
        ("demo",), "demo", "Demo"),
    ImportMethod("covers", "Covers missing", "/covers/missing", "Records that have no cover yet: found, chosen, or your own picture.",
        ("covers",), "covers", "No cover", False),
)  # fmt: skip
QUIET = ("discogs-details", "demo-rest")  # short tasks, which no page shows
_NUMBERS = ("No way in", "One way in", "Two ways in", "Three ways in", "Four ways in")


def available_methods() -> list[ImportMethod]:
    """Return the methods whose page this application has."""
    return [way for way in METHODS if _has_page(way.path)]


def first_methods() -> list[ImportMethod]:
    """Return the methods that are offered while the wall is empty."""
    return [way for way in available_methods() if way.is_first]


def count_label(number: int) -> str:
    """Return how many methods there are in words, for the first page."""
    return _NUMBERS[min(number, len(_NUMBERS) - 1)]


def method_of(kind: str) -> ImportMethod | None:
    """Return the method whose tasks are of a kind."""
    return next((way for way in METHODS if kind in way.kinds), None)


def _has_page(path: str) -> bool:
    try:
        current_app.url_map.bind("localhost").match(path, "GET")
    except HTTPException:
        return False
    return True
