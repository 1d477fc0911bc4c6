"""Table of what the covers of records look like: `album_looks` in the index, disposable, written by the audit of covers."""

import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence

from image_cache.db.database import Connection, Database, DatabaseError, parameter_marks
from image_cache.frozen import frozen
from image_cache.imaging.color import Colour, unpack_palette
from image_cache.records.orders.colours import palette_distance

logger = logging.getLogger(__name__)

IDS_A_STATEMENT = 500
REVISION = "album_looks"  # in `meta`: incremented with every change of an order or a flaw


@frozen
class RecordAppearance:
    """The cover of one record. `band` and `place` None: not analysed yet; `flaw` is "", "small" or "oblong"."""

    album_id: int
    digest: str
    band: int | None = None
    place: int | None = None
    flaw: str = ""


@frozen
class UnfetchedCover:
    """A cover whose source has an address, but did not send it: `failure` is why, and `next_at` (Unix seconds) when it is tried again."""

    album_id: int
    failure: str
    next_at: float
    is_given_up: bool


# An address that was tried in vain, or whose host is paused; by album id.
_UNFETCHED = (
    " FROM album_looks JOIN images USING (digest) LEFT JOIN lanes ON lanes.lane = images.lane AND paused_until > ?"
    " WHERE fetched_at IS NULL AND (images.failures > 0 OR paused_until IS NOT NULL)"
)


