"""The ways into the collection: what the first page and `/import` offer. A way is offered as soon as the application has its page."""

from typing import NamedTuple

from flask import current_app
from werkzeug.exceptions import HTTPException


class ImportMethod(NamedTuple):
    """One way in. `kinds` are the tasks that it starts; `sleeve` names its drawing below `static/img/ways`, `cover` what stands on it."""

    name: str
    title: str
    path: str
    says: str
    kinds: tuple[str, ...]
    sleeve: str
    cover: str
    is_first: bool = True  # offered when there is nothing on the wall yet


# In the order of the page. A line here and a route are all that a further way needs.
WAYS = (
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
QUIET = ("discogs-details",)  # tasks of moments, which no page tells of
_NUMBERS = ("No way in", "One way in", "Two ways in", "Three ways in", "Four ways in")


def ways() -> list[ImportMethod]:
    """Return the ways whose page this application has."""
    return [way for way in WAYS if _has_page(way.path)]


def first_ways() -> list[ImportMethod]:
    """Return those that are offered when there is nothing on the wall yet."""
    return [way for way in ways() if way.is_first]


def counted(number: int) -> str:
    """Write how many ways there are, for the first page."""
    return _NUMBERS[min(number, len(_NUMBERS) - 1)]


def way_of(kind: str) -> ImportMethod | None:
    """Return the way that starts tasks of a kind."""
    return next((way for way in WAYS if kind in way.kinds), None)


def _has_page(path: str) -> bool:
    try:
        current_app.url_map.bind("localhost").match(path, "GET")
    except HTTPException:
        return False
    return True
