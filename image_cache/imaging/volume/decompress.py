"""Bounded decompression of gzip files. Runs in the process that reads volumes."""

import os
import zlib
from typing import Protocol

from image_cache.errors import FileRejected

MAX_DECOMPRESSED_BYTES = 64 << 20
SLACK_BYTES = 1 << 20  # beyond what a header states; some programs append a footer or zeros
CHUNK_BYTES = 256 << 10


class Source(Protocol):
    """Random access to the decompressed bytes of a volume."""

    def read(self, offset: int, count: int) -> bytes: ...


class PlainFile:
    def __init__(self, file: int) -> None:
        self._file = file

    def read(self, offset: int, count: int) -> bytes:
        return os.pread(self._file, count, offset)


class Decompressed:
    def __init__(self, body: bytes) -> None:
        self._body = memoryview(body)

    def read(self, offset: int, count: int) -> bytes:
        return bytes(self._body[offset : offset + count])


def decompressed(file: int, name: str, count: int, *, expected_bytes: int = 0, is_part: bool = False) -> bytes:
    """Return the first `count` decompressed bytes of a gzip file, with all its members.

    Unless `is_part`, decompression continues to the end as far as the limit allows, so that a wrong checksum, a
    truncated file, and one with more bytes than its header states (`expected_bytes`) are detected.
    """
    kept = bytearray()
    seen, offset = 0, 0
    decompressor = zlib.decompressobj(wbits=31)
    has_ended = False
    pending = b""
    while True:
        if not pending:
            pending = os.pread(file, CHUNK_BYTES, offset)
            offset += len(pending)
            if not pending:
                break
        if has_ended:
            if not pending.strip(b"\0"):  # padding of tapes and blocks
                pending = b""
                continue
            decompressor, has_ended = zlib.decompressobj(wbits=31), False
        try:
            data = decompressor.decompress(pending, CHUNK_BYTES)
        except zlib.error as error:
            raise FileRejected(name, "a complete gzip file", str(error).rpartition(": ")[2]) from error
        pending = decompressor.unused_data if decompressor.eof else decompressor.unconsumed_tail
        has_ended = decompressor.eof
        if len(kept) < count:
            kept += data[: count - len(kept)]
        seen += len(data)
        if is_part and len(kept) >= count:
            return bytes(kept)
        if expected_bytes and seen > expected_bytes + SLACK_BYTES:
            raise FileRejected(name, f"{expected_bytes} bytes uncompressed, as its header says", f"at least {seen}")
        if seen > MAX_DECOMPRESSED_BYTES:
            return bytes(kept)  # a long series: its first volume is complete, the rest is not read
    if not has_ended and not is_part:
        raise FileRejected(name, "a complete gzip file", "a truncated file")
    if expected_bytes and seen < expected_bytes:
        raise FileRejected(name, f"{expected_bytes} bytes uncompressed, as its header says", f"{seen}")
    return bytes(kept)
