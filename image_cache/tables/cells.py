"""Cell readers: one value of a table to a value of a record, by column. A cell that cannot be used raises `BadCell`."""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from image_cache import money
from image_cache.errors import ImportRejected
from image_cache.models import Track
from image_cache.text import cut

MAX_CHARS = 200
MAX_LONG_CHARS = 2000
MAX_OWN_CHARS = 5000  # as on the page of a record
MAX_TRACKS = 500
MAX_PLAYS = 1_000_000
YEARS = (1800, 2199)

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_WHOLE = re.compile(r"\d{1,15}(?:\.0{1,6})?")  # some spreadsheets write 1973.0 for 1973
_DATE = re.compile(r"(\d{4})-\d{2}(?:-\d{2})?")
_YEAR = re.compile(r"(?<!\d)((?:18|19|20|21)\d\d)(?!\d)")
COUNT = re.compile(r"\d{1,4}")
_LENGTH = re.compile(r"(?:(\d{1,3}):)?(\d{1,4}):(\d{2})")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DAY = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2})?)?")
_SOURCE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")


class LossyValue(NamedTuple):
    """A value that is not all of its cell, or guessed from it."""

    value: Any
    remark: str


SHORTENED, SKIPPED = "; shortened", "; skipped"  # how a remark ends: what was done with the cell


class BadCell(ValueError):
    """A cell that cannot be used. Its text is the reason, and never has the whole cell."""


def cut_remark(name: str, limit: int) -> str:
    """Return what the report of an import says of a text that was cut, whatever its source."""
    return f"{name} is too long (maximum {limit:,} characters){SHORTENED}"


def read_text(name: str, value: Any, limit: int = MAX_LONG_CHARS, *, is_line: bool = False) -> Any:
    if isinstance(value, bool | list | dict) or not isinstance(value, str | int | float):
        raise BadCell(f"{name} must be text")
    text = str(value)
    plain = _CONTROL.sub("", text)
    # Text that is far too long is cut before it is normalised: that takes time.
    whole = unicodedata.normalize("NFC", plain[: limit * 8]).replace("\r\n", "\n").replace("\r", "\n").strip()
    kept = cut(" ".join(whole.split()) if is_line else whole, limit)
    remarks = [f"{name} has control characters; removed"] if plain != text else []
    if len(kept) < len(" ".join(whole.split()) if is_line else whole):
        remarks.append(cut_remark(name, limit))
    if remarks and not kept:
        raise BadCell(f"{name} contains only control characters")
    return LossyValue(kept, "; ".join(remarks)) if remarks else kept


def read_line(name: str, value: Any) -> Any:
    return read_text(name, value, MAX_CHARS, is_line=True)


def _strict(name: str, value: Any) -> str:
    """Return a line that means nothing when it is cut, such as an id."""
    text = read_line(name, value)
    if isinstance(text, LossyValue):
        raise BadCell(text.remark.removesuffix(SHORTENED).removesuffix(SKIPPED))
    return text if isinstance(text, str) else ""


def _source(name: str, value: Any) -> str:
    text = _strict(name, value).lower()
    if not _SOURCE.fullmatch(text):
        raise BadCell(f"{name} must be a short word such as discogs")
    return text


def _number(name: str, value: Any, low: int, high: int) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not _WHOLE.fullmatch(text):
        raise BadCell(f"{name} must be a number, not {shown(value)}")
    number = int(text.partition(".")[0])
    if number and not low <= number <= high:
        raise BadCell(f"{name} must be from {low} to {high}, not {number}")
    return number


def _barcode(name: str, value: Any) -> str:
    digits = re.sub(r"[ -]", "", str(value))
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{6,18}", digits):
        shortened = " (shortened by a spreadsheet)" if re.fullmatch(r"\d[.,]\d+[Ee]\+?\d+", digits) else ""
        raise BadCell(f"{name} must have 6 to 18 digits, not {shown(value)}{shortened}")
    return digits


def _mbid(name: str, value: Any) -> str:
    text = _strict(name, value).lower()
    if not _UUID.fullmatch(text):
        raise BadCell(f"{name} must be a MusicBrainz ID, not {shown(value)}")
    return text


def _year(name: str, value: Any) -> Any:
    text = value.strip() if isinstance(value, str) else ""
    if date := _DATE.fullmatch(text):
        return _number(name, date.group(1), *YEARS) or None
    if text and not _WHOLE.fullmatch(text) and (found := _YEAR.findall(text)):
        return LossyValue(int(found[0]), f"{name} {shown(text)} was read as {found[0]}")
    return _number(name, value, *YEARS) or None  # Discogs writes 0 for an unknown year


def _rating(name: str, value: Any) -> int | None:
    return _number(name, value, 1, 5) or None


def _plays(name: str, value: Any) -> int:
    return _number(name, value, 0, MAX_PLAYS)


def _price(name: str, value: Any) -> str:
    try:
        return money.price_of("" if isinstance(value, bool) else str(value)[:60])
    except ValueError:
        raise BadCell(f"{name} must be an amount such as 12.50 EUR, not {shown(value)}") from None


def read_day(name: str, value: Any) -> str:
    """Read a day, or only its month or year: 2024-05-31, 2024-05, 2024."""
    text = str(value).strip()
    try:
        if isinstance(value, bool) or not _DAY.fullmatch(text):
            raise ValueError
        day = datetime.fromisoformat(f"{text}-01-01"[:10])
        if not YEARS[0] <= day.year <= YEARS[1]:
            raise ValueError
    except ValueError:
        raise BadCell(f"{name} must be a date such as 2024-05-31, not {shown(value)}") from None
    return text


