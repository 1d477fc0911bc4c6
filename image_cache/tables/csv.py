"""CSV reader, row by row: comma, semicolon or tab; UTF-8 or what Excel writes instead; broken lines cost their row only.

The header decides what the file is: our own table, the export of a Discogs collection, or a table that is rejected with the reason.
"""

import csv
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from image_cache.errors import ImportRejected, TableRejected
from image_cache.models import AlbumRow
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


# Their column -> ours. Other columns, such as custom fields, become lines of the notes.
_DISCOGS_COLUMNS = {
    "catalog#": "catno",
    "artist": "artist",
    "title": "title",
    "label": "label",
    "format": "formats",
    "rating": "rating",
    "released": "year",
    "release_id": "source_id",
    "date_added": "added",
    "collection_media_condition": "media_condition",
    "collection_sleeve_condition": "sleeve_condition",
    "collection_notes": "notes",
}
_IS_COLLECTION = {"catalog#", "release_id", "collectionfolder"}
# Columns of tables that are something else -> the reason of the rejection.
_FOREIGN = (
    ({"listing_id"}, "this is a Discogs inventory, what you sell; export your collection instead"),
    ({"order_id"}, "this is a list of Discogs orders; export your collection instead"),
    ({"catalog#", "release_id"}, "this is a Discogs wantlist, what you do not have yet; export your collection instead"),
    ({"isbn"}, "this is a list of books"),
    ({"isbn13"}, "this is a list of books"),
    ({"imdb_rating"}, "this is a list of films"),
    ({"letterboxd_uri"}, "this is a list of films"),
    ({"track_name"}, "this is a list of single tracks, not of records"),
    ({"spotify_uri"}, "this is a list of single tracks, not of records"),
)
_TITLES = ("album", "album_title", "release", "release_title", "record", "name", "titel", "titre", "título", "titolo")
_NUMBERED = re.compile(r" \(\d{1,3}\)(?=$|[\s,;])")  # how Discogs tells artists of one name apart
_GRADE = re.compile(r".*\(([A-Z]{1,2}\+?)(?: or [^)]*)?\)")  # Near Mint (NM or M-)
_YEAR = re.compile(r"(\d{4})(?:-\d\d){0,2}")
_FOLDERS = ("", "all", "uncategorized")  # those of records that were put into no folder


def is_collection(header: Sequence[str]) -> bool:
    return _plain(header) >= _IS_COLLECTION


def foreign_reason(header: Sequence[str]) -> str:
    """Return the reason if a table is no list of the records of a collection, "" if it may be one."""
    names = _plain(header)
    return next((reason for columns, reason in _FOREIGN if columns <= names), "")


def likely_title(header: Sequence[str]) -> str:
    """Return the column that probably has the titles under another name, "" if there is none."""
    plain = {"_".join(name.lower().split()): name.strip() for name in header}
    return next((plain[name] for name in _TITLES if name in plain), "")


def collection_row(line: int, cells: Mapping[str, str]) -> AlbumRow:
    """Return the record of a row of a Discogs export. Raises `ImportRejected`."""
    found: dict[str, str | list[str] | None] = {"source": "discogs"}
    for name, cell in cells.items():
        plain = "_".join(name.lower().split())
        text = cell.strip()
        if plain == "collectionfolder":
            found["Folder"] = text if text.lower() not in _FOLDERS else ""
        elif plain in _DISCOGS_COLUMNS:
            found[_DISCOGS_COLUMNS[plain]] = _converted(_DISCOGS_COLUMNS[plain], text)
        elif text:
            found[re.sub(r"(?i)^collection ", "", name.strip())] = text
    return row_from(line, found, counts_copies=bool(found.get("source_id")))


def _converted(name: str, text: str) -> str | list[str] | None:
    if name == "artist":
        return _NUMBERED.sub("", text)
    if name in ("label", "catno"):  # the same label twice, once for each disc
        return ", ".join(dict.fromkeys(text.split(", ")))
    if name == "formats":
        return list(dict.fromkeys(part for chunk in text.split(" + ") for part in chunk.split(", ") if part))
    if name == "year":  # "19??" is treated like no year
        year = _YEAR.fullmatch(text)
        return year[1] if year else None
    if name.endswith("_condition"):
        grade = _GRADE.fullmatch(text)
        return grade[1] if grade else text
    return text


def _plain(header: Sequence[str]) -> set[str]:
    return {"_".join(name.lower().split()) for name in header}
