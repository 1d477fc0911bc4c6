"""Row parser: the cells of one row, text or JSON values by column name, to an `AlbumRow`. It has every rule about cells."""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from image_cache.errors import ImportRejected
from image_cache.models import AlbumRow, Track

# In the order of an export.
COLUMNS = (
    *("id", "source", "source_id", "title", "artist", "year", "genres", "styles", "formats", "label", "catno", "rating"),
    *("media_condition", "sleeve_condition", "added", "notes", "cover_url", "plays", "last_played", "tracks"),
    *("barcode", "mbid", "instance_id", "own_notes"),
)
MAX_CHARS = 200
MAX_LONG_CHARS = 2000
MAX_OWN_CHARS = 5000  # as on the page of a record
MAX_TRACKS = 500
MAX_PLAYS = 1_000_000
YEARS = (1800, 2199)

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_WHOLE = re.compile(r"\d{1,15}(?:\.0{1,6})?")  # some spreadsheets write 1973.0 for 1973
_DATE = re.compile(r"(\d{4})-\d{2}(?:-\d{2})?")
_LENGTH = re.compile(r"(?:(\d{1,3}):)?(\d{1,4}):(\d{2})")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SOURCE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")


def row_from(line: int, cells: Mapping[str, Any], *, counts_copies: bool = False) -> AlbumRow:
    """Return the row, or raise `ImportRejected`. Keys are column names, known ones in lower case.

    Empty text, None and a missing column all mean no value. Unknown columns become lines of the notes.
    """

    def get(name: str, read: Callable[[str, Any], Any]) -> Any:
        value = cells.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        try:
            return read(name, value)
        except _BadCell as problem:
            raise ImportRejected(line, str(problem)) from None

    title = get("title", _line)
    if title is None:
        raise ImportRejected(line, "no title")
    return AlbumRow(
        line=line,
        title=title,
        artist=get("artist", _line) or "",
        source=get("source", _source) or "",
        source_id=get("source_id", _line) or "",
        year=get("year", _year),
        genres=get("genres", _list),
        styles=get("styles", _list),
        formats=get("formats", _list),
        label=get("label", _line),
        catno=get("catno", _line),
        rating=get("rating", _rating),
        media_condition=get("media_condition", _line),
        sleeve_condition=get("sleeve_condition", _line),
        added_at=get("added", _moment),
        notes=_with_unknown_columns(line, get("notes", _text), cells),
        cover_url=get("cover_url", _url),
        plays=get("plays", _plays),
        last_played_at=get("last_played", _moment),
        tracks=get("tracks", _tracks),
        barcode=get("barcode", _barcode),
        mbid=get("mbid", _mbid),
        instance_id=get("instance_id", _line),
        own_notes=get("own_notes", lambda name, value: _text(name, value, MAX_OWN_CHARS)),
        counts_copies=counts_copies,
    )


class _BadCell(ValueError):
    """A cell that cannot be used. Its text is the reason, and never has the whole cell."""


def _text(name: str, value: Any, limit: int = MAX_LONG_CHARS) -> str:
    if isinstance(value, bool | list | dict) or not isinstance(value, str | int | float):
        raise _BadCell(f"{name} is not text")
    text = str(value)
    if len(text) > limit:
        raise _BadCell(f"{name} is longer than {limit:,} characters")
    if _CONTROL.search(text):
        raise _BadCell(f"{name} has control characters")
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").strip()
    if len(text) > limit:  # composing (NFC) nearly always makes text shorter, but not always
        raise _BadCell(f"{name} is longer than {limit:,} characters")
    return text


def _line(name: str, value: Any) -> str:
    return " ".join(_text(name, value, MAX_CHARS).split())


def _source(name: str, value: Any) -> str:
    text = _line(name, value).lower()
    if not _SOURCE.fullmatch(text):
        raise _BadCell(f"{name} is not a short word like discogs")
    return text


def _number(name: str, value: Any, low: int, high: int) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not _WHOLE.fullmatch(text):
        raise _BadCell(f"{name} is not a number: {_shown(value)}")
    number = int(text.partition(".")[0])
    if number and not low <= number <= high:
        raise _BadCell(f"{name} {number} is not from {low} to {high}")
    return number


def _barcode(name: str, value: Any) -> str:
    digits = re.sub(r"[ -]", "", str(value))
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{6,18}", digits):
        raise _BadCell(f"{name} is not 6 to 18 digits: {_shown(value)}")
    return digits


def _mbid(name: str, value: Any) -> str:
    text = _line(name, value).lower()
    if not _UUID.fullmatch(text):
        raise _BadCell(f"{name} is not an id of MusicBrainz: {_shown(value)}")
    return text


