"""CSV reader, row by row: comma, semicolon or tab; UTF-8 or what Excel writes instead; broken lines cost their row only.

The header decides what the file is: our own table, the export of a Discogs collection, or a table that is rejected with the reason.
"""

import csv
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from image_cache.errors import ImportRejected, TableRejected
from image_cache.models import AlbumRow
from image_cache.tables.discogs_export import collection_row, foreign_reason, is_collection, likely_title
from image_cache.tables.rows import COLUMNS, row_from

MAX_RECORD_BYTES = 128 * 1024  # a record with the longest allowed cells has about 30 KB
MAX_COLUMNS = 200
_OPEN_QUOTE = "a quote is opened and not closed"
_REASONS = {"unexpected end of data": _OPEN_QUOTE}
_BEFORE_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t,;]*|sep=.)\r?\n")  # blank lines, and Excel's own hint
FORMULA = re.compile(r"'*[=+\-@]")  # what the writer puts an apostrophe in front of


def read_csv(path: Path, file: BinaryIO) -> Iterator[AlbumRow | ImportRejected]:
    """Yield the rows of a CSV. Of a broken record the first line is rejected; reading continues with the next line."""
    lines = _Lines(file)
    names, separator = _header(path, lines)
    make = collection_row if is_collection(names) else row_from
    while (start := lines.next_number()) is not None:
        try:
            cells = _record(lines, separator)
            if not any(cell.strip() for cell in cells):
                continue
            if any(cell.strip() for cell in cells[len(names) :]):
                raise ImportRejected(start, f"{len(cells)} cells, the header has {len(names)}")
            yield make(start, {name: _unguarded(cell) for name, cell in zip(names, cells, strict=False)})
        except ImportRejected as problem:
            yield problem


class _Lines:
    """The lines of a file with their numbers. They can be pushed back: a broken record is read again from its second line.

    A line that is too long is b"", which no real line is.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ahead: deque[bytes] = deque()  # lines that were read or pushed back, to be returned first
        self._number = 0
        self._encoding = ""  # set by the first line that is not ASCII

    def next_number(self) -> int | None:
        """Return the number of the next line, None at the end."""
        if not self._ahead:
            line = self._file.readline(MAX_RECORD_BYTES + 1)
            if not line:
                return None
            if len(line) > MAX_RECORD_BYTES:
                while line and not line.endswith(b"\n"):
                    line = self._file.readline(MAX_RECORD_BYTES)
                line = b""
            self._ahead.append(line)
        return self._number + 1

    def next(self) -> bytes | None:
        if self.next_number() is None:
            return None
        self._number += 1
        return self._ahead.popleft()

    def push_back(self, lines: list[bytes]) -> None:
        self._ahead.extendleft(reversed(lines))
        self._number -= len(lines)

    def text(self, line: bytes) -> str:
        """Decode a line. Raises `ImportRejected`.

        Older versions of Excel write Windows-1252. The first line that is not ASCII decides: if it has any valid UTF-8 character, the
        file is UTF-8.
        """
        if not line:
            raise ImportRejected(self._number, f"the line is longer than {MAX_RECORD_BYTES // 1024} KB")
        if line.isascii():
            return line.decode("ascii")
        if not self._encoding:
            self._encoding = "utf-8" if not line.decode("utf-8", errors="ignore").isascii() else "cp1252"
        try:
            return line.decode(self._encoding)
        except UnicodeDecodeError:
            raise ImportRejected(self._number, "not UTF-8 text; save the table as CSV (UTF-8)") from None


def _record(lines: _Lines, separator: str) -> list[str]:
    """Read the record that begins at the next line. Raises `ImportRejected` with the number of that line."""
    taken: list[bytes] = []
    start = lines.next_number() or 0

    def feed() -> Iterator[str]:
        size = 0
        while (line := lines.next()) is not None:
            taken.append(line)
            size += len(line)
            if size > MAX_RECORD_BYTES:
                raise csv.Error(_OPEN_QUOTE)
            yield lines.text(line)

    try:
        return next(csv.reader(feed(), delimiter=separator, strict=True), [])
    except (csv.Error, ImportRejected) as problem:
        if len(taken) > 1:
            lines.push_back(taken[1:])
            raise ImportRejected(start, f"not a CSV row: {_OPEN_QUOTE}") from None
        if isinstance(problem, ImportRejected):
            raise
        raise ImportRejected(start, f"not a CSV row: {_REASONS.get(str(problem), problem)}") from None


def _header(path: Path, lines: _Lines) -> tuple[list[str], str]:
    """Read the header; return the column names, known ones in our spelling, and the separator that fits best."""
    try:
        line = lines.next()
        while line is not None and _BEFORE_HEADER.fullmatch(line):
            line = lines.next()
        text = "" if line is None else lines.text(line.removeprefix(b"\xef\xbb\xbf"))
        candidates = [(next(csv.reader([text], delimiter=mark), []), mark) for mark in ",;\t"]
    except ImportRejected as problem:
        raise TableRejected(str(path), problem.reason) from None
    except csv.Error:
        raise TableRejected(str(path), "the first line is not a header") from None
    cells, separator = max(candidates, key=lambda found: (len(set(_known_names(found[0])) & set(COLUMNS)), len(found[0])))
    if len(cells) > MAX_COLUMNS:
        raise TableRejected(str(path), f"more than {MAX_COLUMNS} columns")
    if is_collection(cells):
        return [cell.strip() for cell in cells], separator
    if reason := foreign_reason(cells):
        raise TableRejected(str(path), reason)
    names = _known_names(cells)
    if "title" not in names:
        if meant := likely_title(cells):
            raise TableRejected(str(path), f"there is no column named title; if {meant[:40]!r} holds the titles, rename it")
        raise TableRejected(str(path), f"the first line is not a header with a column named title: {text[:60].strip()!r}")
    twice = [name for name in COLUMNS if names.count(name) > 1]
    if twice:
        raise TableRejected(str(path), f"two columns are named {twice[0]}")
    return names, separator


def _known_names(header: list[str]) -> list[str]:
    names = []
    for number, cell in enumerate(header, 1):
        name = "_".join(cell.lower().split())
        names.append(name if name in COLUMNS else cell.strip() or f"Column {number}")
    return names


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell
