"""HTTP request framing: judges each request once, strictly, from the bytes received so far. Knows no socket and no gunicorn.

What is not understood is refused here, and never passed on: two parsers that disagree about where a request ends leave a thread
waiting for bytes that no one sends. A chunked body is put together here, in one pass, so that the application sees a plain request
with a length.
"""

import io
import re
import tempfile
from collections.abc import Iterator
from typing import IO

from image_cache.config import MAX_BODY_BYTES  # the application rejects a larger one, without having read it
from image_cache.net.url import client_network

MAX_HEAD_BYTES = 32_768  # of request line and headers; of the trailers
MAX_LINE_BYTES = 8_190  # of the request line
MAX_METHOD_BYTES = 20
MAX_HEADERS = 60
MAX_CHUNK_LINE_BYTES = 256
IN_MEMORY_BYTES = MAX_BODY_BYTES  # of one body; a larger one is buffered in a file
PIECE_BYTES = 65_536
CHUNKED_PIECE_BYTES = 2_048

BAD, TOO_LARGE = "400 Bad Request", "413 Content Too Large"

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}) ([!-~\x80-\xff]+) HTTP/(1\.[01])")
_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)([/?][^#]*)?", re.IGNORECASE)
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_CONNECTION = re.compile(rb"(?<=\r\n)connection:[^\r\n]*\r\n", re.IGNORECASE)
_START = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{0,20}(?: |\Z)")
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_EXTENSION = rb"[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?"
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})(?:" + _EXTENSION + rb")*\r\n")
_NOT_IN_TRAILERS = (b"host", b"content-length", b"transfer-encoding", b"trailer", b"authorization", b"te")  # RFC 9110, 6.5.1
_ONCE = (b"host", b"content-length", b"content-type", b"transfer-encoding", b"expect")


