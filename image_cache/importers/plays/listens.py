"""Reader of exported plays: ListenBrainz (JSON, JSON lines, ZIP), Last.fm (CSV with and without a header), and one's own CSV or JSON.

A row that cannot be read costs itself only: it is yielded as `ImportRejected` with its number and the reason.
"""

import codecs
import csv
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from image_cache.errors import ImportRejected, TableRejected
from image_cache.frozen import frozen
from image_cache.tables.cells import BadCell, bounded_moment, read_moment, shown
from image_cache.tables.dates import DateOrders
from image_cache.tables.encoding import decoded
from image_cache.tables.json import BrokenJson, JsonRecords

MAX_LINE_CHARS = 64 * 1024
MAX_CHARS = 500
MAX_ZIP_BYTES = 2_000_000_000  # unpacked
DAY_S = 86400.0
TIMES = ("played_at", "listened_at", "uts", "timestamp", "utc_time", "date", "played", "time")
ARTISTS = ("artist", "artist_name", "artist name")
RECORDS = ("album", "release", "release_name", "record", "album name")
TRACKS = ("track", "track_name", "song", "track name", "name")
NO_COLUMNS = (
    "the first line must be a header row with the columns played_at, artist and title. Exports of ListenBrainz and Last.fm work as they"
    " are"
)


@frozen
class Listen:
    """One row. `at` is Unix seconds. `record` or `track` may be "", not both; without a track it is the play of a whole record."""

    row: int
    at: float
    artist: str
    record: str
    track: str


def read_listens(path: Path, now: float) -> Iterator[Listen | ImportRejected]:
    """Yield the rows of a file, in its order. Raises `TableRejected` for a file that is none of these."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
            file.seek(0)
            if start.startswith(b"PK\x03\x04"):
                yield from _zip(path, file, now)
                return
            text = start.removeprefix(codecs.BOM_UTF8).lstrip()
            if not text:
                raise TableRejected(str(path), "the file is empty")
            if text.startswith(b"["):
                yield from _json(path, file, now)
            elif text.startswith(b"{"):
                yield from _json_lines(_lines(file, start), now, 0)
            elif b"\0" in start[:512] and not start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise TableRejected(str(path), "this is not a text file")
            else:
                yield from _csv(path, _lines(file, start), now)
    except OSError as error:
        raise TableRejected(str(path), error.strerror or "cannot be read") from error


def _zip(path: Path, file: BinaryIO, now: float) -> Iterator[Listen | ImportRejected]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".jsonl") and "listens/" in info.filename]
            if not members:
                raise TableRejected(
                    str(path), "this ZIP archive is no export of ListenBrainz. Unpack it, and import a file of it"
                )
            if sum(info.file_size for info in members) > MAX_ZIP_BYTES:
                raise TableRejected(str(path), "this archive is too large when unpacked")
            row = 0
            for info in sorted(members, key=lambda one: one.filename):
                with archive.open(info) as member:
                    for found in _json_lines(_lines(member, b""), now, row):
                        row = found.row if isinstance(found, Listen) else found.line
                        yield found
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise TableRejected(str(path), "the ZIP archive is damaged or encrypted") from error


def _json(path: Path, file: BinaryIO, now: float) -> Iterator[Listen | ImportRejected]:
    records, number = JsonRecords(file), 0
    try:
        records.open()
        while (found := records.next()) is not None:
            number += 1
            yield _listen(found[0], found[1], now)
    except BrokenJson as problem:
        if not number:
            raise TableRejected(str(path), str(problem)) from None
        yield ImportRejected(records.line, f"{problem}. Nothing after this point was read")


def _json_lines(lines: Iterable[str], now: float, before: int) -> Iterator[Listen | ImportRejected]:
    for row, line in enumerate(lines, before + 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        yield _listen(row, value, now) if value is not None else ImportRejected(row, "not a line of JSON")


def _csv(path: Path, lines: Iterator[str], now: float) -> Iterator[Listen | ImportRejected]:
    first = next(lines, "")
    separator = max(",;\t", key=first.count)
    names = [" ".join(cell.strip().lower().split()) for cell in next(csv.reader([first], delimiter=separator), [])]
    columns = {name: _column(names, among) for name, among in (("at", TIMES), ("artist", ARTISTS), ("record", RECORDS))}
    columns["track"] = _column(names, TRACKS)
    if "title" in names:  # of the record, unless another column has that
        columns["record" if columns["record"] is None else "track"] = names.index("title")
    dates, row = DateOrders(), 1
    if columns["at"] is None or columns["artist"] is None or (columns["record"] is None and columns["track"] is None):
        if not _is_bare_lastfm(names, dates):
            raise TableRejected(str(path), NO_COLUMNS)
        columns = {"artist": 0, "record": 1, "track": 2, "at": 3}
        lines, row = _chain(first, lines), 0
    rows = csv.reader(lines, delimiter=separator)
    while True:
        row += 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield ImportRejected(row, "not a CSV row: it is too long, or a quotation mark is not closed")
            continue
        if any(cell.strip() for cell in cells):
            values = {name: cells[at] for name, at in columns.items() if at is not None and at < len(cells)}
            yield _row(row, values, now, dates)


def _is_bare_lastfm(cells: list[str], dates: DateOrders) -> bool:
    """Return True for the export of Last.fm that has no header: artist, record, track, date."""
    if len(cells) != 4:
        return False
    try:
        _moment(cells[3], dates)
    except BadCell:
        return False
    return True


def _listen(row: int, value: Any, now: float) -> Listen | ImportRejected:
    """Return a listen of ListenBrainz, or an object with the names of a table's columns."""
    if not isinstance(value, Mapping):
        return ImportRejected(row, "the JSON contains an entry that is not a play")
    about = value.get("track_metadata")
    if isinstance(about, Mapping):
        names = {"artist": "artist_name", "record": "release_name", "track": "track_name"}
        told = {name: about.get(theirs) for name, theirs in names.items()} | {"at": value.get("listened_at")}
        return _row(row, told, now, DateOrders())
    plain = {" ".join(str(name).lower().split()): cell for name, cell in value.items()}
    told = {name: next((plain[one] for one in among if one in plain), None) for name, among in _NAMED}
    if "title" in plain:
        told["record" if told["record"] is None else "track"] = plain["title"]
    return _row(row, told, now, DateOrders())


