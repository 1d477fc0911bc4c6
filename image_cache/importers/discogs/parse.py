"""Discogs parser: JSON of the API to rows. Pure functions; whatever a response holds, the result is bounded text and numbers.

A record is never rejected for a long note or an illegal character: such a value is cut or left out, because users cannot correct it
here.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from image_cache.errors import ImportRejected, OriginDenied
from image_cache.frozen import frozen
from image_cache.import_models import ImportRow
from image_cache.models import Track
from image_cache.net.json_values import as_object, integer, objects
from image_cache.net.url import parse_url
from image_cache.tables.cells import MAX_CHARS, MAX_LONG_CHARS, MAX_TRACKS, READERS, YEARS, BadCell, cut_remark
from image_cache.tables.discogs_words import formats_of_api, short_grade
from image_cache.tables.rows import IN_NOTES, UNTITLED, own_field
from image_cache.text import cut

SOURCE = "discogs"
MEDIA, SLEEVE, NOTES = "media", "sleeve", "notes"
SHELF, PRICE, BOUGHT = "shelf", "price", "bought"  # fields that collectors add themselves
FIELDS: Mapping[str, str] = {"1": MEDIA, "2": SLEEVE, "3": NOTES}  # the three that every collection has
MAX_FIELDS = 40
MAX_PARTS = 60  # artists, labels or formats of one record
MAX_ID = 2**53
MAX_URL_CHARS = 2000
MAX_NOTE_CHARS = 2 * MAX_LONG_CHARS  # of one field of the notes, which are cut as a whole

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
NUMBERED = re.compile(r"\s+\(\d{1,5}\)$")  # how Discogs tells artists of one name apart: "Genesis (6)"
_DUMMY = re.compile(
    r"(?:^|[-_.])(?:spacer|blank|placeholder|no[-_]?(?:image|cover|picture)|default[-_]?[a-z]*)\.(?:gif|png|jpe?g|svg|webp)$",
    re.I,
)
_LENGTH = re.compile(r"(?:(\d{1,3}):)?(\d{1,4}):(\d{2})")
BARCODE = re.compile(r"\d{8,14}")


@frozen
class CollectionPage:
    """One page of a collection. `pages` and `items` are the totals that came with it; `rows` are in its order.

    `instances` are the copies on it, also of rejected entries: what cannot be read has not gone.
    """

    number: int
    pages: int
    items: int
    rows: tuple[ImportRow | ImportRejected, ...]
    instances: tuple[str, ...] = ()


@frozen
class Details:
    """What only the release itself has: tracks, the digits of a barcode, the address of its first image; empty if it has none."""

    tracks: tuple[Track, ...] = ()
    barcode: str = ""
    cover_url: str | None = None


def fields_from(data: Any) -> dict[str, str]:
    """Return the meaning of the notes fields: their id (as text) to `media`, `sleeve`, `notes`, `shelf`, `price`, `bought`, or their name."""
    found = dict(FIELDS)
    for field in objects(as_object(data).get("fields"), MAX_FIELDS):
        number, name = integer(field.get("id"), 1, MAX_ID), line_from(field.get("name"))
        if number is not None and str(number) not in FIELDS and name:
            ours = own_field(name)
            # A field of that name which is not one of the three, or one more shelf, is a line of the notes.
            is_taken = name in (MEDIA, SLEEVE, NOTES) or ours in found.values()
            found[str(number)] = name.capitalize() if is_taken else ours or name
    return found


def page_from(number: int, data: Any, fields: Mapping[str, str]) -> CollectionPage | None:
    """Return a page of a collection, or None if the response is no such page."""
    if not isinstance(data, dict) or not isinstance(data.get("pagination"), dict) or not isinstance(data.get("releases"), list):
        return None
    totals = data["pagination"]
    items, pages = integer(totals.get("items"), 0, MAX_ID), integer(totals.get("pages"), 0, MAX_ID)
    size = integer(totals.get("per_page"), 1, 1000) or 100
    if items is None or pages is None:
        return None
    shown = data["releases"][:size]
    rows = tuple([_row_or_reason((number - 1) * size + n, item, fields) for n, item in enumerate(shown, 1)])
    copies = [integer(item.get("instance_id"), 1, MAX_ID) for item in shown if isinstance(item, dict)]
    return CollectionPage(number, pages, items, rows, tuple(map(str, filter(None, copies))))


def row_from_item(line: int, item: Any, fields: Mapping[str, str]) -> ImportRow:
    """Return the row of a record in a collection. A value that the listing has is set, even if it is empty.

    Raises `ImportRejected` if the entry has no release, or neither artist nor title.
    """
    basic = item.get("basic_information") if isinstance(item, dict) else None
    if not isinstance(basic, dict):
        raise ImportRejected(line, "an entry without a description")
    release = integer(basic.get("id"), 1, MAX_ID) or integer(item.get("id"), 1, MAX_ID)
    losses: list[str] = []

    def short(name: str, text: str, limit: int = MAX_CHARS) -> str:
        if len(text) > limit:
            losses.append(cut_remark(name, limit))
        return cut(text, limit)

    title = short("title", " ".join(text_from(basic.get("title"), MAX_LONG_CHARS).split()))
    if release is None:
        raise ImportRejected(line, "an entry without a release number")
    artist = short("artist", _artist_names(basic.get("artists")))
    if not title and not artist:
        raise ImportRejected(line, f"release {release} has neither artist nor title")
    labels = objects(basic.get("labels"), MAX_PARTS)
    notes = _notes(item.get("notes"), fields)
    instance = integer(item.get("instance_id"), 1, MAX_ID)
    shelf, price, bought = (_own(name, notes, fields, losses) for name in (SHELF, PRICE, BOUGHT))
    return ImportRow(
        line=line,
        title=title or UNTITLED,
        artist=artist,
        source=SOURCE,
        source_id=str(release),
        instance_id=str(instance or ""),
        year=integer(basic.get("year"), *YEARS),
        genres=texts_from(basic.get("genres")),
        styles=texts_from(basic.get("styles")),
        formats=_formats(basic.get("formats")),
        label=short("label", _joined([NUMBERED.sub("", line_from(label.get("name"))) for label in labels])),
        catno=short("catno", _joined([catno for label in labels if (catno := line_from(label.get("catno"))).lower() != "none"])),
        rating=integer(item.get("rating"), 1, 5),
        added_at=_moment(item.get("date_added")),
        media_condition=short("media_condition", short_grade(notes.pop(MEDIA, ""))),
        sleeve_condition=short("sleeve_condition", short_grade(notes.pop(SLEEVE, ""))),
        notes=short("notes", _notes_text(notes), MAX_LONG_CHARS),
        cover_url=usable_cover_url(basic.get("cover_image")) or usable_cover_url(basic.get("thumb")),
        losses=tuple(losses),
        shelf=shelf,
        price=price,
        bought=bought,
    )


def details_from(data: Any) -> Details | None:
    """Return the details of a release, or None if the response is no release."""
    if not isinstance(data, dict) or integer(data.get("id"), 1, MAX_ID) is None:
        return None
    tracks: list[Track] = []
    for entry in objects(data.get("tracklist"), MAX_TRACKS):
        inner = objects(entry.get("sub_tracks"), MAX_TRACKS)
        # A heading names what follows it; an entry with parts is replaced by them, unless it has a position itself.
        if entry.get("type_") != "heading" and (not inner or line_from(entry.get("position"))):
            inner = [entry]
        tracks += [track for part in inner if (track := _track(part)) is not None]
    codes = ("".join(filter(str.isdigit, line_from(code.get("value")))) for code in _barcodes(data))
    images = sorted(objects(data.get("images"), MAX_PARTS), key=lambda image: image.get("type") != "primary")
    return Details(
        tracks=tuple(tracks[:MAX_TRACKS]),
        barcode=next((code for code in codes if code.isascii() and BARCODE.fullmatch(code)), ""),
        cover_url=next((url for image in images if (url := usable_cover_url(image.get("uri")))), None),
    )


def artist_name(artists: Any) -> str:
    """Return the artists of a record as printed on its sleeve: in that spelling, joined as there, without numbers in brackets."""
    return cut(_artist_names(artists), MAX_CHARS)


def _artist_names(artists: Any) -> str:
    text, glue = "", ""
    for artist in objects(artists, MAX_PARTS):
        name = line_from(artist.get("anv")) or NUMBERED.sub("", line_from(artist.get("name")))
        if not name:
            continue
        join = line_from(artist.get("join"))
        text += glue + name
        glue = ", " if join in ("", ",") else f" {join} "
    return text.strip()


def usable_cover_url(value: Any) -> str | None:
    """Return the address of an image, or None for text that is no address, and for placeholders."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_URL_CHARS:
        return None
    try:
        name = parse_url(value).url.partition("?")[0].rpartition("/")[2]
    except OriginDenied:
        return None
    return None if not name or _DUMMY.search(name) else value


