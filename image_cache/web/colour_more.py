"""Colour arithmetic for what is drawn on a page: which ink can be read on a cover's average colour. No I/O, no Flask."""

import math
import re
from functools import lru_cache

HEX = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)
WHITE_BELOW = 0.179  # luminance where white and black text reach the same contrast, 4.58:1
# Where the greys of the ruler begin and end; hues go from dark to light.
LIGHTNESS = {"White": (0.8, 0.92), "Grey": (0.5, 0.75), "Black": (0.28, 0.42)}
INITIALS_RATIO = 3.0  # WCAG 1.4.11 and 1.4.3 for large text


def is_hex(colour: str | None) -> bool:
    """Say whether `colour` is `#rrggbb`: the only form that is ever written into markup."""
    return colour is not None and HEX.fullmatch(colour) is not None


def ink_on(colour: str) -> str:
    """Return white or black, whichever reads better on `colour`; never below 4.5:1."""
    return "#ffffff" if luminance(colour) < WHITE_BELOW else "#000000"


@lru_cache(maxsize=4096)
def initials_on(colour: str) -> str:
    """Return the same hue, moved darker or lighter until it stands 3:1 against `colour`."""
    lightness, a, b = _to_oklab(colour)
    step = 0.02 if luminance(colour) < WHITE_BELOW else -0.02
    ground = luminance(colour)
    while 0.0 <= lightness <= 1.0:
        lightness += step
        candidate = _from_oklab(lightness, a, b)
        if _ratio(luminance(candidate), ground) >= INITIALS_RATIO:
            return candidate
    return ink_on(colour)


@lru_cache(maxsize=256)
def ramp(band: str, count: int) -> tuple[str, ...]:
    """Return `count` colours of a band of the wall by colour, in its order there; greys for what is none."""
    from image_cache.records.colour import BANDS, RAMPS, rises

    at = BANDS.index(band) if band in BANDS else BANDS.index("Grey")
    hue, chroma = RAMPS[at]
    low, high = LIGHTNESS.get(band, (0.36, 0.86))
    steps = [low + (high - low) * (step + 0.5) / count for step in range(count)]
    a, b = math.cos(math.radians(hue)), math.sin(math.radians(hue))
    # Very dark and very light colours have less chroma in sRGB than those between.
    colours = [_from_oklab(step, *(chroma * (1 - abs(2 * step - 1.2) ** 2 * 0.6) * axis for axis in (a, b))) for step in steps]
    return tuple(colours if rises(at) else reversed(colours))


@lru_cache(maxsize=4096)
def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb`, 0 to 1 (WCAG 2)."""
    red, green, blue = _linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _ratio(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def _linear(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return _decode(red), _decode(green), _decode(blue)


def _decode(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _encode(channel: float) -> int:
    clipped = min(1.0, max(0.0, channel))
    curved = 12.92 * clipped if clipped <= 0.0031308 else 1.055 * clipped ** (1 / 2.4) - 0.055
    return round(255 * curved)


def _to_oklab(colour: str) -> tuple[float, float, float]:
    """Source: the OKLab matrices as published by their author, also in CSS Color 4."""
    red, green, blue = _linear(colour)
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    medium = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _from_oklab(lightness: float, a: float, b: float) -> str:
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    return f"#{_encode(red):02x}{_encode(green):02x}{_encode(blue):02x}"
