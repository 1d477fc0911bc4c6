"""Composition root: builds every object once, from the settings, for the web application and the command line. Knows no Flask.

Each object is complete when it is constructed. `open_services` opens files and databases and starts nothing; `Services.start` starts
the threads, in the process that serves.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from image_cache.accounts.household import Household
from image_cache.accounts.service import Accounts
from image_cache.accounts.tokens import ApiTokens
from image_cache.config import Settings
from image_cache.covers import CoverLoader, ImageCache
from image_cache.covers.build import CoverServices, open_covers, open_shared
from image_cache.covers.machine_speed import MachineSpeed
from image_cache.covers.own_covers import forget_rendered
from image_cache.covers.runtime_limits import EVICTING_S, RuntimeLimits, default_limits
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.db.open_catalog import open_catalog
from image_cache.engine.cache import Cache
from image_cache.engine.pool import PeriodicJob, Pool
from image_cache.errors import StorageError
from image_cache.files.build import FileServices
from image_cache.filesystem import make_folder
from image_cache.importers.artwork.choose import CoverEditor
from image_cache.importers.artwork.pages import CoverPages
from image_cache.importers.artwork.record_images import RecordImages
from image_cache.importers.artwork.service import ArtworkService
from image_cache.importers.artwork.table import ArtworkTable
from image_cache.importers.demo import DemoImporter
from image_cache.importers.demo_vault import DemoVault
from image_cache.importers.discogs.connection import DiscogsConnection
from image_cache.importers.discogs.service import DiscogsService
from image_cache.importers.lookup.service import RecordLookup
from image_cache.importers.music.images import MusicImages
from image_cache.importers.music.service import MusicService
from image_cache.importers.plays.service import PlaysImporter
from image_cache.importers.tables.service import TableService
from image_cache.maintenance.actions.log import ActionLog
from image_cache.maintenance.alerts.service import Alerts
from image_cache.maintenance.cache_figures import CacheFigures, cache_figures
from image_cache.maintenance.counters_since import day_job
from image_cache.maintenance.health.check import Check
from image_cache.maintenance.health.examine import examine_service
from image_cache.maintenance.housekeeping import Housekeeping
from image_cache.maintenance.memory import memory_job
from image_cache.maintenance.rates import CacheRates
from image_cache.maintenance.readiness import Readiness
from image_cache.maintenance.readonly_vault import ReadonlyVault
from image_cache.maintenance.scrub import Nightly, Scrub, activity
from image_cache.records.batches.selection_table import SelectionTable
from image_cache.records.batches.tasks import BatchTasks
from image_cache.records.copies_table import CopiesTable
from image_cache.records.crates.table import CrateTable
from image_cache.records.editing.editor import RecordEditor
from image_cache.records.library import Library
from image_cache.records.orders.appearance_table import RecordAppearanceTable
from image_cache.records.pages import RecordPages
from image_cache.records.playing.turntable import Turntable
from image_cache.records.removal import RecordRemoval
from image_cache.records.search.service import SearchIndexer
from image_cache.records.take_along import TakeAlong
from image_cache.scrobbling.service import Scrobbling
from image_cache.server.nginx_links import NginxLinks
from image_cache.streams import StreamImageManager, StreamImages, StreamMembers, StreamQueries
from image_cache.streams.build import forget_image_manager, open_streams
from image_cache.tasks import TaskRunner
from image_cache.vault_lock import VaultLock

if TYPE_CHECKING:
    from image_cache.cluster.build import Cluster
    from image_cache.cluster.streams import ClusterStreams

logger = logging.getLogger(__name__)

LIMITS_S = TASKS_S = 5.0  # how soon limits apply, and a task starts, that another process changed or added
TURNTABLE_S = 10.0  # how late a side is counted that has played long enough
DRAWING_S = 3.0  # how often an idle child that draws demo covers is looked for
SCROBBLES_S = 30.0  # how soon a side that is over is sent
HOUR_S = 3600.0
MINUTE_S, FIRST_S = 60.0, 5.0  # views and recency are one transaction a minute, because SD cards wear
STOP_S = 20.0  # the longest stop; the service manager kills after 25


@dataclass(slots=True)
class Services:
    """Everything that serves one vault."""

    settings: Settings
    catalog: CatalogDatabase
    library: Library
    turntable: Turntable
    scrobbling: Scrobbling
    editor: RecordEditor
    pages: RecordPages
    cover_pages: CoverPages
    cover_editor: CoverEditor
    record_images: RecordImages
    removal: RecordRemoval
    selections: SelectionTable
    batch_tasks: BatchTasks
    copies: CopiesTable
    crates: CrateTable
    accounts: Accounts
    household: Household
    api_tokens: ApiTokens
    covers: ImageCache
    loader: CoverLoader
    limits: RuntimeLimits
    streams: StreamImageManager
    stream_queries: StreamQueries
    stream_members: StreamMembers
    stream_images: StreamImages
    files: FileServices
    tasks: TaskRunner
    tables: TableService
    plays_import: PlaysImporter
    demo: DemoImporter
    take_along: TakeAlong
    demo_vault: DemoVault
    discogs: DiscogsService
    music: MusicService
    artwork: ArtworkService
    lookup: RecordLookup
    scrub: Scrub
    nightly: Nightly
    alerts: Alerts
    actions: ActionLog
    rates: CacheRates
    vault: ReadonlyVault  # the same databases, for those who only look; closed with them
    pool: Pool
    readiness: Readiness
    _parts: CoverServices
    _cluster: "Cluster | None"  # this node among others
    cluster_streams: "ClusterStreams | None"  # what all nodes must agree on, and what they delete
    _lock: VaultLock
    _is_closed: bool = False
    began_at: float = field(default_factory=time.monotonic)

    def checks(self) -> list[Check]:
        """Check the service from inside, as `/health` shows it."""
        return _checks(self.vault, self.pool, self.streams)

    def resume_fetching(self) -> None:
        """Fetch again after an operator's pause, at once."""
        self.limits.resume()
        self.pool.wake()
        self.files.start()

    def change_limits(self, **values: float) -> None:
        """Change budgets and freshness; a lower budget evicts at once. Raises `ConfigError`, and changes nothing then."""
        self.limits.change(**values)
        self.limits.apply(self.covers, EVICTING_S)

    def figures(self) -> tuple[CacheFigures, ...]:
        """Return the figures of the three caches once they are written, so that commands have no older ones."""
        return written_figures(self.covers.cache, self.streams.cache.engine, self.files, self.vault)

    def deletions_by_node(self) -> dict[str, bool]:
        """Return for each node of a cluster whether it has removed the bytes of all that was deleted so far; {} without a cluster."""
        return {} if self.cluster_streams is None else self.cluster_streams.deletions_by_node()

    def start(self) -> None:
        """Start workers and housekeeper; idempotent. Call it after a fork: threads do not survive one."""
        if self._cluster is not None:
            self._cluster.start(self.covers.jobs, self.pool.wake)
        if self.cluster_streams is not None:
            self.cluster_streams.start()
        self.tasks.serve()
        self.pool.start()
        self._parts.start()
        self.files.start()

    def close(self, timeout_s: float = STOP_S) -> None:
        """Stop within the time: abort fetches, join threads, release jobs, write what is in memory. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        was_running = self.pool.is_running
        self._parts.abort()
        self.files.abort()
        self.discogs.abort()
        self.scrobbling.abort()
        until = time.monotonic() + timeout_s
        has_ended = self.tasks.close(timeout_s / 2) & self.pool.close(timeout_s / 2)
        has_ended &= self.nightly.close(max(0.1, until - time.monotonic()))
        has_ended &= self.alerts.close(max(0.1, until - time.monotonic()))
        if not self.files.close(max(0.1, until - time.monotonic())) or not has_ended:
            logger.warning("threads still busy at shutdown")
        forget_image_manager(self.streams)
        release = self.covers.jobs.release_own if was_running else None
        try:
            # One by one: a database that refuses must not keep a child process running, or the others from being written.
            for close in (
                release,
                self.api_tokens.flush,
                self.streams.close,
                self.music.close,
                self._parts.close,
                None if self.cluster_streams is None else self.cluster_streams.close,
                None if self._cluster is None else self._cluster.close,
                self.catalog.close,
            ):
                try:
                    if close is not None:
                        close()
                except DatabaseError as error:
                    logger.warning("shutdown incomplete reason=%s", error)
        finally:
            self._lock.close()


def written_figures(covers: Cache, streams: Cache, files: FileServices, vault: ReadonlyVault) -> tuple[CacheFigures, ...]:
    """Write the counters that are in memory, and return the figures. Raises `DatabaseError`."""
    covers.flush()
    streams.flush()
    files.cache.usage.flush()
    return cache_figures(vault)


def open_services(settings: Settings, *, clock: Callable[[], float] = time.time) -> Services:
    """Open the vault of the settings. Raises `DatabaseError` or `OSError` if its folders cannot be used, `Busy` during a restore."""
    make_folder(settings.state_dir)
    lock = VaultLock.enter(settings.state_dir)
    try:
        return _build(settings, lock, clock)
    except BaseException:
        lock.close()
        raise


def _build(settings: Settings, lock: VaultLock, clock: Callable[[], float]) -> Services:
    catalog = open_catalog(settings)
    cluster, local_clock = open_shared(settings, catalog), clock
    clock = clock if cluster is None else cluster.clock  # of times in the catalogue; files have those of this machine
    limits = RuntimeLimits(default_limits(settings), catalog, clock)
    wakeup = threading.Event()
    music_images = MusicImages(settings, catalog, local_clock)
    parts = open_covers(
        settings, clock=local_clock, limits=limits, local={"music": music_images}, wake=wakeup.set, shared=cluster
    )
    covers = parts.covers
    _apply(limits, covers, most_s=0.0)  # what operators changed before; evicts nothing yet

    accounts = Accounts(catalog, clock=clock)
    api_tokens = ApiTokens(catalog, clock=clock)
    connection = DiscogsConnection(settings, catalog, clock=clock)
    appearances = RecordAppearanceTable(covers.registry.database)
    library = Library(
        catalog,
        clock=clock,
        page_size=settings.PAGE_SIZE,
        appearances=appearances,
        own=parts.own,
        hide_stale_cover=connection.hide_stale_cover if settings.DISCOGS_HIDE_STALE else None,
    )
    turntable = Turntable(catalog, library, clock=clock)
    streams = open_streams(settings, catalog, parts.decoder, clock=clock, cache_clock=local_clock)
    files = FileServices(settings, catalog, local_clock, is_paused=limits.is_paused)

    tasks = TaskRunner(catalog, catalog.locks(settings.state_dir), clock=clock)
    indexer = SearchIndexer(catalog, tasks)
    selections = SelectionTable(catalog)
    scrobbling = Scrobbling(settings, catalog, library=library, tasks=tasks, clock=clock)
    tables = TableService(settings, library, covers, tasks)
    demo = DemoImporter(library, covers, tasks)
    take_along = TakeAlong(settings.state_dir, library, covers, decoder=parts.decoder, tasks=tasks, clock=clock)
    demo_vault = DemoVault(settings, catalog, demo, parts.drawn, accounts=accounts, streams=streams, files=files, clock=clock)
    music = MusicService(settings, catalog, music_images, tasks, register=covers.register, clock=clock)
    discogs = DiscogsService(settings, catalog, connection, library=library, covers=covers, tasks=tasks, clock=clock)
    artwork = ArtworkService(
        settings,
        catalog,
        covers=covers,
        own=parts.own,
        decoder=parts.decoder,
        fetcher=parts.fetcher,
        appearances=appearances,
        discogs=connection,
        tasks=tasks,
        clock=clock,
    )

    housekeeping = Housekeeping(covers, parts.decoder, library.cover_urls, retention_days=settings.RETENTION_DAYS)
    scrub = Scrub(
        settings,
        covers,
        streams,
        files.cache,
        parts.decoder,
        locks=catalog.locks(settings.cache_dir),
        wake_files=files.wake,
        clock=local_clock,
    )
    nightly = Nightly(scrub, settings.SCRUB_HOUR, lambda: activity(covers, streams))
    vault = _readonly(settings=settings, catalog=catalog, covers=covers, limits=limits, streams=streams, files=files)
    actions = ActionLog(catalog, clock=clock)
    alerts = Alerts(settings, catalog, lambda: _checks(vault, pool, streams), clock=clock)
    rates = CacheRates()
    jobs = [
        *housekeeping.periodic_jobs(),
        PeriodicJob("limits", LIMITS_S, lambda: _apply(limits, covers), first_s=LIMITS_S),
        PeriodicJob("turntable", TURNTABLE_S, turntable.run_maintenance, first_s=TURNTABLE_S),
        PeriodicJob("tasks", TASKS_S, tasks.run_maintenance, first_s=1.0),
        tables.periodic_job(),
        PeriodicJob("search", MINUTE_S, indexer.run_maintenance, first_s=FIRST_S),
        PeriodicJob("studio", DRAWING_S, parts.drawn.close_idle, first_s=DRAWING_S),
        PeriodicJob("discogs", MINUTE_S, discogs.run_maintenance, first_s=FIRST_S),
        PeriodicJob("scrobbles", SCROBBLES_S, scrobbling.run_maintenance, first_s=FIRST_S),
        PeriodicJob("scrobble-tokens", HOUR_S, scrobbling.delete_orphans, first_s=MINUTE_S),
        music.periodic_job(),
        PeriodicJob("tokens", MINUTE_S, api_tokens.flush, first_s=MINUTE_S),
        PeriodicJob("streams", MINUTE_S, streams.run_maintenance, first_s=FIRST_S),
        *artwork.periodic_jobs(),
        *files.periodic_jobs(),
        nightly.periodic_job(),
        alerts.periodic_job(),
        actions.periodic_job(),
        MachineSpeed(covers.cache.index, parts.decoder).periodic_job(),
        rates.periodic_job(lambda: cache_figures(vault)),
        day_job(catalog, lambda: written_figures(covers.cache, streams.cache.engine, files, vault), vault.clock),
        memory_job(catalog, covers.cache.index.database, streams.cache.engine.index.database),
    ]
    if cluster is not None:
        jobs.append(PeriodicJob("own-covers", HOUR_S, parts.own.move, first_s=FIRST_S))
    if settings.FRONT_DIR is not None:
        folders = {"streams": settings.stream_cache_dir, "originals": settings.stream_images_dir, "files": settings.files_dir}
        jobs.extend(NginxLinks(settings.FRONT_DIR, covers.cache, folders).periodic_jobs())
    cluster_streams = _cluster_streams(settings, cluster, streams, covers)
    pool = Pool(parts.loader.run_due, jobs, workers=settings.MAX_CONCURRENT_DOWNLOADS, wakeup=wakeup)
    return Services(
        settings=settings,
        catalog=catalog,
        library=library,
        turntable=turntable,
        scrobbling=scrobbling,
        editor=RecordEditor(catalog, clock=clock),
        removal=library.removal,
        selections=selections,
        batch_tasks=BatchTasks(library.batches, selections, tasks),
        copies=CopiesTable(catalog),
        crates=CrateTable(catalog),
        cover_editor=artwork.editor,
        record_images=artwork.images,
        cover_pages=CoverPages(ArtworkTable(catalog), appearances, library=library, covers=covers),
        pages=RecordPages(library, covers, discogs.enqueue_details),
        accounts=accounts,
        household=Household(catalog, accounts, clock=clock),
        api_tokens=api_tokens,
        covers=covers,
        loader=parts.loader,
        limits=limits,
        streams=streams,
        stream_queries=streams.queries,
        stream_members=streams.members,
        stream_images=streams.images,
        files=files,
        tasks=tasks,
        tables=tables,
        plays_import=PlaysImporter(settings, catalog, library=library, tasks=tasks, clock=clock),
        demo=demo,
        take_along=take_along,
        demo_vault=demo_vault,
        discogs=discogs,
        music=music,
        artwork=artwork,
        lookup=RecordLookup(
            settings, catalog, parts.decoder, library=library, fetcher=parts.fetcher, discogs=connection, tasks=tasks, clock=clock
        ),
        scrub=scrub,
        nightly=nightly,
        alerts=alerts,
        actions=actions,
        vault=vault,
        rates=rates,
        pool=pool,
        readiness=Readiness(settings, catalog, pool, () if cluster_streams is None else (cluster_streams.why_not_ready,)),
        _parts=parts,
        _cluster=cluster,
        cluster_streams=cluster_streams,
        _lock=lock,
    )


def _cluster_streams(
    settings: Settings, cluster: "Cluster | None", streams: StreamImageManager, covers: ImageCache
) -> "ClusterStreams | None":
    if cluster is None:
        return None
    from image_cache.cluster.streams import ClusterStreams

    images = streams.images
    kinds: dict[str, Callable[[Sequence[str]], None]] = {
        "stream_image": images.forget_shown,
        "trashed_image": images.forget_trashed,
        "own_cover": partial(forget_rendered, covers),
    }
    return ClusterStreams(settings, cluster, streams.cache.engine.index.database, kinds, images.forget_all)


def _checks(vault: ReadonlyVault, pool: Pool, streams: StreamImageManager) -> list[Check]:
    return examine_service(vault, errors=pool.recent_errors(), are_originals_away=streams.images.is_offline)


def _apply(limits: RuntimeLimits, covers: ImageCache, most_s: float = LIMITS_S) -> None:
    try:
        limits.apply(covers, most_s)
    except (DatabaseError, StorageError) as error:
        logger.warning("limits not applied reason=%s", error)


def _readonly(
    *,
    settings: Settings,
    catalog: CatalogDatabase,
    covers: ImageCache,
    limits: RuntimeLimits,
    streams: StreamImageManager,
    files: FileServices,
) -> ReadonlyVault:
    engine = streams.cache.engine
    return ReadonlyVault(
        settings=settings,
        catalog=catalog,
        cache=covers.cache,
        jobs=covers.jobs,
        registry=covers.registry,
        files=files.cache.index,
        streams=engine.index,
        stream_disk=engine.disk,
        clock=covers.clock,
        limits=limits,
        file_limits=files.limits,
        waiting_renders=streams.images.waiting_renders,
        live_file_counts=files.cache.usage.counts,
        stream_cache=engine,
    )
