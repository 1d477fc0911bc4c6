"""Builds everything once, from the settings: the web application and the command line share it. Knows no Flask.

`open_services` opens files and databases and starts nothing; `ArtworkClients.start` starts the threads, in the process that serves.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from config import Settings
from image_cache.accounts.service import Accounts
from image_cache.covers import ImageCache
from image_cache.covers.build import CoverServices, open_covers
from image_cache.covers.runtime_limits import CacheLimits, RuntimeLimits
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.engine.pool import PeriodicJob, Pool
from image_cache.errors import StorageError
from image_cache.files.build import FileServices
from image_cache.filesystem import make_folder
from image_cache.importers.artwork.service import KIND, ArtworkService
from image_cache.importers.discogs.service import DiscogsService
from image_cache.importers.music.service import MusicService
from image_cache.importers.registry import inbox_job, table_runners
from image_cache.maintenance.housekeeping import Housekeeping
from image_cache.maintenance.scrub import Nightly, Scrub
from image_cache.records.library import Library
from image_cache.server.nginx_links import NginxLinks
from image_cache.streams import StreamImageManager, StreamImages, StreamMembers, StreamQueries
from image_cache.streams.build import forget_image_manager, open_streams
from image_cache.tasks import TaskRunner
from image_cache.vault_lock import VaultLock

logger = logging.getLogger(__name__)

MEGABYTE = 1_000_000
LIMITS_S = 5.0  # how soon a budget holds that was changed in another process
TASKS_S = 5.0  # how soon a task begins that another process started
FOLDER_S = 3.0  # how soon a table is seen that somebody put into the folder of imports
TEND_S, TEND_FIRST_S = 60.0, 5.0  # views and recency are one transaction a minute, because SD cards wear
STOP_S = 20.0  # a stop takes no longer; the service manager kills after 25


@dataclass(slots=True)
class Services:
    """What serves."""

    settings: Settings
    catalog: CatalogDatabase
    library: Library
    accounts: Accounts
    covers: ImageCache
    limits: RuntimeLimits
    streams: StreamImageManager
    stream_queries: StreamQueries
    stream_members: StreamMembers
    stream_images: StreamImages
    files: FileServices
    tasks: TaskRunner
    discogs: DiscogsService
    music: MusicService
    artwork: ArtworkService
    scrub: Scrub
    nightly: Nightly
    pool: Pool
    _parts: CoverServices
    _tenancy: VaultLock
    _is_closed: bool = False
    began_at: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Start workers and housekeeper, once. Only after a fork: threads do not survive one."""
        self.tasks.serve()
        self.pool.start()
        self.files.start()

    def close(self, timeout_s: float = STOP_S) -> None:
        """Stop within the time: cut fetches, join threads, give jobs back, write what is in memory. Again is fine."""
        if self._is_closed:
            return
        self._is_closed = True
        was_running = self.pool.is_running
        self._parts.abort()
        self.files.abort()
        self.discogs.abort()
        until = time.monotonic() + timeout_s
        has_ended = self.tasks.close(timeout_s / 2) & self.pool.close(timeout_s / 2)
        has_ended &= self.nightly.close(max(0.1, until - time.monotonic()))
        if not self.files.close(max(0.1, until - time.monotonic())) or not has_ended:
            logger.warning("threads still busy at the stop")
        forget_image_manager(self.streams)
        give_back = self.covers.jobs.release_own if was_running else None
        try:
            # Each for itself: a database that refuses must not leave a child running, or unwritten what another one would have kept.
            for end in (give_back, self.streams.close, self.music.close, self._parts.close, self.catalog.close):
                try:
                    if end is not None:
                        end()
                except DatabaseError as error:
                    logger.warning("stop incomplete reason=%s", error)
        finally:
            self._tenancy.close()


def open_services(settings: Settings, *, clock: Callable[[], float] = time.time) -> Services:
    """Open the vault that the settings describe. Raises `DatabaseError` or `OSError` when its folders cannot be used,
    and `Busy` while it is being restored.
    """
    make_folder(settings.state_dir)
    tenancy = VaultLock.enter(settings.state_dir)
    try:
        return _opened(settings, tenancy, clock)
    except BaseException:
        tenancy.close()
        raise


