"""What a table's bytes are, besides UTF-8: UTF-16, line ends of old Macs, Mac Roman or Windows-1252."""

import codecs
import io
import re
from typing import BinaryIO

_CHUNK_BYTES = 64 * 1024
_MAX_EVIDENCE = 4096  # letters that are looked at
# In Mac Roman a letter with a mark has a byte from 0x80 to 0x9F, where Windows-1252 has punctuation and a few capitals: a byte that
# Windows-1252 lacks, or one that cannot follow a small letter there. Apostrophe, dashes and small letters show nothing.
_MAC = re.compile(rb"[\x81\x8d\x8f\x90\x9d]|(?<=[a-z])[\x83\x84\x87\x88\x8a\x8b\x8c\x8e\x91\x93\x98\x9f]")
_WINDOWS = re.compile(rb"[\xc0-\xff](?=[a-z])|(?<=[a-z])[\xdf-\xff]")


def decoded(file: BinaryIO, start: bytes) -> BinaryIO:
    """Return the file as UTF-8 (or an encoding of one byte) with line ends that have a line feed, whatever it has."""
    encoding = utf_16(start)
    if encoding:
        file = io.BufferedReader(_Converter(file, encoding), _CHUNK_BYTES)
        start = start.decode(encoding, errors="ignore").encode()
    ending = re.search(rb"\r\n?|\n", start)
    if ending is not None and ending[0] == b"\r":
        return io.BufferedReader(_Converter(file, ""), _CHUNK_BYTES)
    return file


def utf_16(start: bytes) -> str:
    """Return the encoding of UTF-16 text, by its byte order mark or, because some programs omit it, by its zero bytes; else empty."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    halves = start[:64:2], start[1:64:2]
    if len(start) >= 8 and not any(halves[1]) and all(halves[0]):
        return "utf-16-le"
    return "utf-16-be" if len(start) >= 8 and not any(halves[0]) and all(halves[1]) else ""


def one_byte_encoding(file: BinaryIO) -> str:
    """Return mac_roman or cp1252, by the letters of a file that is not UTF-8."""
    mac = windows = 0
    while mac + windows < _MAX_EVIDENCE and (chunk := file.read(_CHUNK_BYTES)):
        if not chunk.isascii():
            if not chunk.decode("utf-8", errors="ignore").isascii():
                break  # it is UTF-8, or cannot be determined
            mac += len(_MAC.findall(chunk))
            windows += len(_WINDOWS.findall(chunk))
    return "mac_roman" if mac > windows else "cp1252"


class _Converter(io.RawIOBase):
    """Reads UTF-16 as UTF-8, or carriage returns as line feeds. Bytes that are no character become the replacement character."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace") if encoding else None
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready:
            chunk = self._file.read(_CHUNK_BYTES)
            if self._decoder is None:
                self._ready = chunk.replace(b"\r", b"\n")
            else:
                # Half of a surrogate pair is no character and cannot be encoded as UTF-8.
                self._ready = self._decoder.decode(chunk, final=not chunk).encode("utf-8", errors="replace")
            if not chunk:
                break
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count
