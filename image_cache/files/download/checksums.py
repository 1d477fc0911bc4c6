"""Checksums and HTTP headers of a download: what an origin promises about a file, and what its bytes are."""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from image_cache.errors import ChecksumMismatch, FileRejected

# Names in headers, ours, and the length of the value. Digest is RFC 3230, Repr-Digest RFC 9530, Content-MD5 RFC 1864.
ALGORITHMS = {"sha-256": ("sha256", 32), "sha-512": ("sha512", 64), "md5": ("md5", 16)}
MAX_HEADER_CHARS = 2000
READ_BYTES = 1 << 20
_HEX64 = re.compile(r"[0-9a-fA-F]{64}")
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,256}"')
_DATE = re.compile(r"[A-Za-z0-9,: +-]{10,64}")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_OUTSIDE = re.compile(r"bytes \*/([0-9]{1,18})")


class Validators(TypedDict):
    etag: str
    last_modified: str
    is_strong_date: bool


class Range(NamedTuple):
    """First and last byte of a partial response, and the length of the whole if the origin knows it."""

    start: int
    end: int
    total: int | None


def is_sha256(text: str) -> bool:
    return _HEX64.fullmatch(text) is not None


def announced(headers: Mapping[str, str], *, is_whole: bool) -> dict[str, str]:
    """Return the checksums of the whole file that the headers announce, as {algorithm: hex}.

    `is_whole`: the body is the whole file. Content-MD5 is of the body, the other two of the file also if only a part of it is sent.
    What cannot be parsed is ignored.
    """
    promised: dict[str, str] = {}
    entries = [*_entries(headers.get("Digest", "")), *_entries(headers.get("Repr-Digest", ""))]
    if is_whole and "Content-MD5" in headers:
        entries.append(("md5", headers["Content-MD5"]))
    for name, value in entries:
        if name in ALGORITHMS:
            ours, length = ALGORITHMS[name]
            try:
                raw = base64.b64decode(value.strip().strip(":"), validate=True)
            except (binascii.Error, ValueError):
                continue
            if len(raw) == length:
                promised[ours] = raw.hex()
    return promised


class Hasher:
    """Hashes bytes with several algorithms at once. SHA-256 is always one of them."""

    def __init__(self, algorithms: Iterable[str] = ()) -> None:
        self.fed_bytes = 0
        self._hashes: dict[str, Any] = {
            name: hashlib.new(name, usedforsecurity=False) for name in sorted({"sha256", *algorithms})
        }

    @property
    def algorithms(self) -> set[str]:
        return set(self._hashes)

    def feed(self, data: bytes | memoryview) -> None:
        for value in self._hashes.values():
            value.update(data)
        self.fed_bytes += len(data)

    @property
    def sha256(self) -> str:
        return str(self._hashes["sha256"].hexdigest())

    def check(self, url: str, promised: Mapping[str, str]) -> None:
        """Raise `ChecksumMismatch` if a promised checksum differs."""
        for name, expected in promised.items():
            found = str(self._hashes[name].hexdigest())
            if found != expected.lower():
                raise ChecksumMismatch(url, name, expected.lower(), found)


def hash_file(path: Path, step: Callable[[int], object] | None = None) -> tuple[str, int]:
    """Return the SHA-256 of a file and its modification time in nanoseconds. `step` is called with the size of each read."""
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(READ_BYTES))
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
        mtime_ns = os.fstat(file.fileno()).st_mtime_ns
        while count := file.readinto(buffer):
            sha256.update(buffer[:count])
            if step is not None:
                step(count)
    return sha256.hexdigest(), mtime_ns


def validators(headers: Mapping[str, str]) -> Validators:
    """Return the validators of the version; empty where there is none, or none that can be parsed.

    A date is a strong validator if it is at least a second before the response (RFC 9110, 8.8.2.2).
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


def is_whole_by_416(headers: Mapping[str, str], offset: int, etag: str, total_bytes: int | None) -> bool:
    """Return True if a 416 means that `offset` bytes are the whole file: the fetch was cut after its last byte.

    `total_bytes` is the length that was announced before, None if none was: less than that is never the whole.
    """
    found = _OUTSIDE.fullmatch(headers.get("Content-Range", "").strip())
    is_end = found is not None and int(found[1]) == offset and total_bytes in (None, offset)
    return is_end and validators(headers)["etag"] in ("", etag)


def check_head(name: str, head: bytes) -> None:
    """Raise `FileRejected` for a web page instead of a file, before gigabytes of it are stored.

    Only the first bytes are checked; whether a volume can be read is for its preview to find out.
    """
    lower = name.lower()
    is_page = head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))
    if lower.endswith((".gz", ".tgz", ".mgz")):
        if head[:2] != b"\x1f\x8b":
            raise FileRejected(name, "a gzip file", "a web page" if is_page else f"data that starts with {head[:4].hex(' ')}")
    elif is_page and not lower.endswith((".html", ".htm", ".xhtml")) and "." in lower:
        raise FileRejected(name, "a file", "a web page")


def _matching(pattern: re.Pattern[str], value: str) -> str:
    return value if pattern.fullmatch(value) else ""


def _entries(header: str) -> Iterable[tuple[str, str]]:
    for entry in header[:MAX_HEADER_CHARS].split(","):
        name, _, value = entry.partition("=")
        yield name.strip().lower(), value.partition(";")[0]
