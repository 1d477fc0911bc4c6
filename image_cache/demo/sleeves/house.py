"""What a label's sleeves have in common: its palettes, the face of its small print, its mark; and the record they are drawn for."""

from typing import NamedTuple

from image_cache.demo.sleeves import typesetting as t
from image_cache.demo.sleeves.canvas import Canvas, Ink


class Subject(NamedTuple):
    """What a sleeve says: the names of the record and its house."""

    artist: str
    title: str
    label: str
    catno: str
    year: int
    worn: float = 0.0

    @property
    def seed(self) -> str:
        return f"{self.artist}\n{self.title}"

    @property
    def short_title(self) -> str:
        """Return the title of a single's first side."""
        return self.title.split(" b/w ")[0]


class House(NamedTuple):
    """`mark` is drawn in a square of 10: o disc (x, y, r), r rectangle, t triangle; capitals cut out."""

    text: str
    bold: str
    palettes: tuple[str, ...]
    mark: str


HOUSES = {
    "Borrowed Tape": House("mono", "mono", ("mustard", "soot", "brick", "cobalt", "malt"), "r 0 2 10 8;O 3 5 1.6;O 7 5 1.6"),
    "Carousel & Sons": House("grotesk", "deco", ("rose", "sky", "orchard", "seaglass", "ember"), "o 5 5 5;T 5 0 9.5 8 0.5 8"),
    "Discoteca Mirabel": House(
        "deco", "deco", ("neon", "plum", "dusk", "tropic", "cobalt"), "o 5 5 5;R 0 4.4 10 5.6;R 4.4 0 5.6 10"
    ),
    "Halfmetre": House("mono", "mono", ("concrete", "acid", "polar", "cobalt", "soot"), "r 0 0 4.6 10;r 5.4 0 10 4.6"),
    "Kiosk Nord": House(
        "grotesk", "bold", ("signal", "cyanotype", "citrus", "concrete", "tropic"), "r 0 0 10 10;T 5 1.5 8.5 8.5 1.5 8.5"
    ),
    "Lamplighter Library": House("grotesk", "bold", ("mustard", "lagoon", "signal", "moss", "sky"), "o 5 3.6 3.6;r 4 7.6 6 10"),
    "Laterite": House("grotesk", "slab", ("terracotta", "tropic", "sahara", "ember", "citrus"), "t 5 0 10 10 0 10;O 5 6.4 1.8"),
    "Marigold Engine": House(
        "round", "round", ("plum", "dusk", "orchard", "acid", "ember"), "o 5 2 2;o 5 8 2;o 2 5 2;o 8 5 2;O 5 5 1.8"
    ),
    "Ninefold": House(
        "grotesk",
        "bold",
        ("ember", "mustard", "terracotta", "plum", "lagoon"),
        "o 2 2 1.4;o 5 2 1.4;o 8 2 1.4;o 2 5 1.4;o 5 5 1.4;o 8 5 1.4;o 2 8 1.4;o 5 8 1.4;o 8 8 1.4",
    ),
    "Pale Harbour": House("grotesk", "grotesk", ("polar", "rose", "lilac", "seaglass", "boreal"), "o 5 5 5;O 5 3.2 5.2"),
    "Penstock": House(
        "grotesk", "condensed", ("navy", "cyanotype", "ember", "lagoon", "mustard"), "r 0 0 3 10;r 3.6 3 6.4 10;r 7 6 10 10"
    ),
    "Quill & Harrow": House(
        "serif", "serif", ("moss", "bone", "orchard", "forest", "sahara"), "t 10 0 5 10 4 5.5;t 10 0 0 6 4 5.5"
    ),
    "Rua Onze": House("deco", "deco", ("tropic", "citrus", "sky", "terracotta", "rose"), "r 2 0 4 10;r 6 0 8 10"),
    "Saltmarket": House("stencil", "stencil", ("citrus", "moss", "tropic", "signal", "malt"), "o 5 5 5;O 5 5 3.4;o 5 5 1.8"),
    "Sunday Diesel": House(
        "grotesk",
        "slab",
        ("sahara", "brick", "malt", "dusk", "bone"),
        "t 5 0 6.6 3.8 3.4 3.8;t 0 3.8 10 3.8 5 7.4;t 2 10 5 4 6 7.4;t 8 10 5 4 4 7.4",
    ),
    "Thirteenth Float": House(
        "grotesk", "bold", ("sky", "rose", "signal", "seaglass", "brick"), "r 0 0 2.4 10;r 4 0 10 2.4;r 4 3.8 9 6.2;r 4 7.6 10 10"
    ),
    "Understair": House(
        "bold", "bold", ("soot", "signal", "concrete", "acid", "brick"), "r 0 7 10 10;r 3.3 3.7 10 7.2;r 6.6 0.4 10 4"
    ),
    "Vellum & Reed": House("serif", "serif", ("wine", "bone", "forest", "cyanotype", "malt"), "r 4.4 0 5.6 10;o 3 8 2.6"),
    "Zuiderlicht": House(
        "grotesk", "grotesk", ("polar", "navy", "seaglass", "soot", "boreal"), "o 5 5 5;R 0 5.6 10 10;r 0 7 10 8;r 1.5 9 8.5 10"
    ),
}


def mark(c: Canvas, s: Subject, x: float, y: float, size: float, fill: Ink, ground: Ink) -> None:
    """Draw the label's mark with its upper left corner at (x, y); `ground` is what it stands on."""
    unit = size / 10
    for piece in HOUSES[s.label].mark.split(";"):
        shape, *numbers = piece.split()
        ink = ground if shape.isupper() else fill
        n = [float(v) * unit for v in numbers]
        if shape in "oO":
            c.disc(x + n[0], y + n[1], n[2], ink)
        elif shape in "rR":
            c.rect(x + n[0], y + n[1], x + n[2], y + n[3], ink)
        else:
            c.poly([(x + n[i], y + n[i + 1]) for i in (0, 2, 4)], ink)


def imprint(c: Canvas, s: Subject, x: float, y: float, fill: Ink, ground: Ink, align: t.Align = "left", size: float = 25) -> None:
    """Set the mark with the catalogue number beside it, baseline at `y`; with `align` right it ends at `x`."""
    face = HOUSES[s.label].text
    long = t.width(c, s.catno, face, size, 0.02)
    square = size * 1.05
    left = x if align == "left" else x - long - square * 1.45
    mark(c, s, left, y - square * 0.86, square, fill, ground)
    t.line(c, s.catno, left + square * 1.45, y, face, size, fill, tracking=0.02)


def names(
    c: Canvas,
    s: Subject,
    x: float,
    y: float,
    fill: Ink,
    size: float = 52,
    align: t.Align = "left",
    room: float = 880,
    second: Ink | None = None,
    face: str = "",
    text: str = "",
    leading: float = 1.16,
) -> float:
    """Set the artist and below it the title, in the house's faces; first baseline at `y`. Return the last baseline."""
    house = HOUSES[s.label]
    top = t.line(c, s.artist, x, y, face or house.bold, size, fill, align, room)
    low = t.line(c, s.title, x, y + max(top, size * 0.8) * leading, text or house.text, size * 0.86, second or fill, align, room)
    return y + max(top, size * 0.8) * leading + low * 0.1
