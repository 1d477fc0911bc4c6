"""Checks of what the decoder's child answers: it decoded untrusted bytes, so its answers are not trusted either."""

import re
from typing import Any

from image_cache.errors import DecoderFailed
from image_cache.imaging.color import COLOURS, Colour
from image_cache.imaging.variants import ImageAppearance, Rendered

_COLOUR = re.compile(r"#[0-9a-f]{6}")
_NONSENSE = "the decoder returned an invalid response"


def check_rendered(head: dict[str, Any], blob: bytes, names: set[str], *, analyses: bool) -> Rendered:
    """Build the result of a rendering. Raises `DecoderFailed`."""
    try:
        sizes = {str(name): int(size) for name, size in head["sizes"].items()}
        average, hue, chroma = str(head["average"]), int(head["hue"]), float(head["chroma"])
        width, height = int(head["width"]), int(head["height"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DecoderFailed(_NONSENSE) from error
    variants: dict[str, bytes] = {}
    offset = 0
    for name, size in sizes.items():
        variants[name] = blob[offset : offset + size]
        offset += size
    is_sane = (
        set(variants) == names
        and offset == len(blob)
        and all(body[:4] == b"RIFF" and body[8:12] == b"WEBP" for body in variants.values())
        and _COLOUR.fullmatch(average)
        and 0 <= hue < 360
        and hue % 5 == 0
        and 0 <= chroma < 0.5
        and min(width, height) > 0
    )
    if not is_sane:
        raise DecoderFailed(_NONSENSE)
    return Rendered(variants, width, height, average, hue, chroma, check_appearance(head) if analyses else None)


def check_appearance(head: dict[str, Any]) -> ImageAppearance:
    """Build the result of an analysis. Raises `DecoderFailed`."""
    try:
        colours = tuple(Colour(*map(float, values)) for values in head["colours"])
        appearance = ImageAppearance(colours, None if head["hash"] is None else int(head["hash"]), head["is_blank"] is True)
    except (KeyError, TypeError, ValueError) as error:
        raise DecoderFailed(_NONSENSE) from error
    is_sane = 0 < len(colours) <= COLOURS and all(
        0 <= colour.share <= 1.001 and -0.01 <= colour.lightness <= 1.01 and abs(colour.a) < 0.5 and abs(colour.b) < 0.5
        for colour in colours
    )
    if not is_sane or not 0 <= (appearance.hash or 0) < 1 << 64:
        raise DecoderFailed(_NONSENSE)
    return appearance
