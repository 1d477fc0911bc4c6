"""JSON in, record by record: a list of objects, or an object with such a list under `albums`. Never the whole file at once."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from image_cache.errors import ImportRejected, TableRejected
from image_cache.models import AlbumRow
from image_cache.tables.rows import COLUMNS, row_from

MAX_RECORD_CHARS = 256 * 1024
_CHUNK_BYTES = 64 * 1024
_SPACE = re.compile(r"[ \t\r\n]*")
_WRAPPED = re.compile(r'\{[ \t\r\n]*"albums"[ \t\r\n]*:[ \t\r\n]*\[')


def read_json(path: Path, file: BinaryIO) -> Iterator[AlbumRow | ImportRejected]:
    """Yield the records of a JSON file; `line` is the line where a record begins, the reason names its number as well."""
    text = _Text(file)
    number = 0
    try:
        text.open()
        while (found := text.next_value()) is not None:
            number += 1
            line, value = found
            try:
                yield _row(line, value)
            except ImportRejected as problem:
                yield ImportRejected(line, f"record {number}: {problem.reason}")
    except _Broken as problem:
        if number == 0:
            raise TableRejected(str(path), str(problem)) from None
        yield ImportRejected(text.line, f"{problem}; nothing behind it was read")


class _Broken(ValueError):
    """The text is not what it should be from here on."""


class _Text:
    """A window on the file's text that moves on record by record."""

    def __init__(self, file: BinaryIO) -> None:
        self._chunks = iter(lambda: file.read(_CHUNK_BYTES), b"")
        self._bytes = b""  # the beginning of a letter that the last chunk cut in two
        self._window = ""
        self._at = 0
        self._is_first = True
        self._decoder = json.JSONDecoder()
        self.line = 1

    def open(self) -> None:
        """Go behind the opening bracket."""
        self._more()
        self._window = self._window.removeprefix("\ufeff")
        self._skip_space()
        wrapped = _WRAPPED.match(self._window, self._at)
        if wrapped:
            self._go(wrapped.end())
        elif self._window.startswith("[", self._at):
            self._go(self._at + 1)
        else:
            raise _Broken("the JSON is neither a list of records nor an object with a list named albums")

    def next_value(self) -> tuple[int, Any] | None:
        """Return the next record with its line, None behind the last one. Raises `_Broken`."""
        mark = self._peek()
        if mark == "]":
            return None
        if not self._is_first:
            if mark != ",":
                raise _Broken("the JSON breaks off" if not mark else "the JSON has something between two records")
            self._go(self._at + 1)
            mark = self._peek()
        self._is_first = False
        line = self.line
        if mark and mark not in '{["0123456789-tfn':
            raise _Broken("the JSON has something that is not a record")
        # Trying again from the beginning for every chunk is bounded: four times and the record is too long.
        while True:
            try:
                value, end = self._decoder.raw_decode(self._window, self._at)
            except RecursionError:
                raise _Broken("the JSON is nested too deeply") from None
            except ValueError:
                if len(self._window) - self._at > MAX_RECORD_CHARS:
                    raise _Broken(f"the JSON is broken, or a record is longer than {MAX_RECORD_CHARS // 1024} KB") from None
                if not self._more():
                    raise _Broken("the JSON breaks off or is broken") from None
                continue
            self._go(end)
            return line, value

    def _peek(self) -> str:
        self._skip_space()
        while self._at == len(self._window) and self._more():
            self._skip_space()
        return self._window[self._at : self._at + 1]

    def _skip_space(self) -> None:
        found = _SPACE.match(self._window, self._at)
        if found:
            self._go(found.end())

    def _go(self, end: int) -> None:
        self.line += self._window.count("\n", self._at, end)
        self._at = end

    def _more(self) -> bool:
        """Add a chunk to the window and forget what lies behind us; return False at the end of the file."""
        chunk = next(self._chunks, b"")
        data = self._bytes + chunk
        cut = len(data) - _unfinished(data) if chunk else len(data)
        try:
            text = data[:cut].decode("utf-8")
        except UnicodeDecodeError:
            raise _Broken("the JSON is not UTF-8 text") from None
        self._bytes = data[cut:]
        self._window = self._window[self._at :] + text
        self._at = 0
        return bool(chunk)


def _unfinished(data: bytes) -> int:
    """Return how many bytes at the end begin a UTF-8 letter that goes on in the next chunk."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        needs = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return back if needs > back else 0
    return 0


def _row(line: int, value: Any) -> AlbumRow:
    if not isinstance(value, dict):
        raise ImportRejected(line, "not an object with the columns as names")
    cells: dict[str, Any] = {}
    for name, cell in value.items():
        known = "_".join(name.lower().split())
        cells[known if known in COLUMNS else name] = cell
    return row_from(line, cells)
