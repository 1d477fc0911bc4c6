"""The one read path: memory, then disk; and the one way in: files first, then their rows."""

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
from image_cache.engine.memory import MemoryTier
from image_cache.engine.stats.counters import Counters
from image_cache.engine.stats.history import HistoryRecorder
from image_cache.engine.stats.miss_ratio import merge_uses
from image_cache.engine.stats.nginx_log import HitLog
from image_cache.errors import StorageError

logger = logging.getLogger(__name__)

VICTIMS_AT_A_TIME = 100  # bounds how long one eviction holds the write lock (1.4 ms at a million rows)
TOLD_EVERY_S = 60.0
UNKNOWN = -1  # the size of a file that has no row
Loader = Callable[[], Mapping[Key, bytes]]


class Cache:
    """One namespace: a memory tier and a disk tier with a byte budget, and the index that knows what is there.

    `get` never loads; a request calls nothing else. Thread-safe and process-safe.
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
        self.hit_log = hit_log  # what a web server in front sent without asking
        self.recorder = recorder  # keeps the history of the figures; a cache without one has none
        self.uses = memory.uses
        self.clock = clock
        self.flight: SingleFlight[bytes | None] = SingleFlight()
        self._told_at = -TOLD_EVERY_S  # when the log heard that the index is out of reach: not for each of a thousand reads

    @property
    def is_adopting(self) -> bool:
        """Whether the index is being rebuilt: files count although they have no row."""
        return self.index.is_incomplete()

    def get(self, key: Key, scope: str = "") -> bytes | None:
        """Return the bytes, or None on a miss. Reads the disk, never the network; writes only to drop a row that lied."""
        body = self.get_stored(key, scope)
        if body is None:
            self.counters.add("misses")
            self._note(key, 0)
        return body

    def get_stored(self, key: Key, scope: str = "") -> bytes | None:
        """Return the bytes as `get` does, but count no miss: for a caller that hands a miss on to one that calls `get`."""
        body = self.memory.get(key, scope)
        if body is not None:
            return body
        body = self._from_disk(key)
        if body is not None:
            self.counters.add("disk_hits")
            self._note(key, len(body))
            self.memory.put(key, body, scope)
        return body

    def read(self, key: Key) -> bytes | None:
        """Return the bytes for a purpose of our own: it counts as no use, and takes no room in memory."""
        return self._from_disk(key)

    def get_or_load(self, key: Key, loader: Loader, scope: str = "") -> bytes | None:
        """Return the bytes, loading them when they are missing; concurrent callers share one load. Not for request threads.

        Raises what the loader raises. None when the loader did not produce this key. What cannot be stored is returned all the same.
        """
        body = self.get(key, scope)
        return body if body is not None else self.flight.do(key, lambda: self._load(key, loader, scope))

    def check(self, key: Key) -> bool:
        """Compare an entry's file with its row, past the memory tier; one that is not what the row says is dropped."""
        return self._from_disk(key) is not None

    def put(self, bodies: Mapping[Key, bytes], also: Callable[[Connection], None] | None = None) -> None:
        """Store all of the bodies: room is made, files are written, then one transaction records them.

        `also` runs inside that transaction. Raises `StorageError` (disk full, floor reached) or `DatabaseError`; files of a
        failed put are orphans for the sweep.
        """
        self._make_room(sum(map(len, bodies.values())))
        for key, body in bodies.items():
            self.disk.put(key, body)
            self._note(key, len(body), is_use=False)
        with self.index.database.write() as conn:
            for key, body in bodies.items():
                self.index.record(conn, key, len(body), hashlib.sha256(body).digest())
            if also is not None:
                also(conn)

    def delete(self, keys: Iterable[Key]) -> None:
        """Remove entries from both tiers: the file first, because a full disk refuses the row."""
        keys = list(keys)
        for key in keys:
            self.memory.delete(key)
            self.disk.delete(key)
        with self.index.database.write() as conn:
            self.index.forget(conn, keys)

    def evict(self, *, unused_since: float, most: int | None = None) -> int:
        """Remove the entries that were not used after the given time, at most `most`; returns how many."""
        self.flush()
        removed = 0
        while most is None or removed < most:
            count = VICTIMS_AT_A_TIME if most is None else min(VICTIMS_AT_A_TIME, most - removed)
            victims = self.index.victims(self.namespace, count, unused_since=unused_since)
            if not victims:
                break
            self.delete(key for key, _ in victims)
            removed += len(victims)
        return removed

    def set_budget(self, budget_bytes: int, *, most_s: float = math.inf) -> bool:
        """Change the disk budget; a lower one evicts at once, at most for so long. Returns whether the cache is within it."""
        self.budget_bytes = budget_bytes
        return self._make_room(0, most_s)

    def flush(self, *, is_last: bool = False) -> None:
        """Write recency and counters of this process to the index, in one transaction; nothing to say, nothing written.

        The history and the sampled uses go along when it is time for them, and when it is the last flush of this process.
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
        brings = uses is not None and uses.is_due(self.clock(), is_last=is_last)
        if touched or counts or is_due or brings:
            with self.index.database.write() as conn:
                self.index.touch(conn, touched)
                self.index.add_counts(conn, counts)
                if is_due and recorder is not None:
                    recorder.write(conn)
                if brings and uses is not None:
                    merge_uses(conn, uses, self.clock())

    def counts(self) -> dict[str, int]:
        """Return the counters of all processes, with what this one has not written yet."""
        counts = self.index.counts()
        for name, count in {**self.counters.peek(), "memory_hits": self.memory.stats().hits}.items():
            counts[name] = counts.get(name, 0) + count
        return counts

    def _note(self, key: Key, size_bytes: int, *, is_use: bool = True) -> None:
        if self.uses is not None:
            self.uses.record(key, size_bytes, is_use=is_use)

    def _load(self, key: Key, loader: Loader, scope: str) -> bytes | None:
        # Between the miss and this flight another one may have landed: look again before loading.
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
        """Read and verify one file; an entry that is not what its row says is dropped."""
        found, body = self._look(key)
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
        found, body = self._look(key)
        if found is None or body is not None or found.size_bytes == UNKNOWN:
            return body
        body = self.disk.discard(key, lambda body: is_intact(body, found))
        if body is None:
            logger.warning("entry lost or torn, dropped key=%s", key.path)
            self.memory.delete(key)
            self.index.forget(conn, [key])
        return body

    def _look(self, key: Key) -> tuple[IndexEntry | None, bytes | None]:
        """Return the row, and the bytes if they are what it says. Without a usable index files serve too, judged by their shape."""
        try:
            found = self.index.find(key)
        except DatabaseError as error:
            now = time.monotonic()
            if now - self._told_at > TOLD_EVERY_S:
                self._told_at = now
                logger.warning("index out of reach, files serve without it reason=%s", error)
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

    def _make_room(self, incoming: int, most_s: float = math.inf) -> bool:
        if self.index.totals(self.namespace).bytes + incoming <= self.budget_bytes:
            return True
        until = time.monotonic() + most_s
        self.flush()  # so that the victims are those that are least recently used now, not a minute ago
        while (over := self.index.totals(self.namespace).bytes + incoming - self.budget_bytes) > 0:
            victims: list[Key] = []
            for key, size in self.index.victims(self.namespace, VICTIMS_AT_A_TIME):
                if over <= 0:
                    break
                victims.append(key)
                over -= size
            if not victims or time.monotonic() > until:
                return False
            self.delete(victims)
            self.counters.add("evictions", len(victims))
        return True


def is_intact(body: bytes, found: IndexEntry) -> bool:
    """Tell whether bytes are what their row says; without a hash in it they are judged by their shape."""
    if found.sha256 is None:
        return file_is_plausible(body[:32], body[-32:], len(body)) and found.size_bytes in (UNKNOWN, len(body))
    # The size is compared first: it is free, and a short file is what a power cut leaves.
    return len(body) == found.size_bytes and hashlib.sha256(body).digest() == found.sha256
