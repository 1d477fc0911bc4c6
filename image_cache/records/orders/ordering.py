"""Orders of the wall as two arrays of numbers, built once per change of the albums.

A page, a jump to a letter, the neighbours of a record and the place of a search hit are then look-ups, whatever the
size of the collection. Twelve bytes per album and order: 1.2 MB for 100,000 albums.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from image_cache.frozen import frozen
from image_cache.models import Group
from image_cache.records.filters.sets import GRADES
from image_cache.records.orders.colours import BANDS

NOWHERE = -1
# The last group of an order: label and anchor of what has no place in it.
NOTHING = {
    "colour": ("None", "none"),
    "year": ("No year", "no-year"),
    "played": ("Never", "never"),
    "rating": ("No rating", "no-rating"),
    "label": ("No label", "no-label"),
    "shelf": ("No shelf", "no-shelf"),
    "price": ("No price", "no-price"),
    "value": ("No value", "no-value"),
    "condition": ("No grade", "no-grade"),
}
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Token = str | int | None  # what the albums of a group have in common


@frozen
class ShelfOrder:
    """All albums in one order. `place[id]` is the index of an album in `ids`; `starts` are the indexes where groups begin."""

    ids: "array[int]"
    place: "array[int]"
    starts: tuple[int, ...]
    tokens: tuple[Token, ...]

    def place_of(self, album_id: int) -> int:
        """Return the index of an album in `ids`, `NOWHERE` if it has none."""
        return self.place[album_id] if 0 <= album_id < len(self.place) else NOWHERE

    def around(self, album_id: int, each: int) -> "array[int]":
        """Return an album with up to `each` others on both sides of it; empty if it has no place."""
        place = self.place_of(album_id)
        return array("q") if place == NOWHERE else self.ids[max(0, place - each) : place + each + 1]


@frozen
class ShelfResult:
    """What one query leaves of an order: the ids, their groups, and the index in `ids` where each group begins."""

    ids: "array[int]"
    groups: tuple[Group, ...]
    starts: tuple[int, ...]
    correction: str = ""  # what was looked for instead of the text
    has_more: bool = False  # the search ended before it had all
    is_incomplete: bool = False  # some records cannot be searched yet


def build_order(rows: Iterable[tuple[int, Token]]) -> ShelfOrder:
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
    for index, album_id in enumerate(ids):
        place[album_id] = index
    return ShelfOrder(ids, place, tuple(starts), tuple(tokens))


def build_colour_order(shelf: ShelfOrder, banded: Iterable[tuple[int, int]]) -> ShelfOrder:
    """Build the order by colour from (album id, band) in order; albums of the shelf that have no band come last, as they stand there."""
    return build_order(_with_the_rest(shelf, banded))


def rank_hits(order: ShelfOrder, tiers: Mapping[int, int]) -> "array[int]":
    """Return what a search found by tier, within a tier as it stands on the shelf. A record that the order does not have is left out."""
    places, known = order.place, len(order.place)
    by_tier: dict[int, list[int]] = {}
    for album_id, tier in tiers.items():
        if album_id < known and (place := places[album_id]) != NOWHERE:
            by_tier.setdefault(tier, []).append(place)
    return array("q", [order.ids[place] for tier in sorted(by_tier) for place in sorted(by_tier[tier])])


def filter_order(order: ShelfOrder, wanted: Sequence[int] | None, sort: str, page_size: int) -> ShelfResult:
    """Return what is left of the order if only the albums `wanted` are shown (None: all), divided into groups."""
    if wanted is None:
        ids = order.ids
        starts: Iterable[int] = order.starts
    else:
        known = len(order.place)
        # An album that was added after the order was built has no place yet; the next revision gives it one.
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


def _with_the_rest(shelf: ShelfOrder, banded: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int | None]]:
    left = set(shelf.ids)
    for album_id, band in banded:
        if album_id in left:  # not one that was deleted a moment ago
            left.discard(album_id)
            yield album_id, band
    yield from ((album_id, None) for album_id in shelf.ids if album_id in left)


def _name(sort: str, token: Token) -> tuple[str, str]:
    """Return the label on a group's tab and its anchor, which is safe in an `id` and in a URL."""
    if token is None and sort in NOTHING:
        return NOTHING[sort]
    text, number = str(token), token if isinstance(token, int) else 0
    names = {
        "artist": ("#", "num") if text == "#" else (text.upper(), text),
        "label": (text, f"letter-{ord(text[:1] or '#'):x}"),
        "shelf": (text, f"letter-{ord(text[:1] or '#'):x}"),
        "price": (f"{text}+", f"price-{text}"),
        "value": (f"{text}+", f"value-{text}"),
        "year": (f"{text}s", text),
        "played": (text, text),
        "rating": (f"{text} stars", f"stars-{text}"),
        "condition": (GRADES[number % len(GRADES)], f"grade-{text}"),
        "colour": (BANDS[number % len(BANDS)], BANDS[number % len(BANDS)].lower()),
        "plays": (f"{text}+" if number > 1 else text, f"plays-{text}"),
    }
    if sort == "added":
        return f"{_MONTHS[int(text[5:7])]} {text[:4]}", text
    return names["artist" if sort == "title" else sort]
