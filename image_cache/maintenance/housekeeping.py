"""Housekeeping of the cover cache in the background: repair, flush, fill, sweep, retention. One process at a time does the sweep."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from image_cache.covers import WARM, ImageCache
from image_cache.db.database import DatabaseError
from image_cache.engine import maintenance
from image_cache.engine.pool import PeriodicJob
from image_cache.errors import QueueFull, StorageError
from image_cache.filesystem import make_folder, try_lock_file
from image_cache.imaging.decoder import Decoder

logger = logging.getLogger(__name__)

DAY_S = 86400.0
FLUSH_S = 60.0  # recency and counters: one transaction a minute, because SD cards wear
REPAIR_S = 5.0  # leases of processes that died, a lost index, an idle decoder: repaired within ten seconds
FILL_S = 30.0
FILL_JOBS = 500  # enqueued at a time, so that the queue has room for others
FILL_SHARE = 0.9  # of the budget; beyond it, filling would evict what was looked at
RETENTION_SHARE = 0.01  # of the entries, at most, per run: a clock that jumped cannot empty the cache


class Housekeeping:
    """The periodic jobs of one vault. Each job is run by one thread."""

    def __init__(
        self, covers: ImageCache, decoder: Decoder, known_urls: Callable[[], Iterable[str]], *, retention_days: float
    ) -> None:
        self.covers = covers
        self.decoder = decoder
        self.known_urls = known_urls
        self.retention_days = retention_days

    def periodic_jobs(self) -> list[PeriodicJob]:
        return [
            PeriodicJob("mend", REPAIR_S, self.repair_index),
            PeriodicJob("flush", FLUSH_S, self.flush, first_s=FLUSH_S),
            PeriodicJob("fill", FILL_S, self.fill, first_s=2.0),
            PeriodicJob("sweep", DAY_S, self.sweep, first_s=3.0),
            # Not on the first day: a Pi without a battery-backed clock starts in the past, where everything looks expired.
            PeriodicJob("retention", DAY_S, self.retain, first_s=DAY_S),
        ]

    def repair_index(self) -> None:
        """Rebuild a new index, release the jobs of dead processes, stop an idle decoder, fix times that lie in the future."""
        self.decoder.close_idle()
        index, jobs = self.covers.cache.index, self.covers.jobs
        with self._logged_failures("mend"):
            index.database.drop_if_replaced()
            if index.is_incomplete():
                self._rebuild()
            if not self.covers.is_registered():
                self._register()
            if jobs.release_dead() or jobs.fix_clock_skew():
                self.covers.wake()

    def flush(self) -> None:
        """Write recency and counters. A failure costs a minute of them."""
        with self._logged_failures("flush"):
            self.covers.cache.flush()

    def fill(self) -> None:
        """Enqueue covers that were never requested, with the lowest priority, so that the wall is complete without a network."""
        covers = self.covers
        with self._logged_failures("fill"), suppress(QueueFull):
            used = covers.cache.index.totals(covers.cache.namespace).bytes
            if used < covers.cache.budget_bytes * FILL_SHARE and covers.jobs.depth() < FILL_JOBS // 2:
                digests = covers.registry.unfetched(covers.cache.namespace, covers.clock(), FILL_JOBS)
                covers.enqueue_digests(digests, WARM)

    def sweep(self) -> None:
        """Compare files with rows, delete old preloads. One process at a time."""
        with self._logged_failures("sweep"), self._leading() as leads:
            if leads:
                maintenance.sweep(self.covers.cache)
                self.covers.jobs.remove_old(older_than_s=DAY_S)

    def retain(self) -> None:
        """Evict what was not used for the retention time, a little per day, and only while it could be fetched again."""
        with self._logged_failures("retention"), self._leading() as leads:
            if not leads or self.covers.is_paused() or self.covers.jobs.paused_hosts():
                return
            cache = self.covers.cache
            limit = max(1, int(cache.index.totals(cache.namespace).entries * RETENTION_SHARE))
            removed = cache.evict(unused_since=self.covers.clock() - self.retention_days * DAY_S, limit=limit)
            if removed:
                logger.info("retention removed=%s unused_days=%s", removed, self.retention_days)

    def _rebuild(self) -> None:
        with self._leading() as leads:
            if leads:  # otherwise another process does it
                self.covers.digests.open()
                self._register()
                maintenance.rebuild_from_files(self.covers.cache)
                self.covers.wake()

    def _register(self) -> None:
        """Register the covers of the catalogue in an index that is new or was cleared. Idempotent."""
        failed = list[DatabaseError]()
        self.covers.register(self._known_urls(failed))
        if failed:
            logger.warning("covers not registered reason=%s", failed[0])
            return
        self.covers.mark_registered()

    @contextmanager
    def _logged_failures(self, chore: str) -> Iterator[None]:
        """Log a disk error, or an index that is being replaced: it costs this run only."""
        try:
            yield
        except (DatabaseError, StorageError) as error:
            logger.warning("%s skipped reason=%s", chore, error)

    def _known_urls(self, failed: list[DatabaseError]) -> Iterator[str]:
        try:
            yield from self.known_urls()
        except DatabaseError as error:  # of the catalogue: the index is rebuilt all the same
            failed.append(error)

    @contextmanager
    def _leading(self) -> Iterator[bool]:
        """Yield True if no other process holds the lock of the housekeeping."""
        path = self.covers.cache.disk.root / ".housekeeping"
        with ExitStack() as stack:
            try:
                make_folder(path.parent)  # it could not be used at the start, or someone removed it
                leads = stack.enter_context(try_lock_file(path))
            except OSError as error:
                logger.warning("housekeeping not started path=%s reason=%s", path, error)
                leads = False
            yield leads
