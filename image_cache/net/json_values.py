"""JSON that others send: text that can be stored, and values of the type that is expected. Whatever an answer holds, no other error."""

import json
import re
from collections.abc import Mapping
from typing import Any

from image_cache.errors import OriginUnavailable

MALFORMED = "malformed"  # the kind of the error: it answered, with something that cannot be used
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def parse_json(body: bytes, url: str) -> Any:
    """Return the parsed JSON; what cannot be stored as UTF-8 is U+FFFD in it. Raises `OriginUnavailable` for anything else than JSON."""
    text = body.decode("utf-8-sig", errors="replace")
    try:
        data = json.loads(text)
        # Half of a surrogate pair can only come from an escape: it is valid JSON, and SQLite refuses it.
        return _storable(data) if _ESCAPED_SURROGATE.search(text) else data
    except (ValueError, RecursionError) as error:
        raise OriginUnavailable(url, "the response is not valid JSON", status=200, kind=MALFORMED, is_host_fault=False) from error


def as_object(value: Any) -> Mapping[str, Any]:
    """Return the value if it is an object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: Any, limit: int) -> list[dict[str, Any]]:
    """Return the objects among the first `limit` values of a list; empty for a value that is no list."""
    return [item for item in value[:limit] if isinstance(item, dict)] if isinstance(value, list) else []


def integer(value: Any, low: int, high: int) -> int | None:
    """Return a whole number within bounds, None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high else None


def line(value: Any, limit: int) -> str:
    """Return text as one line of at most `limit` characters, as it is otherwise; empty for a value that is no text."""
    return _CONTROL.sub(" ", value[:limit]) if isinstance(value, str) else ""


def lines(value: Any, limit: int, chars: int) -> list[str]:
    """Return the texts among the first `limit` values of a list, without empty ones; empty for a value that is no list."""
    return [text for item in value[:limit] if (text := line(item, chars).strip())] if isinstance(value, list) else []


def _storable(value: Any) -> Any:
    """Return the same values with U+FFFD for each surrogate that is no half of a pair; also in the names of objects."""
    if isinstance(value, str):
        return _LONE_SURROGATES.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(item) for name, item in value.items()}
    return value