def moment_from(line: int, name: str, value: Any) -> float:
    """Read an ISO date or time (UTC unless it has a zone), or Unix seconds. Raises `ImportRejected`."""
    try:
        return read_moment(name, value)
    except BadCell as problem:
        raise ImportRejected(line, str(problem)) from None


def read_moment(name: str, value: Any) -> float:
    """Read an ISO date or time (UTC unless it has a zone), or Unix seconds."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            moment = float(value)
        else:
            parsed = datetime.fromisoformat(_strict(name, value))
            moment = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise BadCell(f"{name} must be a date such as 2024-05-31, not {shown(value)}") from None
    return bounded_moment(name, value, moment)


def bounded_moment(name: str, value: Any, moment: float) -> float:
    if not (math.isfinite(moment) and 0 <= moment < 253_402_300_800):  # the end of the year 9999
        raise BadCell(f"{name} must be a date after 1970, not {shown(value)}")
    return moment


def _url(name: str, value: Any) -> str:
    text = read_text(name, value)
    if isinstance(text, LossyValue):
        raise BadCell(text.remark.removesuffix(SHORTENED).removesuffix(SKIPPED))
    text = str(text).replace(" ", "%20")  # as a browser does
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"[\s\"<>\\]", text)
        has_login = "@" in parts.netloc
        _ = parts.port  # raises if it is no number
    except ValueError:
        is_usable = has_login = False
    if not is_usable:
        raise BadCell(f"{name} must be an http or https URL, not {shown(value)}")
    if has_login:
        raise BadCell(f"{name} contains a user name or password")
    return str(text)


def _list(name: str, value: Any) -> Any:
    """Read a JSON list, or text with "; " between the values (a JSON list as text if a value has a semicolon)."""
    if isinstance(value, str):
        text = value[: MAX_LONG_CHARS * 2].strip()
        value = (_json(text) if text.startswith("[") else None) or text.split(";")
    if not isinstance(value, list):
        raise BadCell(f"{name} must be a list")
    found, remarks, size = [], [], 0
    for item in value:
        try:
            entry = read_line(name, item)
        except BadCell as problem:
            remarks.append(f"{problem}{SKIPPED}")
            continue
        if isinstance(entry, LossyValue):
            remarks.append(entry.remark)
            entry = entry.value
        size += len(entry)
        if size > MAX_LONG_CHARS:
            remarks.append(cut_remark(name, MAX_LONG_CHARS))
            break
        found.append(entry)
    values = tuple(dict.fromkeys(filter(None, found)))
    return _kept(values, remarks)


def _tracks(name: str, value: Any) -> Any:
    if isinstance(value, str):
        value = _json(value)
    if not isinstance(value, list):
        raise BadCell(f"{name} must be a JSON list")
    remarks = [f"{name} has more than {MAX_TRACKS} entries; the rest was skipped"] if len(value) > MAX_TRACKS else []
    tracks = []
    for item in value[:MAX_TRACKS]:
        try:
            tracks.append(_track(name, item, remarks))
        except BadCell as problem:
            remarks.append(f"{problem}{SKIPPED}")
    return _kept(tuple(tracks), remarks)


def _kept(values: tuple[Any, ...], remarks: list[str]) -> Any:
    """Return what is left of a list. Nothing is no value: it must not empty what the catalogue has."""
    remark = "; ".join(dict.fromkeys(remarks))
    if remark and not values:
        raise BadCell(remark.removesuffix(SKIPPED))
    return LossyValue(values, remark) if remark else values


def _track(name: str, value: Any, remarks: list[str]) -> Track:
    if isinstance(value, str):
        value = {"title": value}
    if not isinstance(value, dict) or not value.get("title"):
        raise BadCell(f"{name} has an entry without a title")
    position, seconds, length = value.get("position"), value.get("duration_s"), value.get("duration")
    if seconds is not None:
        try:
            seconds = _number(f"{name}: duration_s", seconds, 0, 359_999)
        except BadCell as problem:
            remarks.append(f"{problem}{SKIPPED}")
            seconds = None
    elif isinstance(length, str) and (parts := _LENGTH.fullmatch(length.strip())):
        seconds = int(parts[1] or 0) * 3600 + int(parts[2]) * 60 + int(parts[3])
    texts = [read_line(f"{name}: title", value["title"]), "" if position is None else read_line(f"{name}: position", position)]
    remarks += [text.remark for text in texts if isinstance(text, LossyValue)]
    title, place = (text.value if isinstance(text, LossyValue) else text for text in texts)
    return Track(place, title, seconds)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def shown(value: Any) -> str:
    """Return a short, printable form of a value for a message."""
    text = str(value)
    return ascii(text[:40]) if _CONTROL.search(text[:40]) else f"{text[:40]!r}"


READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "source": _source,
    "source_id": _strict,
    "year": _year,
    "genres": _list,
    "styles": _list,
    "formats": _list,
    "label": read_line,
    "catno": read_line,
    "rating": _rating,
    "media_condition": read_line,
    "sleeve_condition": read_line,
    "notes": read_text,
    "cover_url": _url,
    "plays": _plays,
    "tracks": _tracks,
    "barcode": _barcode,
    "mbid": _mbid,
    "instance_id": _strict,
    "shelf": read_line,
    "price": _price,
    "bought": read_day,
    "own_notes": lambda name, value: read_text(name, value, MAX_OWN_CHARS),
}
