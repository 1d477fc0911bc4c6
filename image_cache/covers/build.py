"""Builds the cover cache from the settings: for the services, and alone for scripts that have no catalogue. Knows no Flask."""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from image_cache.config import Settings, load_settings
from image_cache.covers.digests import NAMESPACE, CoverDigests
from image_cache.covers.loader import CoverLoader
from image_cache.covers.local_sources import DrawnCovers, LocalSource, LocalSources
from image_cache.covers.own_covers import FOLDER, OwnCovers
from image_cache.covers.runtime_limits import RuntimeLimits, default_limits
from image_cache.covers.service import ImageCache
from image_cache.covers.states import BASE_VARIANTS, is_resting
from image_cache.covers.store import CacheLimits, CoverContext
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Database, DatabaseError
from image_cache.db.open_catalog import has_catalog, open_catalog
from image_cache.engine import maintenance as upkeep
from image_cache.engine.cache import Cache
from image_cache.engine.disk import DiskTier
from image_cache.engine.holder import Holders
from image_cache.engine.index import Index
from image_cache.engine.jobs import JobQueue
from image_cache.engine.memory import MemoryTier
from image_cache.engine.registry import ImageRegistry
from image_cache.engine.stats.counters import Counters
from image_cache.engine.stats.history import HistoryRecorder
from image_cache.engine.stats.miss_ratio import ReuseSampler
from image_cache.engine.stats.nginx_log import HITS, HitLog
from image_cache.errors import StorageError
from image_cache.filesystem import make_folder
from image_cache.frozen import frozen
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import cover_variants
from image_cache.net.backoff import retry_delay_s
from image_cache.net.lazy_client import LazyHttpClient, make_fetcher
from image_cache.storage.factory import open_bucket
from image_cache.storage.local import LocalStorage
from image_cache.units import MEGABYTE

logger = logging.getLogger(__name__)


if TYPE_CHECKING:
    from image_cache.cluster.build import Cluster
    from image_cache.cluster.node_covers import NodeCovers


class SharedCovers(Protocol):
    """What the nodes of a cluster share: the register with the jobs, the clock of its times, and who holds jobs. `name`: this node."""

    @property
    def name(self) -> str: ...

    @property
    def index(self) -> Database: ...

    @property
    def clock(self) -> Callable[[], float]: ...

    @property
    def holders(self) -> Holders: ...


@frozen
class CoverServices:
    """The cover cache, and the parts of it that have to be closed or run."""

    covers: ImageCache
    loader: CoverLoader
    fetcher: LazyHttpClient
    own: OwnCovers
    drawn: DrawnCovers
    decoder: Decoder
    node: "NodeCovers | None" = None  # brings covers to this node, where there are many

    def start(self) -> None:
        """Start the threads that bring covers to one of many nodes; idempotent."""
        if self.node is not None:
            self.node.start()

    def abort(self) -> None:
        """Abort running fetches; their jobs stay queued."""
        self.loader.stop()
        if self.node is not None:
            self.node.stop()
        self.fetcher.close()

    def close(self) -> None:
        self.abort()
        if self.node is not None and not self.node.close():
            logger.warning("threads still busy at shutdown")
        self.drawn.close()
        self.decoder.close()
        self.covers.close()
        self.covers.cache.index.close()
        self.covers.registry.database.close()  # the same, or that of the cluster
        _forget(self)


