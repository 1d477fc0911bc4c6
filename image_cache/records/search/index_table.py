"""Tables of the search in `catalog.db`: adding records to them and taking them out. The rules are in `rules`."""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row
from image_cache.models import Album, Track
from image_cache.records.search.rules import RULES, columns, keys, vocabulary

ROWS_A_WRITE = 8000  # at most: each transaction spreads its keys over the whole table
WRITE_S = 3.0  # and at most so long: other processes wait 5 s for the lock
ROWS_A_COPY = 1000
ROWS_A_LOOK = 100  # after so many it is seen whether another thread waits to write

_INSERT_WORDS = "INSERT INTO words (rowid, names, facts, tracks, notes) VALUES (?, ?, ?, ?, ?)"
_TEXTS = (
    "id, source, source_id, title, artist, year, genres, styles, formats, label, catno, barcode, tracks, notes, own_notes, shelf"
)


class SearchIndexTable:
    """The words, keys and vocabulary of the records. Any thread, several processes.

    Records up to an id are in the index, later ones are not yet: a large import, or a change of the rules, adds them in order.
    Methods with a connection belong into the caller's `write()` block.
    """

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def add(self, conn: Connection, album_id: int) -> None:
        """Add a new record, unless earlier ones are not in the index yet: then it is added after them."""
        upto = self._upto(conn)
        if upto is None or album_id <= upto:
            return
        if conn.execute("SELECT 1 FROM albums WHERE id > ? AND id < ? LIMIT 1", (upto, album_id)).fetchone() is None:
            self._add(conn, self._albums(conn, "id = ?", (album_id,)))
            conn.execute("UPDATE search_index SET rules = ?, upto = ?", (RULES, album_id))

    def put_back(self, conn: Connection, album_id: int) -> None:
        """Add a record whose id is older than the last one in the index; a later one is added with the others."""
        upto = self._upto(conn)
        if upto is not None and album_id <= upto:
            self._add(conn, self._albums(conn, "id = ?", (album_id,)))

    def remove(self, conn: Connection, album_ids: Sequence[int]) -> None:
        """Remove records, before they are deleted."""
        upto = self._upto(conn)
        for album_id in album_ids:
            if upto is not None and album_id <= upto:
                self._remove(conn, self._albums(conn, "id = ?", (album_id,)))

    @contextlib.contextmanager
    def reworded(self, conn: Connection, album_id: int) -> Iterator[None]:
        """Keep the index of a record whose text changes in the block."""
        upto = self._upto(conn)
        if upto is None or album_id > upto:
            yield
            return
        before = next(self._albums(conn, "id = ?", (album_id,)), None)
        yield
        after = next(self._albums(conn, "id = ?", (album_id,)), None)
        if before is None or after is None:
            return
        known, wanted = keys(before), keys(after)
        self._delete_words(conn, before)
        conn.execute(_INSERT_WORDS, (album_id, *columns(after)))
        self._delete_keys(conn, album_id, known - wanted)
        self._insert_keys(conn, [(*key, album_id) for key in wanted - known])
        self._insert_terms(conn, vocabulary(after) - vocabulary(before))

    def copy_words(self, conn: Connection) -> int:
        """Add the words of the records that are in the index, for a copy of all other tables; return how many records that were."""
        upto, count = self._upto(conn) or 0, 0
        last = 0
        while albums := list(self._albums(conn, "id > ? AND id <= ? ORDER BY id LIMIT ?", (last, upto, ROWS_A_COPY))):
            conn.executemany(_INSERT_WORDS, [(album.id, *columns(album)) for album in albums])
            last, count = albums[-1].id, count + len(albums)
        return count

    def pending(self) -> int:
        """Return how many records are not in the index."""
        row = self.db.row("SELECT rules, upto, (SELECT max(id) FROM albums) AS last FROM search_index")
        if row is None or row["last"] is None:
            return 0
        upto = row["upto"] if row["rules"] == RULES else 0
        if upto >= row["last"]:
            return 0
        found = self.db.row("SELECT count(*) FROM albums WHERE id > ?", (upto,))
        return int(found[0]) if found else 0

    def catch_up(self, progress: Callable[[int], object] = lambda _count: None, *, least: int = 1) -> int:
        """Add what is missing, in short transactions, while it is at least so many; return how many records that were.

        `progress` gets the count between them.
        """
        count = 0
        while self.pending() >= least:
            progress(count)
            with self.db.write(is_bulk=True) as conn:
                count += self._add_next(conn)
        return count

    def _add_next(self, conn: Connection) -> int:
        upto = self._upto(conn)
        if upto is None:  # made by other rules
            conn.execute("INSERT INTO words (words) VALUES ('delete-all')")
            conn.execute("DELETE FROM keys")
            conn.execute("DELETE FROM vocabulary")
            upto = 0
        found, words, terms, count, until = [], list[tuple[object, ...]](), set[str](), 0, time.monotonic() + WRITE_S
        for album in self._albums(conn, "id > ? ORDER BY id LIMIT ?", (upto, ROWS_A_WRITE)):
            words.append((album.id, *columns(album)))
            found += [(kind, key, album.id) for kind, key in keys(album)]
            terms |= vocabulary(album)
            upto, count = album.id, count + 1
            if count % ROWS_A_LOOK == 0:
                conn.executemany(_INSERT_WORDS, words)
                words.clear()
                if time.monotonic() > until or self.db.is_write_awaited():
                    break
        conn.executemany(_INSERT_WORDS, words)
        self._insert_keys(conn, found)
        self._insert_terms(conn, terms)
        conn.execute("UPDATE search_index SET rules = ?, upto = ?", (RULES, upto))
        return count

    def _upto(self, conn: Connection) -> int | None:
        """Return the last record in the index; None if it was made by other rules, and is to be made again."""
        rules, upto = conn.execute("SELECT rules, upto FROM search_index").fetchone()
        return int(upto) if rules == RULES or not upto else None

    def _albums(self, conn: Connection, where: str, values: Sequence[object]) -> Iterator[Album]:
        return (_album(row) for row in conn.execute(f"SELECT {_TEXTS} FROM albums WHERE {where}", values))

    def _add(self, conn: Connection, albums: Iterable[Album]) -> None:
        for album in list(albums):
            conn.execute(_INSERT_WORDS, (album.id, *columns(album)))
            self._insert_keys(conn, [(*key, album.id) for key in keys(album)])
            self._insert_terms(conn, vocabulary(album))

    def _remove(self, conn: Connection, albums: Iterable[Album]) -> None:
        # The vocabulary keeps its words: one of no record finds nothing.
        for album in list(albums):
            self._delete_words(conn, album)
            self._delete_keys(conn, album.id, keys(album))

    def _insert_keys(self, conn: Connection, rows: Iterable[tuple[str, str, int]]) -> None:
        # In the order of the table: a page that several of them belong to is changed once.
        conn.executemany("INSERT INTO keys VALUES (?, ?, ?) ON CONFLICT (kind, key, album_id) DO NOTHING", sorted(rows))

    def _insert_terms(self, conn: Connection, terms: Iterable[str]) -> None:
        sql = "INSERT INTO vocabulary VALUES (?, ?) ON CONFLICT (term) DO NOTHING"
        conn.executemany(sql, [(term, term[::-1]) for term in sorted(terms)])

    def _delete_words(self, conn: Connection, album: Album) -> None:
        conn.execute(
            "INSERT INTO words (words, rowid, names, facts, tracks, notes) VALUES ('delete', ?, ?, ?, ?, ?)",
            (album.id, *columns(album)),
        )

    def _delete_keys(self, conn: Connection, album_id: int, gone: Iterable[tuple[str, str]]) -> None:
        conn.executemany("DELETE FROM keys WHERE kind = ? AND key = ? AND album_id = ?", [(*key, album_id) for key in gone])


def _album(row: Row) -> Album:
    """Return the record of a row of `_TEXTS`, without what the search does not look at."""
    texts: dict[str, Any] = dict(row)
    tracks = tuple(Track(position, title) for position, title, _ in json.loads(texts.pop("tracks")))
    texts |= {name: tuple(json.loads(texts[name])) for name in ("genres", "styles", "formats")}
    return Album(**texts, tracks=tracks, artist_sort="", title_sort="")
