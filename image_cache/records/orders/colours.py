"""Order of the wall by colour: bands of hues, the place of a cover within its band, the distance of two palettes. No I/O."""

import math
from collections.abc import Sequence

from image_cache.imaging.color import Colour

PLACES = 10_000  # steps of lightness within a band
GREY_CHROMA = 0.028  # below it a colour has no name but grey
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
# For the ruler: hue and chroma of each band.
RAMPS = (
    *((28, 0.17), (55, 0.15), (65, 0.06), (95, 0.14), (145, 0.13), (190, 0.1), (255, 0.13), (300, 0.14), (355, 0.15)),
    *((90, 0.01), (90, 0.0), (90, 0.0)),
)


def colour_place(palette: Sequence[Colour]) -> tuple[int, int]:
    """Return the band of a cover with this palette, and its place in the band from 0 to `PLACES`."""
    main = main_colour(palette)
    band = BANDS.index(band_of(main))
    # The whole cover decides how dark it stands: the main colour alone would put a night beside a noon.
    lightness = 0.6 * main.lightness + 0.4 * sum(colour.share * colour.lightness for colour in palette)
    place = round(PLACES * min(1.0, max(0.0, lightness)))
    return band, place if is_ascending(band) else PLACES - place


def is_ascending(band: int) -> bool:
    """Return True if a band goes from dark to light. Hues alternate; the greys go from white down to black."""
    return BANDS[band] not in ("White", "Grey", "Black") and band % 2 == 0


def main_colour(palette: Sequence[Colour]) -> Colour:
    """Return the colour that a cover is remembered by: a large one, or a smaller one that is much more colourful."""
    return max(palette, key=lambda colour: (colour.share * (0.12 + min(colour.chroma, 0.2) * 5), colour.share))


def band_of(colour: Colour) -> str:
    # Dark colours look grey earlier than light ones of the same chroma, and very light ones do, too.
    if colour.chroma < GREY_CHROMA + 0.02 * abs(colour.lightness - 0.6) or colour.lightness < 0.16:
        if colour.lightness >= WHITE_FROM:
            return "White"
        return "Black" if colour.lightness < BLACK_TO else "Grey"
    hue = colour.hue
    name = next(name for end, name in HUES if hue <= end)
    if name in ("Red", "Orange", "Yellow") and colour.chroma < EARTH_CHROMA and hue > 25:
        return "White" if colour.lightness > 0.9 and colour.chroma < 0.045 else "Brown"
    return name


def palette_distance(left: Sequence[Colour], right: Sequence[Colour]) -> float:
    """Return how different two palettes are: the distance of each colour to the nearest of the other, by its share, both ways."""
    # Hue and chroma count double: of two covers that are equally dark, the one with the same colours is nearer.
    squares = [[(a.lightness - b.lightness) ** 2 + 4 * ((a.a - b.a) ** 2 + (a.b - b.b) ** 2) for b in right] for a in left]
    there = sum(a.share * math.sqrt(min(row)) for a, row in zip(left, squares, strict=True))
    back = sum(b.share * math.sqrt(min(column)) for b, column in zip(right, zip(*squares, strict=True), strict=True))
    return there + back
