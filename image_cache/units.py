"""Units: bytes and counts as people read them, and numbers read from text within bounds."""

MEGABYTE = 1_000_000  # as on the label of a disk, in every setting and on every page


def whole_number(text: str | None, low: int, high: int) -> int | None:
    """Return the number that ASCII digits spell; None unless it is within the bounds and has no more digits than `high`."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > len(str(high)):
        return None
    number = int(text)
    return number if low <= number <= high else None


def decimal_number(text: str | None, low: float, high: float) -> float | None:
    """Return the number that the text spells; None unless it is within the bounds."""
    try:
        number = float(text) if text else None
    except ValueError:
        return None
    return number if number is not None and low <= number <= high else None  # NaN fails too


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun: 1 image, 2,000 images."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def size(number: int) -> str:
    """Return bytes with three digits: 812 B, 86.4 MB, 1.24 GB."""
    value = float(number)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit in ("B", "KB") else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def megabytes(count: float) -> str:
    """Return bytes without small units: 3.2 GB, 812 MB, 0 MB."""
    return f"{count / 1e9:,.1f} GB" if abs(count) >= 1e9 else f"{count / 1e6:,.0f} MB"
