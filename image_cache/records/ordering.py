"""The order of the wall as two arrays of numbers, worked out once per change of the albums.

A page, a jump to a letter, the neighbours of a record and the place of a search hit are then look-ups, whatever the
size of the collection. Twelve bytes an album and order: 1.2 MB for 100,000 albums.
"""

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from image_cache.imaging.color import Colour
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
    for position, album_id in enumerate(ids):
        place[album_id] = position
    return ShelfOrder(ids, place, tuple(starts), tuple(tokens))


def filter_order(order: ShelfOrder, wanted: Sequence[int] | None, sort: str, page_size: int) -> ShelfResult:
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
        return ("None", "none") if token is None else (BANDS[int(token)], BANDS[int(token)].lower())
    if sort == "year":
        return ("No year", "no-year") if token is None else (f"{token}s", str(token))
    if sort == "added":
        text = str(token)
        return f"{_MONTHS[int(text[5:7])]} {text[:4]}", text
    return (f"{token}+" if isinstance(token, int) and token > 1 else str(token)), f"plays-{token}"


PLACES = 10_000  # steps of lightness that are told apart
GREY_CHROMA = 0.028  # below it nobody names a hue
EARTH_CHROMA = 0.085  # warm and dull: brown, sand, sepia, the colours of old card
# The upper end of each hue in OKLCH degrees, and the name on its tab. Red begins where pink ends.
HUES = (
    (15.0, "Pink"),
    (40.0, "Red"),
    (70.0, "Orange"),
    (112.0, "Yellow"),
    (160.0, "Green"),
    (212.0, "Teal"),
    (278.0, "Blue"),
    (325.0, "Violet"),
    (360.0, "Pink"),
)
BANDS = ("Red", "Orange", "Brown", "Yellow", "Green", "Teal", "Blue", "Violet", "Pink", "White", "Grey", "Black")
WHITE_FROM, BLACK_TO = 0.82, 0.34
# For the ruler: hue and chroma of each band, and the lightness it begins and ends with.
RAMPS = (
    *((28, 0.17), (55, 0.15), (65, 0.06), (95, 0.14), (145, 0.13), (190, 0.1), (255, 0.13), (300, 0.14), (355, 0.15)),
    *((90, 0.01), (90, 0.0), (90, 0.0)),
)


def color_position(colours: Sequence[Colour]) -> tuple[int, int]:
    """Return (band, place in it from 0 to `PLACES`) of a sleeve by its palette."""
    main = main_colour(colours)
    band = BANDS.index(band_of(main))
    # What the sleeve is on the whole decides how dark it stands; its main colour alone would put a night beside a noon.
    lightness = 0.6 * main.lightness + 0.4 * sum(one.share * one.lightness for one in colours)
    place = round(PLACES * min(1.0, max(0.0, lightness)))
    return band, place if is_ascending(band) else PLACES - place


def is_ascending(band: int) -> bool:
    """Tell whether a band goes from dark to light. Hues go by turns; the greys go on from white down to black."""
    return BANDS[band] not in ("White", "Grey", "Black") and band % 2 == 0


def main_colour(colours: Sequence[Colour]) -> Colour:
    """Return the colour that a sleeve is remembered by: a large one, or a smaller one that is much more colourful."""
    return max(colours, key=lambda one: (one.share * (0.12 + min(one.chroma, 0.2) * 5), one.share))


def band_of(colour: Colour) -> str:
    # Dark colours look grey earlier than light ones of the same chroma, and very light ones too.
    if colour.chroma < GREY_CHROMA + 0.02 * abs(colour.lightness - 0.6) or colour.lightness < 0.16:
        if colour.lightness >= WHITE_FROM:
            return "White"
        return "Black" if colour.lightness < BLACK_TO else "Grey"
    hue = colour.hue
    name = next(name for end, name in HUES if hue <= end)
    if name in ("Red", "Orange", "Yellow") and colour.chroma < EARTH_CHROMA and hue > 25:
        return "White" if colour.lightness > 0.9 and colour.chroma < 0.045 else "Brown"
    return name


def palette_distance(one: Sequence[Colour], other: Sequence[Colour]) -> float:
    """Return how far two palettes are apart: the way from each colour to the nearest of the other, by its share, both ways."""
    return _way(one, other) + _way(other, one)


def mean(colours: Sequence[Colour]) -> tuple[float, float, float]:
    """Return the average of a palette in OKLab."""
    total = sum(one.share for one in colours) or 1.0
    lightness = sum(one.share * one.lightness for one in colours)
    a, b = sum(one.share * one.a for one in colours), sum(one.share * one.b for one in colours)
    return lightness / total, a / total, b / total


def _way(one: Sequence[Colour], other: Sequence[Colour]) -> float:
    return sum(mine.share * min(_distance(mine, theirs) for theirs in other) for mine in one)


def _distance(one: Colour, other: Colour) -> float:
    # Hue and chroma count double: of two sleeves that are as dark the one with the same colour is nearer.
    return math.sqrt((one.lightness - other.lightness) ** 2 + 4 * ((one.a - other.a) ** 2 + (one.b - other.b) ** 2))
