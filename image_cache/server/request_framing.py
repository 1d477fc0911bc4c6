"""When a request is whole: its framing, read while it comes in, piece by piece. Knows no socket and no gunicorn."""

import re

from config import MAX_BODY_BYTES  # a larger one is refused by the application, which need not have read it

MAX_HEAD_BYTES = 32_768  # of request line and headers

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked[ \t]*\r\n", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]{0,256}\r\n")


class RequestBuffer:
    """What has come of one request so far, and whether that is all. Judges framing only; what is malformed counts as whole."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.expects_continue = False
        self._head_end = 0
        self._whole_at: int | None = None  # where the request ends, when that is known from its head
        self._chunk_at = 0  # where the next chunk begins, in a body that comes in chunks

    def feed(self, data: bytes) -> None:
        start = max(0, len(self.data) - 3)
        self.data += data
        if not self._head_end:
            found = self.data.find(b"\r\n\r\n", start)
            if found >= 0:
                self._head_end = found + 4
                self._read_head(bytes(self.data[: self._head_end]))
        if self._chunk_at:
            self._follow_chunks()

    @property
    def is_whole(self) -> bool:
        return self._whole_at is not None and (len(self.data) >= self._whole_at or self.has_large_body)

    @property
    def has_large_body(self) -> bool:
        return self._whole_at is not None and self._whole_at > self._head_end + MAX_BODY_BYTES

    @property
    def has_large_head(self) -> bool:
        return (self._head_end or len(self.data)) > MAX_HEAD_BYTES

    def _read_head(self, head: bytes) -> None:
        self.expects_continue = _EXPECT.search(head) is not None
        if _CHUNKED.search(head):
            self._chunk_at = self._head_end
            return
        length = _LENGTH.search(head)
        self._whole_at = self._head_end + (int(length[1]) if length else 0)

    def _follow_chunks(self) -> None:
        while self._whole_at is None:
            line = _CHUNK.match(self.data, self._chunk_at)
            if line is None:
                if len(self.data) - self._chunk_at > 300:  # no chunk begins like this
                    self._whole_at = len(self.data)
                return
            size = int(line[1], 16)
            if size == 0:
                # Trailers may follow; the request ends with an empty line.
                end = self.data.find(b"\r\n\r\n", line.end() - 2)
                if end >= 0:
                    self._whole_at = end + 4
                elif len(self.data) - self._chunk_at > MAX_HEAD_BYTES:
                    self._whole_at = len(self.data)
                return
            self._chunk_at = line.end() + size + 2
            if self._chunk_at > self._head_end + MAX_BODY_BYTES:
                self._whole_at = self._chunk_at
