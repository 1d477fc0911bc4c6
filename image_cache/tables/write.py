"""Table writer: CSV and JSON that have everything and can be imported again without a change. Memory is flat."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from image_cache.errors import TableRejected
from image_cache.filesystem import replacing
from image_cache.import_models import RowLoss
from image_cache.models import Album
from image_cache.tables.csv import guarded
from image_cache.tables.rows import COLUMNS

_HTTP = re.compile(r"https?:")
KINDS = ("csv", "json")


def table_text(kind: str, albums: Iterable[Album]) -> Iterator[str]:
    """Yield the text of a table, one album at a time."""
    return _csv(albums) if kind == "csv" else _json(albums)


def report_text(losses: Iterable[RowLoss], first: str = "row") -> Iterator[str]:
    """Yield the report of an import as CSV; `first` heads the column of rows, which are folders for music."""
    line = io.StringIO()
    writer = csv.writer(line)
    yield f"\ufeff{first},artist,title,what\r\n"
    for loss in losses:
        line.seek(0)
        line.truncate()
        writer.writerow(
            [
                guarded(loss.row) if isinstance(loss.row, str) else loss.row,
                guarded(loss.artist),
                guarded(loss.title),
                guarded(loss.what),
            ]
        )
        yield line.getvalue()


def write_table(path: Path, albums: Iterable[Album]) -> int:
    """Write albums to a `.csv` or `.json` file, by its name; return how many. The write is atomic, the file readable by its owner.

    Raises `TableRejected` if the name ends in neither or the disk refuses.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in KINDS:
        raise TableRejected(str(path), "the file name must end in .csv or .json")
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
    yield "\ufeff" + line.getvalue()  # without a byte order mark Excel does not read it as UTF-8, and saves the damage
    for album in albums:
        line.seek(0)
        line.truncate()
        writer.writerow(_cell(value) for value in _record(album).values())
        yield line.getvalue()


def _json(albums: Iterable[Album]) -> Iterator[str]:
    """One album per line, so that line numbers and diffs are useful."""
    opening = "[\n"
    for album in albums:
        record = {name: value for name, value in _record(album).items() if value not in (None, "", [])}
        yield opening + json.dumps(record, ensure_ascii=False)
        opening = ",\n"
    yield "[]\n" if opening == "[\n" else "\n]\n"


def _record(album: Album) -> dict[str, object]:
    tracks = [{"position": t.position, "title": t.title, "duration_s": t.duration_s} for t in album.tracks]
    # The address of an image on this server is of no use elsewhere, and an import would reject it.
    cover_url = album.cover_url if album.cover_url and _HTTP.match(album.cover_url) else None
    values: dict[str, object] = {"added": _moment(album.added_at), "last_played": _moment(album.last_played_at)}
    values |= {"tracks": tracks, "cover_url": cover_url}
    values |= {name: list(getattr(album, name)) for name in ("genres", "styles", "formats")}
    return {name: values[name] if name in values else getattr(album, name) for name in COLUMNS}


def _moment(value: float | None) -> str | None:
    return None if value is None else datetime.fromtimestamp(value, UTC).isoformat().replace("+00:00", "Z")


def _cell(value: object) -> str:
    text = "" if value is None or value == [] else str(value)
    if isinstance(value, list) and value:
        plain = all(isinstance(item, str) and ";" not in item and not item.startswith("[") for item in value)
        text = "; ".join(value) if plain else json.dumps(value, ensure_ascii=False)
    return guarded(text)
