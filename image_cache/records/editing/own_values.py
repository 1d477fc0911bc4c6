"""Own values: what a person typed over a source. They win, no import changes them, and the source's values are kept beside them.

The columns of an album hold what counts; `Album.source_values` holds, as JSON, what the source says of the fields that are own. So
search, filters and order need to know nothing of it. Pure functions, no I/O.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from image_cache.errors import FieldRejected
from image_cache.models import Album, Track
from image_cache.tables.cells import MAX_TRACKS, READERS, BadCell, LossyValue, read_line
from image_cache.text import sort_key

HAND = "hand"  # the source of records that were typed here: no source whose values could come back
FIELDS = {
    "artist": "Artist",
    "title": "Title",
    "label": "Label",
    "catno": "Catalogue number",
    "year": "Year",
    "formats": "Format",
    "genres": "Genre",
    "styles": "Style",
    "barcode": "Barcode",
    "media_condition": "Record condition",
    "sleeve_condition": "Sleeve condition",
    "shelf": "Shelf",
    "price": "Price paid",
    "bought": "Bought on",
    "notes": "Notes from the source",
    "tracks": "Tracks",
}
LISTS = ("genres", "styles", "formats")
_SORTS = {"artist": "artist_sort", "title": "title_sort"}
_LENGTH = re.compile(r"(?:(\d{1,2}):)?(\d{1,3}):(\d{2})")


def source_values(album: Album) -> dict[str, Any]:
    """Return what the source says of each field that is own."""
    if not album.source_values:
        return {}
    stored = json.loads(album.source_values)
    return {name: _from_json(name, value) for name, value in stored.items() if name in FIELDS}


def as_source(album: Album) -> Album:
    """Return the album as its source knows it. The very same object if nothing is own."""
    values = source_values(album)
    return _with(album, values) if values else album


def with_own(stored: Album, after: Album) -> Album:
    """Return what to store of an album that its source changed to `after`: the own values of `stored`, and beside them the source's."""
    own = source_values(stored)
    if not own:
        return after
    kept = _with(after, {name: getattr(stored, name) for name in own})
    return replace(kept, source_values=_json({name: getattr(after, name) for name in own}))


def edited(album: Album, values: Mapping[str, Any]) -> Album:
    """Return the album with typed values. One that its source has as well is no own value."""
    own = source_values(album)
    if album.source != HAND:
        for name, value in values.items():
            own.setdefault(name, getattr(album, name))
            if own[name] == value:
                del own[name]
    return replace(_with(album, values), source_values=_json(own))


def text_of(album: Album, name: str) -> str:
    """Return a field as it stands in a form."""
    return text_of_value(name, getattr(album, name))


def text_of_value(name: str, value: Any) -> str:
    if name == "tracks":
        return "\n".join(" | ".join(filter(None, (t.position, t.title, _length(t.duration_s)))) for t in value)
    if name in LISTS:
        return "; ".join(value)
    return "" if value is None else str(value)


def parse(name: str, text: str) -> Any:
    """Return the value that was typed into a field, empty ones included. Raises `FieldRejected` with what is allowed."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        return () if name in (*LISTS, "tracks") else None if name == "year" else ""
    if name == "tracks":
        return _parse_tracks(text)
    try:
        found = READERS.get(name, read_line)(FIELDS[name], text)
    except BadCell as problem:
        raise FieldRejected(name, f"{problem}.") from None
    if isinstance(found, LossyValue):  # a person can type it again; an import cannot
        raise FieldRejected(name, f"{found.remark.partition(';')[0]}.")
    return found


def _parse_tracks(text: str) -> tuple[Track, ...]:
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > MAX_TRACKS:
        raise FieldRejected("tracks", f"Tracks must be at most {MAX_TRACKS} lines, not {len(lines)}.")
    return tuple(_parse_track(number, line) for number, line in enumerate(lines, 1))


def _parse_track(number: int, text: str) -> Track:
    parts = [part.strip() for part in text.split("|")]
    seconds = None
    if len(parts) > 1 and (length := _LENGTH.fullmatch(parts[-1])):
        seconds = int(length[1] or 0) * 3600 + int(length[2]) * 60 + int(length[3])
        parts.pop()
    position = parts.pop(0) if len(parts) > 1 else ""
    title = " | ".join(parts)
    for what, limit in ((title, 200), (position, 40)):
        if len(what) > limit or not what.isprintable():
            raise FieldRejected("tracks", f"Line {number} of the tracks must be like A1 | Title | 3:45.")
    if not title:
        raise FieldRejected("tracks", f"Line {number} of the tracks must have a title, like A1 | Title | 3:45.")
    return Track(position, title, seconds)


def _with(album: Album, values: Mapping[str, Any]) -> Album:
    sorts: dict[str, Any] = {_SORTS[name]: sort_key(value) for name, value in values.items() if name in _SORTS}
    return replace(album, **values, **sorts)


def _json(values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    plain = {
        name: [[t.position, t.title, t.duration_s] for t in value] if name == "tracks" else value
        for name, value in values.items()
    }
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _from_json(name: str, value: Any) -> Any:
    if name == "tracks":
        return tuple(Track(*track) for track in value)
    return tuple(value) if name in LISTS else value


def _length(seconds: int | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
