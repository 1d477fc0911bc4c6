"""Reader of `vinylvault.db`, the database of the original program: records with play counts and, if it has them, single plays.

Its table `albums` has discogs_id, title, artist, year, cover_url, genres, styles and tracklist (JSON), notes, rating, date_added,
play_count and last_played. Columns of later versions are read if their meaning is clear; others are ignored.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from image_cache.db.connection import open_untrusted
from image_cache.db.database import Connection, DatabaseError, Row
from image_cache.errors import ImportRejected, TableRejected
from image_cache.import_models import ImportRow
from image_cache.tables.cells import MAX_PLAYS, moment_from
from image_cache.tables.rows import row_from

MAX_VALUE_BYTES = 1_000_000  # the longest tracklist that is accepted has about 150 KB
MAX_PLAYS_PER_ALBUM = 10_000
_NEEDED = {"title", "artist", "discogs_id"}
# Our column -> its names there; the first that exists is read.
_NAMES = {
    "title": ("title",),
    "artist": ("artist",),
    "source_id": ("discogs_id",),
    "year": ("year",),
    "genres": ("genres", "genre"),
    "styles": ("styles", "style"),
    "formats": ("formats", "format"),
    "label": ("label",),
    "catno": ("catno", "catalog_number"),
    "rating": ("user_rating", "rating"),
    "added": ("date_added",),
    "notes": ("notes",),
    "cover_url": ("cover_url", "cover_image"),
    "plays": ("play_count",),
    "tracks": ("tracklist", "tracks"),
    "last_played": ("last_played",),
}
_HISTORIES = ("plays", "play_history", "listening_history", "history")
_MOMENTS = ("played_at", "timestamp", "played_on", "created_at")


def read_legacy_database(path: Path) -> Iterator[tuple[int, ImportRow | ImportRejected]]:
    """Yield (number of all records, the next one). The line of a record is its number in the table.

    Raises `TableRejected` if the file is damaged or of another program.
    """
    has_rows = False
    try:
        with open_untrusted(path, max_value_bytes=MAX_VALUE_BYTES) as conn:
            columns = _checked(path, conn)
            total = int(conn.execute("SELECT count(*) FROM albums").fetchone()[0])
            history = _history(conn) if "id" in columns else ""
            names = {ours: name for ours, theirs in _NAMES.items() if (name := next((n for n in theirs if n in columns), ""))}
            for number, row in enumerate(_rows(conn), 1):
                has_rows = True
                try:
                    played = [found["at"] for found in conn.execute(history, (row["id"],))] if history else []
                    yield total, _album(number, row, names, played)
                except ImportRejected as problem:
                    yield total, problem
    except DatabaseError as error:
        reason = "it contains a text longer than 1 MB" if "too big" in str(error) else f"the database is corrupt ({error})"
        raise TableRejected(str(path), f"{reason}. Everything before it was imported" if has_rows else reason) from None


def _checked(path: Path, conn: Connection) -> set[str]:
    """Return the columns of its albums. Raises `TableRejected`."""
    problem = conn.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise TableRejected(str(path), "the database is corrupt or incomplete")
    kinds = {row["name"]: (row["type"], row["sql"] or "") for row in conn.execute("SELECT name, type, sql FROM sqlite_master")}
    kind, sql = kinds.get("albums", ("", ""))
    if kind != "table" or sql.upper().startswith("CREATE VIRTUAL"):
        raise TableRejected(str(path), "this database is not from the original VinylVault: it has no albums table")
    columns = {row["name"] for row in conn.execute("PRAGMA table_info(albums)")}
    if {"source_id", "title_sort"} <= columns:
        raise TableRejected(
            str(path), "this is a VinylVault catalogue. Restore it from a backup instead, or export a table from it"
        )
    if missing := _NEEDED - columns:
        raise TableRejected(
            str(path), f"this database is not from the original VinylVault: its albums table has no {min(missing)}"
        )
    return columns


def _rows(conn: Connection) -> Iterator[Row]:
    """Yield the records by id, in short reads: another program may write to the file meanwhile."""
    last: Any = None
    while True:
        where, values = ("", ()) if last is None else ("WHERE rowid > ?", (last,))
        found = conn.execute(f"SELECT rowid AS its_number, * FROM albums {where} ORDER BY rowid LIMIT 200", values).fetchall()
        yield from found
        if not found:
            return
        last = found[-1]["its_number"]


def _history(conn: Connection) -> str:
    """Return the statement that lists the plays of an album, "" if the database has none."""
    for table in _HISTORIES:
        columns = {row["name"] for row in conn.execute(f"PRAGMA table_info({table})")}
        moment = next((name for name in _MOMENTS if name in columns), "")
        is_table = conn.execute("SELECT 1 FROM sqlite_master WHERE name = ? AND type = 'table'", (table,)).fetchone()
        if is_table and moment and "album_id" in columns:
            return f"SELECT {moment} AS at FROM {table} WHERE album_id = ? LIMIT {MAX_PLAYS_PER_ALBUM}"
    return ""


def _album(number: int, row: Row, names: dict[str, str], history: list[Any]) -> ImportRow:
    cells: dict[str, Any] = {ours: _text(row[theirs]) for ours, theirs in names.items()}
    if cells.get("source_id"):
        cells["source"] = "discogs"
    for name in ("genres", "styles", "formats", "label"):
        if cells.get(name):
            cells[name] = _names(cells[name])
    cells["label"] = ", ".join(cells["label"]) if isinstance(cells.get("label"), list) else cells.get("label")
    cells["tracks"] = _tracks(cells.get("tracks"))
    cells["notes"] = _notes(cells.get("notes"))
    if not str(cells.get("cover_url") or "").startswith(("http://", "https://")):
        cells["cover_url"] = None  # a path on that computer
    cells["plays"] = min(cells["plays"], MAX_PLAYS) if isinstance(cells.get("plays"), int) else cells.get("plays")
    album = row_from(number, cells)
    played = tuple(sorted({moment_from(number, "played_at", moment) for moment in history}))
    moments = [*played, *([album.last_played_at] if album.last_played_at else [])]
    plays = max(album.plays or 0, len(played))
    return replace(album, plays=plays or None, last_played_at=max(moments, default=None), played_at=played)


def _text(value: Any) -> Any:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value


def _json(value: Any) -> Any:
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _names(value: Any) -> Any:
    """Return a list of names from JSON of texts or of objects with a name, or from text with commas."""
    found = _json(value)
    if isinstance(found, list):
        texts = [item.get("name") if isinstance(item, dict) else item for item in found]
        return [text for text in texts if isinstance(text, str) and text.strip()]
    return [part for part in value.split(", ") if part] if isinstance(value, str) and found is None else value


def _tracks(value: Any) -> Any:
    found = _json(value)
    if not isinstance(found, list):
        return None
    return [track for track in found if isinstance(track, str) or (isinstance(track, dict) and track.get("title"))]


def _notes(value: Any) -> Any:
    """Return the notes as text: those of Discogs are fields with values."""
    found = _json(value)
    if isinstance(found, list):
        return "\n".join(str(item["value"]) for item in found if isinstance(item, dict) and item.get("value"))
    return value