_NAMED = (("at", TIMES), ("artist", ARTISTS), ("record", RECORDS), ("track", TRACKS))


def _row(row: int, values: Mapping[str, Any], now: float, dates: DateOrders) -> Listen | ImportRejected:
    artist, record, track = (_text(values.get(name)) for name in ("artist", "record", "track"))
    if not artist or not (record or track):
        return ImportRejected(row, "artist, and the title of a record or a track, are missing")
    try:
        at = _moment(values.get("at"), dates)
    except BadCell as problem:
        return ImportRejected(row, str(problem))
    if at > now + DAY_S:
        return ImportRejected(row, f"played_at must be in the past, not {shown(values.get('at'))}")
    return Listen(row, at, artist, record, track)


def _moment(value: Any, dates: DateOrders) -> float:
    """Return a time in Unix seconds: a number, an ISO date, or a date as a spreadsheet writes it. Raises `BadCell`."""
    text = str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    if text.isascii() and text.isdigit() and 9 <= len(text) <= 13:
        return bounded_moment("played_at", value, float(text) / (1000 if len(text) > 11 else 1))
    try:
        return read_moment("played_at", text)
    except BadCell:
        pass
    try:
        moment, _ = dates.read("played_at", text)
        return bounded_moment("played_at", text, moment.timestamp())
    except (ValueError, OverflowError, IndexError):
        raise BadCell(f"played_at must be a date and a time such as 2024-05-31 20:15, not {shown(value)}") from None


def _text(value: Any) -> str:
    return (
        " ".join("".join(char if char.isprintable() else " " for char in value[:MAX_CHARS]).split())
        if isinstance(value, str)
        else ""
    )


def _column(names: list[str], among: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in among if name in names), None)


def _lines(file: Any, start: bytes) -> Iterator[str]:
    """Yield the lines as text: UTF-8, UTF-16, or what older spreadsheets write."""
    lines, is_first = decoded(file, start), True
    while line := lines.readline(MAX_LINE_CHARS):
        if is_first:
            line, is_first = line.removeprefix(codecs.BOM_UTF8), False
        try:
            yield line.decode()
        except UnicodeDecodeError:
            yield line.decode("cp1252", "replace")


def _chain(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines
