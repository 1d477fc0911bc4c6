"""Colour arithmetic: sRGB and OKLab, luminance, and palettes as bytes. Knows no image library."""

import math
import struct
from collections.abc import Sequence

from image_cache.frozen import frozen

COLOURS = 5  # in a palette
REACH = 0.4  # of a and b; nothing in sRGB is further from grey
_FOUR = struct.Struct("4B")


@frozen
class Colour:
    """One colour of a palette in OKLab (`lightness` 0 to 1, `a` and `b` about -.4 to .4), and its share of the image."""

    share: float
    lightness: float
    a: float
    b: float

    @property
    def chroma(self) -> float:
        return math.hypot(self.a, self.b)

    @property
    def hue(self) -> float:
        """Degrees, 0 to 360: red is about 30, yellow 110, green 145, blue 265."""
        return math.degrees(math.atan2(self.b, self.a)) % 360


def packed(colours: Sequence[Colour]) -> bytes:
    """Return a palette in four bytes per colour, finer than an eye can tell on a cover."""
    return b"".join(
        _FOUR.pack(_byte(c.share), _byte(c.lightness), _byte((c.a / REACH + 1) / 2), _byte((c.b / REACH + 1) / 2))
        for c in colours
    )


def unpack_palette(colours: bytes) -> tuple[Colour, ...]:
    """Return the palette that `packed` wrote."""
    return tuple(
        Colour(share / 255, lightness / 255, (2 * a / 255 - 1) * REACH, (2 * b / 255 - 1) * REACH)
        for share, lightness, a, b in _FOUR.iter_unpack(colours[: len(colours) // 4 * 4])
    )


def rgb_of(text: str) -> tuple[int, int, int]:
    """Return the channels of `#rrggbb`, each 0 to 255."""
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def hex_of(red: float, green: float, blue: float) -> str:
    """Return channels of 0 to 255 as `#rrggbb`."""
    return f"#{round(red):02x}{round(green):02x}{round(blue):02x}"


def luminance(red: float, green: float, blue: float) -> float:
    """Return the relative luminance of channels of 0 to 255: 0 to 1 (WCAG 2)."""
    return 0.2126 * _linear(red) + 0.7152 * _linear(green) + 0.0722 * _linear(blue)


def oklab(red: float, green: float, blue: float) -> tuple[float, float, float]:
    """Convert channels of 0 to 255 to OKLab: lightness, a, b. Source: Björn Ottosson's matrices, as in CSS Color 4."""
    r, g, b = _linear(red), _linear(green), _linear(blue)
    long = math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
    medium = math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
    short = math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def rgb_of_oklab(lightness: float, a: float, b: float) -> tuple[int, int, int]:
    """Convert OKLab to channels of 0 to 255; what lies outside sRGB is clipped."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        _encoded(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
        _encoded(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
        _encoded(-0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short),
    )


def _linear(channel: float) -> float:
    part = channel / 255
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def _encoded(linear: float) -> int:
    clipped = min(1.0, max(0.0, linear))
    return _byte(12.92 * clipped if clipped <= 0.0031308 else 1.055 * clipped ** (1 / 2.4) - 0.055)


def _byte(part: float) -> int:
    return round(255 * min(1.0, max(0.0, part)))
