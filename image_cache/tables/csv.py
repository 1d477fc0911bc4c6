"""CSV reader, row by row: comma, semicolon or tab; UTF-8 or what Excel writes instead; broken lines cost their row only.

The header decides what the file is: our own table, the export of a Discogs collection, or a table that is rejected with the reason.
"""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from image_cache.errors import ImportRejected, TableRejected
from image_cache.import_models import ImportRow
from image_cache.tables.dates import DateOrders
from image_cache.tables.discogs_export import collection_row, foreign_reason, is_collection, likely_title
from image_cache.tables.encoding import one_byte_encoding
from image_cache.tables.rows import COLUMNS, known_column, meant_columns, plain_name, row_from

MAX_RECORD_BYTES = 128 * 1024  # a record with the longest allowed cells has about 30 KB
MAX_COLUMNS = 200
_OPEN_QUOTE = "a quotation mark is not closed"
_REASONS = {"unexpected end of data": _OPEN_QUOTE}
_BEFORE_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t,;]*|sep=.)\r?\n")  # blank lines, and Excel's own hint
# Where a spreadsheet begins a formula: at the start of a cell, and after a separator of another locale.
_FORMULA = re.compile(r"(^|[;,\t|\r\n])('*)(?=[=+\-@])")
_GUARDED = re.compile(r"(^|[;,\t|\r\n])'('*)(?=[=+\-@])")
DATES = ("added", "date_added", "last_played", "bought")
SURVEYED_ROWS = 2000  # without a date that can be read both ways, no more are looked at


def guarded(cell: str) -> str:
    """Return a cell with an apostrophe before what a spreadsheet would evaluate. The reader removes it."""
    return _FORMULA.sub(r"\1'\2", cell)


def read_csv(path: Path, opened: Callable[[], BinaryIO]) -> Iterator[ImportRow | ImportRejected]:
    """Yield the rows of a CSV; `opened` returns the file from its start. `line` counts rows as a spreadsheet does: the header is 1.

    Of a broken record the first line is rejected; reading continues with the next line.
    """
    other = one_byte_encoding(opened())
    dates = _survey(path, _Lines(opened(), other))
    lines = _Lines(opened(), other)
    names, separator = _header(path, lines)
    make = collection_row if is_collection(names) else row_from
    remarks = meant_columns(names) if make is row_from else []
    row = lines.rows_above
    while lines.has_more():
        row += 1
        try:
            cells = _record(row, lines, separator)
            if not any(cell.strip() for cell in cells):
                continue
            losses, remarks = [*remarks, *lines.remarks()], []
            found = {name: _unguarded(cell) for name, cell in zip(names, cells, strict=False)}
            if more := [cell.strip() for cell in cells[len(names) :] if cell.strip()]:
                losses.append(f"{len(cells)} columns, but the header has {len(names)}: the rest is in the notes")
                found["More cells"] = ", ".join(more)
            yield make(row, found, dates=dates, losses=losses)
        except ImportRejected as problem:
            yield problem


def _survey(path: Path, lines: "_Lines") -> DateOrders:
    """Read the date columns ahead, as far as needed to know whether the month or the day comes first."""
    names, separator = _header(path, lines)
    orders = DateOrders(is_month_first=separator != ";")  # where a semicolon separates, the day comes first
    plain = [known_column(name, ()) or plain_name(name) for name in names]
    open_columns = {n: "added" if name == "date_added" else name for n, name in enumerate(plain) if name in DATES}
    row = 0
    while open_columns and lines.has_more() and (row < SURVEYED_ROWS or orders.doubtful):
        row += 1
        try:
            cells = _record(row, lines, separator)
        except ImportRejected:
            continue
        for n, name in list(open_columns.items()):
            if n < len(cells) and orders.learn(name, cells[n]):
                del open_columns[n]
    return orders


