"""Table module of the wantlist in `catalog.db`. SQL only, and which want an album fulfils."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row
from image_cache.db.dialect import TEXTS
from image_cache.models import Album
from image_cache.records.search.rules import code_key, indexed, name_key, plain
from image_cache.records.wants.want import Want

_FIELDS = (
    *("source", "source_id", "artist", "title", "year", "label", "catno", "formats", "genres", "barcode", "cover_url"),
    *("notes", "source_notes", "is_listed", "state", "added_at", "changed_at", "album_id"),
)
_SELECT = f"SELECT id, {', '.join(_FIELDS)} FROM wants"
# Its very release, its barcode, or any pressing of a record that was typed without a number.
_FULFILLED = (
    "state = 'wanted' AND ((source = ? AND source_id = ?) OR (barcode = ? AND barcode <> '')"
    " OR (name_key = ? AND source = 'hand' AND barcode = '' AND (catno_key = '' OR catno_key = ?)))"
)


class WantsTable:
    """Any thread, several processes. Methods with a connection belong into the caller's `write()` block."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def wanted(self) -> list[Want]:
        """Return what is wanted, by artist."""
        return [_want(row) for row in self.db.rows(f"{_SELECT} WHERE state = 'wanted' ORDER BY artist_sort, title_sort, id")]

    def count(self) -> int:
        row = self.db.row("SELECT count(*) FROM wants WHERE state = 'wanted'")
        return int(row[0]) if row else 0

    def bought(self, limit: int) -> list[Want]:
        """Return what was bought, the latest first."""
        rows = self.db.rows(f"{_SELECT} WHERE state = 'bought' ORDER BY changed_at DESC, id DESC LIMIT ?", (limit,))
        return [_want(row) for row in rows]

    def count_bought(self) -> int:
        row = self.db.row("SELECT count(*) FROM wants WHERE state = 'bought'")
        return int(row[0]) if row else 0

    def want(self, want_id: int) -> Want | None:
        row = self.db.row(f"{_SELECT} WHERE id = ?", (want_id,)) if 0 < want_id < 2**63 else None
        return _want(row) if row else None

    def by_identity(self, source: str, source_id: str) -> Want | None:
        row = self.db.row(f"{_SELECT} WHERE source = ? AND source_id = ?", (source, source_id))
        return _want(row) if row else None

    def of_album(self, album_id: int) -> Want | None:
        """Return the want that a record was."""
        row = self.db.row(f"{_SELECT} WHERE album_id = ? AND album_id IS NOT NULL LIMIT 1", (album_id,))
        return _want(row) if row else None

    def matching(self, words: Sequence[str], code: str, limit: int) -> list[Want]:
        """Return wants that have all plain words, or a number that is `code`; by artist."""
        if not words and not code:
            return []
        parts = " AND ".join("replace(words, ?, '') <> words" for _ in words) or "1 = 0"
        sql = f"{_SELECT} WHERE state = 'wanted' AND (({parts}) OR (? <> '' AND ? IN (catno_key, ltrim(barcode, '0'))))"
        rows = self.db.rows(f"{sql} ORDER BY artist_sort, title_sort, id LIMIT ?", (*words, code, code, limit))
        return [_want(row) for row in rows]

    def of_names(self, keys: Iterable[str]) -> list[Want]:
        """Return wants of a record, whatever the pressing; see `names_key`."""
        rows = self.db.rows(f"{_SELECT} WHERE state = 'wanted' AND name_key IN ({TEXTS})", (json.dumps(list(keys)),))
        return [_want(row) for row in rows]

    def put(self, conn: Connection, want: Want) -> int:
        """Write a want, a new one or another state of a known one; return its id."""
        album = want.as_album()
        values = {name: value for name, value in asdict(want).items() if name in _FIELDS}
        values |= {
            "formats": json.dumps(list(want.formats), ensure_ascii=False),
            "genres": json.dumps(list(want.genres), ensure_ascii=False),
            "is_listed": int(want.is_listed),
            "artist_sort": album.artist_sort,
            "title_sort": album.title_sort,
            "name_key": names_key(want.artist, want.title),
            "catno_key": code_key(plain(want.catno)),
            "words": indexed((want.artist, want.title, want.label, want.catno)),
        }
        names = ", ".join(values)
        changes = ", ".join(f"{name} = excluded.{name}" for name in values if name not in ("source", "source_id"))
        sql = f"INSERT INTO wants ({names}) VALUES ({', '.join('?' * len(values))}) ON CONFLICT (source, source_id)"
        return int(conn.execute(f"{sql} DO UPDATE SET {changes} RETURNING id", tuple(values.values())).fetchone()["id"])

    def remove(self, conn: Connection, want_id: int) -> None:
        conn.execute("DELETE FROM wants WHERE id = ?", (want_id,))

    def has_wanted(self) -> bool:
        return self.db.row("SELECT 1 FROM wants WHERE state = 'wanted' LIMIT 1") is not None

    def fulfilled(self, conn: Connection, album: Album) -> list[Want]:
        """Return the wants that a new record fulfils."""
        values = (
            album.source,
            album.release_id,
            album.barcode,
            names_key(album.artist, album.title),
            code_key(plain(album.catno)),
        )
        return [_want(row) for row in conn.execute(f"{_SELECT} WHERE {_FULFILLED}", values)]

    def mark_bought(self, conn: Connection, wants: Iterable[Want], album_id: int, now: float) -> None:
        sql = "UPDATE wants SET state = 'bought', changed_at = ?, album_id = ? WHERE id = ?"
        conn.executemany(sql, [(now, album_id, want.id) for want in wants])

    def unlist(self, conn: Connection, source: str, listed: Iterable[str]) -> int:
        """Take what a source does not list any more off the wantlist, unless someone wrote notes here; return how many."""
        still = json.dumps(list(listed))
        gone = f"source = ? AND is_listed = 1 AND source_id NOT IN ({TEXTS})"
        removed = conn.execute(f"DELETE FROM wants WHERE {gone} AND state <> 'bought' AND notes = ''", (source, still)).rowcount
        conn.execute(f"UPDATE wants SET is_listed = 0 WHERE {gone}", (source, still))
        return removed


def names_key(artist: str, title: str) -> str:
    """Return what all pressings of a record have in common."""
    return f"{name_key(plain(artist))}/{name_key(plain(title))}"


def _want(row: Row) -> Want:
    values = dict(row)
    lists = {name: tuple(json.loads(values.pop(name))) for name in ("formats", "genres")}
    return Want(**values | lists | {"is_listed": bool(values["is_listed"])})
