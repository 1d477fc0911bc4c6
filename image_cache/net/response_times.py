"""What headers of a response say about time: when to ask again, how long its bytes are fresh."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]{1,9}")
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s{0,8}=\s{0,8}\"?([0-9]{1,9})", re.IGNORECASE)
_NOT_FRESH = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?:$|[\s,])", re.IGNORECASE)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of `Retry-After`, None if it is missing or no number and no date."""
    text = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        # Relative to the origin's clock, because the local one may be wrong.
        pause = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError, OverflowError):  # not a date, or only one of them with a time zone
        return None
    return max(0.0, pause.total_seconds())


def fresh_s(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds the bytes are fresh, 0 for not at all, None if `Cache-Control` does not say."""
    control = headers.get("Cache-Control", "")[:1000]
    if _NOT_FRESH.search(control):
        return 0.0
    age = headers.get("Age", "").strip()
    found = _MAX_AGE.search(control)
    return max(0.0, float(found[1]) - (float(age) if _SECONDS.fullmatch(age) else 0.0)) if found else None
