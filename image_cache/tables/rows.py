"""Row parser: the cells of one row, text or JSON values by column name, to an `AlbumRow`. It has every rule about cells."""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from image_cache.errors import ImportRejected
from image_cache.models import AlbumRow, Track
from image_cache.tables.dates import DateOrders
from image_cache.text import cut

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
UNTITLED = "Untitled"

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_WHOLE = re.compile(r"\d{1,15}(?:\.0{1,6})?")  # some spreadsheets write 1973.0 for 1973
_DATE = re.compile(r"(\d{4})-\d{2}(?:-\d{2})?")
_YEAR = re.compile(r"(?<!\d)((?:18|19|20|21)\d\d)(?!\d)")
_COUNT = re.compile(r"\d{1,4}")
_LENGTH = re.compile(r"(?:(\d{1,3}):)?(\d{1,4}):(\d{2})")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SOURCE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")


def row_from(
    line: int,
    cells: Mapping[str, Any],
    *,
    counts_copies: bool = False,
    own: Mapping[str, str] | None = None,
    dates: DateOrders | None = None,
    losses: Sequence[str] = (),
) -> AlbumRow:
    """Return the row; raise `ImportRejected` if it has neither artist nor title. Keys are column names, known ones in lower case.

    Empty text, None and a missing column all mean no value. Unknown columns, and the collector's `own` whatever they are called,
    become lines of the notes. A cell that cannot be used is cut or left out; `AlbumRow.losses` says so, after the `losses` given.
    """
    reader = _Reader(cells, dates or DateOrders(), losses)
    get = reader.get
    title, artist = get("title", _line), get("artist", _line)
    if not title and not artist:
        raise ImportRejected(line, "neither artist nor title")
    if not title:
        reader.losses.append(f"no title: filed as {UNTITLED}")
    values: dict[str, Any] = {name: get(name, read) for name, read in _READERS.items()}
    notes = _with_unknown_columns(values.pop("notes"), cells, {**reader.moved, **(own or {})}, reader.losses)
    return AlbumRow(
        line=line,
        title=title or UNTITLED,
        artist=artist or "",
        source=values.pop("source") or "",
        source_id=values.pop("source_id") or "",
        added_at=get("added", reader.moment),
        last_played_at=get("last_played", reader.moment),
        notes=notes,
        counts_copies=counts_copies,
        losses=tuple(reader.losses),
        **values,
    )


class _Reader:
    """Reads the cells of one row and remembers what was lost. `moved` are cells that go into the notes instead."""

    def __init__(self, cells: Mapping[str, Any], dates: DateOrders, losses: Sequence[str]) -> None:
        self.losses = list(losses)
        self.moved: dict[str, str] = {}
        self._cells = cells
        self._dates = dates

    def get(self, name: str, read: Callable[[str, Any], Any]) -> Any:
        value = self._cells.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if name == "tracks" and isinstance(value, str | int) and _COUNT.fullmatch(str(value).strip()):
            self.moved[name.capitalize()] = str(value).strip()  # how many there are
            return None
        try:
            found = read(name, value)
        except _BadCell as problem:
            self.losses.append(f"{problem}; left out")
            return None
        if isinstance(found, _Lossy):
            self.losses.append(found.remark)
            return found.value
        return found

    def moment(self, name: str, value: Any) -> Any:
        try:
            return _moment(name, value)
        except _BadCell:
            if not isinstance(value, str):
                raise
            try:
                moment, remark = self._dates.read(name, value)
                return (
                    _Lossy(_bounded(name, value, moment.timestamp()), remark)
                    if remark
                    else _bounded(name, value, moment.timestamp())
                )
            except (ValueError, OverflowError, IndexError):
                pass
            raise


class _Lossy(NamedTuple):
    """A value that is not all of its cell, or guessed from it."""

    value: Any
    remark: str


class _BadCell(ValueError):
    """A cell that cannot be used. Its text is the reason, and never has the whole cell."""