class RecordAppearanceTable:
    """Thread-safe and process-safe; methods with a connection belong into the caller's `write()` block."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def revision(self) -> int:
        """Return a number that changes with the order by colour; 0 if the index cannot be read."""
        try:
            row = self.database.row("SELECT value FROM meta WHERE name = ?", (REVISION,))
        except DatabaseError:
            return 0
        return int(row[0]) if row else 0

    def order(self) -> Iterator[tuple[int, int]]:
        """Yield (album id, band) in the order of the wall by colour. Nothing if the index cannot be read."""
        try:
            yield from self.database.stream(
                "SELECT album_id, band FROM album_looks WHERE band IS NOT NULL ORDER BY band, place, album_id"
            )
        except DatabaseError as error:
            logger.warning("colour order unavailable reason=%s", error)

    def between(self, first: int, last: int) -> dict[int, RecordAppearance]:
        """Return the rows of the albums with ids from `first` to `last`."""
        rows = self.database.rows(
            "SELECT album_id, digest, band, place, flaw FROM album_looks WHERE album_id BETWEEN ? AND ?", (first, last)
        )
        return {row[0]: RecordAppearance(row[0], row[1].hex(), row[2], row[3], row[4]) for row in rows}

    def averages(self, album_ids: Sequence[int]) -> dict[int, str]:
        """Return the average colours, `#rrggbb`, of the covers of these albums, as far as they are known; none if the index is away."""
        found: dict[int, str] = {}
        wanted = sorted(set(album_ids))
        try:
            for start in range(0, len(wanted), IDS_A_STATEMENT):
                part = wanted[start : start + IDS_A_STATEMENT]
                sql = f"SELECT album_id, average FROM album_looks JOIN images USING (digest) WHERE album_id IN ({parameter_marks(len(part))})"
                found.update((row[0], row[1]) for row in self.database.rows(sql, part) if row[1])
        except DatabaseError as error:
            logger.warning("colours of covers unavailable reason=%s", error)
        return found

    def put(self, conn: Connection, appearances: Iterable[RecordAppearance]) -> None:
        conn.executemany(
            "INSERT INTO album_looks (album_id, digest, band, place, flaw) VALUES (?, ?, ?, ?, ?) ON CONFLICT (album_id)"
            " DO UPDATE SET digest = excluded.digest, band = excluded.band, place = excluded.place, flaw = excluded.flaw,"
            " twins = CASE WHEN album_looks.digest = excluded.digest THEN album_looks.twins END",
            [(row.album_id, bytes.fromhex(row.digest), row.band, row.place, row.flaw) for row in appearances],
        )

    def forget(self, conn: Connection, album_ids: Iterable[int]) -> None:
        conn.executemany("DELETE FROM album_looks WHERE album_id = ?", [(album_id,) for album_id in album_ids])

    def forget_from(self, conn: Connection, first: int) -> int:
        """Delete the rows of records with ids from `first` on; return how many."""
        return conn.execute("DELETE FROM album_looks WHERE album_id >= ?", (first,)).rowcount

    def remove(self, conn: Connection, album_ids: Sequence[int]) -> None:
        """Delete the rows of removed records. A cover that matched only theirs has no match now."""
        self.forget(conn, album_ids)
        conn.execute(
            "UPDATE album_looks SET twins = NULL WHERE twins IN"
            " (SELECT twins FROM album_looks WHERE twins IS NOT NULL GROUP BY twins HAVING count(*) = 1)"
        )
        # Groups are counted by their highest number, and paged by it: no number may be missing.
        conn.execute(
            "WITH renumbered AS (SELECT album_id, dense_rank() OVER (ORDER BY twins) AS number FROM album_looks WHERE twins IS NOT NULL)"
            " UPDATE album_looks SET twins = renumbered.number"
            " FROM renumbered WHERE renumbered.album_id = album_looks.album_id AND twins <> renumbered.number"
        )

    def changed(self, conn: Connection, now: float) -> None:
        """Mark orders built from these rows as outdated, for all processes. The number is higher than any of a lost index."""
        conn.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE"
            " SET value = CASE WHEN meta.value >= excluded.value THEN meta.value + 1 ELSE excluded.value END",
            (REVISION, int(now)),
        )

    def hashes(self) -> tuple["array[int]", "array[int]"]:
        """Return the albums that can be compared, and the hash of each: 16 bytes per album."""
        pairs = self.database.stream(
            "SELECT album_id, hash FROM album_looks JOIN looks USING (digest) WHERE hash IS NOT NULL ORDER BY album_id"
        )
        ids, hashes = array("q"), array("Q")
        for album_id, shape in pairs:
            ids.append(album_id)
            hashes.append(int.from_bytes(shape, "big"))
        return ids, hashes

    def pair(self, conn: Connection, groups: Iterable[Sequence[int]]) -> None:
        """Replace the groups of records whose covers look the same."""
        conn.execute("UPDATE album_looks SET twins = NULL WHERE twins IS NOT NULL")
        conn.executemany(
            "UPDATE album_looks SET twins = ? WHERE album_id = ?",
            [(number, album_id) for number, group in enumerate(groups, 1) for album_id in group],
        )

    def twins(self, first: int, count: int) -> list[list[int]]:
        """Return `count` groups of albums that look the same, from the `first` on, counted from 0."""
        rows = self.database.rows(
            "SELECT twins, album_id FROM album_looks WHERE twins > ? AND twins <= ? ORDER BY twins, album_id",
            (first, first + count),
        )
        groups: dict[int, list[int]] = {}
        for number, album_id in rows:
            groups.setdefault(number, []).append(album_id)
        return list(groups.values())

    def flawed(self, flaw: str, first: int, count: int) -> list[int]:
        """Return the albums with a flaw, by id."""
        sql = "SELECT album_id FROM album_looks WHERE flaw = ? ORDER BY album_id LIMIT ? OFFSET ?"
        return [row[0] for row in self.database.rows(sql, (flaw, count, first))]

    def count_unfetched(self, now: float) -> int:
        """Return how many records have an address of a cover that their source does not send."""
        row = self.database.row(f"SELECT count(*){_UNFETCHED}", (now,))
        return int(row[0]) if row else 0

    def unfetched(self, now: float, first: int, count: int) -> list[UnfetchedCover]:
        """Return records whose source does not send its cover, by id."""
        rows = self.database.rows(
            "SELECT album_id, coalesce(nullif(failure, ''), reason), CASE WHEN paused_until > retry_at THEN paused_until ELSE retry_at END, is_final"
            f"{_UNFETCHED} ORDER BY album_id LIMIT ? OFFSET ?",
            (now, count, first),
        )
        return [UnfetchedCover(row[0], row[1], row[2], bool(row[3])) for row in rows]

    def count_fetched(self) -> int:
        """Return how many records have a cover that was fetched."""
        row = self.database.row("SELECT count(*) FROM album_looks JOIN images USING (digest) WHERE fetched_at IS NOT NULL")
        return int(row[0]) if row else 0

    def counts(self) -> dict[str, int]:
        """Return how many records have each flaw, and how many groups look the same (`twins`)."""
        rows = self.database.rows("SELECT flaw, count(*) FROM album_looks WHERE flaw <> '' GROUP BY flaw")
        highest = self.database.row("SELECT max(twins) FROM album_looks WHERE twins IS NOT NULL")
        return {**{row[0]: row[1] for row in rows}, "twins": (highest[0] or 0) if highest else 0}

    def nearest(self, album_id: int, others: Sequence[int], count: int) -> list[int]:
        """Return up to `count` of the other albums whose covers are nearest in colour; one of several with the same image."""
        digests = self.digests([*others, album_id])
        mine = digests.get(album_id)
        palettes = self._palettes(set(digests.values()))
        if mine not in palettes:
            return []
        by_digest = {
            digest: other for other, digest in sorted(digests.items(), reverse=True) if digest != mine and digest in palettes
        }
        nearest = sorted((palette_distance(palettes[mine], palettes[digest]), other) for digest, other in by_digest.items())
        return [other for _, other in nearest[:count]]

    def _palettes(self, digests: Iterable[str]) -> dict[str, tuple[Colour, ...]]:
        wanted = list(digests)
        if not wanted:
            return {}
        rows = self.database.rows(
            f"SELECT digest, colours FROM looks WHERE digest IN ({parameter_marks(len(wanted))}) AND colours IS NOT NULL",
            [bytes.fromhex(digest) for digest in wanted],
        )
        return {row[0].hex(): unpack_palette(row[1]) for row in rows}

    def records_of(self, digests: Sequence[str]) -> dict[str, int]:
        """Return the first record with each of a few covers. Reads all rows."""
        rows = self.database.rows(
            f"SELECT digest, min(album_id) FROM album_looks WHERE digest IN ({parameter_marks(len(digests))}) GROUP BY digest",
            [bytes.fromhex(digest) for digest in digests],
        )
        return {digest.hex(): album_id for digest, album_id in rows}

    def digests(self, album_ids: Sequence[int]) -> dict[int, str]:
        """Return the digests of albums by id. At most some hundred."""
        if not album_ids:
            return {}
        rows = self.database.rows(
            f"SELECT album_id, digest FROM album_looks WHERE album_id IN ({parameter_marks(len(album_ids))})", list(album_ids)
        )
        return {row[0]: row[1].hex() for row in rows}
