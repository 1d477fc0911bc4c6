"""Builds the cover cache from the settings: for the services, and alone for scripts that have no catalogue. Knows no Flask."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from config import Settings
from image_cache.covers import NAMESPACE, CoverDigests, CoverLoader, Here, ImageCache, LocalSources
from image_cache.covers.local_sources import DrawnCovers
from image_cache.covers.own_covers import OwnCovers
from image_cache.db.database import DatabaseError
from image_cache.engine import maintenance as upkeep
from image_cache.engine.cache import Cache
from image_cache.engine.disk import DiskTier
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
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import cover_variants
from image_cache.net.backoff import retry_delay_s
from image_cache.net.lazy_client import LazyHttpClient, make_fetcher
from image_cache.storage.local import LocalStorage

logger = logging.getLogger(__name__)

MEGABYTE = 1_000_000


@dataclass(slots=True)
class CoverServices:
    """The cover cache and what it brings along that has to be closed."""

    covers: ImageCache
    fetcher: LazyHttpClient
    own: OwnCovers
    drawn: DrawnCovers
    decoder: Decoder

    def abort(self) -> None:
        """End what is under way with origins; their jobs stay queued."""
        self.covers.loader.stop()
        self.fetcher.close()

    def close(self) -> None:
        self.abort()
        self.drawn.close()
        self.decoder.close()
        self.covers.close()
        self.covers.cache.index.close()


def open_covers(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    here: Here | None = None,
    is_paused: Callable[[], bool] = lambda: False,
    wake: Callable[[], None] = lambda: None,
) -> CoverServices:
    """Build the cover cache alone, for scripts that have no catalogue. `here` answers further schemes of addresses.

    `is_paused` returns whether an operator paused fetching; `wake` is called when jobs were enqueued.
    """
    make_folder(settings.covers_dir)
    index = Index(settings.index_path, clock=clock)
    register = ImageRegistry(index.database)
    jobs = JobQueue(
        index.database,
        limit=settings.QUEUE_LIMIT,
        total=settings.MAX_CONCURRENT_DOWNLOADS,
        per_lane=settings.DOWNLOADS_PER_HOST,
        clock=clock,
    )
    cache = Cache(
        NAMESPACE,
        memory=MemoryTier(settings.memory_budget_bytes - settings.stream_memory_bytes, ReuseSampler()),
        disk=DiskTier(NAMESPACE, settings.covers_dir, int(settings.FREE_SPACE_FLOOR_MB * MEGABYTE)),
        index=index,
        counters=Counters(),
        budget_bytes=settings.disk_budget_bytes,
        hit_log=HitLog(settings.FRONT_DIR / HITS, NAMESPACE) if settings.FRONT_DIR is not None else None,
        recorder=HistoryRecorder(clock),
        clock=clock,
    )
    _complete_if_empty(cache)
    variants = cover_variants(settings.THUMBNAIL_SIZE, settings.DETAIL_SIZE, settings.IMAGE_QUALITY, settings.RECIPE)
    # Only the two documented sizes decide the digest: a further variant must not give every cover a new address.
    spec = ";".join(v.spec for v in variants if v.name in ("thumbnails", "detail"))
    names = CoverDigests(index, register, spec, settings.covers_dir / "names.json")
    names.open()
    fetcher, decoder = LazyHttpClient(lambda: make_fetcher(settings)), Decoder(settings.decode_budget_bytes)
    own = OwnCovers(LocalStorage(settings.own_covers_dir, floor_bytes=int(settings.FREE_SPACE_FLOOR_MB * MEGABYTE)))
    drawn = DrawnCovers()
    loader = CoverLoader(
        cache=cache,
        register=register,
        jobs=jobs,
        names=names,
        variants=variants,
        fetcher=LocalSources(fetcher, {"own": own, "demo": drawn, **(here or {})}),
        decoder=decoder,
        retry_delay_s=retry_delay_s,
        fresh_s=settings.IMAGE_CACHE_TTL_HOURS * 3600,
        is_paused=is_paused,
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
        wake=wake,
        clock=clock,
    )
    return CoverServices(covers, fetcher, own, drawn, decoder)


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
            upkeep.rebuild_from_files(_standalone.covers.cache)
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
