"""The JSON of Discogs to rows of ours. Pure functions: whatever the answer holds, what comes out is bounded text and numbers.

A record is never refused for a long note or a strange letter: such a value is cut or left out, because nobody here can mend it.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from image_cache.errors import ImportRejected, OriginDenied
from image_cache.models import AlbumRow, Track
from image_cache.net.url import parse_url
from image_cache.tables.rows import MAX_CHARS, MAX_LONG_CHARS, MAX_TRACKS, YEARS

SOURCE = "discogs"
MEDIA, SLEEVE, NOTES = "media", "sleeve", "notes"
FIELDS: Mapping[str, str] = {"1": MEDIA, "2": SLEEVE, "3": NOTES}  # the three that every collection has
MAX_FIELDS = 40
MAX_PARTS = 60  # artists, labels, formats of one record
MAX_ID = 2**53
MAX_URL_CHARS = 2000

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_NUMBERED = re.compile(r"\s+\(\d{1,5}\)$")  # how Discogs tells artists of one name apart: "Genesis (6)"
_DUMMY = re.compile(
    r"(?:^|[-_.])(?:spacer|blank|placeholder|no[-_]?(?:image|cover|picture)|default[-_]?[a-z]*)\.(?:gif|png|jpe?g|svg|webp)$",
    re.I,
)
_LENGTH = re.compile(r"(?:(\d{1,3}):)?(\d{1,4}):(\d{2})")
_BARCODE = re.compile(r"\d{8,14}")


@dataclass(frozen=True, slots=True)
class CollectionPage:
    """One page of a collection. `pages` and `items` are what Discogs said with this page; `rows` are in its order.

    `instances` are the copies on it, also of entries that make no row: what cannot be read is not gone.
    """

    number: int
    pages: int
    items: int
    rows: tuple[AlbumRow | ImportRejected, ...]
    instances: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Details:
    """What only the release itself tells: tracks, digits of a barcode, the address of its first picture; empty when it has none."""

    tracks: tuple[Track, ...] = ()
    barcode: str = ""
    cover_url: str | None = None


def fields_from(data: Any) -> dict[str, str]:
    """Return what the fields of notes mean: their id (as text) to `media`, `sleeve`, `notes`, or their own name."""
    found = dict(FIELDS)
    for field in _list(data.get("fields") if isinstance(data, dict) else None, MAX_FIELDS):
        number, name = _number(field.get("id"), 1, MAX_ID), _line(field.get("name"))
        if number is not None and str(number) not in FIELDS and name:
            found[str(number)] = name
    return found


def page_from(number: int, data: Any, fields: Mapping[str, str]) -> CollectionPage | None:
    """Return a page of a collection, or None when the answer is none."""
    if not isinstance(data, dict) or not isinstance(data.get("pagination"), dict) or not isinstance(data.get("releases"), list):
        return None
    told = data["pagination"]
    items, pages = _number(told.get("items"), 0, MAX_ID), _number(told.get("pages"), 0, MAX_ID)
    size = _number(told.get("per_page"), 1, 1000) or 100
    if items is None or pages is None:
        return None
    shown = data["releases"][:size]
    rows = tuple(_row_or_reason((number - 1) * size + n, item, fields) for n, item in enumerate(shown, 1))
    copies = (_number(item.get("instance_id"), 1, MAX_ID) for item in shown if isinstance(item, dict))
    return CollectionPage(number, pages, items, rows, tuple(str(copy) for copy in copies if copy))


def row_from_item(line: int, item: Any, fields: Mapping[str, str]) -> AlbumRow:
    """Return the row of a record in a collection. Everything that a listing tells is said, also that something is empty.

    Raises `ImportRejected` when it has no release or no title.
    """
    basic = item.get("basic_information") if isinstance(item, dict) else None
    if not isinstance(basic, dict):
        raise ImportRejected(line, "an entry without a description")
    release = _number(basic.get("id"), 1, MAX_ID) or _number(item.get("id"), 1, MAX_ID)
    title = _line(basic.get("title"))
    if release is None:
        raise ImportRejected(line, "an entry without the number of its release")
    if not title:
        raise ImportRejected(line, f"release {release} has no title")
    labels = _list(basic.get("labels"), MAX_PARTS)
    said = _notes(item.get("notes"), fields)
    instance = _number(item.get("instance_id"), 1, MAX_ID)
    return AlbumRow(
        line=line,
        title=title,
        artist=artist_name(basic.get("artists")),
        source=SOURCE,
        source_id=str(release),
        instance_id=str(instance or ""),
        year=_number(basic.get("year"), *YEARS),
        genres=_texts(basic.get("genres")),
        styles=_texts(basic.get("styles")),
        formats=_formats(basic.get("formats")),
        label=_joined(_NUMBERED.sub("", _line(label.get("name"))) for label in labels),
        catno=_joined(catno for label in labels if (catno := _line(label.get("catno"))).lower() != "none"),
        rating=_number(item.get("rating"), 1, 5),
        added_at=_moment(item.get("date_added")),
        media_condition=said.pop(MEDIA, "")[:MAX_CHARS],
        sleeve_condition=said.pop(SLEEVE, "")[:MAX_CHARS],
        notes=_notes_text(said),
        cover_url=cover_address(basic.get("cover_image")) or cover_address(basic.get("thumb")),
    )


def details_from(data: Any) -> Details | None:
    """Return what a release tells, or None when the answer is no release."""
    if not isinstance(data, dict) or _number(data.get("id"), 1, MAX_ID) is None:
        return None
    tracks: list[Track] = []
    for entry in _list(data.get("tracklist"), MAX_TRACKS):
        inner = _list(entry.get("sub_tracks"), MAX_TRACKS)
        # A heading names what follows; an entry with parts is shown as its parts, unless it has the position itself.
        if entry.get("type_") != "heading" and (not inner or _line(entry.get("position"))):
            inner = [entry]
        tracks += [track for part in inner if (track := _track(part)) is not None]
    codes = ("".join(filter(str.isdigit, _line(one.get("value")))) for one in _identifiers(data))
    images = sorted(_list(data.get("images"), MAX_PARTS), key=lambda image: image.get("type") != "primary")
    return Details(
        tracks=tuple(tracks[:MAX_TRACKS]),
        barcode=next((code for code in codes if code.isascii() and _BARCODE.fullmatch(code)), ""),
        cover_url=next((url for image in images if (url := cover_address(image.get("uri")))), None),
    )


def artist_name(artists: Any) -> str:
    """Return the artists of a record as its sleeve joins them: the spelling used there, and no numbers in brackets."""
    text, glue = "", ""
    for artist in _list(artists, MAX_PARTS):
        name = _line(artist.get("anv")) or _NUMBERED.sub("", _line(artist.get("name")))
        if not name:
            continue
        join = _line(artist.get("join"))
        text += glue + name
        glue = ", " if join in ("", ",") else f" {join} "
    return text[:MAX_CHARS].strip()


def cover_address(value: Any) -> str | None:
    """Return the address of a picture, or None for what is no address, and for the pictures that stand for none."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_URL_CHARS:
        return None
    try:
        parse_url(value)
        name = urlsplit(value).path.rpartition("/")[2]
    except (OriginDenied, ValueError):
        return None
    return None if not name or _DUMMY.search(name) else value


