"""Answers from the main loop, without a thread: pictures that are in memory, asked for in the plainest way there is.

A browser that draws a wall sends sixty such requests. Parsing each with the full parser and handing it to a thread costs several
times what the answer does. Here one pattern decides: what it does not match in full goes the usual way, so nothing is lost by
its being strict. Knows HTTP and no application.
"""

import re
import time
from collections.abc import Callable
from email.utils import formatdate

# (path, If-None-Match) -> (status, headers, body), or None: ask the application
Look = Callable[[str, str | None], tuple[str, list[tuple[str, str]], bytes] | None]

# One request and nothing behind it: no body, no folded lines, no control characters, not many headers. There is only one way to
# read each byte (no optional blank after the colon), so a request that does not fit is given up in one pass.
_PLAIN = re.compile(
    rb"GET (/cache/[a-z0-9-]{1,24}/[0-9a-f]{64}\.[a-z]{3,4}) HTTP/1\.1\r\n((?:[A-Za-z0-9-]{1,40}:[\t -~]{0,2000}\r\n){1,40})\r\n"
)
# Headers that make a request more than a question for a picture.
_NOT_PLAIN = tuple(
    b"\n" + name for name in (b"content-length:", b"transfer-encoding:", b"expect:", b"upgrade:", b"trailer:", b"range:")
)
_IF_NONE_MATCH = re.compile(rb"\nif-none-match: ?([^\r]*)\r", re.IGNORECASE)
_KEPT = re.compile(rb"\nconnection: ?keep-alive\r")


class FastPath:
    """Turns the bytes of a plain request into those of its answer. For the main loop of a worker: nothing here waits."""

    def __init__(self, look: Look, server: str) -> None:
        self._look = look
        self._server = server
        self._second = 0
        self._opening = ""

    def answer(self, request: bytes) -> tuple[bytes, bytes] | None:
        """Return head and body of the answer, or None: this one is for the application."""
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
            if len(tags) != 1:  # one list in two lines
                return None
            known = tags[0].decode().strip()
        answer = self._look(found[1].decode(), known)
        if answer is None:
            return None
        status, lines, body = answer
        rest = "".join([f"{name}: {value}\r\n" for name, value in lines])
        return f"HTTP/1.1 {status}\r\n{self._date()}{rest}\r\n".encode("latin-1"), body

    def _date(self) -> str:
        now = int(time.time())
        if now != self._second:  # once a second is often enough to write a date
            self._second = now
            self._opening = f"Server: {self._server}\r\nDate: {formatdate(now, usegmt=True)}\r\nConnection: keep-alive\r\n"
        return self._opening
