"""The covers of the catalogue: which records have none, what was tried for each, what was found, chosen, refused. Statements only."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row
from image_cache.models import Album
from image_cache.records.table import MAX_ID, AlbumTable

# A time further ahead than this was written by a clock that was wrong.
FAR_S = 400 * 86400.0
AT_A_TIME = 500
_DUE = (
    " FROM albums LEFT JOIN cover_tries ON album_id = id"
    " WHERE picture IS NULL AND (album_id IS NULL OR next_at <= ? OR next_at > ?)"
)
_ASKED = " FROM cover_tries WHERE next_at = 0"


@dataclass(frozen=True, slots=True)
class CoverOffer:
    """A picture that may be the cover of a record. `says` names it for people, `way` is how it was found; `is_sure` that it is the one."""

    url: str
    says: str
    way: str
    is_sure: bool = False


@dataclass(frozen=True, slots=True)
class CoverTries:
    """What was done to find a record's cover. `tried_at` None: not yet; `next_at` 0: somebody asked for it.

    `way` is how one was found, `reason` a sentence when none was; `refused` are addresses that led to nothing, or to no cover.
    """

    tried_at: float | None = None
    next_at: float = 0.0
    way: str = ""
    reason: str = ""
    offers: tuple[CoverOffer, ...] = ()
    refused: tuple[str, ...] = ()


class ArtworkTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._albums = AlbumTable(catalog)
        self.db = catalog

    def due(self, now: float) -> int | None:
        """Return the record to look at next: one that somebody asked for, then one never tried, then the one tried longest ago."""
        row = self.db.row(f"SELECT album_id{_ASKED} LIMIT 1") or self.db.row(
            f"SELECT id{_DUE} ORDER BY next_at IS NOT NULL, next_at, id LIMIT 1", (now, now + FAR_S)
        )
        return None if row is None else int(row[0])

    def count_due(self, now: float) -> int:
        """Return how many records wait to be looked at now."""
        row = self.db.row(
            f"SELECT (SELECT count(*){_DUE}) + (SELECT count(*) FROM cover_tries JOIN albums ON id = album_id"
            " WHERE next_at = 0 AND picture IS NOT NULL)",
            (now, now + FAR_S),
        )
        return int(row[0]) if row else 0

    def count_missing(self) -> int:
        row = self.db.row("SELECT count(*) FROM albums WHERE picture IS NULL")
        return int(row[0]) if row else 0

    def missing(self, first: int, count: int) -> list[tuple[Album, CoverTries]]:
        """Return records without a picture, by artist, with what was tried for each."""
        rows = self.db.rows(
            "SELECT id FROM albums WHERE picture IS NULL ORDER BY artist_sort, coalesce(year, 9999), title_sort, id LIMIT ? OFFSET ?",
            (count, first),
        )
        albums = self._albums.albums([row["id"] for row in rows])
        return [(album, self.tries(album.id)) for album in albums]

    def refused(self, first: int, count: int) -> list[int]:
        """Return the records whose source's address is refused, by id."""
        sql = "SELECT id FROM albums WHERE refused_cover = cover_url ORDER BY id LIMIT ? OFFSET ?"
        return [row["id"] for row in self.db.rows(sql, (count, first))]

    def count_refused(self) -> int:
        row = self.db.row("SELECT count(*) FROM albums WHERE refused_cover = cover_url")
        return int(row[0]) if row else 0

    def album(self, album_id: int) -> Album | None:
        return self._albums.album(album_id)

    def tries(self, album_id: int) -> CoverTries:
        row = self.db.row("SELECT * FROM cover_tries WHERE album_id = ?", (min(album_id, MAX_ID),))
        return _tries(row) if row else CoverTries(next_at=1.0)

    def pictures(self) -> Iterator[tuple[int, str | None, str | None, str | None]]:
        """Yield (album id, picture shown, the source's address unless it is refused, what was looked up), by id, in chunks."""
        last = 0
        sql = (
            "SELECT id, picture, nullif(cover_url, refused_cover) AS cover_url, found_cover FROM albums"
            " WHERE id > ? AND picture IS NOT NULL ORDER BY id LIMIT ?"
        )
        while rows := self.db.rows(sql, (last, AT_A_TIME)):
            yield from ((row[0], row[1], row[2], row[3]) for row in rows)
            last = rows[-1]["id"]

    def revision(self) -> int:
        """Return a number that changes with the pictures of the records, and with the records."""
        row = self.db.row("SELECT value FROM revisions WHERE name = 'pictures'")
        return int(row[0]) if row else 0

    def record(self, album_id: int, tries: CoverTries, found: str | None) -> bool:
        """Write what a look brought; `found` becomes the picture of a record that still has none. Tell whether it did."""
        with self.db.write() as conn:
            known = conn.execute("SELECT picture FROM albums WHERE id = ?", (album_id,)).fetchone()
            if known is None:
                return False
            _write(conn, album_id, tries)
            if found is None or known["picture"] is not None:
                return False
            conn.execute("UPDATE albums SET found_cover = ? WHERE id = ?", (found, album_id))
            return True

    def request_search(self, album_ids: Iterable[int] | None = None) -> None:
        """Let these records be looked at next; None: every record that has no picture."""
        put = "INSERT INTO cover_tries (album_id, next_at) {} ON CONFLICT (album_id) DO UPDATE SET next_at = 0"
        with self.db.write() as conn:
            if album_ids is None:
                conn.execute(put.format("SELECT id, 0 FROM albums WHERE picture IS NULL"))
            else:
                conn.executemany(put.format("SELECT id, 0 FROM albums WHERE id = ?"), [(one,) for one in album_ids])

    def choose(self, album_id: int, address: str | None) -> str | None:
        """Let an address be the record's own cover, None: go by its source again. Return the own cover it had."""
        with self.db.write() as conn:
            before = conn.execute("SELECT own_cover FROM albums WHERE id = ?", (album_id,)).fetchone()
            conn.execute("UPDATE albums SET own_cover = ? WHERE id = ?", (address, album_id))
            return before["own_cover"] if before else None

    def is_used(self, address: str) -> bool:
        """Tell whether any record has this address as its own cover."""
        return self.db.row("SELECT 1 FROM albums WHERE own_cover = ? LIMIT 1", (address,)) is not None

    def reject_url(self, wrong: Sequence[tuple[int, str, str]]) -> int:
        """Take addresses that are no covers from their records: (album id, address, why). Return how many were.

        The record is looked at again. What somebody chose himself stays, and so does an address that has changed meanwhile.
        """
        done = 0
        with self.db.write() as conn:
            for album_id, address, reason in wrong:
                found = conn.execute(
                    "UPDATE albums SET found_cover = NULL WHERE id = ? AND found_cover = ? AND picture = ? AND own_cover IS NULL"
                    " RETURNING 1",
                    (album_id, address, address),
                ).fetchone()
                # A source's address that is also the one that was found is refused in the same stroke.
                said = conn.execute(
                    "UPDATE albums SET refused_cover = cover_url WHERE id = ? AND cover_url = ? AND own_cover IS NULL"
                    " AND refused_cover IS NOT cover_url RETURNING 1",
                    (album_id, address),
                ).fetchone()
                if found is None and said is None:
                    continue
                done += 1
                tries = (
                    _tries(row)
                    if (row := conn.execute("SELECT * FROM cover_tries WHERE album_id = ?", (album_id,)).fetchone())
                    else None
                )
                refused = tuple(dict.fromkeys((*(tries.refused if tries else ()), address)))
                offers = tries.offers if tries else ()
                _write(conn, album_id, CoverTries(None, 0.0, "", reason, offers, refused))
        return done

    def clear_rejection(self, album_id: int) -> None:
        """Believe the source's address again."""
        with self.db.write() as conn:
            conn.execute("UPDATE albums SET refused_cover = NULL WHERE id = ?", (album_id,))


def _write(conn: Connection, album_id: int, tries: CoverTries) -> None:
    offers = [{"url": one.url, "says": one.says, "way": one.way} for one in tries.offers]
    conn.execute(
        "INSERT OR REPLACE INTO cover_tries (album_id, tried_at, next_at, way, reason, candidates, refused)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            album_id,
            tries.tried_at,
            tries.next_at,
            tries.way,
            tries.reason,
            json.dumps(offers, ensure_ascii=False),
            json.dumps(tries.refused),
        ),
    )


def _tries(row: Row) -> CoverTries:
    offers = tuple(CoverOffer(one["url"], one["says"], one["way"]) for one in json.loads(row["candidates"]))
    return CoverTries(row["tried_at"], row["next_at"], row["way"], row["reason"], offers, tuple(json.loads(row["refused"])))
