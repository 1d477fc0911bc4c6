"""Artwork tables of `catalog.db`: which records have no cover, what was tried, found, chosen and rejected. Statements only."""

import json
from collections.abc import Iterable, Iterator, Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row
from image_cache.frozen import frozen
from image_cache.models import Album
from image_cache.records.table import MAX_ID, AlbumTable

FAR_S = 400 * 86400.0  # a time further ahead was written by a wrong clock
CHUNK = 500
_DUE = (
    " FROM albums LEFT JOIN cover_tries ON album_id = id"
    " WHERE picture IS NULL AND (album_id IS NULL OR next_at <= ? OR next_at > ?)"
)
_REJECTED = "refused_cover = cover_url AND own_cover IS DISTINCT FROM cover_url"
_REQUESTED = " FROM cover_tries WHERE next_at = 0"


@frozen
class CoverOffer:
    """An image that may be the cover of a record. `label` describes it for users."""

    url: str
    label: str
    strategy: str
    is_sure: bool = False


@frozen
class CoverTries:
    """What was tried to find a cover. `tried_at` None: nothing yet; `next_at` 0: a user requested a search.

    `strategy` is the one that found a cover, `reason` why none was found; `rejected` are addresses that have no cover.
    """

    tried_at: float | None = None
    next_at: float = 0.0
    strategy: str = ""
    reason: str = ""
    offers: tuple[CoverOffer, ...] = ()
    rejected: tuple[str, ...] = ()


class ArtworkTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._albums = AlbumTable(catalog)
        self.db = catalog

    def due(self, now: float) -> int | None:
        """Return the record to search for next: one that a user requested, one never tried, or the one tried longest ago."""
        row = self.db.row(f"SELECT album_id{_REQUESTED} LIMIT 1") or self.db.row(
            f"SELECT id{_DUE} ORDER BY next_at IS NOT NULL, next_at, id LIMIT 1", (now, now + FAR_S)
        )
        return None if row is None else int(row[0])

    def count_due(self, now: float) -> int:
        """Return how many records are due now."""
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
        """Return records without a cover, by artist, with what was tried for each."""
        rows = self.db.rows(
            "SELECT id FROM albums WHERE picture IS NULL ORDER BY artist_sort, coalesce(year, 9999), title_sort, id LIMIT ? OFFSET ?",
            (count, first),
        )
        albums = self._albums.albums([row["id"] for row in rows])
        return [(album, self.tries(album.id)) for album in albums]

    def rejected(self, first: int, count: int) -> list[int]:
        """Return the records whose source's address is rejected, by id; not those of which a user said that it is right."""
        sql = f"SELECT id FROM albums WHERE {_REJECTED} ORDER BY id LIMIT ? OFFSET ?"
        return [row["id"] for row in self.db.rows(sql, (count, first))]

    def rejected_sources(self) -> Iterator[tuple[int, str]]:
        """Yield (album id, address) of the rejected sources, by id, without those of records whose cover a user chose; in chunks."""
        last = 0
        sql = "SELECT id, cover_url FROM albums WHERE refused_cover = cover_url AND own_cover IS NULL AND id > ? ORDER BY id LIMIT ?"
        while rows := self.db.rows(sql, (last, CHUNK)):
            yield from ((row["id"], row["cover_url"]) for row in rows)
            last = rows[-1]["id"]

    def shared_sources(self, least: int) -> dict[str, int]:
        """Return the addresses that are the cover of at least so many different records at their source, and of how many."""
        rows = self.db.rows(
            "SELECT cover_url, count(DISTINCT artist_sort || '\n' || title_sort) AS n FROM albums WHERE cover_url IS NOT NULL"
            " GROUP BY cover_url HAVING count(DISTINCT artist_sort || '\n' || title_sort) >= ?",
            (least,),
        )
        return {row["cover_url"]: row["n"] for row in rows}

    def count_rejected(self) -> int:
        row = self.db.row(f"SELECT count(*) FROM albums WHERE {_REJECTED}")
        return int(row[0]) if row else 0

    def album(self, album_id: int) -> Album | None:
        return self._albums.album(album_id)

    def tries(self, album_id: int) -> CoverTries:
        row = self.db.row("SELECT * FROM cover_tries WHERE album_id = ?", (min(album_id, MAX_ID),))
        return _tries(row) if row else CoverTries(next_at=1.0)

    def pictures(self) -> Iterator[tuple[int, str | None, str | None, str | None]]:
        """Yield (album id, cover shown, the source's address unless it is rejected, what the search found), by id, in chunks."""
        last = 0
        sql = (
            "SELECT id, picture, nullif(cover_url, refused_cover) AS cover_url, found_cover FROM albums"
            " WHERE id > ? AND picture IS NOT NULL ORDER BY id LIMIT ?"
        )
        while rows := self.db.rows(sql, (last, CHUNK)):
            yield from ((row[0], row[1], row[2], row[3]) for row in rows)
            last = rows[-1]["id"]

    def revision(self) -> int:
        """Return a number that changes with the covers of the records, and with the records."""
        row = self.db.row("SELECT value FROM revisions WHERE name = 'pictures'")
        return int(row[0]) if row else 0

    def record(self, album_id: int, tries: CoverTries, found: str | None) -> bool:
        """Save the result of a search; `found` becomes the cover of a record that still has none. Return True if it did."""
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
        """Search for these records next; None: for every record without a cover."""
        put = "INSERT INTO cover_tries (album_id, next_at) {} ON CONFLICT (album_id) DO UPDATE SET next_at = 0"
        with self.db.write() as conn:
            if album_ids is None:
                conn.execute(put.format("SELECT id, 0 FROM albums WHERE picture IS NULL"))
            else:
                conn.executemany(put.format("SELECT id, 0 FROM albums WHERE id = ?"), [(album_id,) for album_id in album_ids])

    def choose(self, album_id: int, address: str | None) -> str | None:
        """Set the own cover of a record, None: use that of its source again. Return the own cover that it had."""
        with self.db.write() as conn:
            before = conn.execute("SELECT own_cover FROM albums WHERE id = ?", (album_id,)).fetchone()
            conn.execute("UPDATE albums SET own_cover = ? WHERE id = ?", (address, album_id))
            return before["own_cover"] if before else None

    def is_used(self, address: str) -> bool:
        """Return True if any record has this address as its own cover or a further image, or had it and can be put back."""
        sql = (
            "SELECT 1 FROM albums WHERE own_cover = ?1 UNION ALL SELECT 1 FROM record_images WHERE address = ?1"
            " UNION ALL SELECT 1 FROM removed_files WHERE address = ?1 LIMIT 1"
        )
        return self.db.row(sql, (address,)) is not None

    def reject_urls(self, wrong: Sequence[tuple[int, str, str]]) -> int:
        """Reject addresses that have no cover: (album id, address, why). Return how many were.

        Their records are due again. A cover that a user chose stays, and so does an address that has changed meanwhile.
        """
        count = 0
        with self.db.write() as conn:
            for album_id, address, reason in wrong:
                found = conn.execute(
                    "UPDATE albums SET found_cover = NULL WHERE id = ? AND found_cover = ? AND picture = ? AND own_cover IS NULL"
                    " RETURNING 1",
                    (album_id, address, address),
                ).fetchone()
                # An address of the source that the search found too is rejected as both.
                of_source = conn.execute(
                    "UPDATE albums SET refused_cover = cover_url WHERE id = ? AND cover_url = ? AND own_cover IS NULL"
                    " AND refused_cover IS DISTINCT FROM cover_url RETURNING 1",
                    (album_id, address),
                ).fetchone()
                if found is None and of_source is None:
                    continue
                count += 1
                row = conn.execute("SELECT * FROM cover_tries WHERE album_id = ?", (album_id,)).fetchone()
                tries = _tries(row) if row else CoverTries()
                rejected = tuple(dict.fromkeys((*tries.rejected, address)))
                _write(conn, album_id, CoverTries(None, 0.0, "", reason, tries.offers, rejected))
        return count

    def clear_rejection(self, album_id: int) -> None:
        """Use the source's address again."""
        with self.db.write() as conn:
            conn.execute("UPDATE albums SET refused_cover = NULL WHERE id = ?", (album_id,))


def _write(conn: Connection, album_id: int, tries: CoverTries) -> None:
    offers = [{"url": offer.url, "says": offer.label, "way": offer.strategy} for offer in tries.offers]
    conn.execute(
        "INSERT INTO cover_tries (album_id, tried_at, next_at, way, reason, candidates, refused) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (album_id) DO UPDATE SET tried_at = excluded.tried_at, next_at = excluded.next_at, way = excluded.way,"
        " reason = excluded.reason, candidates = excluded.candidates, refused = excluded.refused",
        (
            album_id,
            tries.tried_at,
            tries.next_at,
            tries.strategy,
            tries.reason,
            json.dumps(offers, ensure_ascii=False),
            json.dumps(tries.rejected),
        ),
    )


def _tries(row: Row) -> CoverTries:
    offers = tuple(CoverOffer(offer["url"], offer["says"], offer["way"]) for offer in json.loads(row["candidates"]))
    return CoverTries(row["tried_at"], row["next_at"], row["way"], row["reason"], offers, tuple(json.loads(row["refused"])))
