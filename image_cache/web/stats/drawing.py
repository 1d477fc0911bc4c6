"""Charts of the collection as SVG: rows of spines, the hours of a week, the ribbon of a year. Pure functions."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from image_cache.records.statistics.statistics import Portion
from image_cache.sleeves.draw import PALETTES
from image_cache.web.svg import is_hex

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST_SPINES = 72
LEAST_WIDTH = 44  # spines that the longest row is wide at least, so that a small collection has no fat ones


def spines_each(rows: Sequence[Portion]) -> int:
    """Return how many records one spine stands for."""
    return max(1, -(-max((row.count for row in rows), default=0) // MOST_SPINES))


def spine_row(row: Portion, each: int, longest: int, colours: Mapping[int, str]) -> Markup:
    """Draw a row as spines in the colours of its covers; `longest` is the count of the longest row."""
    count = max(1, -(-row.count // each))
    ids = row.ids or (0,)
    parts = []
    for at in range(count):
        album_id = ids[at % len(ids)]
        drop = (0, 2, 1, 3, 0, 1)[(at * 7 + album_id) % 6]
        parts.append(Markup('<path fill="{}" d="M{} {}h8V30h-8z"/>').format(colour_of(album_id, colours), at * 9, drop))
    width = 9 * max(LEAST_WIDTH, -(-longest // each))
    return Markup(
        '<svg class="shelf-of" viewBox="0 0 {} 30" preserveAspectRatio="none" aria-hidden="true" focusable="false">{}</svg>'
    ).format(width, Markup("").join(parts))


def ribbon(ids: Sequence[int], colours: Mapping[int, str], sentence: str) -> Markup:
    """Draw every play in order as one band in the colour of its cover."""
    bands = Markup("").join(
        Markup('<path fill="{}" d="M{} 0h1.05v1H{}z"/>').format(colour_of(album_id, colours), at, at)
        for at, album_id in enumerate(ids)
    )
    return Markup('<svg class="ribbon" viewBox="0 0 {} 1" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>').format(
        max(1, len(ids)), sentence, bands
    )


def week(hours: Mapping[tuple[int, int], int], sentence: str) -> Markup:
    """Draw the plays of each hour of a week as discs: the area is the count, the fullest is in colour."""
    most = max(hours.values(), default=0)
    parts = []
    for day, name in enumerate(DAYS):
        y = 12 + day * 22
        parts.append(Markup('<text x="0" y="{}">{}</text>').format(y + 4, name))
        for hour in range(24):
            count = hours.get((day, hour), 0)
            radius = 0.8 if not count else 1.6 + 7.4 * (count / most) ** 0.5
            kind = "zero" if not count else "chosen" if count == most else "point"
            parts.append(Markup('<circle class="{}" cx="{}" cy="{}" r="{:.1f}"/>').format(kind, 52 + hour * 22.8, y, radius))
    for hour in (0, 6, 12, 18, 23):
        parts.append(Markup('<text x="{}" y="174" text-anchor="middle">{}:00</text>').format(52 + hour * 22.8, hour))
    return Markup('<svg class="chart-of" viewBox="0 0 600 180" role="img" aria-label="{}">{}</svg>').format(
        sentence, Markup("").join(parts)
    )


def colour_of(album_id: int, colours: Mapping[int, str]) -> str:
    """Return the colour of a cover; that of a drawn sleeve if it is not known."""
    known = colours.get(album_id)
    return known if known is not None and is_hex(known) else PALETTES[album_id % len(PALETTES)][2]
