"""Barcodes as people type and photograph them. Pure functions."""

import re

_GAPS = re.compile(r"[\s-]+")


def barcode_of(text: str) -> str:
    """Return the digits of a barcode; "" for any other text."""
    digits = _GAPS.sub("", text)
    return digits if digits.isascii() and digits.isdigit() and len(digits) in (8, 12, 13, 14) else ""


def spellings(code: str) -> list[str]:
    """Return a barcode with and without the zero in front that makes an EAN of a UPC."""
    return list(dict.fromkeys((code, code.lstrip("0"), f"0{code}")))
