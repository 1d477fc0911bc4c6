"""Ten families of drawn sleeves. Each draws on a field of 150 by 150, whose ground has been painted.

A family takes the words, the palette (ground, ink, first and second colour) and 24 numbers of 0 to 255 that depend on the words.
"""

from collections.abc import Callable, Sequence
from html import escape

from image_cache.sleeves.lettering import Box, advance, block, is_latin, is_right_to_left

Palette = tuple[str, str, str, str]
Family = Callable[[str, str, Palette, Sequence[int]], str]

MARGIN = 9
ROOM = 132  # between the margins
CAP_HEIGHT = 0.686  # of capitals, in em
PAPER, PAPER_INK = "#efe8d8", "#28231d"
ROUND = 'fill="none" stroke-linecap="round" stroke-dasharray="0 17.2"'


def slab(artist: str, title: str, p: Palette, r: Sequence[int]) -> str:
    """A poster: the words of the title as wide as the sleeve, one of them in colour."""
    words = title.upper().split()
    while len(words) > 4 or (len(words) > 2 and min(map(len, words)) < 3):  # join the shortest neighbours
        at = min(range(len(words) - 1), key=lambda n: len(words[n]) + len(words[n + 1]))
        words[at : at + 2] = [f"{words[at]} {words[at + 1]}"]
    if not words or max(map(len, words)) > 16 or not is_latin(title):
        return diagonals(artist, title, p, r)
    highest, y, out = min(112 / len(words) - 6, 58), 11.0, ""
    for at, word in enumerate(words):
        across = min(ROOM / (advance(word) * 20), highest / 11)
        down = min(highest / (20 * CAP_HEIGHT), across / 0.58)  # no letter thinner than on a poster
        y += down * 20 * CAP_HEIGHT
        colour = p[2] if at == r[0] % len(words) else p[1]
        out += f'<text transform="translate(9 {y:.1f}) scale({across:.2f} {down:.2f})" font-size="20" fill="{colour}">{escape(word)}</text>'
        y += 6
    return out + block(artist, Box(MARGIN, 129, ROOM, 12), (11, 9), p[1], most=1).svg


def bars(artist: str, title: str, p: Palette, r: Sequence[int]) -> str:
    """Columns that rise or fall, one in the second colour."""
    count = 7 + r[0] % 3
    pitch, other, columns = ROOM / count, r[1] % count, []
    heights = sorted((14 + r[n + 2] % 62 for n in range(count)), reverse=bool(r[2] & 1))
    for n, height in enumerate(heights):
        columns.append(f"M{MARGIN + n * pitch:.1f} 141v-{height}h{pitch - 4:.1f}v{height}z")
    last = columns.pop(other)
    return f'<path fill="{p[2]}" d="{"".join(columns)}"/><path fill="{p[3]}" d="{last}"/>' + _heading(artist, title, p[1], 34)


def arcs(artist: str, title: str, p: Palette, r: Sequence[int]) -> str:
    """A rainbow in a lower corner."""
    x = (150, 0)[r[0] & 1]
    fills = (p[2], p[0], p[3], p[0], p[2]) if r[1] & 1 else (p[2], p[3], p[1], p[3], p[2])
    rings = "".join(
        f'<circle cx="{x}" cy="150" r="{radius}" fill="{fill}"/>'
        for radius, fill in zip((92, 75, 58, 41, 24), fills, strict=True)
    )
    return rings + _heading(artist, title, p[1], 32)


def card(artist: str, title: str, p: Palette, r: Sequence[int]) -> str:
    """A printed label on ruled paper, as on old records of classical music."""
    top, height = (20, 110) if r[0] & 1 else (16, 84)
    who = block(artist, Box(24, top + 12, 102, 24), (12, 10), PAPER_INK, centred=True, most=2)
    what = block(title, Box(24, top + 20 + who.height, 102, height - 30 - who.height), (17, 12), PAPER_INK, centred=True, most=4)
    rules = "".join(f"M0 {y}h150" for y in range(5, 150, 8))
    frame = f"M18.5 {top + 3.5}h113v{height - 7}h-113zM60 {top + 15 + who.height:.1f}h30"
    return (
        f'<path fill="{p[2]}" d="M0 0h150v150H0z"/><path fill="none" stroke="{p[3]}" stroke-width="3" opacity=".55" d="{rules}"/>'
        f'<path fill="{PAPER}" d="M15 {top}h120v{height}H15z"/>'
        f'<path fill="none" stroke="{PAPER_INK}" stroke-width=".8" d="{frame}"/>{who.svg}{what.svg}'
    )


def score(artist: str, title: str, p: Palette, r: Sequence[int]) -> str:
    """The roll of a player piano."""
    rolls = ["", ""]
    for row in range(9):
        x = MARGIN + r[row] % 20
        while x < 136:
            long = min(6 + r[(row * 3 + x) % 24] % 5 * 7, 141 - x)
            note = r[(row + x) % 24]
            if (note >> 2) % 4:
                rolls[note % 5 == 0] += f"M{x} {66 + row * 9}h{long}"
            x += long + 4 + r[(x + row) % 24] % 9
    wide = advance(title, wide=True) * 15 < ROOM
    return (
        f'<g fill="none" stroke-width="5"><path stroke="{p[2]}" d="{rolls[0]}"/><path stroke="{p[3]}" d="{rolls[1]}"/></g>'
        + _heading(artist, title, p[1], 32, 17, wide=wide)
    )


