"""Checksums: what an origin promises in its headers, and what the bytes are, computed while they pass."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from image_cache.errors import ChecksumMismatch

# Names in headers, ours, and the length of the value. Digest is RFC 3230, Repr-Digest RFC 9530, Content-MD5 RFC 1864.
ALGORITHMS = {"sha-256": ("sha256", 32), "sha-512": ("sha512", 64), "md5": ("md5", 16)}
MAX_HEADER_CHARS = 2000
_HEX64 = re.compile(r"[0-9a-fA-F]{64}")


def is_sha256(text: str) -> bool:
    return _HEX64.fullmatch(text) is not None


def announced(headers: Mapping[str, str], *, is_whole: bool) -> dict[str, str]:
    """Return {algorithm: hex} of what the headers promise about the whole file.

    `is_whole`: the body is all of it. A Content-MD5 speaks of the body, the other two of the file also beside a part of it.
    What cannot be read is passed over: it promises nothing.
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
    """Runs all wanted algorithms over the bytes that it is fed. SHA-256 is always one of them."""

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
        """Compare with what was promised. Raises `ChecksumMismatch`."""
        for name, expected in promised.items():
            found = str(self._hashes[name].hexdigest())
            if found != expected.lower():
                raise ChecksumMismatch(url, name, expected.lower(), found)


def _entries(header: str) -> Iterable[tuple[str, str]]:
    for entry in header[:MAX_HEADER_CHARS].split(","):
        name, _, value = entry.partition("=")
        yield name.strip().lower(), value.partition(";")[0]
