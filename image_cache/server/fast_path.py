"""Fast path: responses from the main loop, without a thread, to plain requests for covers that are in memory.

A browser that shows the wall sends sixty such requests, and they differ in their first line only. So the headers after that line are
judged once, by one strict pattern, and looked up from then on; a response is put together once, but for the second in its Date. A
request that is not plain is passed on: this may be strict. Knows HTTP and no application.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import NamedTuple, Protocol

from image_cache.engine.key import Key

MAX_HEADER_BLOCKS = 64  # remembered as plain: a few for each browser, because the Referer differs from page to page
MAX_BLOCK_BYTES = 4096
MAX_PREPARED = 512  # responses of 1 KB, besides the body, which the memory tier holds anyway

_LINE = re.compile(rb"GET (/cache/[a-z0-9-]{1,24}/[0-9a-f]{64}\.[a-z]{3,4}) HTTP/1\.1")
# No folded lines, no control characters, few headers. Each byte can match in one way only (no optional space after the colon), so
# that a mismatch is found in a single pass.
_PLAIN = re.compile(rb"(?:[A-Za-z0-9-]{1,40}:[\t -~]{0,2000}\r\n){1,40}\r\n")
_NOT_PLAIN = tuple(
    b"\n" + name
    for name in (
        b"content-length:",
        b"content-type:",
        b"transfer-encoding:",
        b"expect:",
        b"upgrade:",
        b"trailer:",
        b"range:",
        b"if-none-match:",
    )
)
_KEPT = re.compile(rb"\nconnection: ?keep-alive\r")
_IF_NONE_MATCH = b"\r\nIf-None-Match: "  # as browsers write it


class Stored(NamedTuple):
    """A response that the application has in memory: the headers of a 200, and those of a 304."""

    key: Key
    etag: str
    headers: list[tuple[str, str]]
    validators: list[tuple[str, str]]
    body: bytes


class StoredResponses(Protocol):
    """What has the responses. Never blocks."""

    @property
    def generation(self) -> int:
        """Another number each time a response was dropped."""

    def find(self, path: str) -> Stored | None:
        """Return the response of a path, without counting a use."""

    def record_uses(self, uses: Mapping[Key, int]) -> None:
        """Count uses of the keys of responses."""


@dataclass(slots=True)
class _Prepared:
    key: Key
    etag: bytes
    head: bytes  # of a 200, behind the lines that all responses share
    not_modified: bytes  # of a 304
    body: bytes
    uses: int = 0


class FastPath:
    """Turns the bytes of a plain request into those of its response. For the main loop of a worker: nothing blocks."""

    def __init__(self, source: StoredResponses, server: str) -> None:
        self._source = source
        self._server = server
        self._plain: set[bytes] = set()
        self._prepared: dict[bytes, _Prepared] = {}  # by request line
        self._generation = source.generation
        self._second = -1  # that the Date is of
        self._ok = self._not_modified = b""

    def respond(self, request: bytes) -> tuple[bytes, bytes, bytes] | None:
        """Return the response in three parts to send together, or None if the application has to respond."""
        line, _, headers = request.partition(b"\r\n")
        tag = None
        if headers not in self._plain:
            headers, tag = _take_tag(headers)
            if headers not in self._plain and not self._is_plain(headers):
                return None
        if self._source.generation != self._generation:
            self.flush()
        found = self._prepared.get(line) or self._prepare(line)
        if found is None or not (tag is None or tag == found.etag):  # another tag, or a list of them
            return None
        found.uses += 1
        if int(time.time()) != self._second:
            self._write_date()
        return (self._ok, found.head, found.body) if tag is None else (self._not_modified, found.not_modified, b"")

    def flush(self) -> None:
        """Tell the source of the uses since the last call, and free what it has dropped. Call it about twice a second."""
        uses = {found.key: found.uses for found in self._prepared.values() if found.uses}
        if uses:
            self._source.record_uses(uses)
            for found in self._prepared.values():
                found.uses = 0
        if self._source.generation != self._generation:
            self._generation = self._source.generation
            self._prepared.clear()

    def _is_plain(self, headers: bytes) -> bool:
        """Judge what follows the first line: it has to be the headers of one request, and nothing after them."""
        lower = b"\n" + headers.lower()
        connections = lower.count(b"\nconnection:")
        if (
            _PLAIN.fullmatch(headers) is None
            or lower.count(b"\nhost:") != 1
            or any(name in lower for name in _NOT_PLAIN)
            or not (connections == 0 or (connections == 1 and _KEPT.search(lower)))
        ):
            return False
        if len(headers) <= MAX_BLOCK_BYTES:
            if len(self._plain) >= MAX_HEADER_BLOCKS:
                self._plain.clear()
            self._plain.add(headers)
        return True

    def _prepare(self, line: bytes) -> _Prepared | None:
        matched = _LINE.fullmatch(line)
        stored = self._source.find(matched[1].decode()) if matched else None
        if stored is None:
            return None
        while len(self._prepared) >= MAX_PREPARED:
            oldest = self._prepared.pop(next(iter(self._prepared)))
            if oldest.uses:
                self._source.record_uses({oldest.key: oldest.uses})
        head, not_modified = _lines(stored.headers), _lines(stored.validators)
        found = _Prepared(stored.key, stored.etag.encode(), head, not_modified, stored.body)
        self._prepared[line] = found
        return found

    def _write_date(self) -> None:
        self._second = int(time.time())
        shared = f"Server: {self._server}\r\nDate: {formatdate(self._second, usegmt=True)}\r\nConnection: keep-alive\r\n"
        self._ok = f"HTTP/1.1 200 OK\r\n{shared}".encode("latin-1")
        self._not_modified = f"HTTP/1.1 304 NOT MODIFIED\r\n{shared}".encode("latin-1")


def _take_tag(headers: bytes) -> tuple[bytes, bytes | None]:
    """Return the headers without If-None-Match, and its value: it is the only one that differs from cover to cover."""
    at = headers.find(_IF_NONE_MATCH)
    end = headers.find(b"\r\n", at + 2)
    if at < 0 or end < 0 or headers.endswith(b"\r\n", 0, at):  # after an empty line: that is another request
        return headers, None
    return headers[:at] + headers[end:], headers[at + len(_IF_NONE_MATCH) : end]


def _lines(headers: list[tuple[str, str]]) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("latin-1") + b"\r\n"
