"""JSON that a request sends: an object with known names and plain values, or a refusal that says what is wrong."""

from collections.abc import Collection
from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

MOST_URLS = 500  # in one request; a preload of thousands comes in parts
LONGEST_TEXT = 2048


def read_body(known: Collection[str]) -> dict[str, Any]:
    """Return the JSON object of the request; an empty body is an empty object. A name that is not known is a typing error."""
    data = request.get_data(cache=True)
    if not data:
        return {}
    if request.max_content_length and len(data) >= request.max_content_length:
        raise RequestEntityTooLarge("The body is too large.")  # one that came in chunks is cut there without a word
    if not request.is_json:
        raise UnsupportedMediaType("Send JSON, with Content-Type: application/json.")
    try:
        body = request.get_json()
    except (BadRequest, RecursionError):
        raise BadRequest("That is not JSON.") from None
    if not isinstance(body, dict):
        raise BadRequest("Send a JSON object.")
    for name in body:
        if name not in known:
            raise BadRequest(f"“{name[:40]}” is not known here; there is {', '.join(sorted(known))}.")
    return body


def read_texts(body: dict[str, Any], name: str) -> list[str]:
    values = body.get(name, [])
    if not isinstance(values, list):
        raise BadRequest(f"{name} is not a list.")
    if len(values) > MOST_URLS:
        raise RequestEntityTooLarge(f"{name} has {len(values)} entries, {MOST_URLS} at a time are allowed.")
    return list(dict.fromkeys(read_text(value, name) for value in values))


def read_text(value: object, name: str) -> str:
    # JSON may spell half of a surrogate pair, which is no character and has no bytes.
    is_text = isinstance(value, str) and value.encode(errors="replace").decode() == value
    if not is_text or not isinstance(value, str) or not 1 <= len(value) <= LONGEST_TEXT:
        raise BadRequest(f"{name} holds something that is no text of 1 to {LONGEST_TEXT} characters.")
    return value