def _row_or_reason(line: int, item: Any, fields: Mapping[str, str]) -> AlbumRow | ImportRejected:
    try:
        return row_from_item(line, item, fields)
    except ImportRejected as problem:
        return problem


def _notes(notes: Any, fields: Mapping[str, str]) -> dict[str, str]:
    """Return what stands in the fields of a copy, by their meaning, in the order of their numbers."""
    found: dict[str, str] = {}
    for note in sorted(_list(notes, MAX_FIELDS), key=lambda one: _number(one.get("field_id"), 1, MAX_ID) or MAX_ID):
        number, text = _number(note.get("field_id"), 1, MAX_ID), _text(note.get("value"), MAX_LONG_CHARS)
        if number is not None and text:
            found[fields.get(str(number), f"Field {number}")] = text
    return found


def _notes_text(said: dict[str, str]) -> str:
    """Return the notes with a line for each field of the collector's own, as the table of Discogs has them."""
    lines = [said.pop(NOTES, ""), *(f"{name}: {' '.join(text.split())}" for name, text in said.items())]
    return "\n".join(line for line in lines if line)[:MAX_LONG_CHARS].strip()


def _formats(formats: Any) -> tuple[str, ...]:
    found: list[str] = []
    for one in _list(formats, MAX_PARTS):
        found += [_line(one.get("name")), *_texts(one.get("descriptions"))]
    return tuple(dict.fromkeys(text for text in found if text))[:MAX_PARTS]


def _track(entry: Mapping[str, Any]) -> Track | None:
    title = _line(entry.get("title"))
    if not title:
        return None
    artist = artist_name(entry.get("artists"))
    length = entry.get("duration")
    parts = _LENGTH.fullmatch(length.strip()) if isinstance(length, str) and len(length) < 20 else None
    seconds = int(parts[1] or 0) * 3600 + int(parts[2]) * 60 + int(parts[3]) if parts else None
    shown = f"{artist} \N{EN DASH} {title}" if artist else title
    return Track(_line(entry.get("position"))[:20], shown[:MAX_CHARS], seconds)


def _identifiers(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one for one in _list(data.get("identifiers"), 200) if _line(one.get("type")).lower() == "barcode"]


def _text(value: Any, limit: int) -> str:
    """Return bounded text in one spelling; "" for what is no text."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value)[: limit * 4] if isinstance(value, str) else str(value % MAX_ID)
    text = unicodedata.normalize("NFC", _CONTROL.sub("", text)).replace("\r\n", "\n").replace("\r", "\n")
    return text.strip()[:limit].strip()


def _line(value: Any) -> str:
    return " ".join(_text(value, MAX_CHARS).split())


def _texts(values: Any) -> tuple[str, ...]:
    found = (_line(value) for value in (values if isinstance(values, list) else ())[:MAX_PARTS])
    return tuple(dict.fromkeys(text for text in found if text))


def _joined(texts: Any) -> str:
    return ", ".join(dict.fromkeys(text for text in texts if text))[:MAX_CHARS].strip(" ,")


def _list(values: Any, most: int) -> list[dict[str, Any]]:
    return [value for value in values[:most] if isinstance(value, dict)] if isinstance(values, list) else []


def _number(value: Any, low: int, high: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high else None


def _moment(value: Any) -> float | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and len(value) < 40 else None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() if moment else -1.0
    except (ValueError, OverflowError):
        return None
    return seconds if seconds >= 0 else None