def _opened(settings: Settings, tenancy: VaultLock, clock: Callable[[], float]) -> Services:
    catalog = CatalogDatabase(settings.catalog_path)
    music = MusicService(settings, catalog, clock)
    parts = open_covers(settings, clock=clock, here={"music": music})
    music.remember = parts.covers.register
    care = ArtworkService(
        settings, catalog, covers=parts.covers, own=parts.own, decoder=parts.decoder, fetcher=parts.fetcher, clock=clock
    )
    library = Library(catalog, clock=clock, page_size=settings.PAGE_SIZE, looks=lambda: care.appearances, own=parts.own)
    streams = open_streams(settings, catalog, parts.decoder, clock=clock)
    housekeeping = Housekeeping(parts.covers, parts.decoder, library.cover_urls, retention_days=settings.RETENTION_DAYS)
    limits = open_limits(settings, catalog, parts.covers, clock)
    files = FileServices(settings, catalog, clock, is_paused=limits.is_paused)
    discogs = DiscogsService(settings, catalog, library, parts.covers, clock=clock)
    runners = {
        KIND: care.run_search,
        **discogs.runners,
        "music": music.run,
        **table_runners(library, parts.covers, settings.intray_dir),
    }
    tasks = TaskRunner(catalog, runners, settings.state_dir, clock=clock)
    discogs.tasks = tasks
    care.use(tasks, discogs)
    scrub = Scrub(settings, parts.covers, streams, files.cache, parts.decoder, wake_files=files.wake, clock=clock)
    nightly = Nightly(scrub, settings.SCRUB_HOUR, lambda: _activity(parts.covers, streams))
    chores = [
        *housekeeping.periodic_jobs(),
        PeriodicJob("limits", LIMITS_S, lambda: _hold(limits, parts.covers), first_s=LIMITS_S),
        PeriodicJob("tasks", TASKS_S, tasks.run_maintenance, first_s=1.0),
        PeriodicJob("imports", FOLDER_S, inbox_job(settings.imports_dir, tasks), first_s=1.0),
        PeriodicJob("studio", FOLDER_S, parts.drawn.close_idle, first_s=FOLDER_S),
        PeriodicJob("discogs", TEND_S, discogs.run_maintenance, first_s=TEND_FIRST_S),
        music.periodic_job(tasks),
        PeriodicJob("streams", TEND_S, streams.run_maintenance, first_s=TEND_FIRST_S),
        *care.periodic_jobs(),
        *files.periodic_jobs(),
        nightly.periodic_job(),
    ]
    if settings.FRONT_DIR is not None:
        kept = {"streams": settings.stream_cache_dir, "originals": settings.stream_images_dir, "files": settings.files_dir}
        chores.extend(NginxLinks(settings.FRONT_DIR, parts.covers.cache, kept).periodic_jobs())
    pool = Pool(parts.covers.loader.run_next, chores, workers=settings.MAX_CONCURRENT_DOWNLOADS)
    parts.covers.wake = pool.wake
    return Services(
        settings=settings,
        catalog=catalog,
        library=library,
        accounts=Accounts(catalog, clock=clock),
        covers=parts.covers,
        limits=limits,
        streams=streams,
        stream_queries=streams.queries,
        stream_members=streams.members,
        stream_images=streams.images,
        files=files,
        tasks=tasks,
        discogs=discogs,
        music=music,
        artwork=care,
        scrub=scrub,
        nightly=nightly,
        pool=pool,
        _parts=parts,
        _tenancy=tenancy,
    )


def open_limits(settings: Settings, catalog: CatalogDatabase, covers: ImageCache, clock: Callable[[], float]) -> RuntimeLimits:
    """Put what operators changed in the place of the settings, for these covers; evicts nothing yet."""
    default = CacheLimits(covers.cache.budget_bytes, covers.cache.memory.budget_bytes, settings.IMAGE_CACHE_TTL_HOURS)
    limits = RuntimeLimits(default, catalog, clock)
    covers.loader.is_paused = limits.is_paused
    _hold(limits, covers, most_s=0.0)
    return limits


def _hold(limits: RuntimeLimits, covers: ImageCache, most_s: float = LIMITS_S) -> None:
    try:
        limits.apply(covers, most_s)
    except (DatabaseError, StorageError) as error:
        logger.warning("limits left as they are reason=%s", error)


def _activity(covers: ImageCache, streams: StreamImageManager) -> int:
    """Return a number that goes on changing while somebody looks at pictures or waits for one, whichever process serves him."""
    engines = (covers.cache, streams.cache.engine)
    asked = sum(engine.memory.stats().hits + sum(engine.counters.peek().values()) for engine in engines)
    # What other processes did stands in the index: what their viewers asked for, and the jobs that are run. The scrub writes neither.
    row = covers.cache.index.database.row(
        "SELECT (SELECT total(value) FROM counters), (SELECT total(entries) FROM totals WHERE namespace = 'jobs'),"
        " (SELECT total(leased_until) FROM jobs WHERE leased_until > 0)"
    )
    return hash((asked, *(row or ())))