def _row_or_reason(line: int, item: Any, fields: Mapping[str, str]) -> ImportRow | ImportRejected:
    try:
        return row_from_item(line, item, fields)
    except ImportRejected as problem:
        return problem


def _notes(notes: Any, fields: Mapping[str, str]) -> dict[str, str]:
    """Return the notes of a copy by the meaning of their fields, in the order of the field numbers."""
    numbered = [(integer(note.get("field_id"), 1, MAX_ID), note.get("value")) for note in objects(notes, MAX_FIELDS)]
    found: dict[str, str] = {}
    for number, value in sorted([(number, value) for number, value in numbered if number is not None], key=itemgetter(0)):
        if text := text_from(value, MAX_NOTE_CHARS):
            found[fields.get(str(number), f"Field {number}")] = text
    return found


def _own(name: str, notes: dict[str, str], fields: Mapping[str, str], losses: list[str]) -> str | None:
    """Take the value of a field of the collector's own out of the notes; None if the collection has no such field.

    What is no price or no date stays in the notes, under another name.
    """
    if name not in fields.values():
        return None
    text = notes.pop(name, "")
    try:
        found = READERS[name](name, text) if text else ""
    except BadCell as problem:
        notes[IN_NOTES[name]] = text
        losses.append(f"{problem}; put in the notes")
        return ""
    return str(getattr(found, "value", found))


