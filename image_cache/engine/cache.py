"""Cache of one namespace: reads from memory, then disk; stores files first, then their rows."""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping

from image_cache.db.database import Connection, DatabaseError
from image_cache.engine.disk import DiskTier
from image_cache.engine.flight import SingleFlight
from image_cache.engine.index import Index, IndexEntry, file_is_plausible
from image_cache.engine.key import Key
from image_cache.engine.memory import EVICT_SHARE, HIGH_WATER, LOW_WATER, MemoryTier
from image_cache.engine.stats.counters import Counters
from image_cache.engine.stats.history import HistoryRecorder
from image_cache.engine.stats.miss_ratio import merge_uses
from image_cache.engine.stats.nginx_log import HitLog
from image_cache.errors import StorageError

logger = logging.getLogger(__name__)

VICTIMS_AT_A_TIME = 100  # limits how long one eviction holds the write lock (1.4 ms with a million rows)
EVICTING_S = 2.0  # how long a put evicts more than it needs: it may be that of a request
WARN_EVERY_S = 60.0
UNKNOWN = -1  # size of a file without a row
Loader = Callable[[], Mapping[Key, bytes]]


class Cache:
    """A memory tier, a disk tier with a byte budget, and the index of its entries.

    `get` never loads; request threads call nothing else. Thread-safe and process-safe.
    """

    def __init__(
        self,
        namespace: str,
        *,
        memory: MemoryTier,
        disk: DiskTier,
        index: Index,
        counters: Counters,
        budget_bytes: int,
        hit_log: HitLog | None = None,
        recorder: HistoryRecorder | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.namespace = namespace
        self.memory = memory
        self.disk = disk
        self.index = index
        self.counters = counters
        self.budget_bytes = budget_bytes
        self.hit_log = hit_log  # hits that a reverse proxy served by itself
        self.recorder = recorder  # records the history of statistics, if given
        self.uses = memory.uses
        self.clock = clock
        self.flight: SingleFlight[bytes | None] = SingleFlight()
        self._warned_at = (
            -WARN_EVERY_S
        )  # when it was last logged that the index is out of reach: not for each of a thousand reads

    @property
    def is_adopting(self) -> bool:
        """True while the index is being rebuilt: files without rows are entries too."""
        return self.index.is_incomplete()

    def get(self, key: Key, scope: str = "") -> bytes | None:
        """Return the bytes, or None on a miss. Reads the disk, never the network; writes only to drop a corrupt entry."""
        body = self.get_stored(key, scope)
        if body is None:
            self.counters.add("misses")
            self.memory.requests.add(key)
            self._record_use(key, 0)
            logger.debug("cache miss key=%s", key)
        return body

    def get_stored(self, key: Key, scope: str = "") -> bytes | None:
        """Return the bytes like `get`, but count no miss: for a caller that passes a miss on to one that calls `get`."""
        body = self.memory.get(key, scope)
        if body is not None:
            if logger.isEnabledFor(logging.DEBUG):  # most requests end here
                logger.debug("cache hit tier=memory key=%s", key)
            return body
        body = self._from_disk(key)
        if body is not None:
            logger.debug("cache hit tier=disk key=%s", key)
            self.counters.add("disk_hits")
            self.memory.requests.add(key)
            self._record_use(key, len(body))
            self.memory.put(key, body, scope)
        return body

    def read(self, key: Key) -> bytes | None:
        """Return the bytes without counting a use or keeping them in memory."""
        return self._from_disk(key)

    def get_or_load(self, key: Key, loader: Loader, scope: str = "") -> bytes | None:
        """Return the bytes; on a miss load them. Concurrent callers share one load. Not for request threads.

        Raises what the loader raises. Return None if the loader did not produce this key. If storing fails, the bytes are still returned.
        """
        body = self.get(key, scope)
        return body if body is not None else self.flight.do(key, lambda: self._load(key, loader, scope))

    def check(self, key: Key) -> bool:
        """Compare an entry's file with its row, bypassing memory. Drop a corrupt entry and return False."""
        return self._from_disk(key) is not None

    def put(self, bodies: Mapping[Key, bytes], in_transaction: Callable[[Connection], None] | None = None) -> None:
        """Store all of the bodies: evict if the disk tier is 90% full, write the files, then record them in one transaction.

        `in_transaction` runs inside that transaction. Raises `StorageError` (disk full, floor reached) or `DatabaseError`; the sweep
        removes the files of a failed put.
        """
        self._make_room(sum(map(len, bodies.values())))
        for key, body in bodies.items():
            self.disk.put(key, body)
            self._record_use(key, len(body), is_use=False)
            logger.debug("cache stored key=%s bytes=%s", key, len(body))
        with self.index.database.write() as conn:
            for key, body in bodies.items():
                self.index.record(conn, key, len(body), hashlib.sha256(body).digest())
            if in_transaction is not None:
                in_transaction(conn)

    def delete(self, keys: Iterable[Key]) -> None:
        """Remove entries from both tiers: the file first, because on a full disk deleting the row fails."""
        keys = list(keys)
        for key in keys:
            self.memory.delete(key)
            self.disk.delete(key)
        with self.index.database.write() as conn:
            self.index.remove(conn, keys)

    def evict(self, *, unused_since: float, limit: int | None = None) -> int:
        """Remove entries that were not used after the given time, at most `limit`; return how many."""
        self.flush()
        removed = 0
        while limit is None or removed < limit:
            count = VICTIMS_AT_A_TIME if limit is None else min(VICTIMS_AT_A_TIME, limit - removed)
            victims = self.index.victims(self.namespace, count, unused_since=unused_since)
            if not victims:
                break
            self.delete(key for key, _ in victims)
            removed += len(victims)
        return removed

    def set_budget(self, budget_bytes: int, *, timeout_s: float = math.inf) -> bool:
        """Change the disk budget; from 90% of it on this evicts, for at most `timeout_s`. Return True if the cache is within it."""
        self.budget_bytes = budget_bytes
        return self._make_room(0, timeout_s)

    def flush(self, *, is_last: bool = False) -> None:
        """Write recency and counters of this process to the index in one transaction, if there are any.

        The history and the sampled uses are written too when they are due, and with the last flush of this process.
        """
        self.counters.add("memory_hits", self.memory.drain_hits())
        touched = self.memory.drain_touched()
        if self.hit_log is not None:
            sent, hits = self.hit_log.drain()
            touched |= sent
            self.counters.add("front_hits", hits)
        counts = {name: n for name, n in self.counters.drain().items() if n}
        recorder, uses = self.recorder, self.uses
        if recorder is not None:
            recorder.add(counts)
        if uses is not None:
            uses.count(sum(counts.get(name, 0) for name in ("memory_hits", "disk_hits", "misses")))
        is_due = recorder is not None and recorder.is_due(is_last=is_last)
        is_merge_due = uses is not None and uses.is_due(self.clock(), is_last=is_last)
        if is_due and recorder is not None:
            recorder.look()
        if touched or counts or is_due or is_merge_due:
            with self.index.database.write() as conn:
                self.index.touch(conn, touched)
                self.index.add_counts(conn, counts)
                if is_due and recorder is not None:
                    recorder.write(conn)
                if is_merge_due and uses is not None:
                    merge_uses(conn, uses, self.clock())

    def counts(self) -> dict[str, int]:
        """Return the counters of all processes, including those that this one has not written yet."""
        counts = self.index.counts()
        for name, count in {**self.counters.peek(), "memory_hits": self.memory.stats().hits}.items():
            counts[name] = counts.get(name, 0) + count
        return counts

    def _record_use(self, key: Key, size_bytes: int, *, is_use: bool = True) -> None:
        if self.uses is not None:
            self.uses.record(key, size_bytes, is_use=is_use)

    def _load(self, key: Key, loader: Loader, scope: str) -> bytes | None:
        # Another load may have finished between the miss and this flight: read again before loading.
        body = self._from_disk(key)
        if body is None:
            bodies = loader()
            if bodies:
                try:
                    self.put(bodies)
                except (StorageError, DatabaseError) as error:
                    logger.warning("loaded but not stored key=%s reason=%s", key.path, error)
            body = bodies.get(key)
        if body is not None:
            self.memory.put(key, body, scope)
        return body

    def _from_disk(self, key: Key) -> bytes | None:
        """Read and verify one file; drop a corrupt entry."""
        found, body = self._read_entry(key)
        if found is None or body is not None or found.size_bytes == UNKNOWN:
            return body
        try:
            with self.index.database.write() as conn:
                return self._recheck_or_drop(conn, key)
        except (DatabaseError, StorageError) as error:
            logger.warning("entry not dropped key=%s reason=%s", key.path, error)
            return None

    def _recheck_or_drop(self, conn: Connection, key: Key) -> bytes | None:
        # Another process may have removed or replaced the entry since. Under the write lock the row stays as it is. A file may come
        # at any time: its row follows it, so only bytes that were found to be wrong may be removed.
        found, body = self._read_entry(key)
        if found is None or body is not None or found.size_bytes == UNKNOWN:
            return body
        body = self.disk.discard(key, lambda body: is_intact(body, found))
        if body is None:
            logger.warning("entry missing or truncated, dropped key=%s", key.path)
            self.memory.delete(key)
            self.index.remove(conn, [key])
        return body

    def _read_entry(self, key: Key) -> tuple[IndexEntry | None, bytes | None]:
        """Return the row, and the bytes if they match it. Without a usable index, files that look complete are served too."""
        try:
            found = self.index.find(key)
        except DatabaseError as error:
            now = time.monotonic()
            if now - self._warned_at > WARN_EVERY_S:
                self._warned_at = now
                logger.warning("index unavailable, serving from files reason=%s", error)
            found = IndexEntry(UNKNOWN, None)
        if found is None:
            if not self.is_adopting:
                return None, None
            found = IndexEntry(UNKNOWN, None)
        try:
            body = self.disk.get(key)
        except StorageError as error:
            logger.warning("read failed path=%s reason=%s", error.path, error.reason)
            return None, None
        return found, body if body is not None and is_intact(body, found) else None

    def _make_room(self, incoming: int, timeout_s: float = math.inf) -> bool:
        """Evict if `incoming` more bytes would reach the high-water mark: a share of the entries, and down to the low-water mark.

        Return True if they fit the budget then. What other threads and processes evict meanwhile counts: they do not add up.
        """
        totals = self.index.totals(self.namespace)
        if totals.bytes + incoming < self.budget_bytes * HIGH_WATER:
            return True
        until = time.monotonic() + timeout_s
        enough = min(until, time.monotonic() + EVICTING_S)
        kept = totals.entries - math.ceil(totals.entries * EVICT_SHARE)
        self.flush()  # so that the victims are least recently used as of now, not of a minute ago
        while True:
            totals = self.index.totals(self.namespace)
            has_room = totals.bytes + incoming <= self.budget_bytes
            over = totals.bytes + incoming - self.budget_bytes * LOW_WATER
            if (over <= 0 and totals.entries <= kept) or time.monotonic() > (enough if has_room else until):
                return has_room
            victims: list[Key] = []
            for key, size in self.index.victims(self.namespace, VICTIMS_AT_A_TIME):
                if over <= 0 and totals.entries - len(victims) <= kept:
                    break
                victims.append(key)
                over -= size
            if not victims:
                return has_room
            self.delete(victims)
            self.counters.add("evictions", len(victims))
            logger.debug("cache evicted namespace=%s entries=%s", self.namespace, len(victims))


def is_intact(body: bytes, found: IndexEntry) -> bool:
    """Return True if the bytes match their row; without a hash in the row, if they look complete."""
    if found.sha256 is None:
        return file_is_plausible(body[:32], body[-32:], len(body)) and found.size_bytes in (UNKNOWN, len(body))
    # The size is compared first: that is cheap, and files cut short are what a power cut leaves.
    return len(body) == found.size_bytes and hashlib.sha256(body).digest() == found.sha256
