"""The order of the wall as two arrays of numbers, worked out once per change of the albums.

A page, a jump to a letter, the neighbours of a record and the place of a search hit are then look-ups, whatever the
size of the collection. Twelve bytes an album and order: 1.2 MB for 100,000 albums.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from image_cache.models import Group

_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NOWHERE = -1

Token = str | int | None


@dataclass(frozen=True, slots=True)
class ShelfOrder:
    """All albums in one order. `place[id]` is where an album stands in `ids`; `starts` are the places where groups begin."""

    ids: "array[int]"
    place: "array[int]"
    starts: tuple[int, ...]
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class ShelfResult:
    """What one query leaves of an order: the ids, its groups, and where in `ids` each group begins."""

    ids: "array[int]"
    groups: tuple[Group, ...]
    starts: tuple[int, ...]


def arrange(rows: Iterable[tuple[int, Token]]) -> ShelfOrder:
    """Build an order from (album id, group token) in order."""
    ids = array("q")
    starts: list[int] = []
    tokens: list[Token] = []
    for album_id, token in rows:
        if not tokens or token != tokens[-1]:
            starts.append(len(ids))
            tokens.append(token)
        ids.append(album_id)
    place = array("i", [NOWHERE]) * (max(ids, default=0) + 1)
    for position, album_id in enumerate(ids):
        place[album_id] = position
    return ShelfOrder(ids, place, tuple(starts), tuple(tokens))


def keep(order: ShelfOrder, wanted: Sequence[int] | None, sort: str, page_size: int) -> ShelfResult:
    """Return what is left of the order when only the albums `wanted` are shown (None: all), divided into groups."""
    if wanted is None:
        ids = order.ids
        starts: Iterable[int] = order.starts
    else:
        known = len(order.place)
        # An album that came in after the order was made has no place yet; the next revision gives it one.
        places = sorted(order.place[i] for i in wanted if i < known and order.place[i] != NOWHERE)
        ids = array("q", (order.ids[place] for place in places))
        starts = (bisect_left(places, start) for start in order.starts)
    groups, begins = [], []
    for (start, end), token in zip(pairwise([*starts, len(ids)]), order.tokens, strict=True):
        if end > start:
            label, anchor = _name(sort, token)
            groups.append(Group(label, anchor, end - start, start // page_size + 1))
            begins.append(start)
    return ShelfResult(ids, tuple(groups), tuple(begins))


def position(order: ShelfOrder, album_id: int) -> int:
    """Return where an album stands, `NOWHERE` when it does not."""
    return order.place[album_id] if 0 <= album_id < len(order.place) else NOWHERE


def _name(sort: str, token: Token) -> tuple[str, str]:
    """Return the label on a group's tab and its anchor, which is safe in an `id` and in a URL."""
    if sort in {"artist", "title"}:
        letter = str(token)
        return ("#", "num") if letter == "#" else (letter.upper(), letter)
    if sort == "colour":
        from image_cache.records.colour import BANDS

        return ("None", "none") if token is None else (BANDS[int(token)], BANDS[int(token)].lower())
    if sort == "year":
        return ("No year", "no-year") if token is None else (f"{token}s", str(token))
    if sort == "added":
        text = str(token)
        return f"{_MONTHS[int(text[5:7])]} {text[:4]}", text
    return (f"{token}+" if isinstance(token, int) and token > 1 else str(token)), f"plays-{token}"
