"""A scrub of covers, stream images, originals and large files, shard by shard, so that memory does not grow with the vault."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from image_cache.config import Settings
from image_cache.covers import ImageCache
from image_cache.db.database import DatabaseError
from image_cache.engine.maintenance import SHARDS
from image_cache.errors import Busy, CacheError, StorageError
from image_cache.files.cache import FileCache
from image_cache.filesystem import try_lock_file
from image_cache.imaging.decoder import Decoder
from image_cache.locks import FileLocks, Locks
from image_cache.maintenance.scrub import compare_files
from image_cache.maintenance.scrub.checker import ImageChecker, ScrubPass, ScrubStopped
from image_cache.maintenance.scrub.compare import check_shard
from image_cache.maintenance.scrub.originals import StreamImageScrub, check_named_files
from image_cache.maintenance.scrub.repair_covers import CoverRepair
from image_cache.maintenance.scrub.report import Reports, ScrubReport
from image_cache.streams import StreamImageManager
from image_cache.streams.original_table import OriginalTable

logger = logging.getLogger(__name__)

PLACES = ("covers", "streams", "originals", "files")
STEPS = len(SHARDS) * len(PLACES)  # of one round; a step is one shard of one place
CURSOR = "scrub_cursor"  # in the index: the next step of the current round
PROGRESS_EVERY_S = 0.2
SAVE_EVERY_S = 30.0  # a kill costs this much of a round; saving every step would be a thousand writes


def _never_stop() -> bool:
    return True


class Scrub:
    """Compares everything that is stored with its rows and hashes. Any thread; one repair at a time over all processes.

    Without `repair` nothing is written: no row, no file, no cursor, no report. With it a damaged variant is rendered again from a
    larger one, else fetched again, else left and reported; originals and own covers are compared and reported, never changed.
    """

    def __init__(
        self,
        settings: Settings,
        covers: ImageCache,
        streams: StreamImageManager,
        files: FileCache,
        decoder: Decoder,
        *,
        locks: Locks | None = None,
        wake_files: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.covers = covers
        self.streams = streams
        self.files = files
        self.clock = clock
        self._decoder = decoder
        self._wake_files = wake_files
        self._own_covers = settings.own_covers_dir
        self._locks = locks or FileLocks(settings.cache_dir)
        self._lock_path = settings.cache_dir / ".scrub"
        self._reports = Reports(settings.cache_dir / "scrub.json")

    def run(
        self,
        *,
        repair: bool = False,
        sets_aside: bool = False,
        resume: bool = False,
        budget_bytes: int | None = None,
        throttle: Callable[[], bool] = _never_stop,
        progress: Callable[[ScrubReport], object] | None = None,
    ) -> ScrubReport:
        """Check everything; with `resume` continue where the last such run ended, until `budget_bytes` were read.

        With `sets_aside` a repair also sets aside files that VinylVault did not write: for an operator, not for every night.
        `throttle` is called between any two reads, at most 1 MB or one image apart: it may wait, and ends the run by returning
        False. `progress` gets the growing report now and then. Takes minutes on a full card. Raises `Busy` during another
        repair, `DatabaseError` or `StorageError` when the cache cannot be read.
        """
        with self._alone(is_needed=repair):
            report = ScrubReport(started_at=self.clock(), is_repair=repair)
            first = self._cursor() if resume else 0
            walk = ScrubPass(report, ImageChecker(self._decoder), throttle, _rate_limited(progress), sets_aside=sets_aside)
            step, kept_at = first, time.monotonic()
            with suppress(ScrubStopped):
                while step < STEPS and (budget_bytes is None or report.bytes < budget_bytes):
                    self._step(walk, step)
                    step += 1
                    report.done = step / STEPS
                    if repair and time.monotonic() - kept_at > SAVE_EVERY_S:
                        kept_at = time.monotonic()
                        self._save_cursor(report, step)
            report.ended_at = self.clock()
            if repair:
                self._save_cursor(report, step)
                self._reports.write(report, is_first=first == 0)
            level = logging.INFO if report.is_clean else logging.WARNING
            logger.log(
                level,
                "scrubbed entries=%s bytes=%s damages=%s unmended=%s done=%.3f",
                report.checked.total(),
                report.bytes,
                report.found.total(),
                report.unmended,
                report.done,
            )
            return report

    def last(self) -> ScrubReport | None:
        """Return the report of the last repair, None if there was none."""
        return self._reports.read()[0]

    def last_round(self) -> ScrubReport | None:
        """Return the report of all repairs of the current round, or of the last one; None if there was none."""
        return self._reports.read()[1]

    def total_bytes(self) -> int:
        """Return how many bytes there are to read, from stored totals."""
        covers, streams = self.covers.cache, self.streams.cache.engine
        total = covers.index.totals(covers.namespace).bytes + streams.index.totals(streams.namespace).bytes
        if not self.streams.images.is_remote:
            total += OriginalTable(self.streams.rows.db).total_bytes()
        if (self.files.root / "files.db").exists():
            total += self.files.index.totals()[1]
        return total

    def _step(self, walk: ScrubPass, step: int) -> None:
        place, shard = PLACES[step % len(PLACES)], SHARDS[step // len(PLACES)]
        try:
            if place == "covers":
                if self.covers.cache.is_adopting:
                    walk.report.note("The cover index is being rebuilt. Covers will be checked next time.")
                else:
                    check_shard(walk, place, self.covers.cache, shard, CoverRepair(self.covers, self._decoder).repair)
            elif place == "streams":
                if not self.streams.cache.engine.is_adopting:
                    check_shard(walk, place, self.streams.cache.engine, shard, StreamImageScrub(self.streams).repair)
            elif place == "originals":
                self._check_originals(walk, shard)
                check_named_files(walk, "own covers", self._own_covers, shard)
            elif compare_files.check_shard(walk, self.files, shard):
                self._wake_files()
        except (CacheError, DatabaseError, OSError) as error:
            walk.report.note(f"Could not check all of the {place}: {error}")

    def _check_originals(self, walk: ScrubPass, shard: str) -> None:
        """Check the originals. Those in a bucket belong to all nodes: one of them reads the bucket, the others leave it."""
        scrub = StreamImageScrub(self.streams)
        if not self.streams.images.is_remote:
            scrub.check_shard(walk, shard)
            return
        with self._locks.try_hold("scrub-originals") as hold:
            if hold is not None:
                scrub.check_shard(walk, shard)

    def _cursor(self) -> int:
        step = self.covers.cache.index.meta(CURSOR)
        return step if 0 <= step < STEPS else 0

    def _save_cursor(self, report: ScrubReport, step: int) -> None:
        index = self.covers.cache.index
        try:
            with index.database.write() as conn:
                index.set_meta(conn, CURSOR, step % STEPS)
        except DatabaseError as error:  # a full disk: the next run checks the same again
            report.note(f"Could not save the progress of this check: {error}")

    @contextmanager
    def _alone(self, *, is_needed: bool) -> Iterator[None]:
        """Keep out another repair, in this process or any other. Raises `Busy`, `StorageError`."""
        if not is_needed:
            yield
            return
        with ExitStack() as stack:
            try:
                is_alone = stack.enter_context(try_lock_file(self._lock_path))
            except OSError as error:
                raise StorageError(str(self._lock_path), error.strerror or str(error)) from error
            if not is_alone:
                raise Busy("Another check is already running.")
            yield


def _rate_limited(progress: Callable[[ScrubReport], object] | None) -> Callable[[ScrubReport], object]:
    if progress is None:
        return lambda report: None
    told_at = 0.0

    def tell(report: ScrubReport) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= PROGRESS_EVERY_S:
            told_at = time.monotonic()
            progress(report)

    return tell
