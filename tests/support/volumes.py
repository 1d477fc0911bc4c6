"""An origin of large files: answers ranges, cuts the line where it is told to, and counts every byte that it sent."""

import email.utils
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.origin import Asked, Origin

RANGE = re.compile(r"bytes=(\d+)-(\d*)")
PIECE = 64 * 1024


@dataclass(slots=True)
class Volume:
    """One file. `cuts`: after how many bytes each further answer is cut, `always_cut_at` after them all.

    `bytes_per_s`: the speed of the line, 0 as fast as it goes.
    """

    body: bytes
    etag: str = '"v1"'
    last_modified: str = ""
    cuts: list[int] = field(default_factory=list)
    always_cut_at: int | None = None
    has_ranges: bool = True
    has_length: bool = True
    bytes_per_s: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    before: Callable[[Asked], None] | None = None  # called with each request, before it is answered
    sent_bytes: int = 0
    asked: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, sock: socket.socket, asked: Asked) -> None:
        if self.before is not None:
            self.before(asked)
        with self.lock:
            self.asked.append(asked)
            cut = self.cuts.pop(0) if self.cuts else self.always_cut_at
            body, etag = self.body, self.etag
        lines = {"Date": email.utils.formatdate(usegmt=True), "Connection": "close", **self.headers}
        if etag:
            lines["ETag"] = etag
        if self.last_modified:
            lines["Last-Modified"] = self.last_modified
        sent = self._headers(asked, body, etag, lines)
        if sent is None:
            return self._head(sock, "304 Not Modified", lines)
        status, part = sent
        if self.has_length:
            lines["Content-Length"] = str(len(part))
        self._head(sock, status, lines)
        whole = len(part) if cut is None else min(cut, len(part))
        view = memoryview(part)[:whole]
        while view:
            piece = view[:PIECE]
            try:
                sock.sendall(piece)
            except OSError:  # the other side is gone
                return None
            with self.lock:
                self.sent_bytes += len(piece)
            view = view[PIECE:]
            if self.bytes_per_s:
                time.sleep(len(piece) / self.bytes_per_s)
        return None

    def _headers(self, asked: Asked, body: bytes, etag: str, lines: dict[str, str]) -> tuple[str, bytes] | None:
        if etag and asked.headers.get("if-none-match") == etag:
            return None
        if self.last_modified and asked.headers.get("if-modified-since") == self.last_modified:
            return None
        found = RANGE.fullmatch(asked.headers.get("range", "")) if self.has_ranges else None
        condition = asked.headers.get("if-range")
        if found is None or (condition is not None and condition not in (etag, self.last_modified)):
            return "200 OK", body
        start = int(found[1])
        if start >= len(body):
            lines["Content-Range"] = f"bytes */{len(body)}"
            return "416 Range Not Satisfiable", b""
        lines["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return "206 Partial Content", body[start:]

    @staticmethod
    def _head(sock: socket.socket, status: str, lines: dict[str, str]) -> None:
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        sock.sendall(f"HTTP/1.1 {status}\r\n{head}\r\n".encode())


def serve(origin: Origin, path: str, body: bytes, **facts: object) -> tuple[str, Volume]:
    """Put a volume on the origin; returns its URL and itself."""
    volume = Volume(body, **facts)  # type: ignore[arg-type]
    return origin.script(path, volume), volume


def nifti(shape: tuple[int, ...], voxels: bytes = b"", *, kind: int = 4, bits: int = 16, offset: float = 352.0) -> bytes:
    """A NIfTI-1 file with 2 mm voxels whose axes point right, forward and up."""
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into("<2h", head, 70, kind, bits)
    struct.pack_into("<8f", head, 76, 1, 2, 2, 2, 1, 1, 1, 1)
    struct.pack_into("<f", head, 108, offset)
    struct.pack_into("<h", head, 254, 1)
    struct.pack_into("<12f", head, 280, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0)
    head[344:348] = b"n+1\0"
    return bytes(head) + voxels