def _text(name: str, value: Any, limit: int = MAX_LONG_CHARS, *, is_line: bool = False) -> Any:
    if isinstance(value, bool | list | dict) or not isinstance(value, str | int | float):
        raise _BadCell(f"{name} is not text")
    text = str(value)
    plain = _CONTROL.sub("", text)
    # Text that is far too long is cut before it is normalised: that takes time.
    whole = unicodedata.normalize("NFC", plain[: limit * 8]).replace("\r\n", "\n").replace("\r", "\n").strip()
    kept = cut(" ".join(whole.split()) if is_line else whole, limit)
    remarks = [f"{name} has control characters; left out"] if plain != text else []
    if len(kept) < len(" ".join(whole.split()) if is_line else whole):
        remarks.append(f"{name} is longer than {limit:,} characters; cut")
    if remarks and not kept:
        raise _BadCell(f"{name} has only control characters")
    return _Lossy(kept, "; ".join(remarks)) if remarks else kept


def _line(name: str, value: Any) -> Any:
    return _text(name, value, MAX_CHARS, is_line=True)


def _strict(name: str, value: Any) -> str:
    """Return a line that means nothing when it is cut, such as an id."""
    text = _line(name, value)
    if isinstance(text, _Lossy):
        raise _BadCell(text.remark.removesuffix("; cut").removesuffix("; left out"))
    return text if isinstance(text, str) else ""


def _source(name: str, value: Any) -> str:
    text = _strict(name, value).lower()
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
        shortened = ", shortened by a spreadsheet" if re.fullmatch(r"\d[.,]\d+[Ee]\+?\d+", digits) else ""
        raise _BadCell(f"{name} is not 6 to 18 digits{shortened}: {_shown(value)}")
    return digits


def _mbid(name: str, value: Any) -> str:
    text = _strict(name, value).lower()
    if not _UUID.fullmatch(text):
        raise _BadCell(f"{name} is not an id of MusicBrainz: {_shown(value)}")
    return text


def _year(name: str, value: Any) -> Any:
    text = value.strip() if isinstance(value, str) else ""
    if date := _DATE.fullmatch(text):
        return _number(name, date.group(1), *YEARS) or None
    if text and not _WHOLE.fullmatch(text) and (found := _YEAR.findall(text)):
        return _Lossy(int(found[0]), f"{name} {_shown(text)} is read as {found[0]}")
    return _number(name, value, *YEARS) or None  # Discogs writes 0 for an unknown year


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
            parsed = datetime.fromisoformat(_strict(name, value))
            moment = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise _BadCell(f"{name} is not a date like 2024-05-31: {_shown(value)}") from None
    return _bounded(name, value, moment)


def _bounded(name: str, value: Any, moment: float) -> float:
    if not (math.isfinite(moment) and 0 <= moment < 253_402_300_800):  # the end of the year 9999
        raise _BadCell(f"{name} is not a date after 1970: {_shown(value)}")
    return moment


def _url(name: str, value: Any) -> str:
    text = _text(name, value)
    if isinstance(text, _Lossy):
        raise _BadCell(text.remark.removesuffix("; cut").removesuffix("; left out"))
    text = str(text).replace(" ", "%20")  # as a browser does
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
    return str(text)


def _list(name: str, value: Any) -> Any:
    """Read a JSON list, or text with "; " between the values (a JSON list as text if a value has a semicolon)."""
    if isinstance(value, str):
        text = value[: MAX_LONG_CHARS * 2].strip()
        value = (_json(text) if text.startswith("[") else None) or text.split(";")
    if not isinstance(value, list):
        raise _BadCell(f"{name} is not a list")
    found, remarks, size = [], [], 0
    for item in value:
        try:
            entry = _line(name, item)
        except _BadCell as problem:
            remarks.append(f"{problem}; left out")
            continue
        if isinstance(entry, _Lossy):
            remarks.append(entry.remark)
            entry = entry.value
        size += len(entry)
        if size > MAX_LONG_CHARS:
            remarks.append(f"{name} is longer than {MAX_LONG_CHARS:,} characters; cut")
            break
        found.append(entry)
    values = tuple(dict.fromkeys(filter(None, found)))
    return _kept(values, remarks)


