"""Fast path: responses from the main loop, without a thread, to plain requests for covers that are in memory.

A browser that shows the wall sends sixty such requests. Parsing each with the full parser and passing it to a thread costs several
times as much as the response. Here one pattern decides: a request that it does not match completely is passed on, so it may be
strict. Knows HTTP and no application.
"""

import re
import time
from collections.abc import Callable
from email.utils import formatdate

# (path, If-None-Match) -> (status, headers, body), or None if the application has to respond
Lookup = Callable[[str, str | None], tuple[str, list[tuple[str, str]], bytes] | None]

# One request and nothing after it: no body, no folded lines, no control characters, few headers. Each byte can match in one way
# only (no optional space after the colon), so that a mismatch is found in a single pass.
_PLAIN = re.compile(
    rb"GET (/cache/[a-z0-9-]{1,24}/[0-9a-f]{64}\.[a-z]{3,4}) HTTP/1\.1\r\n((?:[A-Za-z0-9-]{1,40}:[\t -~]{0,2000}\r\n){1,40})\r\n"
)
# Headers of requests that are not plain.
_NOT_PLAIN = tuple(
    b"\n" + name for name in (b"content-length:", b"transfer-encoding:", b"expect:", b"upgrade:", b"trailer:", b"range:")
)
_IF_NONE_MATCH = re.compile(rb"\nif-none-match: ?([^\r]*)\r", re.IGNORECASE)
_KEPT = re.compile(rb"\nconnection: ?keep-alive\r")


class FastPath:
    """Turns the bytes of a plain request into those of its response. For the main loop of a worker: nothing blocks."""

    def __init__(self, lookup: Lookup, server: str) -> None:
        self._lookup = lookup
        self._server = server
        self._second = 0
        self._common = ""

    def respond(self, request: bytes) -> tuple[bytes, bytes] | None:
        """Return head and body of the response, or None if the application has to respond."""
        found = _PLAIN.fullmatch(request)
        if found is None:
            return None
        headers = b"\n" + found[2]
        lower = headers.lower()
        if lower.count(b"\nhost:") != 1 or any(name in lower for name in _NOT_PLAIN):
            return None
        if lower.count(b"\nconnection:") and not (lower.count(b"\nconnection:") == 1 and _KEPT.search(lower)):
            return None
        known = None
        if b"\nif-none-match:" in lower:
            tags = _IF_NONE_MATCH.findall(headers)
            if len(tags) != 1:  # a list in two lines
                return None
            known = tags[0].decode().strip()
        response = self._lookup(found[1].decode(), known)
        if response is None:
            return None
        status, lines, body = response
        rest = "".join([f"{name}: {value}\r\n" for name, value in lines])
        return f"HTTP/1.1 {status}\r\n{self._date()}{rest}\r\n".encode("latin-1"), body

    def _date(self) -> str:
        now = int(time.time())
        if now != self._second:  # formatted once per second
            self._second = now
            self._common = f"Server: {self._server}\r\nDate: {formatdate(now, usegmt=True)}\r\nConnection: keep-alive\r\n"
        return self._common
