"""Names that are like one that is not known: for the messages that refuse it."""

from collections.abc import Iterable

MAX_NEAR = 3
LIKENESS = 0.6  # of `difflib`, 1 being equal
MAX_CHARS = 200  # of a name that is compared: each comparison costs their product


def did_you_mean(text: str, names: Iterable[str]) -> str:
    """Return ` Did you mean a or b?` with the names most like `text`, upper or lower case; empty if none is."""
    from difflib import get_close_matches  # only for a refusal

    if len(text) > MAX_CHARS:
        return ""
    by_key: dict[str, str] = {}
    for name in names:
        by_key.setdefault(name[:MAX_CHARS].lower(), name)
    near = [by_key[key] for key in get_close_matches(text.lower(), by_key, MAX_NEAR, LIKENESS)]
    if not near:
        return ""
    *others, last = near
    return f" Did you mean {', '.join(others)} or {last}?" if others else f" Did you mean {last}?"
