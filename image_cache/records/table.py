"""Table of albums in `catalog.db`: the statements of `Library` and of the imports."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from image_cache.db.catalog import CatalogDatabase, gone_changed
from image_cache.db.connection import insert_many
from image_cache.db.database import Connection, parameter_marks
from image_cache.frozen import frozen
from image_cache.models import Album
from image_cache.records.columns import COLUMNS, album_columns, album_from, column_values
from image_cache.records.editing.own_values import as_source, with_own
from image_cache.records.orders.sorts import LATER, SORTS
from image_cache.records.search.index_table import SearchIndexTable
from image_cache.records.search.question import storable
from image_cache.records.wants.table import WantsTable

IDS_A_STATEMENT = 500  # SQLite allows 32,766 parameters; a chunk this size keeps an export's read transaction short
MAX_ID = 2**63 - 1

# What the search looks at.
_TEXTS = {"title", "artist", "label", "catno", "year", "genres", "styles", "formats", "barcode", "source_id", "tracks", "shelf"}
_TEXTS |= {"notes", "own_notes"}


@frozen
class Revisions:
    """Numbers that only go up. `albums` changes with the order of the albums and with what a filter finds, `plays` with the plays,
    `ratings` with the ratings, `views` with saved views, `values` with what records are worth."""

    albums: int = 0
    plays: int = 0
    ratings: int = 0
    views: int = 0
    values: int = 0

    def of(self, *what: str) -> int:
        """Return a number that changes whenever an order or filter with these names, or what is found, may have changed."""
        plays = self.plays if not {"plays", "played"}.isdisjoint(what) else 0
        values = self.values if "value" in what else 0
        return self.albums + plays + values + (self.ratings if not {"rating", "stars"}.isdisjoint(what) else 0)


class AlbumTable:
    """The table `albums` and its dependents: plays, facets, the words of the search. Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog
        self.index = SearchIndexTable(catalog)
        self.wants = WantsTable(catalog)

    def revisions(self) -> Revisions:
        rows = self.db.rows("SELECT name, value FROM revisions WHERE name IN ('albums', 'plays', 'ratings', 'views', 'values')")
        return Revisions(**{row["name"]: int(row["value"]) for row in rows})

    def as_known(self, conn: Connection, album_id: int) -> Album | None:
        """Return an album as its source knows it, in the transaction of the caller."""
        found = self.stored(conn, album_id)
        return as_source(found) if found else None

    def stored(self, conn: Connection, album_id: int) -> Album | None:
        """Return an album as it is stored, in the transaction of the caller: `rating` is that of the source."""
        row = conn.execute(f"SELECT {album_columns(own=False)} FROM albums WHERE id = ?", (album_id,)).fetchone()
        return album_from(row) if row else None

    def order(self, sort: str, *, is_reversed: bool = False) -> Iterator[tuple[int, str | int | None]]:
        """Yield every album id in order, each with its group token."""
        by, back, token = SORTS[sort]
        # With a name of its own: PostgreSQL would call a CASE by its ELSE, such as `plays`, and order by that.
        rows = self.db.stream(f"SELECT id, {token} AS token FROM albums ORDER BY {back if is_reversed else by}")
        return LATER[sort](rows, is_reversed) if sort in LATER else rows

    def albums(self, ids: Sequence[int], *, tracks: bool = True) -> list[Album]:
        """Return the albums with these ids in this order, on request without their tracks; one that was removed is left out."""
        columns = COLUMNS if tracks else COLUMNS.replace(" tracks,", " '[]' AS tracks,")
        found: dict[int, Album] = {}
        for start in range(0, len(ids), IDS_A_STATEMENT):
            chunk = ids[start : start + IDS_A_STATEMENT]
            for row in self.db.rows(f"SELECT {columns} FROM albums WHERE id IN ({parameter_marks(len(chunk))})", chunk):
                found[row["id"]] = album_from(row)
        return [found[i] for i in ids if i in found]

    def album(self, album_id: int) -> Album | None:
        if not 0 < album_id <= MAX_ID:
            return None
        row = self.db.row(f"SELECT {COLUMNS} FROM albums WHERE id = ?", (album_id,))
        return album_from(row) if row else None

    def by_identity(self, source: str, source_id: str) -> Album | None:
        """Return the album as its source knows it: `rating` is the source's, not the one that was given here."""
        row = self.db.row(
            f"SELECT {album_columns(own=False)} FROM albums WHERE source = ? AND source_id = ?", (source, source_id)
        )
        return as_source(album_from(row)) if row else None

    def by_identities(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Album | None]:
        """Return the albums of many (source, source id), each as its source knows it; None for one that is not there."""
        found: dict[tuple[str, str], Album | None] = dict.fromkeys(keys)
        by_source: dict[str, list[str]] = {}
        for source, source_id in found:
            by_source.setdefault(source, []).append(source_id)
        for source, ids in by_source.items():
            for start in range(0, len(ids), IDS_A_STATEMENT):
                chunk = ids[start : start + IDS_A_STATEMENT]
                marks = parameter_marks(len(chunk))
                sql = f"SELECT {album_columns(own=False)} FROM albums WHERE source = ? AND source_id IN ({marks})"
                for row in self.db.rows(sql, (source, *chunk)):
                    album = as_source(album_from(row))
                    found[album.source, album.source_id] = album
        return found

    def own_rating(self, album_id: int) -> int | None:
        """Return the rating that was given here, None if there is none."""
        row = self.db.row("SELECT own_rating FROM albums WHERE id = ?", (album_id,))
        return row["own_rating"] if row else None

    def by_instance(self, source: str, instance_id: str) -> Album | None:
        """Return the album of a copy, as its source knows it: `rating` is the source's."""
        # The condition of the partial index is repeated: SQLite cannot know it from a parameter, and would read the whole source.
        sql = f"SELECT {album_columns(own=False)} FROM albums WHERE source = ? AND instance_id = ? AND instance_id <> ''"
        row = self.db.row(sql, (source, instance_id))
        return as_source(album_from(row)) if row else None

    def copies(self, source: str, release: str) -> list[Album]:
        """Return the albums of a release, the first copy first: `123`, `123-2`, `123-3`."""
        columns = album_columns(own=False)
        one, numbered = (
            f"SELECT {columns} FROM albums WHERE source = ? AND source_id {what}" for what in ("= ?", "BETWEEN ? AND ?")
        )
        rows = self.db.rows(f"{one} UNION ALL {numbered}", (source, release, source, f"{release}-0", f"{release}-:"))
        numbers = {row["id"]: row["source_id"].partition("-")[2] or "1" for row in rows}
        found = [as_source(album_from(row)) for row in rows if numbers[row["id"]].isdecimal()]
        return sorted(found, key=lambda album: int(numbers[album.id]))

    def from_artist(self, artist_sort: str, count: int) -> list[Album]:
        """Return up to `count` albums at or after a sort key, in artist order."""
        by = SORTS["artist"][0]
        sql = f"SELECT {COLUMNS} FROM albums WHERE artist_sort >= ? ORDER BY {by} LIMIT ?"
        return [album_from(row) for row in self.db.rows(sql, (storable(artist_sort), count))]

    def all_albums(self) -> Iterator[Album]:
        """Yield every album, by id. Reads in chunks, so that a slow reader holds no transaction open."""
        last = 0
        while rows := self.db.rows(
            f"SELECT {COLUMNS} FROM albums WHERE id > ? ORDER BY id LIMIT ?",
            (last, IDS_A_STATEMENT),
        ):
            yield from map(album_from, rows)
            last = rows[-1]["id"]

    def cover_urls(self) -> Iterator[str]:
        """Yield the URL of every cover that is shown, by album id, then those of further images; in chunks."""
        last = 0
        sql = "SELECT id, picture FROM albums WHERE id > ? AND picture IS NOT NULL ORDER BY id LIMIT ?"
        while rows := self.db.rows(sql, (last, IDS_A_STATEMENT)):
            yield from (row["picture"] for row in rows)
            last = rows[-1]["id"]
        last = 0
        sql = "SELECT id, address FROM record_images WHERE id > ? ORDER BY id LIMIT ?"
        while rows := self.db.rows(sql, (last, IDS_A_STATEMENT)):
            yield from (row["address"] for row in rows)
            last = rows[-1]["id"]

    def sources_of_covers(self) -> Iterator[tuple[int, str]]:
        """Yield (album id, cover URL) as the sources of the records say it, whatever is shown instead."""
        return self.db.stream("SELECT id, cover_url FROM albums WHERE cover_url IS NOT NULL ORDER BY id")

    def sources(self) -> frozenset[str]:
        return frozenset(row["source"] for row in self.db.rows("SELECT DISTINCT source FROM albums"))

    def facets(self, kind: str) -> list[tuple[str, int]]:
        """Return the values of a kind (`genre`, `format`) with their counts, by name."""
        sql = "SELECT value, count(*) AS n FROM facets WHERE kind = ? GROUP BY value ORDER BY lower(value), value"
        return [(row["value"], row["n"]) for row in self.db.rows(sql, (kind,))]

    def decades(self) -> list[tuple[int, int]]:
        sql = "SELECT year / 10 * 10 AS decade, count(*) AS n FROM albums WHERE year IS NOT NULL GROUP BY decade ORDER BY decade"
        return [(row["decade"], row["n"]) for row in self.db.rows(sql)]

    def insert(self, conn: Connection, album: Album, *, is_found_later: bool = False, import_id: int | None = None) -> int:
        """Insert an album; its `id` is ignored, the new one is returned. What was wanted becomes bought, and its notes the record's.

        `is_found_later`: the caller adds it to the index of the search with others, by `SearchIndexTable.catch_up`.
        """
        wanted = self.wants.fulfilled(conn, album)
        if wanted and not album.own_notes:
            album = replace(album, own_notes="\n".join(filter(None, (want.all_notes for want in wanted))))
        values = column_values(album)
        if import_id is not None:
            values["import_id"] = import_id
        album_id = self.insert_values(conn, [values])[0]
        if wanted:
            self.wants.mark_bought(conn, wanted, album_id, time.time())
        if not is_found_later:
            self.index.add(conn, album_id)
        return album_id

    def insert_values(self, conn: Connection, many: Sequence[Mapping[str, object]]) -> list[int]:
        """Insert albums as their columns, all with the same; return their ids in order."""
        columns, marks = ",".join(many[0]), ",".join("?" * len(many[0]))
        sql = f"INSERT INTO albums ({columns}) VALUES ({marks}) RETURNING id"
        return insert_many(conn, sql, [tuple(values.values()) for values in many])

    def update(self, conn: Connection, before: Album, after: Album) -> None:
        """Write what a source changed, from `before` to `after`, both as it knows them: own values stay what they are.

        Only the columns that differ: a trigger fires for each column that is named.
        """
        if before.source_values:
            stored = album_from(
                conn.execute(f"SELECT {album_columns(own=False)} FROM albums WHERE id = ?", (before.id,)).fetchone()
            )
            before, after = stored, with_own(stored, after)
        self.write_own(conn, before, after)

    def write_own(self, conn: Connection, before: Album, after: Album) -> None:
        """Write what a person changed, from `before` to `after`, as they are stored."""
        old = column_values(before)
        changed = {name: value for name, value in column_values(after).items() if value != old[name]}
        if not changed:
            return
        names = ", ".join(f"{name} = ?" for name in changed)
        with self.index.reworded(conn, before.id) if _TEXTS & changed.keys() else contextlib.nullcontext():
            conn.execute(f"UPDATE albums SET {names} WHERE id = ?", (*changed.values(), before.id))
        if "gone_at" in changed:
            gone_changed(conn)

    def plays_missing(self, album_id: int, played_at: Iterable[float]) -> list[float]:
        """Return those of these times at which no play of a record is stored."""
        stored = {row["played_at"] for row in self.db.rows("SELECT played_at FROM plays WHERE album_id = ?", (album_id,))}
        return [moment for moment in played_at if moment not in stored]

    def add_plays(self, conn: Connection, album_id: int, played_at: Iterable[float]) -> None:
        """Add plays of the past, which the record's count includes already."""
        conn.executemany("INSERT INTO plays (album_id, played_at) VALUES (?, ?)", [(album_id, moment) for moment in played_at])

    def set_last_played(self, conn: Connection, album_id: int, played_at: float) -> None:
        """Store the moment of the last play, unless a later one is known."""
        sql = "UPDATE albums SET last_played_at = ? WHERE id = ? AND coalesce(last_played_at, 0) < ?"
        conn.execute(sql, (played_at, album_id, played_at))

    def count(self) -> int:
        return int(self.db.rows("SELECT count(*) FROM albums")[0][0])

    def count_plays(self) -> int:
        return int(self.db.rows("SELECT count(*) FROM plays")[0][0])

    def count_source(self, source: str) -> int:
        row = self.db.row("SELECT count(*) AS n FROM albums WHERE source = ?", (source,))
        return int(row["n"]) if row else 0

    def gone(self, source: str, limit: int) -> tuple[int, list[Album]]:
        """Return how many albums of a source are gone, and the first of them by artist."""
        where = "source = ? AND gone_at IS NOT NULL"
        count = self.db.row(f"SELECT count(*) AS n FROM albums WHERE {where}", (source,))
        sql = f"SELECT {COLUMNS} FROM albums WHERE {where} ORDER BY artist_sort, title_sort, id LIMIT ?"
        return int(count["n"]) if count else 0, [album_from(row) for row in self.db.rows(sql, (source, limit))]

    def rate(self, album_id: int, rating: int | None) -> bool:
        with self.db.write() as conn:
            return conn.execute("UPDATE albums SET own_rating = ? WHERE id = ?", (rating, album_id)).rowcount == 1

    def write_notes(self, conn: Connection, album: Album, text: str) -> None:
        """Write the owner's notes; no import changes them."""
        with self.index.reworded(conn, album.id):
            conn.execute("UPDATE albums SET own_notes = ? WHERE id = ?", (text, album.id))
