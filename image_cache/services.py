"""Builds everything once, from the settings: the web application and the command line share it. Knows no Flask.

`open_services` opens files and databases and starts nothing; `Services.start` starts the threads, in the process that serves.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from config import Settings
from image_cache.accounts import Accounts
from image_cache.adapters.backoff import retry_delay_s
from image_cache.adapters.catalog import Catalog
from image_cache.adapters.decoder import Decoder
from image_cache.adapters.drawncovers import DrawnCovers
from image_cache.adapters.fetched import LazyFetcher
from image_cache.adapters.opening import make_fetcher
from image_cache.adapters.owncovers import OwnCovers
from image_cache.adapters.storage import LocalStorage
from image_cache.adapters.variants import cover_variants
from image_cache.covers import NAMESPACE, CoverLoader, ImageCache, Names, Places
from image_cache.covers.limits import Limits, StoredLimits
from image_cache.database import DatabaseError
from image_cache.engine import upkeep
from image_cache.engine.cache import Cache
from image_cache.engine.counters import Counters
from image_cache.engine.disk import DiskTier
from image_cache.engine.history import Recorder
from image_cache.engine.hits import HitLog
from image_cache.engine.index import Index
from image_cache.engine.jobs import JobQueue
from image_cache.engine.memory import MemoryTier
from image_cache.engine.pool import Chore, Pool
from image_cache.engine.register import Register
from image_cache.engine.reuse import Uses
from image_cache.errors import StorageError
from image_cache.file_services import FileServices
from image_cache.folders import make_folder
from image_cache.front import HITS, Front
from image_cache.housekeeping import Housekeeping
from image_cache.library import Library
from image_cache.scrub import Nightly, Scrub
from image_cache.sources import Tasks
from image_cache.sources.runners import folder_chore, table_runners
from image_cache.stream_services import forget_streams, open_streams
from image_cache.streams import StreamImageManager
from image_cache.tenancy import Tenancy

logger = logging.getLogger(__name__)

MEGABYTE = 1_000_000
LIMITS_S = 5.0  # how soon a budget holds that was changed in another process
TASKS_S = 5.0  # how soon a task begins that another process started
FOLDER_S = 3.0  # how soon a table is seen that somebody put into the folder of imports
TEND_S, TEND_FIRST_S = 60.0, 5.0  # views and recency are one transaction a minute, because SD cards wear
STOP_S = 20.0  # a stop takes no longer; the service manager kills after 25


@dataclass(slots=True)
class CoverServices:
    """The cover cache and what it brings along that has to be closed."""

    covers: ImageCache
    fetcher: LazyFetcher
    own: OwnCovers
    drawn: DrawnCovers
    decoder: Decoder

    def cut(self) -> None:
        """End what is under way with origins; their jobs stay queued."""
        self.covers.loader.is_stopping = True
        self.fetcher.close()

    def close(self) -> None:
        self.cut()
        self.drawn.close()
        self.decoder.close()
        self.covers.close()
        self.covers.cache.index.close()


@dataclass(slots=True)
class Services:
    """What serves."""

    settings: Settings
    catalog: Catalog
    library: Library
    accounts: Accounts
    covers: ImageCache
    limits: StoredLimits
    streams: StreamImageManager
    files: FileServices
    tasks: Tasks
    scrub: Scrub
    nightly: Nightly
    pool: Pool
    _parts: CoverServices
    _tenancy: Tenancy
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
        self._parts.cut()
        self.files.cut()
        until = time.monotonic() + timeout_s
        has_ended = self.tasks.close(timeout_s / 2) & self.pool.close(timeout_s / 2)
        has_ended &= self.nightly.close(max(0.1, until - time.monotonic()))
        if not self.files.close(max(0.1, until - time.monotonic())) or not has_ended:
            logger.warning("threads still busy at the stop")
        try:
            if was_running:
                self.covers.jobs.release_own()
            self.streams.close()
            forget_streams(self.streams)
            self._parts.close()
            self.catalog.close()
        except DatabaseError as error:
            logger.warning("stop incomplete reason=%s", error)
        finally:
            self._tenancy.close()


def open_services(settings: Settings, *, clock: Callable[[], float] = time.time) -> Services:
    """Open the vault that the settings describe. Raises `DatabaseError` or `OSError` when its folders cannot be used,
    and `Busy` while it is being restored.
    """
    make_folder(settings.state_dir)
    tenancy = Tenancy.enter(settings.state_dir)
    try:
        return _opened(settings, tenancy, clock)
    except BaseException:
        tenancy.close()
        raise


def _opened(settings: Settings, tenancy: Tenancy, clock: Callable[[], float]) -> Services:
    catalog = Catalog(settings.catalog_path)
    library = Library(catalog, clock=clock, page_size=settings.PAGE_SIZE)
    parts = open_covers(settings, clock=clock)
    streams = open_streams(settings, catalog, parts.decoder, clock=clock)
    housekeeping = Housekeeping(parts.covers, parts.decoder, library.cover_urls, retention_days=settings.RETENTION_DAYS)
    limits = open_limits(settings, catalog, parts.covers, clock)
    files = FileServices(settings, catalog, clock, is_paused=limits.is_paused)
    runners = {
        **table_runners(library, parts.covers, settings.intray_dir),
    }
    tasks = Tasks(catalog, runners, settings.state_dir, clock=clock)
    scrub = Scrub(settings, parts.covers, streams, files.cache, parts.decoder, wake_files=files.wake, clock=clock)
    nightly = Nightly(scrub, settings.SCRUB_HOUR, lambda: _activity(parts.covers, streams))
    chores = [
        *housekeeping.chores(),
        Chore("limits", LIMITS_S, lambda: _hold(limits, parts.covers), first_s=LIMITS_S),
        Chore("tasks", TASKS_S, tasks.tend, first_s=1.0),
        Chore("imports", FOLDER_S, folder_chore(settings.imports_dir, tasks), first_s=1.0),
        Chore("studio", FOLDER_S, parts.drawn.reap, first_s=FOLDER_S),
        Chore("streams", TEND_S, streams.tend, first_s=TEND_FIRST_S),
        *files.chores(),
        nightly.chore(),
    ]
    if settings.FRONT_DIR is not None:
        kept = {"streams": settings.stream_cache_dir, "originals": settings.stream_images_dir, "files": settings.files_dir}
        chores.extend(Front(settings.FRONT_DIR, parts.covers.cache, kept).chores())
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
        files=files,
        tasks=tasks,
        scrub=scrub,
        nightly=nightly,
        pool=pool,
        _parts=parts,
        _tenancy=tenancy,
    )


def open_limits(settings: Settings, catalog: Catalog, covers: ImageCache, clock: Callable[[], float]) -> StoredLimits:
    """Put what operators changed in the place of the settings, for these covers; evicts nothing yet."""
    default = Limits(covers.cache.budget_bytes, covers.cache.memory.budget_bytes, settings.IMAGE_CACHE_TTL_HOURS)
    limits = StoredLimits(default, catalog, clock)
    covers.loader.is_paused = limits.is_paused
    _hold(limits, covers, most_s=0.0)
    return limits


def _hold(limits: StoredLimits, covers: ImageCache, most_s: float = LIMITS_S) -> None:
    try:
        limits.apply(covers, most_s)
    except (DatabaseError, StorageError) as error:
        logger.warning("limits left as they are reason=%s", error)


def open_covers(settings: Settings, *, clock: Callable[[], float] = time.time) -> CoverServices:
    """Build the cover cache alone, for scripts that have no catalogue."""
    make_folder(settings.covers_dir)
    index = Index(settings.index_path, clock=clock)
    register = Register(index.database)
    jobs = JobQueue(
        index.database,
        limit=settings.QUEUE_LIMIT,
        total=settings.MAX_CONCURRENT_DOWNLOADS,
        per_lane=settings.DOWNLOADS_PER_HOST,
        clock=clock,
    )
    cache = Cache(
        NAMESPACE,
        memory=MemoryTier(settings.memory_budget_bytes - settings.stream_memory_bytes, Uses()),
        disk=DiskTier(NAMESPACE, settings.covers_dir, int(settings.FREE_SPACE_FLOOR_MB * MEGABYTE)),
        index=index,
        counters=Counters(),
        budget_bytes=settings.disk_budget_bytes,
        hit_log=HitLog(settings.FRONT_DIR / HITS, NAMESPACE) if settings.FRONT_DIR is not None else None,
        recorder=Recorder(clock),
        clock=clock,
    )
    _complete_if_empty(cache)
    variants = cover_variants(settings.THUMBNAIL_SIZE, settings.DETAIL_SIZE, settings.IMAGE_QUALITY, settings.RECIPE)
    # Only the two documented sizes decide the digest: a further variant must not give every cover a new address.
    spec = ";".join(v.spec for v in variants if v.name in ("thumbnails", "detail"))
    names = Names(index, register, spec, settings.covers_dir / "names.json")
    names.open()
    fetcher, decoder = LazyFetcher(lambda: make_fetcher(settings)), Decoder(settings.decode_budget_bytes)
    own = OwnCovers(LocalStorage(settings.own_covers_dir, floor_bytes=int(settings.FREE_SPACE_FLOOR_MB * MEGABYTE)))
    drawn = DrawnCovers()
    loader = CoverLoader(
        cache=cache,
        register=register,
        jobs=jobs,
        names=names,
        variants=variants,
        fetcher=Places(fetcher, {"own": own, "demo": drawn}),
        decoder=decoder,
        retry_delay_s=retry_delay_s,
        fresh_s=settings.IMAGE_CACHE_TTL_HOURS * 3600,
        clock=clock,
    )
    covers = ImageCache(
        cache=cache,
        register=register,
        jobs=jobs,
        names=names,
        loader=loader,
        variants=variants,
        ttl_hours=settings.IMAGE_CACHE_TTL_HOURS,
        clock=clock,
    )
    return CoverServices(covers, fetcher, own, drawn, decoder)


def _activity(covers: ImageCache, streams: StreamImageManager) -> int:
    """Return a number that goes on changing while somebody looks at pictures or waits for one, whichever process serves him."""
    engines = (covers.cache, streams.cache.engine)
    asked = sum(engine.memory.stats().hits + sum(engine.counters.peek().values()) for engine in engines)
    row = covers.cache.index.database.row("PRAGMA data_version")  # what other connections wrote: jobs, recency
    return asked + (row[0] if row else 0)


def _complete_if_empty(cache: Cache) -> None:
    """A cache without files needs no rebuild: its index is complete from the start."""
    try:
        if cache.is_adopting and next(cache.disk.shards(), None) is None:
            cache.index.complete()
    except (DatabaseError, StorageError) as error:
        logger.warning("index not usable, files serve without it reason=%s", error)


_standalone: CoverServices | None = None


def initialize_image_cache(cache_dir: Path, database_path: Path, max_cache_size: int | None = None) -> bool:
    """Open a cover cache for a script without Flask: pictures below `cache_dir`, its index beside them.

    `database_path` names the folder of the index (its file name is ours, `index.db`); `max_cache_size` is the budget in bytes.
    Returns False, and logs why, when the folders cannot be used. A second call replaces the first cache.
    """
    global _standalone  # noqa: PLW0603  the documented module function needs one place
    from config import load_settings

    cache_dir, database_path = Path(cache_dir).absolute(), Path(database_path).absolute()
    settings = replace(load_settings(), CACHE_DIR=database_path.parent, COVERS_DIR=cache_dir)
    if max_cache_size is not None:
        settings = replace(settings, CACHE_MAX_SIZE_MB=max_cache_size / MEGABYTE)
    close_image_cache()
    try:
        _standalone = open_covers(settings)
        if _standalone.covers.cache.is_adopting:  # nobody else does it here: there is no housekeeper
            upkeep.adopt(_standalone.covers.cache)
    except (OSError, DatabaseError, StorageError) as error:
        logger.error("image cache not opened path=%s reason=%s", cache_dir, error)  # noqa: TRY400  a sentence, not a traceback
        return False
    return True


def get_image_cache() -> ImageCache:
    """Return the cache that `initialize_image_cache` opened. Raises `RuntimeError` before that."""
    if _standalone is None:
        raise RuntimeError("call initialize_image_cache first")
    return _standalone.covers


def close_image_cache() -> None:
    """Close the cache of `initialize_image_cache`; without one nothing happens."""
    global _standalone  # noqa: PLW0603
    if _standalone is not None:
        _standalone.close()
        _standalone = None
