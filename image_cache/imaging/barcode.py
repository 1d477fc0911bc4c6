"""Barcodes in photographs, through zxing-cpp, an extra. Runs in the decoder's child only, and is imported there when it is requested.

One pass over a photograph sees two thirds of the numbers that several see, and sometimes a wrong one whose check digit is right. So the
photograph is read in several ways, until one number was seen twice and no other so often.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from PIL import Image, ImageFilter, ImageOps

from image_cache.errors import ImageRejected

LONG_EDGE_PX = 2400  # more finds less: the noise of a photograph grows with it
MISSING = "this server cannot read barcodes from photos. Type the number below the bars, or ask the operator to install the extra barcode"

PASSES: tuple[Callable[[Image.Image], Image.Image], ...] = (
    lambda image: image,
    lambda image: image.filter(ImageFilter.UnsharpMask(4, 200, 2)),
    lambda image: image.resize((max(1, image.width * 2 // 3), max(1, image.height * 2 // 3)), Image.Resampling.LANCZOS),
    lambda image: ImageOps.autocontrast(image.filter(ImageFilter.UnsharpMask(7, 200, 2))),
    lambda image: image.rotate(15, Image.Resampling.BILINEAR, expand=True, fillcolor=255),
    lambda image: image.rotate(-15, Image.Resampling.BILINEAR, expand=True, fillcolor=255),
)


def read(image: Image.Image) -> tuple[str, bool]:
    """Return the digits of the barcode in a photograph, 12 or 13, and whether they were seen twice; "" if there is none.

    Raises `ImageRejected` without the extra.
    """
    try:
        import zxingcpp
    except ImportError:
        raise ImageRejected(MISSING) from None
    formats: Any = [zxingcpp.BarcodeFormat.EAN13, zxingcpp.BarcodeFormat.UPCA]
    image.thumbnail((LONG_EDGE_PX, LONG_EDGE_PX))
    grey = image.convert("L")
    seen: Counter[str] = Counter()
    for change in PASSES:
        found = {normalized(code.text) for code in zxingcpp.read_barcodes(change(grey), formats=formats)}
        seen.update(found - {""})
        first, *others = [*seen.most_common(2), ("", 0)]
        if first[1] >= 2 and first[1] > others[0][1]:
            return first[0], True
    ranked = seen.most_common(2)
    is_alone = len(ranked) == 1 or (len(ranked) == 2 and ranked[0][1] > ranked[1][1])
    return (ranked[0][0], False) if ranked and is_alone else ("", False)


def normalized(text: str) -> str:
    """Return the digits of an EAN-13 as printed on a sleeve: a UPC without the zero in front that makes an EAN of it."""
    digits = "".join(char for char in text if char.isascii() and char.isdigit())
    if len(digits) == 13 and digits.startswith("0"):
        return digits[1:]
    return digits if len(digits) in (12, 13) else ""
