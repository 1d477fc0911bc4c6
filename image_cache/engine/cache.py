"""The one read path: memory, then disk; and the one way in: files first, then their rows."""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection

from image_cache.database import DatabaseError, OperationalError
from image_cache.engine.counters import Counters
from image_cache.engine.disk import TEMP_PREFIX, DiskTier
from image_cache.engine.flight import SingleFlight
from image_cache.engine.index import Found, Index, file_is_plausible
from image_cache.engine.key import Key
from image_cache.engine.memory import MemoryTier
from image_cache.errors import StorageError

logger = logging.getLogger(__name__)

VICTIMS_AT_A_TIME = 100  # bounds how long one eviction holds the write lock (1.4 ms at a million rows)
ORPHAN_GRACE_S = 60.0  # a file may stand without its row for as long as one put takes; a minute is ages
Loader = Callable[[], Mapping[Key, bytes]]


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep removed: files without rows, leftover temporaries, rows without files."""

    orphans: int = 0
    temporaries: int = 0
    lost: int = 0


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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.namespace = namespace
        self.memory = memory
        self.disk = disk
        self.index = index
        self.counters = counters
        self.budget_bytes = budget_bytes
        self.clock = clock
        self.flight: SingleFlight[bytes | None] = SingleFlight()
        self.is_adopting = False  # the index is being rebuilt: files count although they have no row yet

    def get(self, key: Key, scope: str = "") -> bytes | None:
        """Return the bytes, or None on a miss. Reads the disk, never the network; writes only to drop a row that lied."""
        body = self.memory.get(key, scope)
        if body is not None:
            return body
        body = self._from_disk(key)
        if body is None:
            self.counters.add("misses")
            return None
        self.counters.add("disk_hits")
        self.memory.put(key, body, scope)
        return body

    def get_or_load(self, key: Key, loader: Loader, scope: str = "") -> bytes | None:
        """Return the bytes, loading them when they are missing; concurrent callers share one load. Not for request threads.

        Raises what the loader raises. None when the loader did not produce this key.
        """
        body = self.get(key, scope)
        return body if body is not None else self.flight.do(key, lambda: self._load(key, loader, scope))

    def put(self, bodies: Mapping[Key, bytes], also: Callable[[Connection], None] | None = None) -> None:
        """Store all of the bodies: room is made, files are written, then one transaction records them.

        `also` runs inside that transaction. Raises `StorageError` (disk full, floor reached) or `DatabaseError`; files of a
        failed put are orphans for the sweep.
        """
        self._make_room(sum(map(len, bodies.values())))
        for key, body in bodies.items():
            self.disk.put(key, body)
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

    def set_budget(self, budget_bytes: int) -> None:
        """Change the disk budget; a lower one evicts at once."""
        self.budget_bytes = budget_bytes
        self._make_room(0)

    def flush(self) -> None:
        """Write recency and counters of this process to the index, in one transaction; nothing to say, nothing written."""
        self.counters.add("memory_hits", self.memory.take_hits())
        touched, counts = self.memory.take_touched(), {name: n for name, n in self.counters.take().items() if n}
        if touched or counts:
            with self.index.database.write() as conn:
                self.index.touch(conn, touched)
                self.index.add_counts(conn, counts)

    def clear(self) -> int:
        """Remove every entry and its file; returns how many there were. Shards are emptied one by one, so memory stays flat."""
        count = self.index.totals(self.namespace).entries
        self.memory.clear()
        for folder, _, shard in self.disk.shards():
            for key, path, _ in self.disk.files(folder, shard):
                if key is not None:
                    path.unlink(missing_ok=True)
        with self.index.database.write() as conn:
            conn.execute("DELETE FROM entries WHERE namespace = ?", (self.namespace,))
        return count

    def counts(self) -> dict[str, int]:
        """Return the counters of all processes, with what this one has not written yet."""
        counts = self.index.counts()
        for name, count in {**self.counters.peek(), "memory_hits": self.memory.stats().hits}.items():
            counts[name] = counts.get(name, 0) + count
        return counts

    def clear_variant(self, variant: str) -> int:
        """Remove the entries of one variant; returns how many."""
        count = 0
        for folder, name, shard in self.disk.shards():
            if folder == variant.partition(".")[0]:
                keys = [key for key, _ in self.index.rows_between(self.namespace, variant, name)]
                self.delete(keys)
                count += len(keys)
                logger.debug("cleared shard=%s entries=%s", shard, len(keys))
        return count

    def sweep(self) -> SweepReport:
        """Bring files and rows together: removes orphans and leftover temporaries, forgets rows without a file.

        Goes shard by shard, so its memory does not grow with the cache.
        """
        orphans = temporaries = lost = 0
        now = self.clock()
        for folder, name, shard in self.disk.shards():
            rows = {
                key for variant in (folder, f"{folder}.jpg") for key, _ in self.index.rows_between(self.namespace, variant, name)
            }
            for key, path, facts in self.disk.files(folder, shard):
                is_young = now - ORPHAN_GRACE_S < facts.st_mtime <= now + ORPHAN_GRACE_S
                if key is None:
                    if path.name.startswith(TEMP_PREFIX) and not (is_young and _writer_lives(path.name)):
                        path.unlink(missing_ok=True)
                        temporaries += 1
                elif key in rows:
                    rows.discard(key)
                elif not is_young:
                    path.unlink(missing_ok=True)
                    orphans += 1
            # A row whose file was put after the folder was read is not lost: look once more.
            gone = [key for key in rows if not (self.disk.root / key.path).exists()]
            if gone:
                self.delete(gone)
                lost += len(gone)
        report = SweepReport(orphans, temporaries, lost)
        if report != SweepReport():
            logger.info("swept orphans=%s temporaries=%s lost=%s", orphans, temporaries, lost)
        return report

    def adopt(self) -> int:
        """Rebuild the rows from the files, after the index was lost. Returns how many files were adopted."""
        self.is_adopting = True
        adopted = 0
        try:
            for folder, _, shard in self.disk.shards():
                found = [
                    (key, facts)
                    for key, path, facts in self.disk.files(folder, shard)
                    if key is not None and _file_is_plausible(path, facts.st_size)
                ]
                with self.index.database.write() as conn:
                    for key, facts in found:
                        self.index.record(conn, key, facts.st_size, None)
                adopted += len(found)
        finally:
            self.is_adopting = False
        if adopted:
            logger.info("index rebuilt adopted=%s", adopted)
        return adopted

    def _load(self, key: Key, loader: Loader, scope: str) -> bytes | None:
        # Between the miss and this flight another one may have landed: look again before loading.
        body = self._from_disk(key)
        if body is None:
            bodies = loader()
            if bodies:
                self.put(bodies)
            body = bodies.get(key)
        if body is not None:
            self.memory.put(key, body, scope)
        return body

    def _from_disk(self, key: Key) -> bytes | None:
        """Read and verify one file. Without a usable index the files still serve, judged by their shape."""
        try:
            found = self.index.find(key)
        except DatabaseError as error:
            self.index_failed(error)
            found = Found(-1, None)
        if found is None:
            if not self.is_adopting:
                return None
            found = Found(-1, None)
        try:
            body = self.disk.get(key)
        except StorageError as error:
            logger.warning("read failed path=%s reason=%s", error.path, error.reason)
            return None
        if body is not None and _is_intact(body, found):
            return body
        if found.size_bytes >= 0:
            logger.warning("entry %s key=%s", "lost" if body is None else "corrupt", key.path)
            try:
                self.delete([key])
            except (DatabaseError, StorageError) as error:
                self.index_failed(error)
        return None

    def index_failed(self, error: Exception) -> None:
        """Judge an error of the index: a broken file is set aside (the next use makes a new one), the rest is passed over."""
        logger.warning("index failed reason=%s", error)
        if isinstance(error, DatabaseError) and not isinstance(error, OperationalError):
            self.index.set_aside()

    def _make_room(self, incoming: int) -> None:
        if self.index.totals(self.namespace).bytes + incoming <= self.budget_bytes:
            return
        self.flush()  # so that the victims are those that are least recently used now, not a minute ago
        while (over := self.index.totals(self.namespace).bytes + incoming - self.budget_bytes) > 0:
            victims: list[Key] = []
            for key, size in self.index.victims(self.namespace, VICTIMS_AT_A_TIME):
                if over <= 0:
                    break
                victims.append(key)
                over -= size
            if not victims:
                return
            self.delete(victims)
            self.counters.add("evictions", len(victims))


def _is_intact(body: bytes, found: Found) -> bool:
    if found.sha256 is None:
        return file_is_plausible(body[:32], body[-32:], len(body)) and found.size_bytes in (-1, len(body))
    # The size is compared first: it is free, and a short file is what a power cut leaves.
    return len(body) == found.size_bytes and hashlib.sha256(body).digest() == found.sha256


def _file_is_plausible(path: Path, size: int) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(32)
            file.seek(max(size - 32, 0))
            return file_is_plausible(head, file.read(32), size)
    except OSError:
        return False


def _writer_lives(name: str) -> bool:
    pid = name.removeprefix(TEMP_PREFIX).partition("-")[0]
    return pid.isdigit() and os.path.exists(f"/proc/{pid}")
