"""Tables out: CSV and JSON that hold everything and import without a change. Written piece by piece; a collection's size is no memory."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from image_cache.errors import TableRejected
from image_cache.filesystem import replacing
from image_cache.models import Album
from image_cache.tables.csv import FORMULA
from image_cache.tables.rows import COLUMNS

_ON_THE_NET = re.compile(r"https?:")
KINDS = ("csv", "json")


def table_text(kind: str, albums: Iterable[Album]) -> Iterator[str]:
    """Yield the text of a table, an album a piece, in UTF-8 once it is written."""
    return _csv(albums) if kind == "csv" else _json(albums)


def write_table(path: Path, albums: Iterable[Album]) -> int:
    """Write albums to `.csv` or `.json`, by the name; return how many. The file appears whole or not at all, readable by its owner.

    Raises `TableRejected` when the name says neither or the disk refuses.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in KINDS:
        raise TableRejected(str(path), "the name ends neither in .csv nor in .json")
    counted = _Counted(albums)
    try:
        with replacing(path, is_durable=True) as file:
            file.writelines(piece.encode() for piece in table_text(kind, counted))
    except OSError as error:
        raise TableRejected(str(path), error.strerror or "cannot be written") from error
    return counted.count


class _Counted:
    def __init__(self, albums: Iterable[Album]) -> None:
        self._albums = albums
        self.count = 0

    def __iter__(self) -> Iterator[Album]:
        for album in self._albums:
            self.count += 1
            yield album


def _csv(albums: Iterable[Album]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(COLUMNS)
    yield "\ufeff" + line.getvalue()  # without the mark Excel reads UTF-8 as something else, and saves the damage
    for album in albums:
        line.seek(0)
        line.truncate()
        writer.writerow(_cell(value) for value in _record(album).values())
        yield line.getvalue()


def _json(albums: Iterable[Album]) -> Iterator[str]:
    """One album a line, so that a line number means something and a difference can be read."""
    opening = "[\n"
    for album in albums:
        record = {name: value for name, value in _record(album).items() if value not in (None, "", [])}
        yield opening + json.dumps(record, ensure_ascii=False)
        opening = ",\n"
    yield "[]\n" if opening == "[\n" else "\n]\n"


def _record(album: Album) -> dict[str, object]:
    tracks = [{"position": t.position, "title": t.title, "duration_s": t.duration_s} for t in album.tracks]
    # A picture that lies on this machine has no address for others, and the import would refuse it.
    cover_url = album.cover_url if album.cover_url and _ON_THE_NET.match(album.cover_url) else None
    values: dict[str, object] = {"added": _moment(album.added_at), "last_played": _moment(album.last_played_at)}
    values |= {"tracks": tracks, "cover_url": cover_url}
    values |= {name: list(getattr(album, name)) for name in ("genres", "styles", "formats")}
    return {name: values[name] if name in values else getattr(album, name) for name in COLUMNS}


def _moment(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def _cell(value: object) -> str:
    text = "" if value is None or value == [] else str(value)
    if isinstance(value, list) and value:
        plain = all(isinstance(item, str) and ";" not in item and not item.startswith("[") for item in value)
        text = "; ".join(value) if plain else json.dumps(value, ensure_ascii=False)
    # A spreadsheet would run a cell that begins like a formula. The reader takes the apostrophe off again.
    return f"'{text}" if FORMULA.match(text) else text
