"""JSON reader: a list of objects, or an object with such a list under `albums`, record by record in flat memory.

It keeps what streaming parsers lose: the line of each record, and a bad number or text costs its record only (decision 0013).
"""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from image_cache.errors import ImportRejected, TableRejected
from image_cache.import_models import ImportRow
from image_cache.tables.rows import known_column, plain_name, row_from

MAX_RECORD_CHARS = 256 * 1024
CHUNK_BYTES = 64 * 1024
_SPACE = re.compile(r"[ \t\r\n]*")
_WRAPPED = re.compile(r'\{[ \t\r\n]*"albums"[ \t\r\n]*:[ \t\r\n]*\[')


def read_json(path: Path, file: BinaryIO) -> Iterator[ImportRow | ImportRejected]:
    """Yield the records of a JSON file. `line` is where a record begins; the reason of a rejected one also has its number."""
    records = JsonRecords(file)
    number = 0
    try:
        records.open()
        while (found := records.next()) is not None:
            number += 1
            line, value = found
            try:
                yield _row(line, value)
            except ImportRejected as problem:
                yield ImportRejected(line, f"record {number}: {problem.reason}")
    except BrokenJson as problem:
        if number == 0:
            raise TableRejected(str(path), str(problem)) from None
        yield ImportRejected(records.line, f"{problem}. Nothing after this point was read")


class BrokenJson(ValueError):
    """The rest of the file cannot be read; the text says why."""


class JsonRecords:
    """A window on the text of a file that moves from record to record. `line` is the current line."""

    def __init__(self, file: BinaryIO) -> None:
        self.line = 1
        self._file = file
        self._utf_8 = codecs.getincrementaldecoder("utf-8")()  # keeps a letter that a chunk cuts in two
        self._json = json.JSONDecoder()
        self._window = ""
        self._index = 0  # of the window: what is before it was read
        self._is_first = True

    def open(self) -> None:
        """Skip the opening bracket. Raises `BrokenJson`."""
        self._read()
        self._window = self._window.removeprefix("\ufeff")
        self._skip_space()
        wrapped = _WRAPPED.match(self._window, self._index)
        if wrapped:
            self._skip_to(wrapped.end())
        elif self._window.startswith("[", self._index):
            self._skip_to(self._index + 1)
        else:
            raise BrokenJson("expected a JSON list of records, or an object with a list named albums")

    def next(self) -> tuple[int, Any] | None:
        """Return the line and the value of the next record, None after the last one. Raises `BrokenJson`."""
        mark = self._peek()
        if mark == "]":
            return None
        if not self._is_first:
            if mark != ",":
                raise BrokenJson("the JSON is incomplete" if not mark else "invalid JSON between two records")
            self._skip_to(self._index + 1)
            mark = self._peek()
        self._is_first = False
        line = self.line
        if mark and mark not in '{["0123456789-tfn':
            raise BrokenJson("the JSON contains an entry that is not a record")
        # Starting again with each chunk is bounded: after four chunks the record is too long.
        while True:
            try:
                value, end = self._json.raw_decode(self._window, self._index)
            except RecursionError:
                raise BrokenJson("the JSON is nested too deeply") from None
            except ValueError:
                if len(self._window) - self._index > MAX_RECORD_CHARS:
                    raise BrokenJson(f"the JSON is invalid, or a record is longer than {MAX_RECORD_CHARS // 1024} KB") from None
                if not self._read():
                    raise BrokenJson("the JSON is incomplete or invalid") from None
                continue
            self._skip_to(end)
            return line, value

    def _peek(self) -> str:
        self._skip_space()
        while self._index == len(self._window) and self._read():
            self._skip_space()
        return self._window[self._index : self._index + 1]

    def _skip_space(self) -> None:
        found = _SPACE.match(self._window, self._index)
        if found:
            self._skip_to(found.end())

    def _skip_to(self, end: int) -> None:
        self.line += self._window.count("\n", self._index, end)
        self._index = end

    def _read(self) -> bool:
        """Add a chunk to the window and drop what was read; return False at the end of the file."""
        chunk = self._file.read(CHUNK_BYTES)
        try:
            text = self._utf_8.decode(chunk, final=not chunk)
        except UnicodeDecodeError:
            raise BrokenJson("the JSON is not UTF-8 text") from None
        self._window = self._window[self._index :] + text
        self._index = 0
        return bool(chunk)


def _row(line: int, value: Any) -> ImportRow:
    if not isinstance(value, dict):
        raise ImportRejected(line, "not a JSON object with column names as keys")
    header = [plain_name(name) for name in value]
    return row_from(line, {known_column(name, header) or name: cell for name, cell in value.items()})
