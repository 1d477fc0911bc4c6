"""Index of the disk tier: its entries, their sizes and recency. Disposable; rebuilt from the files."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from image_cache.db.database import Connection, Database, DatabaseError, parameter_marks
from image_cache.engine.key import Key
from image_cache.engine.meta import read_meta, write_meta
from image_cache.engine.schema import MIGRATIONS
from image_cache.frozen import frozen

PAGE_BYTES = 1024  # a cover changes a dozen pages, because digests are spread: 4 KB ones were 70 KB a cover, more than its files
COUNTED_EACH_TIME, COUNT_AGE_S = 50_000, 60.0  # entries that are quickly counted; how old the counts of more may be
RECENCY_GRAIN_S = 3600  # a use is written only if the recorded one is older: an hour decides no eviction


@frozen
class IndexEntry:
    """One entry. `sha256` is None if it was rebuilt from a file whose contents were never verified."""

    size_bytes: int
    sha256: bytes | None


@frozen
class Totals:
    entries: int
    bytes: int


@frozen
class VariantTotals:
    """How much is stored of one variant, and when the last entry was stored."""

    variant: str
    entries: int
    bytes: int
    last_stored_at: float


class Index:
    """Rows of `entries`, `totals`, `counters` and `meta`. Thread-safe, process-safe; raises `DatabaseError` when SQLite does.

    Methods with a connection run in a `write()` block of the caller, so that several tables change in one transaction.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time, is_reader: bool = False) -> None:
        self.database = Database(
            path, MIGRATIONS, synchronous="NORMAL", is_disposable=True, is_reader=is_reader, page_bytes=PAGE_BYTES
        )
        self.clock = clock
        self._complete = -1  # the generation of the database that is known to be complete
        self._largest: dict[tuple[str, int], tuple[Totals, float, list[tuple[Key, int]]]] = {}  # the same, by namespace and limit
        self._counted: dict[str, tuple[Totals, float, dict[str, int]]] = {}  # by namespace; replaced, never changed

    def is_incomplete(self) -> bool:
        """Return True if the index is new or out of reach, so that files without rows may be entries. Cheap once it is complete."""
        generation = self.database.generation
        if self._complete == generation:
            return False
        try:
            if not self.meta("adopted_at"):
                return True
        except DatabaseError:
            return True
        self._complete = generation
        return False

    def mark_complete(self) -> None:
        """Record durably, for all processes, that every file has a row."""
        with self.database.write() as conn:
            self.set_meta(conn, "adopted_at", max(1, int(self.clock())))

    def find(self, key: Key) -> IndexEntry | None:
        row = self.database.row(
            "SELECT size_bytes, sha256 FROM entries WHERE digest = ? AND variant = ?", (bytes.fromhex(key.digest), key.variant)
        )
        return None if row is None else IndexEntry(row[0], row[1])

    def variants_of(self, digests: Sequence[str]) -> dict[str, set[str]]:
        """Return the stored variants of each digest that has any. For at most a few hundred digests."""
        if not digests:
            return {}
        rows = self.database.rows(
            f"SELECT digest, variant FROM entries WHERE digest IN ({parameter_marks(len(digests))})",
            [bytes.fromhex(d) for d in digests],
        )
        stored: dict[str, set[str]] = {}
        for digest, variant in rows:
            stored.setdefault(digest.hex(), set()).add(variant)
        return stored

    def record(self, conn: Connection, key: Key, size_bytes: int, sha256: bytes | None) -> None:
        """Write the row of a file that was just stored."""
        now = int(self.clock())
        conn.execute(
            "INSERT INTO entries (digest, variant, namespace, size_bytes, sha256, stored_at, used_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (digest, variant) DO UPDATE SET size_bytes = excluded.size_bytes, sha256 = excluded.sha256,"
            " stored_at = excluded.stored_at, used_at = excluded.used_at",
            (bytes.fromhex(key.digest), key.variant, key.namespace, size_bytes, sha256, now, now),
        )

    def remove(self, conn: Connection, keys: Iterable[Key]) -> None:
        """Remove the rows of files that are gone."""
        conn.executemany(
            "DELETE FROM entries WHERE digest = ? AND variant = ?", ((bytes.fromhex(k.digest), k.variant) for k in keys)
        )

    def rebuild_from_files(self, conn: Connection, files: Iterable[tuple[Key, int, float]]) -> int:
        """Write rows for files (key, size, modification time) that have none; return how many. Existing rows stay."""
        now = int(self.clock())
        return conn.executemany(
            "INSERT OR IGNORE INTO entries (digest, variant, namespace, size_bytes, stored_at, used_at) VALUES (?, ?, ?, ?, ?, ?)",
            ((bytes.fromhex(k.digest), k.variant, k.namespace, size, now, min(now, int(at))) for k, size, at in files),
        ).rowcount

    def mark_verified(self, conn: Connection, known: Iterable[tuple[Key, bytes]]) -> None:
        """Write the SHA-256 of rebuilt entries that were verified: from now on bit rot is detected."""
        conn.executemany(
            "UPDATE entries SET sha256 = ? WHERE digest = ? AND variant = ? AND sha256 IS NULL",
            ((sha256, bytes.fromhex(key.digest), key.variant) for key, sha256 in known),
        )

    def touch(self, conn: Connection, keys: Iterable[Key]) -> None:
        """Record that the keys were used now, for those whose recorded use is older than the grain."""
        now = int(self.clock())
        conn.executemany(
            "UPDATE entries SET used_at = ? WHERE digest = ? AND variant = ? AND used_at NOT BETWEEN ? AND ?",
            # A use in the future was written by a wrong clock: it is set to now.
            ((now, bytes.fromhex(k.digest), k.variant, now - RECENCY_GRAIN_S, now) for k in keys),
        )

    def victims(self, namespace: str, count: int, *, unused_since: float | None = None) -> list[tuple[Key, int]]:
        """Return the least recently used keys with their sizes; with `unused_since` only those not used after it."""
        rows = self.database.rows(
            "SELECT digest, variant, size_bytes FROM entries WHERE namespace = ? AND used_at <= ? ORDER BY used_at LIMIT ?",
            # Infinity, because a wrong clock may have written any time.
            (namespace, float("inf") if unused_since is None else unused_since, count),
        )
        return [(Key(namespace, variant, digest.hex()), size) for digest, variant, size in rows]

    def unused(self, namespace: str, since: float) -> Totals:
        """Count the entries that were not used after a time. Reads all of their rows."""
        row = self.database.row(
            "SELECT count(*), coalesce(sum(size_bytes), 0) FROM entries WHERE namespace = ? AND used_at <= ?", (namespace, since)
        )
        return Totals(0, 0) if row is None else Totals(row[0], row[1])

    def totals(self, namespace: str) -> Totals:
        row = self.database.row("SELECT entries, bytes FROM totals WHERE namespace = ?", (namespace,))
        return Totals(0, 0) if row is None else Totals(row[0], row[1])

    def by_variant(self, namespace: str) -> list[VariantTotals]:
        """Return the totals of each variant. Reads as many rows as there are."""
        rows = self.database.rows(
            "SELECT variant, count(*), sum(size_bytes), max(stored_at) FROM entries WHERE namespace = ?"
            " GROUP BY variant ORDER BY variant",
            (namespace,),
        )
        return [VariantTotals(*row) for row in rows]

    def oldest_use(self, namespace: str) -> float | None:
        """Return when the least recently used entry was used, to the hour; None without entries."""
        row = self.database.row("SELECT min(used_at) FROM entries WHERE namespace = ?", (namespace,))
        return None if row is None else row[0]

    def largest(self, namespace: str, limit: int) -> list[tuple[Key, int]]:
        """Return the largest entries with their sizes. Of many entries they are looked up once a minute: it reads all rows."""
        totals, now = self.totals(namespace), time.monotonic()
        known = self._largest.get((namespace, limit))
        if known is not None and (known[0] == totals or (totals.entries > COUNTED_EACH_TIME and now - known[1] < COUNT_AGE_S)):
            return known[2]
        rows = self.database.rows(
            "SELECT digest, variant, size_bytes FROM entries WHERE namespace = ? ORDER BY size_bytes DESC, digest LIMIT ?",
            (namespace, limit),
        )
        found = [(Key(namespace, variant, digest.hex()), size) for digest, variant, size in rows]
        self._largest[namespace, limit] = (totals, now, found)
        return found

    def count_by_variant(self, namespace: str) -> dict[str, int]:
        """Return how many entries each variant has. Of many entries they are counted once a minute: it reads as many rows."""
        totals, now = self.totals(namespace), time.monotonic()
        known = self._counted.get(namespace)
        if known is not None and (known[0] == totals or (totals.entries > COUNTED_EACH_TIME and now - known[1] < COUNT_AGE_S)):
            return known[2]
        counts = {found.variant: found.entries for found in self.by_variant(namespace)}
        self._counted[namespace] = (totals, now, counts)
        return counts

    def change_marker(self) -> tuple[float, ...]:
        """Return numbers that change while any process answers requests or runs jobs: counters, queue depth, leases."""
        row = self.database.row(
            "SELECT (SELECT total(value) FROM counters), (SELECT total(entries) FROM totals WHERE namespace = 'jobs'),"
            " (SELECT total(leased_until) FROM jobs WHERE leased_until > 0)"
        )
        return tuple(row or ())

    def sizes_of_shard(self, namespace: str, shard: str) -> dict[Key, int]:
        """Return the keys of one shard (two hex characters, all variants) with their sizes, for comparison with its files."""
        rows = self.database.rows(
            "SELECT digest, variant, size_bytes FROM entries WHERE digest BETWEEN ? AND ? AND namespace = ?",
            (*_range(shard), namespace),
        )
        return {Key(namespace, variant, digest.hex()): size for digest, variant, size in rows}

    def remove_shard(self, conn: Connection, namespace: str, shard: str) -> int:
        """Remove the rows of one shard; return how many. A shard has a few thousand of a million rows."""
        return conn.execute(
            "DELETE FROM entries WHERE digest BETWEEN ? AND ? AND namespace = ?", (*_range(shard), namespace)
        ).rowcount

    def add_counts(self, conn: Connection, counts: dict[str, int]) -> None:
        conn.executemany(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            [(name, value) for name, value in counts.items() if value],
        )

    def counts(self) -> dict[str, int]:
        return dict(self.database.rows("SELECT name, value FROM counters"))  # type: ignore[arg-type]

    def meta(self, name: str, default: int = 0) -> int:
        return read_meta(self.database, name, default)

    def set_meta(self, conn: Connection, name: str, value: float) -> None:
        write_meta(conn, name, value)

    def close(self) -> None:
        self.database.close()


def _range(shard: str) -> tuple[bytes, bytes]:
    return bytes.fromhex(shard) + b"\0" * 31, bytes.fromhex(shard) + b"\xff" * 31


def file_is_plausible(head: bytes, tail: bytes, size: int) -> bool:
    """Return True if a file without a row looks complete, from its first and last 32 bytes: a WebP of the length that it
    states, or a JPEG with an end marker. A power cut leaves files truncated, empty, or with zeros at the end; all three fail.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return size == int.from_bytes(head[4:8], "little") + 8 and any(tail)
    return head[:2] == b"\xff\xd8" and tail[-2:] == b"\xff\xd9"
