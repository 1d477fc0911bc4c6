"""What the beginning of an answer says: which version it is, which part of it, and whether it can be the file at all."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypedDict

from image_cache.errors import FileRejected

_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,256}"')
_DATE = re.compile(r"[A-Za-z0-9,: +-]{10,64}")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_OUTSIDE = re.compile(r"bytes \*/([0-9]{1,18})")


class Validators(TypedDict):
    etag: str
    last_modified: str
    is_strong_date: bool


class Range(NamedTuple):
    """First and last byte of an answer, and the length of the whole when the origin knows it."""

    start: int
    end: int
    total: int | None


def validators(headers: Mapping[str, str]) -> Validators:
    """Return what names the version; empty where nothing does, or nothing that can be read.

    A date stands for one version when it lies a second before the answer (RFC 9110, 8.8.2.2).
    """
    date = _matching(_DATE, headers.get("Last-Modified", ""))
    try:
        age = parsedate_to_datetime(headers.get("Date", "")) - parsedate_to_datetime(date)
        is_strong = age.total_seconds() >= 1
    except (ValueError, TypeError, OverflowError):
        is_strong = False
    return {"etag": _matching(_ETAG, headers.get("ETag", "")), "last_modified": date, "is_strong_date": is_strong}


def content_range(headers: Mapping[str, str]) -> Range | None:
    found = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    return Range(int(found[1]), int(found[2]), None if found[3] == "*" else int(found[3])) if found else None


def is_complete(headers: Mapping[str, str], offset: int, etag: str) -> bool:
    """Tell whether a 416 means that `offset` bytes are the whole file: it was cut between its last byte and its place."""
    found = _OUTSIDE.fullmatch(headers.get("Content-Range", "").strip())
    return found is not None and int(found[1]) == offset and validators(headers)["etag"] in ("", etag)


def check_head(name: str, head: bytes) -> None:
    """Refuse a page that came instead of a file, before gigabytes of it are kept. Raises `FileRejected`.

    Only the first bytes are looked at; whether a volume can be read is the preview's question.
    """
    lower = name.lower()
    is_page = head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))
    if lower.endswith((".gz", ".tgz", ".mgz")):
        if head[:2] != b"\x1f\x8b":
            raise FileRejected(name, "a gzip file", "a web page" if is_page else f"bytes that begin with {head[:4].hex(' ')}")
    elif is_page and not lower.endswith((".html", ".htm", ".xhtml")) and "." in lower:
        raise FileRejected(name, "a file", "a web page")


def _matching(pattern: re.Pattern[str], value: str) -> str:
    return value if pattern.fullmatch(value) else ""
