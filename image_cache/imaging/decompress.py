"""The bytes of a file that may be compressed, with a cap on what is unfolded. Runs in the child that reads volumes."""

import os
import zlib
from typing import Protocol

from image_cache.errors import FileRejected

MAX_DECOMPRESSED_BYTES = 64 << 20
SLACK_BYTES = 1 << 20  # behind what a header promises; some writers leave a footer or zeros
CHUNK_BYTES = 256 << 10


class Source(Protocol):
    """The bytes of a volume as if it were not compressed."""

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


def decompressed(file: int, name: str, count: int, *, whole: int = 0, is_part: bool = False) -> bytes:
    """Return the first `count` bytes of a gzip file, all members one after the other.

    Unless it is only a part that is wanted, unfolding goes on to the end as long as the cap allows, so that a wrong checksum, a
    cut, and more than the header promises (`whole`) are found out.
    """
    kept = bytearray()
    seen, at = 0, 0
    unfolder = zlib.decompressobj(wbits=31)
    has_ended = False
    pending = b""
    while True:
        if not pending:
            pending = os.pread(file, CHUNK_BYTES, at)
            at += len(pending)
            if not pending:
                break
        if has_ended:
            if not pending.strip(b"\0"):  # padding of tapes and blocks
                pending = b""
                continue
            unfolder, has_ended = zlib.decompressobj(wbits=31), False
        try:
            data = unfolder.decompress(pending, CHUNK_BYTES)
        except zlib.error as error:
            raise FileRejected(name, "a whole gzip file", str(error).rpartition(": ")[2]) from error
        pending = unfolder.unused_data if unfolder.eof else unfolder.unconsumed_tail
        has_ended = unfolder.eof
        if len(kept) < count:
            kept += data[: count - len(kept)]
        seen += len(data)
        if is_part and len(kept) >= count:
            return bytes(kept)
        if whole and seen > whole + SLACK_BYTES:
            raise FileRejected(name, f"{whole} bytes unfolded, by its header", f"at least {seen}")
        if seen > MAX_DECOMPRESSED_BYTES:
            return bytes(kept)  # a long series: its first volume is whole, the rest is not looked at
    if not has_ended and not is_part:
        raise FileRejected(name, "a whole gzip file", "one that ends early")
    if whole and seen < whole:
        raise FileRejected(name, f"{whole} bytes unfolded, by its header", f"{seen}")
    return bytes(kept)