def _tracks(name: str, value: Any) -> Any:
    if isinstance(value, str):
        value = _json(value)
    if not isinstance(value, list):
        raise _BadCell(f"{name} is not a JSON list")
    remarks = [f"{name} has more than {MAX_TRACKS} entries; the rest is left out"] if len(value) > MAX_TRACKS else []
    tracks = []
    for item in value[:MAX_TRACKS]:
        try:
            tracks.append(_track(name, item, remarks))
        except _BadCell as problem:
            remarks.append(f"{problem}; left out")
    return _kept(tuple(tracks), remarks)


def _kept(values: tuple[Any, ...], remarks: list[str]) -> Any:
    """Return what is left of a list. Nothing is no value: it must not empty what the catalogue has."""
    remark = "; ".join(dict.fromkeys(remarks))
    if remark and not values:
        raise _BadCell(remark.removesuffix("; left out"))
    return _Lossy(values, remark) if remark else values


def _track(name: str, value: Any, remarks: list[str]) -> Track:
    if isinstance(value, str):
        value = {"title": value}
    if not isinstance(value, dict) or not value.get("title"):
        raise _BadCell(f"{name} has an entry without a title")
    position, seconds, length = value.get("position"), value.get("duration_s"), value.get("duration")
    if seconds is not None:
        try:
            seconds = _number(f"{name}: duration_s", seconds, 0, 359_999)
        except _BadCell as problem:
            remarks.append(f"{problem}; left out")
            seconds = None
    elif isinstance(length, str) and (parts := _LENGTH.fullmatch(length.strip())):
        seconds = int(parts[1] or 0) * 3600 + int(parts[2]) * 60 + int(parts[3])
    texts = [_line(f"{name}: title", value["title"]), "" if position is None else _line(f"{name}: position", position)]
    remarks += [text.remark for text in texts if isinstance(text, _Lossy)]
    title, place = (text.value if isinstance(text, _Lossy) else text for text in texts)
    return Track(place, title, seconds)


def _with_unknown_columns(notes: str | None, cells: Mapping[str, Any], own: Mapping[str, str], losses: list[str]) -> str | None:
    found = [notes] if notes else []
    unknown = [(name, value) for name, value in cells.items() if name not in COLUMNS and value is not None and value != ""]
    for name, value in (*unknown, *own.items()):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        # The name comes from the file too.
        parts = [_line("a column's name", name), _line(_shown(name), text)]
        losses += [part.remark for part in parts if isinstance(part, _Lossy)]
        label, shown = (part.value if isinstance(part, _Lossy) else part for part in parts)
        entry = f"{label}: {shown}"
        # An export to which its old columns were added again has them in the notes only once.
        if shown and entry not in "\n".join(found).split("\n"):
            found.append(entry)
    whole = "\n".join(found)
    kept = cut(whole, MAX_LONG_CHARS)
    if len(kept) < len(whole):
        losses.append(f"notes and unknown columns together are longer than {MAX_LONG_CHARS:,} characters; cut")
    return kept or None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _shown(value: Any) -> str:
    """Return a short, printable form of a value for a message."""
    text = str(value)
    return ascii(text[:40]) if _CONTROL.search(text[:40]) else f"{text[:40]!r}"


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "source": _source,
    "source_id": _strict,
    "year": _year,
    "genres": _list,
    "styles": _list,
    "formats": _list,
    "label": _line,
    "catno": _line,
    "rating": _rating,
    "media_condition": _line,
    "sleeve_condition": _line,
    "notes": _text,
    "cover_url": _url,
    "plays": _plays,
    "tracks": _tracks,
    "barcode": _barcode,
    "mbid": _mbid,
    "instance_id": _strict,
    "own_notes": lambda name, value: _text(name, value, MAX_OWN_CHARS),
}
