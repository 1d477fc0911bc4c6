"""Table reader: CSV, JSON and the database of the original program, recognised by their first bytes. Memory is flat."""

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from image_cache.errors import ImportRejected, TableRejected
from image_cache.models import AlbumRow
from image_cache.tables.csv import read_csv
from image_cache.tables.json import read_json
from image_cache.tables.legacy_database import read_legacy_database

# Files that are no tables, by their first bytes.
_KNOWN = (
    (b"PK\x03\x04", "this is a spreadsheet or an archive; save the table as CSV (UTF-8)"),
    (b"\xd0\xcf\x11\xe0", "this is an old Excel workbook; save the table as CSV (UTF-8)"),
    (b"\x1f\x8b", "this is compressed; unpack it first"),
    (b"%PDF", "this is a document; save the table as CSV (UTF-8)"),
    (b"<", "this is a web page or XML; save the table as CSV (UTF-8)"),
)
DATABASE = b"SQLite format 3\0"
_CHUNK_BYTES = 64 * 1024


class Table:
    """A file of records. Iterating yields each row, or the `ImportRejected` of one that cannot be used; once, in one thread.

    Raises `TableRejected` before the first row if the file cannot be read or is no table at all. For a file that breaks off after
    some rows, the last item is an `ImportRejected` with the reason.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0  # in bytes, or in rows of a database; 0 before the first row
        self._file: BinaryIO | None = None
        self._done = 0

    @property
    def done(self) -> int:
        """How much of `size` was read so far."""
        return min(self.size, self._file.tell() if self._file is not None and not self._file.closed else self._done)

    def __iter__(self) -> Iterator[AlbumRow | ImportRejected]:
        try:
            with self.path.open("rb") as file:
                start = file.read(4096)
                if not start.startswith(DATABASE):
                    self.size = file.seek(0, io.SEEK_END)
                    file.seek(0)
                    self._file = file
                    yield from self._rows(file, start)
                    self._done = self.size
                    return
            # Close the file first: closing any descriptor of a file releases SQLite's locks on it.
            for number, (total, row) in enumerate(read_legacy_database(self.path), 1):
                self.size, self._done = total, number
                yield row
        except OSError as error:
            raise TableRejected(str(self.path), error.strerror or "cannot be read") from error

    def _rows(self, file: BinaryIO, start: bytes) -> Iterator[AlbumRow | ImportRejected]:
        if not start:
            raise TableRejected(str(self.path), "the file is empty")
        source, encoding = file, _utf_16(start)
        if encoding:
            source = io.BufferedReader(_Utf8Reader(file, encoding), _CHUNK_BYTES)
            start = start.decode(encoding, errors="ignore").encode()
        text = start.removeprefix(codecs.BOM_UTF8).lstrip()
        for magic, reason in _KNOWN:
            if start.startswith(magic) or text.startswith(magic):
                raise TableRejected(str(self.path), reason)
        if b"\0" in start:
            raise TableRejected(str(self.path), "this is not a text file")
        yield from (read_json if text[:1] in {b"[", b"{"} else read_csv)(self.path, source)


def read_table(path: Path) -> Iterator[AlbumRow | ImportRejected]:
    """Yield the rows of a file; see `Table`."""
    return iter(Table(path))


def is_database(path: Path) -> bool:
    """Return True if a file is an SQLite database, of any program."""
    try:
        with path.open("rb") as file:
            return file.read(len(DATABASE)) == DATABASE
    except OSError:
        return False


def _utf_16(start: bytes) -> str:
    """Return the encoding of UTF-16 text, by its byte order mark or, because some programs omit it, by its zero bytes; else empty."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    halves = start[:64:2], start[1:64:2]
    if len(start) >= 8 and not any(halves[1]) and all(halves[0]):
        return "utf-16-le"
    return "utf-16-be" if len(start) >= 8 and not any(halves[0]) and all(halves[1]) else ""


class _Utf8Reader(io.RawIOBase):
    """Reads UTF-16 as UTF-8. Bytes that are no character become the replacement character."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready:
            chunk = self._file.read(_CHUNK_BYTES)
            # Half of a surrogate pair is no character and cannot be encoded as UTF-8.
            self._ready = self._decoder.decode(chunk, final=not chunk).encode("utf-8", errors="replace")
            if not chunk:
                break
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count