def _notes_text(notes: dict[str, str]) -> str:
    """Return the notes with a line for each custom field, as in the table that Discogs exports."""
    lines = [notes.pop(NOTES, ""), *[f"{name}: {' '.join(text.split())}" for name, text in notes.items()]]
    return "\n".join(filter(None, lines))


def _formats(formats: Any) -> tuple[str, ...]:
    found: list[str] = []
    for entry in objects(formats, MAX_PARTS):
        quantity = str(entry.get("qty") or "")
        number = int(quantity) if quantity.isascii() and quantity.isdecimal() and len(quantity) <= 3 else 1
        found += formats_of_api(line_from(entry.get("name")), number, texts_from(entry.get("descriptions")))
    return tuple(dict.fromkeys(filter(None, found)))[:MAX_PARTS]


def _track(entry: Mapping[str, Any]) -> Track | None:
    title = line_from(entry.get("title"))
    if not title:
        return None
    artist = artist_name(entry.get("artists"))
    length = entry.get("duration")
    parts = _LENGTH.fullmatch(length.strip()) if isinstance(length, str) and len(length) < 20 else None
    seconds = int(parts[1] or 0) * 3600 + int(parts[2]) * 60 + int(parts[3]) if parts else None
    shown = f"{artist} \N{EN DASH} {title}" if artist else title
    return Track(line_from(entry.get("position"))[:20], cut(shown, MAX_CHARS), seconds)


def _barcodes(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [code for code in objects(data.get("identifiers"), 200) if line_from(code.get("type")).lower() == "barcode"]


def text_from(value: Any, limit: int) -> str:
    """Return bounded text, composed (NFC) and without control characters; "" for a value that is no text."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value)[: limit * 4] if isinstance(value, str) else str(value % MAX_ID)
    text = unicodedata.normalize("NFC", _CONTROL.sub("", text)).replace("\r\n", "\n").replace("\r", "\n")
    return cut(text.strip(), limit)


def line_from(value: Any) -> str:
    is_plain = isinstance(value, str) and len(value) <= MAX_CHARS and value.isascii() and value.isprintable()
    return " ".join((value if is_plain else text_from(value, MAX_CHARS)).split())


def texts_from(values: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(line_from, values[:MAX_PARTS])))) if isinstance(values, list) else ()


def _joined(texts: list[str]) -> str:
    return ", ".join(dict.fromkeys(filter(None, texts)))


def _moment(value: Any) -> float | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and len(value) < 40 else None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() if moment else -1.0
    except (ValueError, OverflowError):
        return None
    return seconds if seconds >= 0 else None