class _Lines:
    """The lines of a file. They can be pushed back: a broken record is read again from its second line.

    A line that is too long is b"", which no real line is.
    """

    def __init__(self, file: BinaryIO, other: str) -> None:
        self._file = file
        self._other = other  # the encoding of a file that is not UTF-8
        self._ahead: deque[bytes] = deque()  # lines that were read or pushed back, to be returned first
        self._encoding = ""  # set by the first line that is not ASCII
        self._remarks: list[str] = []
        self.rows_above = 0  # the header and the rows before it

    def has_more(self) -> bool:
        if not self._ahead:
            line = self._file.readline(MAX_RECORD_BYTES + 1)
            if not line:
                return False
            if len(line) > MAX_RECORD_BYTES:
                while line and not line.endswith(b"\n"):
                    line = self._file.readline(MAX_RECORD_BYTES)
                line = b""
            self._ahead.append(line)
        return True

    def next(self) -> bytes | None:
        return self._ahead.popleft() if self.has_more() else None

    def push_back(self, lines: list[bytes]) -> None:
        self._ahead.extendleft(reversed(lines))

    def remarks(self) -> list[str]:
        """Return what was guessed about letters since the last call."""
        found, self._remarks = self._remarks, []
        return found

    def text(self, line: bytes) -> str:
        """Decode a line. Raises `ImportRejected` for one that is too long.

        The first line that is not ASCII decides: if it has any valid UTF-8 character, the file is UTF-8. Otherwise it is what older
        versions of Excel write, on Windows or on a Mac.
        """
        if not line:
            raise ImportRejected(0, f"the line is longer than {MAX_RECORD_BYTES // 1024} KB")
        if line.isascii():
            return line.decode("ascii")
        if not self._encoding:
            self._encoding = "utf-8"
            if line.decode("utf-8", errors="ignore").isascii():
                self._encoding = self._other
                if self._encoding == "mac_roman":
                    self._remarks.append(
                        "non-ASCII characters were read as Mac Roman. If they are wrong, save the table as CSV (UTF-8) and try again"
                    )
        try:
            return line.decode(self._encoding)
        except UnicodeDecodeError:
            self._remarks.append("a character in this row is not UTF-8; read as Windows-1252")
            return line.decode("cp1252", errors="replace")


def _record(row: int, lines: _Lines, separator: str) -> list[str]:
    """Read the record that begins at the next line. Raises `ImportRejected` with the number of the row."""
    taken: list[bytes] = []

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
            raise ImportRejected(row, f"not a CSV row: {_OPEN_QUOTE}") from None
        if isinstance(problem, ImportRejected):
            raise ImportRejected(row, problem.reason) from None
        raise ImportRejected(row, f"not a CSV row: {_REASONS.get(str(problem), problem)}") from None


def _header(path: Path, lines: _Lines) -> tuple[list[str], str]:
    """Read the header; return the column names, known ones in our spelling, and the separator that fits best."""
    try:
        line = lines.next()
        lines.rows_above = 1
        while line is not None and _BEFORE_HEADER.fullmatch(line):
            lines.rows_above += b"sep=" not in line  # that line is no row of the sheet
            line = lines.next()
        text = "" if line is None else lines.text(line.removeprefix(b"\xef\xbb\xbf"))
        candidates = [(next(csv.reader([text], delimiter=mark), []), mark) for mark in ",;\t"]
    except ImportRejected as problem:
        raise TableRejected(str(path), problem.reason) from None
    except csv.Error:
        raise TableRejected(str(path), "the first line is not a header row") from None
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
            raise TableRejected(str(path), f"no column is named title. If {meant[:40]!r} contains the titles, rename it to title")
        raise TableRejected(
            str(path), f"the first line must be a header row with a column named title, but it is {text[:60].strip()!r}"
        )
    twice = [name for name in COLUMNS if names.count(name) > 1]
    if twice:
        raise TableRejected(str(path), f"the column {twice[0]} appears twice")
    return names, separator


def _known_names(header: list[str]) -> list[str]:
    plain = [plain_name(cell) for cell in header]
    return [known_column(cell, plain) or cell.strip() or f"Column {number}" for number, cell in enumerate(header, 1)]


def _unguarded(cell: str) -> str:
    return _GUARDED.sub(r"\1\2", cell) if "'" in cell else cell
