"""Parser of prices at Discogs: suggestions by grade, and the lowest offer of a release. Pure functions."""

from typing import Any

from image_cache import money
from image_cache.net.json_values import as_object
from image_cache.tables.discogs_words import short_grade

MAX_GRADES = 20


def suggestions_from(data: Any) -> dict[str, str] | None:
    """Return the suggested prices by grade (NM, VG+), None if the response is none; empty if Discogs has too few sales."""
    if not isinstance(data, dict):
        return None
    found = {short_grade(str(grade)[:60]): _price(entry) for grade, entry in list(data.items())[:MAX_GRADES]}
    return {grade: price for grade, price in found.items() if price}


def lowest_from(data: Any) -> str | None:
    """Return the lowest price at which a release is offered, "" if it is not for sale; None if the response is none."""
    if not isinstance(data, dict) or "lowest_price" not in data:
        return None
    return _price(data["lowest_price"])


def _price(entry: Any) -> str:
    facts = as_object(entry)
    amount, code = facts.get("value"), facts.get("currency")
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 < amount <= money.MAX_CENTS / 100:
        return ""
    is_code = isinstance(code, str) and len(code) == 3 and code.isascii() and code.isalpha()
    return money.stored(round(amount * 100), str(code).upper() if is_code else "")