def open_covers(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    limits: Callable[[], CacheLimits] | None = None,
    local: Mapping[str, LocalSource] | None = None,
    wake: Callable[[], None] = lambda: None,
    shared: SharedCovers | None = None,
) -> CoverServices:
    """Build the cover cache; without more than the settings for scripts that have no catalogue.

    `limits` returns the limits in force, None for those of the settings. `local` answers further URL schemes on this server.
    `wake` is called when jobs were enqueued. `shared` is what all nodes of a cluster share, None for one that is opened now if the
    settings name a cluster.
    """
    shared = shared or open_shared(settings)
    with contextlib.suppress(
        OSError
    ):  # without it there are placeholders, until it can be made with the first cover that is stored
        make_folder(settings.covers_dir)
    index = Index(settings.index_path, clock=clock)
    default = default_limits(settings)
    cache = Cache(
        NAMESPACE,
        memory=MemoryTier(default.memory_bytes, ReuseSampler()),
        disk=DiskTier(NAMESPACE, settings.covers_dir, settings.floor_bytes),
        index=index,
        counters=Counters(),
        budget_bytes=default.budget_bytes,
        hit_log=HitLog(settings.FRONT_DIR / HITS, NAMESPACE) if settings.FRONT_DIR is not None else None,
        recorder=HistoryRecorder(clock, shared=None if shared is None else shared.index),
        clock=clock,
    )
    _complete_if_empty(cache)
    store = _store(settings, cache, limits or (lambda: default), clock, shared)
    fetcher, decoder = LazyHttpClient(lambda: make_fetcher(settings)), Decoder(settings.decode_budget_bytes)
    own = _own_covers(settings)
    drawn = DrawnCovers()
    sources = LocalSources(fetcher, {"own": own, "demo": drawn, **(local or {})})
    loader = CoverLoader(store, sources, decoder, retry_delay_s=retry_delay_s)
    node = None if shared is None else _node_covers(shared.name, store, loader, wake)

    def wake_all() -> None:
        wake()
        if node is not None:
            node.wake()

    parts = CoverServices(ImageCache(store, loader, decoder, wake=wake_all), loader, fetcher, own, drawn, decoder, node)
    _opened.append(parts)
    return parts


def _own_covers(settings: Settings) -> OwnCovers:
    """Return the uploaded covers: in the store if several nodes can share it, else on this disk."""
    local = LocalStorage(settings.own_covers_dir, floor_bytes=settings.floor_bytes)
    return OwnCovers(open_bucket(settings, FOLDER), local) if settings.DATABASE and settings.STORAGE == "s3" else OwnCovers(local)


def _store(
    settings: Settings,
    cache: Cache,
    limits: Callable[[], CacheLimits],
    clock: Callable[[], float],
    shared: "SharedCovers | None",
) -> CoverContext:
    database = cache.index.database if shared is None else shared.index
    clock = clock if shared is None else shared.clock
    registry, jobs = ImageRegistry(database), open_queue(settings, database, clock, shared)
    variants = cover_variants(settings.THUMBNAIL_SIZE, settings.DETAIL_SIZE, settings.IMAGE_QUALITY, settings.RECIPE)
    # Only the two documented sizes decide the digest: a further variant must not give every cover a new one.
    spec = ";".join(v.spec for v in variants if v.name in ("thumbnails", "detail"))
    digests = CoverDigests(registry, spec, settings.covers_dir / "names.json")
    digests.open()
    store = CoverContext(cache, registry, jobs, digests, {v.name: v for v in variants}, limits, clock)
    return store if shared is None else _shared_store(settings, store)


def _shared_store(settings: Settings, store: CoverContext) -> CoverContext:
    """Return a store of which other nodes have a part."""
    from image_cache.cluster.second_tier.build import open_node_queue, open_shared_variants

    shared = open_shared_variants(
        settings,
        store.cache,
        store.registry,
        variants=store.variants,
        base=BASE_VARIANTS,
        clock=store.clock,
        holder=store.jobs.holder,
    )
    return replace(store, shared=shared, node_jobs=open_node_queue(settings, store.cache))


def _node_covers(node: str, store: CoverContext, loader: CoverLoader, wake: Callable[[], None]) -> "NodeCovers | None":
    """Return what brings covers to this node, None if it is the only one."""
    if store.shared is None or store.node_jobs is None:
        return None
    from image_cache.cluster.node_covers import NodeCovers
    from image_cache.cluster.node_loader import NodeLoader, NodeQueues

    bringing = NodeLoader(
        node,
        NodeQueues(store.node_jobs, store.jobs),
        registry=store.registry,
        cache=store.cache,
        shared=store.shared,
        loader=loader,
        is_resting=is_resting,
        is_paused=lambda: store.limits().paused_at is not None,
        wake=wake,
    )
    return NodeCovers(bringing, store.node_jobs, store.shared)


