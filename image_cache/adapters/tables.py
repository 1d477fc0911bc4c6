"""Our tables: CSV and JSON in, CSV and JSON out. Streams both ways; a file's size is no memory. Knows no catalogue."""

import csv
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from image_cache.adapters.table_csv import FORMULA, read_csv
from image_cache.adapters.table_json import read_json
from image_cache.adapters.table_rows import COLUMNS
from image_cache.errors import ImportRejected, TableRejected
from image_cache.models import Album, AlbumRow

# What people take for a table, by its first bytes.
_KNOWN = (
    (b"PK\x03\x04", "this is a spreadsheet or an archive; save the table as CSV (UTF-8)"),
    (b"\xd0\xcf\x11\xe0", "this is an old Excel workbook; save the table as CSV (UTF-8)"),
    (b"\x1f\x8b", "this is compressed; unpack it first"),
    (b"\xff\xfe", "this is UTF-16 text; save the table as CSV (UTF-8)"),
    (b"\xfe\xff", "this is UTF-16 text; save the table as CSV (UTF-8)"),
    (b"SQLite format 3", "this is a database"),
)


def read_table(path: Path) -> Iterator[AlbumRow | ImportRejected]:
    """Yield the rows of a CSV or JSON file, told apart by how it begins; a row that cannot be used as its `ImportRejected`.

    Raises `TableRejected`, before the first row, when the file cannot be read or is not a table at all. A file that
    breaks off after some rows ends with an `ImportRejected` that says so.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4096)
            file.seek(0)
            if not start:
                raise TableRejected(str(path), "the file is empty")
            for magic, reason in _KNOWN:
                if start.startswith(magic):
                    raise TableRejected(str(path), reason)
            if b"\0" in start:
                raise TableRejected(str(path), "this is not a text file")
            bare = start.removeprefix(b"\xef\xbb\xbf").lstrip()
            yield from (read_json if bare[:1] in {b"[", b"{"} else read_csv)(path, file)
    except OSError as error:
        raise TableRejected(str(path), error.strerror or "cannot be read") from error


def write_table(path: Path, albums: Iterable[Album]) -> int:
    """Write albums to `.csv` or `.json`, by the name; return how many. The file appears whole or not at all, readable by its owner.

    Raises `TableRejected` when the name says neither or the disk refuses.
    """
    writers = {".csv": _write_csv, ".json": _write_json}
    write = writers.get(path.suffix.lower())
    if write is None:
        raise TableRejected(str(path), "the name ends neither in .csv nor in .json")
    temp = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(handle, "w", encoding="utf-8", newline="") as file:
                count = write(file, albums)
                file.flush()
                os.fsync(handle)
            temp.replace(path)
        except BaseException:
            temp.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise TableRejected(str(path), error.strerror or "cannot be written") from error
    return count


def _write_csv(file: TextIO, albums: Iterable[Album]) -> int:
    file.write("\ufeff")  # without it Excel reads UTF-8 as something else, and saves the damage
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    count = 0
    for album in albums:
        count += 1
        writer.writerow(_cell(value) for value in _record(album).values())
    return count


def _write_json(file: TextIO, albums: Iterable[Album]) -> int:
    """One album a line, so that a line number means something and a difference can be read."""
    count = 0
    for album in albums:
        file.write("[\n" if count == 0 else ",\n")
        record = {name: value for name, value in _record(album).items() if value not in (None, "", [])}
        json.dump(record, file, ensure_ascii=False)
        count += 1
    file.write("\n]\n" if count else "[]\n")
    return count


def _record(album: Album) -> dict[str, object]:
    added = datetime.fromtimestamp(album.added_at, UTC).isoformat().replace("+00:00", "Z")
    tracks = [{"position": t.position, "title": t.title, "duration_s": t.duration_s} for t in album.tracks]
    values = {"added": added, "tracks": tracks}
    lists = {name: list(getattr(album, name)) for name in ("genres", "styles", "formats")}
    return {name: {**values, **lists}[name] if name in {**values, **lists} else getattr(album, name) for name in COLUMNS}


def _cell(value: object) -> str:
    text = "" if value is None or value == [] else str(value)
    if isinstance(value, list) and value:
        plain = all(isinstance(item, str) and ";" not in item and not item.startswith("[") for item in value)
        text = "; ".join(value) if plain else json.dumps(value, ensure_ascii=False)
    # A spreadsheet would run a cell that begins like a formula. The reader takes the apostrophe off again.
    return f"'{text}" if FORMULA.match(text) else text