def _year(name: str, value: Any) -> int | None:
    date = _DATE.fullmatch(value.strip()) if isinstance(value, str) else None
    return _number(name, date.group(1) if date else value, *YEARS) or None  # Discogs writes 0 for an unknown year


def _rating(name: str, value: Any) -> int | None:
    return _number(name, value, 1, 5) or None


def _plays(name: str, value: Any) -> int:
    return _number(name, value, 0, MAX_PLAYS)


def moment_from(line: int, name: str, value: Any) -> float:
    """Read an ISO date or time (UTC unless it has a zone), or Unix seconds. Raises `ImportRejected`."""
    try:
        return _moment(name, value)
    except _BadCell as problem:
        raise ImportRejected(line, str(problem)) from None


def _moment(name: str, value: Any) -> float:
    """Read an ISO date or time (UTC unless it has a zone), or Unix seconds."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            moment = float(value)
        else:
            parsed = datetime.fromisoformat(_line(name, value))
            moment = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise _BadCell(f"{name} is not a date like 2024-05-31: {_shown(value)}") from None
    if not (math.isfinite(moment) and 0 <= moment < 253_402_300_800):  # the end of the year 9999
        raise _BadCell(f"{name} is not a date after 1970: {_shown(value)}")
    return moment


def _url(name: str, value: Any) -> str:
    text = _text(name, value)
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"[\s\"<>\\]", text)
        has_login = "@" in parts.netloc
        _ = parts.port  # raises if it is no number
    except ValueError:
        is_usable = has_login = False
    if not is_usable:
        raise _BadCell(f"{name} is not an http or https address: {_shown(value)}")
    if has_login:
        raise _BadCell(f"{name} has a name or password in it")
    return text


def _list(name: str, value: Any) -> tuple[str, ...]:
    """Read a JSON list, or text with "; " between the values (a JSON list as text if a value has a semicolon)."""
    if isinstance(value, str):
        text = _text(name, value)
        value = (_json(text) if text.startswith("[") else None) or text.split(";")
    if not isinstance(value, list):
        raise _BadCell(f"{name} is not a list")
    if sum(len(item) if isinstance(item, str) else 1 for item in value) > MAX_LONG_CHARS:
        raise _BadCell(f"{name} is longer than {MAX_LONG_CHARS:,} characters")
    return tuple(dict.fromkeys(text for text in (_line(name, item) for item in value) if text))


def _tracks(name: str, value: Any) -> tuple[Track, ...]:
    if isinstance(value, str):
        value = _json(value)
    if not isinstance(value, list):
        raise _BadCell(f"{name} is not a JSON list")
    if len(value) > MAX_TRACKS:
        raise _BadCell(f"{name} has more than {MAX_TRACKS} entries")
    return tuple(_track(name, item) for item in value)


def _track(name: str, value: Any) -> Track:
    if isinstance(value, str):
        value = {"title": value}
    if not isinstance(value, dict) or not value.get("title"):
        raise _BadCell(f"{name} has an entry without a title")
    position, seconds, length = value.get("position"), value.get("duration_s"), value.get("duration")
    if seconds is not None:
        seconds = _number(f"{name}: duration_s", seconds, 0, 359_999)
    elif isinstance(length, str) and (parts := _LENGTH.fullmatch(length.strip())):
        seconds = int(parts[1] or 0) * 3600 + int(parts[2]) * 60 + int(parts[3])
    title = _line(f"{name}: title", value["title"])
    return Track("" if position is None else _line(f"{name}: position", position), title, seconds)


def _with_unknown_columns(line: int, notes: str | None, cells: Mapping[str, Any]) -> str | None:
    found = [notes] if notes else []
    for name, value in cells.items():
        if name in COLUMNS or value is None or value == "":
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        try:
            # The name comes from the file too.
            label, shown = _line("a column's name", name), _line(_shown(name), text)
        except _BadCell as problem:
            raise ImportRejected(line, str(problem)) from None
        entry = f"{label}: {shown}"
        # An export to which its old columns were added again has them in the notes only once.
        if shown and entry not in "\n".join(found).split("\n"):
            found.append(entry)
    if sum(map(len, found)) + len(found) > MAX_LONG_CHARS + 1:
        raise ImportRejected(line, f"notes and unknown columns together are longer than {MAX_LONG_CHARS:,} characters")
    return "\n".join(found) or None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _shown(value: Any) -> str:
    """Return a short, printable form of a value for a message."""
    text = str(value)
    return ascii(text[:40]) if _CONTROL.search(text[:40]) else f"{text[:40]!r}"
