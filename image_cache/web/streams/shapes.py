"""The shapes of images in a gallery: a class for the aspect ratio, and how wide a browser will show it."""

import math

STEP, SLIMMEST, WIDEST = 1.04, -18, 28
# How high a row and a square become, at most, on a phone, a small screen and a desk.
ROW_PX, SQUARE_PX = (121, 131, 207), (128, 134, 200)


def shape_of(dimensions: tuple[int, int]) -> tuple[str, float]:
    """Return the class of an aspect ratio (width to height), in steps of 4% from 1:2 to 3:1, and the ratio of this class.

    A class, because the pages have no inline styles; css/streams/gallery.css has a rule for each.
    """
    width, height = (max(1, edge) for edge in dimensions)
    step = max(SLIMMEST, min(WIDEST, round(math.log(width / height) / math.log(STEP))))
    return f"q{step}" if step >= 0 else f"qm{-step}", STEP**step


def row_sizes(ratio: float) -> str:
    """Return the attribute `sizes` of an image in rows."""
    return _sizes(ROW_PX, ratio)


def square_sizes(ratio: float) -> str:
    """Return the attribute `sizes` of an image that is cut to a square from its centre."""
    return _sizes(SQUARE_PX, max(1.0, ratio))


def _sizes(px: tuple[int, int, int], ratio: float) -> str:
    phone, panel, desk = (math.ceil(height * ratio) for height in px)
    return f"(max-width: 640px) {phone}px, (max-width: 960px) {panel}px, {desk}px"