def horizon(artist: str, title: str, p: Palette, r: Sequence[int]) -> str:
    """The sun over the sea."""
    x, radius, line = 34 + r[0] % 82, 13 + r[1] % 14, 58 + r[2] % 14
    waves = "".join(f"M{MARGIN + r[n + 3] % 30} {line + 7 + n * 7}h{40 + r[n + 6] % 62}" for n in range(3))
    return (
        f'<path fill="{p[2]}" d="M0 0h150v94H0z"/><circle cx="{x}" cy="{line - 4 - r[4] % 16}" r="{radius}" fill="{p[0]}"/>'
        f'<path fill="{p[3]}" d="M0 {line}h150V94H0z"/><path fill="none" stroke="{p[0]}" stroke-width="1.6" d="{waves}"/>'
        + _footing(artist, title, p[1])
    )


def monogram(artist: str, title: str, p: Palette, r: Sequence[int]) -> str:
    """The first letter of the title, and a dot."""
    letter = next((char for char in title if char.isalnum()), "?").upper()[:1]
    size, y = (138, 99) if is_latin(letter) else (92, 85)
    x, anchor, dot = (145, ' text-anchor="end"', 22) if is_right_to_left(title) else (6, "", 128)
    return (
        f'<path fill="{p[2]}" d="M0 0h150v104H0z"/><text x="{x}" y="{y}" font-size="{size}" fill="{p[0]}"{anchor}>{escape(letter)}</text>'
        f'<circle cx="{dot}" cy="20" r="9" fill="{p[3]}"/>' + _footing(artist, title, p[1], 40, 15)
    )


def diagonals(artist: str, title: str, p: Palette, r: Sequence[int]) -> str:
    """Three beams."""
    lean, start, width = (-1, 1)[r[0] & 1], 10 + r[1] % 40, 18 + r[2] % 12
    beams = ""
    for n, fill in enumerate((p[2], p[3], p[1])):
        x = start + n * (width + 5) + (90 if lean < 0 else -40)
        beams += f'<path fill="{fill}" d="M{x} 0h{width}L{x + width + lean * 92} 92h-{width}z"/>'
    return beams + _footing(artist, title, p[1])


def tiles(artist: str, title: str, p: Palette, r: Sequence[int]) -> str:
    """Quarter circles, as on a tiled wall."""
    top, colours = (56 if r[0] & 1 else 0), ["", ""]
    for n in range(15):
        x, y = n % 5 * 30, top + n // 5 * 30
        quarters = (
            f"M{x} {y}h30a30 30 0 0 1-30 30z",
            f"M{x + 30} {y}v30a30 30 0 0 1-30-30z",
            f"M{x + 30} {y + 30}h-30a30 30 0 0 1 30-30z",
            f"M{x} {y + 30}v-30a30 30 0 0 1 30 30z",
        )
        colours[r[n + 8] % 3 == 0] += quarters[r[n] % 4]
    words = _heading(artist, title, p[1], 32) if top else _footing(artist, title, p[1], 46)
    return f'<path fill="{p[2]}" d="{colours[0]}"/><path fill="{p[3]}" d="{colours[1]}"/>{words}'


def dots(artist: str, title: str, p: Palette, r: Sequence[int]) -> str:
    """Dots that grow from column to column."""
    columns = ""
    for n in range(8):
        width = 3 + n * 1.35 if r[0] & 1 else 12.5 - n * 1.35
        columns += (
            f'<path stroke="{p[3] if n == r[1] % 8 else p[2]}" stroke-width="{width:.1f}" d="M{15 + n * 17.2:.1f} 66V140"/>'
        )
    return f"<g {ROUND}>{columns}</g>" + _heading(artist, title, p[1], 32)


FAMILIES: dict[str, Family] = {
    "slab": slab,
    "bars": bars,
    "arcs": arcs,
    "card": card,
    "score": score,
    "horizon": horizon,
    "monogram": monogram,
    "diagonals": diagonals,
    "tiles": tiles,
    "dots": dots,
}


def _heading(artist: str, title: str, ink: str, height: float, largest: int = 21, *, wide: bool = False) -> str:
    """Set the title and the artist below it, from the top of the sleeve."""
    what = block(title, Box(MARGIN, 8, ROOM, height), (largest, 13), ink, wide=wide)
    return what.svg + block(artist, Box(MARGIN, 10 + what.height, ROOM, height + 12 - what.height), (11, 9), ink, most=2).svg


def _footing(artist: str, title: str, ink: str, height: float = 44, largest: int = 21) -> str:
    """Set the title and the artist below it so that they end at the foot of the sleeve."""
    what = block(title, Box(MARGIN, 0, ROOM, height - 13), (largest, 13), ink)
    who = block(artist, Box(MARGIN, what.height + 2, ROOM, height - 1 - what.height), (11, 9), ink, most=2)
    return f'<g transform="translate(0 {143 - what.height - 2 - who.height:.1f})">{what.svg}{who.svg}</g>'