class RequestBuffer:
    """The bytes of one request received so far. `error` is the status of a request that has to be refused.

    A body over `limit_bytes` is not waited for: the application gets the head alone, and the connection has to be closed.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.error = ""
        self.expects_continue = False
        self.limit_bytes = MAX_BODY_BYTES
        self.is_limit_known = False
        self.received_bytes = 0  # over the connection, framing included
        self.body_bytes = 0  # received so far, without framing
        self.chunks = 0  # received so far; a chunk that arrives in parts counts several times
        self.head = b""  # once complete: as it is passed on, without its framing
        self._folder = folder
        self._forwarded_for = b""  # what proxies say about the client, all lines of it
        self._wire = bytearray()  # not judged yet
        self._body: IO[bytes] | None = None
        self._length: int | None = None  # of the body, once known
        self._promised = 0  # by the chunks so far
        self._missing: int | None = None  # of the current chunk, with the line break after it; None before its first line
        self._is_chunked = False
        self._is_in_trailers = self._has_trailers = False
        self._judged = 0  # bytes of the trailers in which there is no bare line break

    def feed(self, data: bytes) -> None:
        self.received_bytes += len(data)
        start = max(0, len(self._wire) - 3)
        self._wire += data
        if not self.head and not self.error:
            self._find_head(start)
        if self.head and not self.error and not self.is_complete:
            if self._is_chunked:
                self._follow_chunks()
            else:
                self._store(min(len(self._wire), (self._length or 0) - self.body_bytes))

    @property
    def is_complete(self) -> bool:
        """Return True if the request can be passed on: all of it has been received, or its body is too large."""
        return self._length == self.body_bytes or self.has_large_body

    @property
    def has_large_body(self) -> bool:
        return max(self._length or 0, self._promised) > self.limit_bytes

    @property
    def receive_bytes(self) -> int:
        """Return how much to receive at once: chunks may be so small that much of it would keep others waiting."""
        return min(PIECE_BYTES, (self._missing or 0) + CHUNKED_PIECE_BYTES) if self._is_chunked else PIECE_BYTES

    @property
    def memory_bytes(self) -> int:
        return len(self._wire) + (self.body_bytes if self.body_bytes <= IN_MEMORY_BYTES else 0)

    @property
    def file_bytes(self) -> int:
        return self.body_bytes if self.body_bytes > IN_MEMORY_BYTES else 0

    def pieces(self) -> Iterator[bytes]:
        """Return head and body for a parser. A head whose body is too large says so, and that the connection is closed."""
        yield from self.head_only()
        if self._body is not None and not self.has_large_body:
            self._body.seek(0)
            while piece := self._body.read(PIECE_BYTES):
                yield piece

    def head_only(self) -> Iterator[bytes]:
        """Return the head for a parser, with the length of the body."""
        length = max(self._length or 0, self._promised)
        lines = _CONNECTION.sub(b"", self.head[:-2]) if self.has_large_body else self.head[:-2]
        if self._is_chunked or length:
            lines += b"Content-Length: %d\r\n" % length
        if self.has_large_body:
            lines += b"Connection: close\r\n"
        yield lines + b"\r\n"

    def raise_limit(self, limit_bytes: int) -> None:
        """Accept a larger body after all."""
        self.limit_bytes, self.is_limit_known = max(self.limit_bytes, limit_bytes), True
        self.feed(b"")

    def client_name(self, address: str, proxies: int) -> str:
        """Return who sends this request from `address`: with that many proxies, the client that the first of them names."""
        told = [part.strip() for part in self._forwarded_for.decode("latin-1").split(",")]
        return client_network(told[-proxies]) if proxies and len(told) >= proxies and told[-proxies] else address

    def take_rest(self) -> bytes:
        """Return what was received after this request: the beginning of the next one."""
        rest, self._wire = bytes(self._wire), bytearray()
        return rest

    def close(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def _find_head(self, start: int) -> None:
        while self._wire.startswith(b"\r\n"):  # an empty line before a request is allowed (RFC 9112, 2.2)
            del self._wire[:2]
            start = 0
        end = self._wire.find(b"\r\n\r\n", start)
        is_http = self._wire == b"\r" or _START.match(self._wire, 0, MAX_METHOD_BYTES + 1)
        if not is_http or _has_bare_break(self._wire, start, end if end >= 0 else len(self._wire)):
            self.error = BAD
        elif self._wire.find(b"\r\n", 0, MAX_LINE_BYTES + 2) < 0 and len(self._wire) > MAX_LINE_BYTES + 2:
            self.error = "414 URI Too Long"
        elif (end if end >= 0 else len(self._wire)) > MAX_HEAD_BYTES:
            self.error = "431 Request Header Fields Too Large"
        elif end >= 0:
            head = bytes(self._wire[: end + 2])
            del self._wire[: end + 4]
            self._read_head(head)

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")[:-1]
        request_line = _REQUEST_LINE.fullmatch(first)
        headers = [_HEADER.fullmatch(line) for line in lines]
        if len(headers) > MAX_HEADERS:
            self.error = "431 Request Header Fields Too Large"
            return
        found: dict[bytes, bytes] = {}
        for header in headers:
            name = header[1].lower() if header else b""
            if header is None or (name in _ONCE and name in found):
                self.error = BAD
                return
            found[name] = header[2].strip(b" \t")
            if name == b"x-forwarded-for":
                self._forwarded_for += b"," + found[name] if self._forwarded_for else found[name]
        if request_line is None:
            self.error = BAD
            return
        self.error = self._read_framing(found, request_line[3])
        absolute = _ABSOLUTE.fullmatch(request_line[2])
        if absolute is None and request_line[2] != b"*" and not request_line[2].startswith(b"/"):
            self.error = self.error or BAD
        dropped = {b"content-length", b"transfer-encoding", b"trailer", b"expect"}
        if absolute is not None:  # its host wins (RFC 9112, 3.2.2)
            dropped.add(b"host")
            target = absolute[2] or b"/"
            target = target if target.startswith(b"/") else b"/" + target
            first = b"%b %b HTTP/%b\r\nHost: %b" % (request_line[1], target, request_line[3], absolute[1])
        kept = [line for line, header in zip(lines, headers, strict=True) if header and header[1].lower() not in dropped]
        self.head = b"\r\n".join([first, *kept]) + b"\r\n\r\n"

    def _read_framing(self, headers: dict[bytes, bytes], version: bytes) -> str:
        """Find out how the body ends. Return the status of a refusal, or nothing."""
        length, coding, expectation = (headers.get(name) for name in (b"content-length", b"transfer-encoding", b"expect"))
        if expectation is not None and expectation.lower() != b"100-continue":
            return "417 Expectation Failed"
        if coding is not None:
            if length is not None or version == b"1.0":
                return BAD
            if coding.lower() != b"chunked":
                return "501 Not Implemented"
            self._is_chunked = True
        elif length is not None and not re.fullmatch(rb"[0-9]+", length):
            return BAD
        elif length is not None and len(length) > 18:
            return TOO_LARGE
        else:
            self._length = int(length or 0)
        self.expects_continue = expectation is not None and version == b"1.1"
        return ""

    def _follow_chunks(self) -> None:
        """Take the chunks that are there. With chunks of one byte, each turn of the loop counts: it knows local names only."""
        wire, at, parts, missing = self._wire, 0, [], self._missing
        end = len(wire)
        while not self._is_in_trailers:
            if missing is None:
                line = _CHUNK.match(wire, at, at + MAX_CHUNK_LINE_BYTES)
                if line is None:
                    self.error = self._judge_chunk_line(at)
                    break
                at, size = line.end(), int(line[1], 16)
                if size == 0:
                    self._is_in_trailers = True
                    break
                self._promised += size
                missing = size + 2
                # Long extensions would let a small body cost much.
                if self.received_bytes > 8 * self._promised + 2 * MAX_HEAD_BYTES + PIECE_BYTES:
                    self.error = BAD
                    break
                if self._promised > self.limit_bytes:
                    break
            if at + missing > end:
                take = min(end - at, missing - 2)
                if take > 0:
                    parts.append(wire[at : at + take])
                    at += take
                    missing -= take
                break
            parts.append(wire[at : at + missing - 2])
            at += missing
            missing = None
            if wire[at - 2] != 13 or wire[at - 1] != 10:
                self.error = BAD
                break
        self._missing = missing
        if self._is_in_trailers and not self.error:
            at = self._end_trailers(at)
        del wire[:at]
        self.chunks += len(parts)
        if parts and not self.error:
            self._write(b"".join(parts))
        if self._has_trailers and not self.error:
            self._length = self.body_bytes

    def _judge_chunk_line(self, at: int) -> str:
        """Judge a line that is no chunk line: it may only be incomplete."""
        line = self._wire[at : at + MAX_CHUNK_LINE_BYTES]
        is_over = b"\n" in line or len(line) == MAX_CHUNK_LINE_BYTES
        return BAD if is_over or not re.match(rb"[0-9a-fA-F]{0,8}(?:[ \t;\r]|\Z)", line[:10]) else ""

    def _end_trailers(self, at: int) -> int:
        """Skip the trailers, which no one requested, once they are complete. Return where the request ends, or `at`."""
        wire = self._wire
        last = wire.find(b"\r\n\r\n", at)
        is_whole = last >= 0 or wire.startswith(b"\r\n", at)
        end = at if wire.startswith(b"\r\n", at) else last + 2 if is_whole else len(wire)
        if end - at > MAX_HEAD_BYTES:
            self.error = "431 Request Header Fields Too Large"
        elif _has_bare_break(wire, max(at, at + self._judged - 3), end):
            self.error = BAD
        elif is_whole:
            trailers = [_HEADER.fullmatch(line) for line in bytes(wire[at:end]).split(b"\r\n")[:-1]]
            if not all(trailer and trailer[1].lower() not in _NOT_IN_TRAILERS for trailer in trailers):
                self.error = BAD
            self._has_trailers = True
            return end + 2
        self._judged = len(wire) - at
        return at

    def _store(self, count: int) -> None:
        self._write(bytes(self._wire[:count]))
        del self._wire[:count]

    def _write(self, data: bytes) -> None:
        if not data:
            return
        try:
            if self._body is None:
                self._body = io.BytesIO()
            if self.body_bytes <= IN_MEMORY_BYTES < self.body_bytes + len(data):
                buffered, self._body = self._body, tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
                buffered.seek(0)
                self._body.write(buffered.read())
            self._body.write(data)
        except OSError:  # the disk is full
            self.error = "507 Insufficient Storage"
            return
        self.body_bytes += len(data)


def _has_bare_break(wire: bytearray, start: int, end: int) -> bool:
    """Return True if a CR or LF between `start` and `end` has no partner. That of the last byte may follow later."""
    if wire[start : start + 1] == b"\n" and wire[start - 1 : start] == b"\r":
        start -= 1
    if wire[end - 1 : end] == b"\r" and end > start:
        end -= 1
    pairs = wire.count(b"\r\n", start, end)
    return not pairs == wire.count(b"\n", start, end) == wire.count(b"\r", start, end)
