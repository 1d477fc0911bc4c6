"""Validation of names and texts: bounded, plain text only. No regular expression here backtracks."""

import re
import unicodedata
import uuid

from image_cache.errors import FieldRejected, NotVisible
from image_cache.models import ImageVisibility

MAX_TITLE_CHARS = 200
MAX_DESCRIPTION_CHARS = 2000
MAX_FILENAME_CHARS = 200
MAX_DATE_CHARS = 60

SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
PAGE = re.compile(r"[a-z0-9_]{1,40}")
IMAGE_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TAG = re.compile(r"<[A-Za-z/!?]")
_GAPS = re.compile(r"[^a-z0-9]+")
_LINE_ENDS = "\n\r\t"


def checked_title(text: str) -> str:
    return checked_plain("title", text, MAX_TITLE_CHARS, lines=False)


def checked_description(text: str) -> str:
    return checked_plain("description", text, MAX_DESCRIPTION_CHARS, lines=True)


def checked_event_date(text: object) -> str:
    """Return the date of an event: an ISO date, or short words such as "every Thursday". Raises `FieldRejected`."""
    return checked_plain("date", text, MAX_DATE_CHARS, lines=False)  # type: ignore[arg-type]  # checked there


def checked_slug(text: str) -> str:
    """Return the name of a stream. Raises `FieldRejected`."""
    if not isinstance(text, str) or not SLUG.fullmatch(text):
        raise FieldRejected(
            "slug", "A stream address can have up to 64 characters: a-z, 0-9, - and _. It must start with a letter or digit."
        )
    return text


def checked_page(text: str) -> str:
    """Return the name of a page scope. Raises `FieldRejected`."""
    if not isinstance(text, str) or not PAGE.fullmatch(text):
        raise FieldRejected("page", "A page name can have up to 40 characters: a-z, 0-9 and _.")
    return text


def checked_visibility(value: object) -> ImageVisibility:
    """Parse a visibility. Raises `FieldRejected`."""
    if isinstance(value, ImageVisibility):
        return value
    try:
        return ImageVisibility(value)
    except ValueError:
        raise FieldRejected("visibility", "visibility must be public, subscribers or private.") from None


def checked_stream_field(name: str, value: object) -> str:
    """Return a changed field of a stream, other than its texts, as it is stored. Raises `FieldRejected`."""
    if name == "visibility":
        return checked_visibility(value).value
    if name == "event_date":
        return checked_event_date(value)
    if name == "shows_taken":
        return str(int(value is True))
    if name == "cover_id" and isinstance(value, str):
        return checked_image_id(value) if value else ""
    raise FieldRejected(name[:40], "This field cannot be changed.")


def checked_image_id(text: str) -> str:
    """Return the id of an image. Raises `NotVisible`: a malformed id is like one that does not exist."""
    if not isinstance(text, str) or not IMAGE_ID.fullmatch(text):
        raise NotVisible
    return text


def new_image_id(random: bytes) -> str:
    """Format 16 random bytes as a UUID. All 128 bits are random; a version 4 UUID has 122."""
    return str(uuid.UUID(bytes=random))


def slug_of(title: str) -> str:
    """Return a slug made from a title, empty if nothing of it can be used."""
    ascii_ = unicodedata.normalize("NFKD", title[:MAX_TITLE_CHARS]).encode("ascii", "ignore").decode().lower()
    return _GAPS.sub("-", ascii_).strip("-")[:64].rstrip("-")


def shown_filename(name: str) -> str:
    """Return the uploaded file name, safe to display. It is never used as a path."""
    bare = name.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in _encodable(bare) if char.isprintable())[:MAX_FILENAME_CHARS] or "unnamed"


def checked_plain(field: str, text: str, limit: int, *, lines: bool) -> str:
    """Return plain text of a limited length. Raises `FieldRejected`, which names the field."""
    if not isinstance(text, str):
        raise FieldRejected(field, f"The {field} must be text.")
    if len(text) > limit:
        raise FieldRejected(field, f"The {field} is too long: {len(text):,} characters, and the limit is {limit:,}.")
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").strip()
    if text != _encodable(text) or any(not (c.isprintable() or (lines and c in _LINE_ENDS) or c == "\u200d") for c in text):
        raise FieldRejected(field, f"The {field} contains characters that cannot be displayed.")
    if _TAG.search(text):
        raise FieldRejected(field, f"The {field} must not contain HTML.")
    return text


def _encodable(text: str) -> str:
    return text.encode("utf-8", errors="replace").decode("utf-8")