def open_shared(settings: Settings, catalog: CatalogDatabase | None = None, *, is_reader: bool = False) -> "Cluster | None":
    """Return what the nodes share, None without a cluster. `catalog` is the catalogue of the settings if it is open."""
    if not settings.DATABASE:
        return None
    from image_cache.cluster.build import open_cluster

    return open_cluster(settings, catalog, is_reader=is_reader)


def open_queue(
    settings: Settings, database: Database, clock: Callable[[], float], shared: SharedCovers | None = None
) -> JobQueue:
    """Return the queue of cover jobs in this database."""
    return JobQueue(
        database,
        limit=settings.QUEUE_LIMIT,
        total=settings.MAX_CONCURRENT_DOWNLOADS,
        per_lane=settings.DOWNLOADS_PER_HOST,
        in_all=settings.DOWNLOADS_IN_ALL,
        clock=clock,
        holders=None if shared is None else shared.holders,
    )


def _complete_if_empty(cache: Cache) -> None:
    """Mark the index of a cache without files as complete: there is nothing to rebuild it from."""
    try:
        if cache.is_adopting and next(cache.disk.shards(), None) is None:
            cache.index.mark_complete()
    except (DatabaseError, StorageError) as error:
        logger.warning("index unusable, serving from files reason=%s", error)


_opened: list[CoverServices] = []  # of the application and of scripts, until they are closed; the last one counts
_standalone: CoverServices | None = None  # that of `initialize_image_cache`, which a script closes


def _forget(closed: CoverServices) -> None:
    _opened[:] = [parts for parts in _opened if parts is not closed]


def initialize_image_cache(cache_dir: Path, database_path: Path, max_cache_size: int | None = None) -> bool:
    """Open a cover cache for a script without Flask: images below `cache_dir`, its index beside them.

    `database_path` names the folder of the index (its file is always `index.db`); `max_cache_size` is the budget in bytes.
    Returns False, and logs why, when the folders cannot be used. A second call replaces the first cache.
    """
    global _standalone  # noqa: PLW0603  the documented module function needs one place
    cache_dir, database_path = Path(cache_dir).absolute(), Path(database_path).absolute()
    settings = replace(load_settings(), CACHE_DIR=database_path.parent, COVERS_DIR=cache_dir, DATABASE="")
    if max_cache_size is not None:
        settings = replace(settings, CACHE_MAX_SIZE_MB=max_cache_size / MEGABYTE)
    close_image_cache()
    try:
        make_folder(cache_dir)
        _standalone = open_covers(settings)
        if _standalone.covers.cache.is_adopting:  # a script has no housekeeping
            upkeep.rebuild_from_files(_standalone.covers.cache)
    except (OSError, DatabaseError, StorageError) as error:
        logger.error("image cache could not be opened path=%s reason=%s", cache_dir, error)  # noqa: TRY400  a sentence, not a traceback
        return False
    return True


def get_image_cache() -> ImageCache:
    """Return the cover cache of `initialize_image_cache`, else that of the application, else one of the settings, opened now.

    Raises `StorageError`, `DatabaseError` or `OSError` if the folders of the settings cannot be used.
    """
    global _standalone  # noqa: PLW0603
    found = _standalone or (_opened[-1] if _opened else None)
    if found is None:
        settings = load_settings()
        limits = None
        if has_catalog(settings):  # what operators changed while the service ran
            limits = RuntimeLimits(default_limits(settings), open_catalog(settings))
        found = _standalone = open_covers(settings, limits=limits)
        if limits is not None:
            limits.apply(found.covers, 0.0)  # evicts nothing
    return found.covers


def close_image_cache() -> None:
    """Close the cache of `initialize_image_cache`, if there is one."""
    global _standalone  # noqa: PLW0603
    if _standalone is not None:
        _standalone.close()
        _standalone = None
