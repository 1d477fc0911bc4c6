"""HTTP request framing: detects when a request is complete, from the bytes received so far. Knows no socket and no gunicorn."""

import re

from config import MAX_BODY_BYTES  # the application rejects a larger one, without having read it

MAX_HEAD_BYTES = 32_768  # of request line and headers

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked[ \t]*\r\n", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]{0,256}\r\n")


class RequestBuffer:
    """The bytes of one request received so far. Checks its framing only; a malformed request counts as complete."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.expects_continue = False
        self._head_end = 0
        self._end: int | None = None  # of the request, once known
        self._chunk_start = 0  # of the next chunk, in a chunked body

    def feed(self, data: bytes) -> None:
        start = max(0, len(self.data) - 3)
        self.data += data
        if not self._head_end:
            found = self.data.find(b"\r\n\r\n", start)
            if found >= 0:
                self._head_end = found + 4
                self._read_head(bytes(self.data[: self._head_end]))
        if self._chunk_start:
            self._follow_chunks()

    @property
    def is_complete(self) -> bool:
        return self._end is not None and (len(self.data) >= self._end or self.has_large_body)

    @property
    def has_large_body(self) -> bool:
        return self._end is not None and self._end > self._head_end + MAX_BODY_BYTES

    @property
    def has_large_head(self) -> bool:
        return (self._head_end or len(self.data)) > MAX_HEAD_BYTES

    def _read_head(self, head: bytes) -> None:
        self.expects_continue = _EXPECT.search(head) is not None
        if _CHUNKED.search(head):
            self._chunk_start = self._head_end
            return
        length = _LENGTH.search(head)
        self._end = self._head_end + (int(length[1]) if length else 0)

    def _follow_chunks(self) -> None:
        while self._end is None:
            line = _CHUNK.match(self.data, self._chunk_start)
            if line is None:
                if len(self.data) - self._chunk_start > 300:  # not the beginning of a chunk
                    self._end = len(self.data)
                return
            size = int(line[1], 16)
            if size == 0:
                # Trailers may follow; an empty line ends the request.
                end = self.data.find(b"\r\n\r\n", line.end() - 2)
                if end >= 0:
                    self._end = end + 4
                elif len(self.data) - self._chunk_start > MAX_HEAD_BYTES:
                    self._end = len(self.data)
                return
            self._chunk_start = line.end() + size + 2
            if self._chunk_start > self._head_end + MAX_BODY_BYTES:
                self._end = self._chunk_start
