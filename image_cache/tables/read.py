"""Table reader: CSV, JSON and the database of the original program, recognised by their first bytes. Memory is flat."""

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from image_cache.errors import ImportRejected, TableRejected
from image_cache.import_models import ImportRow
from image_cache.tables.csv import read_csv
from image_cache.tables.encoding import decoded, utf_16
from image_cache.tables.json import read_json

# Files that are no tables, by their first bytes.
_KNOWN = (
    (b"PK\x03\x04", "this is a spreadsheet or ZIP archive. Save it as CSV (UTF-8) and try again"),
    (b"\xd0\xcf\x11\xe0", "this is an old Excel workbook. Save it as CSV (UTF-8) and try again"),
    (b"\x1f\x8b", "this file is compressed. Unpack it and try again"),
    (b"%PDF", "this is a document. Save the table as CSV (UTF-8) and try again"),
    (b"<", "this is a web page or XML. Save the table as CSV (UTF-8) and try again"),
)
DATABASE = b"SQLite format 3\0"


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

    def __iter__(self) -> Iterator[ImportRow | ImportRejected]:
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
            from image_cache.tables.legacy_database import read_legacy_database  # rarely used

            # Close the file first: closing any descriptor of a file releases SQLite's locks on it.
            for number, (total, row) in enumerate(read_legacy_database(self.path), 1):
                self.size, self._done = total, number
                yield row
        except OSError as error:
            raise TableRejected(str(self.path), error.strerror or "cannot be read") from error

    def _rows(self, file: BinaryIO, start: bytes) -> Iterator[ImportRow | ImportRejected]:
        if not start:
            raise TableRejected(str(self.path), "the file is empty")
        original, encoding = start, utf_16(start)
        if encoding:
            start = start.decode(encoding, errors="ignore").encode()
        text = start.removeprefix(codecs.BOM_UTF8).lstrip()
        for magic, reason in _KNOWN:
            if start.startswith(magic) or text.startswith(magic):
                raise TableRejected(str(self.path), reason)
        if b"\0" in start:
            raise TableRejected(str(self.path), "this is not a text file")

        def opened() -> BinaryIO:
            file.seek(0)
            return decoded(file, original)

        if text[:1] in {b"[", b"{"}:
            yield from read_json(self.path, opened())
        else:
            yield from read_csv(self.path, opened)


def read_table(path: Path) -> Iterator[ImportRow | ImportRejected]:
    """Yield the rows of a file; see `Table`."""
    return iter(Table(path))


def is_database(path: Path) -> bool:
    """Return True if a file is an SQLite database, of any program."""
    try:
        with path.open("rb") as file:
            return file.read(len(DATABASE)) == DATABASE
    except OSError:
        return False
