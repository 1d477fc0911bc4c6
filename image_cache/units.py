"""Units of bytes, and numbers read from text within bounds."""

MEGABYTE = 1_000_000  # as on the label of a disk, in every setting and on every page


def whole_number(text: str | None, low: int, high: int) -> int | None:
    """Return the number that ASCII digits spell; None unless it lies within the bounds and has no more digits than `high`."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > len(str(high)):
        return None
    number = int(text)
    return number if low <= number <= high else None


def decimal_number(text: str | None, low: float, high: float) -> float | None:
    """Return the number that the text spells; None unless it lies within the bounds."""
    try:
        number = float(text) if text else None
    except ValueError:
        return None
    return number if number is not None and low <= number <= high else None  # NaN fails too
