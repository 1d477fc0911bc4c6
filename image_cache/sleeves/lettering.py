"""Text on a drawn sleeve: how wide it is, where its lines break, and how large it can be.

Widths are those of Archivo 600, the font of the pages. Other scripts come from a font of the browser, so they are estimated on
the wide side. Lengths are units of the drawing, which is 150 wide; widths are in em.
"""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from html import escape

from image_cache.frozen import frozen

# Advance widths in 1/50 em of ASCII 32 to 126, as chr(65 + width): measured in the shipped font at its narrow and its full width.
NARROW = r"INSZVg^KRRT\MOMOXVXXXYXWXXNN\\\Xh\\^^[X`^MX]We^`[`][Z][g\\[QOQ\UJXXWXXNXXLKWLcXXXXOVNXU`WUUSKS\\"
WIDE = r"KPW^\qeMSSUaPRPP^^^^^^^^^^RRaaa`sddeec_ifO^d]kfhcheb`ecqccaRPRaZK]_\_]P_^NM\Nl^___S\Q^[g\[ZUMUa"
TRACKING = -0.02  # the `letter-spacing` of `.drawn text`
WORD_SPACING = 0.06  # and its `word-spacing`
LINE = 1.1  # line height in em
ASCENT = 0.82  # from the top of a line to its baseline, in em
MAX_CHARS = 160  # of a name that are looked at: more than any size can show
EMOJI = 1.36
SQUARE = 1.02
_SCRIPTS = {"CYRILLIC": 0.76, "GREEK": 0.72, "THAI": 0.72, "ARABIC": 0.66, "HEBREW": 0.66, "LATIN": 0.72}
_JOINER = "\u200d"


@frozen
class Box:
    """A place for text: its left edge, its top, its width and height."""

    x: float
    top: float
    room: float
    height: float


@frozen
class Lines:
    """Text as SVG, and the height it takes."""

    svg: str
    height: float


def is_latin(text: str) -> bool:
    """Return True if the shipped font has every letter of `text`."""
    return all(ord(char) < 0x250 for char in text)


def is_right_to_left(text: str) -> bool:
    """Return True if the first letter that has a direction runs to the left."""
    if text.isascii():
        return False
    found = next((way for char in text if (way := unicodedata.bidirectional(char)) in ("L", "R", "AL")), "L")
    return found != "L"


def printable(text: str) -> str:
    """Return `text` as one line without control characters and marks that turn the direction of what follows."""
    if text.isascii() and text.isprintable():
        return " ".join(text[:MAX_CHARS].split())
    plain = "".join(
        char if unicodedata.category(char) not in ("Cc", "Cf", "Cs") or char == _JOINER else " " for char in text[:MAX_CHARS]
    )
    return " ".join(plain.split())


def advance(text: str, *, wide: bool = False) -> float:
    """Return the width of a text in em."""
    return sum(_width(cluster, wide) for cluster in clusters(text))


def clusters(text: str) -> Iterator[str]:
    """Yield what a reader sees as one letter: a base with its accents, an emoji of several parts."""
    if text.isascii():
        yield from text
        return
    cluster = ""
    for char in text:
        joins = unicodedata.category(char)[0] == "M" or char == _JOINER or 0x1F3FB <= ord(char) <= 0x1F3FF
        if cluster and not joins and not cluster.endswith(_JOINER):
            yield cluster
            cluster = ""
        cluster += char
    if cluster:
        yield cluster


@lru_cache(maxsize=1024)
def _width(cluster: str, wide: bool) -> float:
    base = unicodedata.normalize("NFKD", cluster)[0]
    if " " <= base <= "~":
        extra = TRACKING + (WORD_SPACING if base == " " else 0.0)
        return (ord((WIDE if wide else NARROW)[ord(base) - 32]) - 65) / 50 + extra
    if ord(base) >= 0x1F000 or 0x2600 <= ord(base) < 0x27C0:
        return EMOJI
    if unicodedata.east_asian_width(cluster[0]) in "WF":
        return SQUARE
    script = unicodedata.name(base, "").partition(" ")[0]
    width = _SCRIPTS.get(script, 0.76 * len(cluster))  # without a font of the script, each mark is its own box
    return width * 1.24 if base.isupper() and script != "LATIN" else width


def block(
    text: str,
    box: Box,
    sizes: tuple[int, int],
    fill: str,
    *,
    wide: bool = False,
    centred: bool = False,
    most: int = 3,
) -> Lines:
    """Set a text in `box` at the largest of `sizes` (largest, smallest) at which all of it fits, in at most `most` lines.

    At the smallest it is cut with an ellipsis. A word is broken only if it is wider than the box.
    """
    x, top, room, height = box.x, box.top, box.room, box.height
    pieces = [(piece, advance(piece, wide=wide)) for piece in _pieces(text)]
    longest, total = max((width for _, width in pieces), default=0.0), sum(width for _, width in pieces)
    size = sizes[1]
    lines: list[str] = []
    for size in range(sizes[0], sizes[1] - 1, -1):
        if size > sizes[1] and (longest * size > room or total * size > room * most):
            continue
        lines = _wrapped(pieces, room / size, wide)
        if len(lines) <= most and len(lines) * size * LINE <= height:
            break
    fits = max(1, min(most, int(height / (size * LINE))))
    if len(lines) > fits:
        lines = [*lines[: fits - 1], _cut(lines[fits - 1], room / size, wide)]
    to_left = is_right_to_left(text)
    edge = x + room / 2 if centred else x + room if to_left else x
    attributes = (
        (' class="w"' if wide else "") + (' direction="rtl"' if to_left else "") + (' text-anchor="middle"' if centred else "")
    )
    spans = "".join(
        f'<tspan x="{edge:g}" y="{top + size * (ASCENT + LINE * at):.1f}">{escape(line)}</tspan>' for at, line in enumerate(lines)
    )
    return Lines(f'<text font-size="{size}" fill="{fill}"{attributes}>{spans}</text>', len(lines) * size * LINE)


def _pieces(text: str) -> Iterator[str]:
    """Yield words, spaces, and every square letter on its own: a line may break before each."""
    word = ""
    for cluster in clusters(text):
        is_square = unicodedata.east_asian_width(cluster[0]) in "WF"
        if is_square or cluster == " ":
            if word:
                yield word
            word = ""
            yield cluster
        else:
            word += cluster
            if cluster in "-/" and len(word) > 3:  # after a hyphen too
                yield word
                word = ""
    if word:
        yield word


def _wrapped(pieces: list[tuple[str, float]], room: float, wide: bool) -> list[str]:
    """Break pieces, each with its width, into lines of at most `room` em."""
    lines: list[str] = []
    line, used = "", 0.0
    for piece, width in pieces:
        if line and piece != " " and used + width > room:
            lines.append(line)
            line, used = "", 0.0
        if width <= room:
            line, used = line + piece, used + width
            continue
        for cluster in clusters(piece):  # a word that is wider than the box
            part = _width(cluster, wide)
            if line and used + part > room:
                lines.append(line)
                line, used = "", 0.0
            line, used = line + cluster, used + part
    return [stripped for line in [*lines, line] if (stripped := line.strip())]


def _cut(line: str, room: float, wide: bool) -> str:
    """Return a line with an ellipsis at its end that is at most `room` em wide."""
    parts = list(clusters(line))
    while parts and advance("".join(parts) + "…", wide=wide) > room:
        parts.pop()
    return "".join(parts).rstrip(" ,.;:") + "…"
