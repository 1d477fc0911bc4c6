"""The vault as it lies on the disk, opened for reading only: for whoever looks at it without being the service.

Nothing is made, moved, migrated or flushed, and no thread is started; each part is opened when it is asked, so that one that is
broken does not hide the others.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from config import Settings
from image_cache.covers import NAMESPACE
from image_cache.covers.runtime_limits import CacheLimits, RuntimeLimits, default_limits
from image_cache.covers.stats import CacheStats, collect_stats
from image_cache.db.catalog import CatalogDatabase
from image_cache.engine.cache import Cache
from image_cache.engine.disk import DiskTier
from image_cache.engine.index import Index
from image_cache.engine.jobs import JobQueue
from image_cache.engine.memory import MemoryTier
from image_cache.engine.registry import ImageRegistry
from image_cache.engine.stats.counters import Counters
from image_cache.files.index import FileIndex
from image_cache.imaging.variants import cover_variants
from image_cache.streams.cache import NAMESPACE as STREAMS

if TYPE_CHECKING:
    from image_cache.services import Services

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class ReadonlyVault:
    """What can be asked about a vault. Each method of each part may raise `DatabaseError`. Close it in the thread that used it."""

    settings: Settings
    catalog: CatalogDatabase
    cache: Cache
    jobs: JobQueue
    register: ImageRegistry
    files: FileIndex
    streams: Index
    stream_disk: DiskTier
    clock: Callable[[], float]
    limits: Callable[[], CacheLimits]

    @property
    def index(self) -> Index:
        return self.cache.index

    @property
    def variants(self) -> tuple[str, ...]:
        """The names of the sizes of a cover, smallest first."""
        known = self.settings
        return tuple(v.name for v in cover_variants(known.THUMBNAIL_SIZE, known.DETAIL_SIZE, known.IMAGE_QUALITY, known.RECIPE))

    def stats(self) -> CacheStats:
        """Return the numbers of the covers as the service wrote them: at most a minute old. Its memory is not among them."""
        return collect_stats(self.cache, self.jobs, self.limits().ttl_hours)

    def count(self, sql: str, *values: object, catalog: bool = False) -> int:
        """Return the first column of the first row of a statement on the index, or on the catalogue."""
        row = (self.catalog if catalog else self.index.database).row(sql, values)
        return int(row[0] or 0) if row is not None else 0

    def close(self) -> None:
        self.catalog.close()
        self.index.close()
        self.files.close()
        self.streams.close()


def open_reading(settings: Settings, *, clock: Callable[[], float] = time.time) -> ReadonlyVault:
    """Return a reading of the vault that the settings describe. Opens only the catalogue, and makes nothing ever."""
    catalog = CatalogDatabase(settings.catalog_path, is_reader=True)
    default = default_limits(settings)
    in_force = RuntimeLimits(default, catalog, clock)() if settings.catalog_path.exists() else default
    index = Index(settings.index_path, clock=clock, is_reader=True)
    floor_bytes = int(settings.FREE_SPACE_FLOOR_MB * MEGABYTE)
    return ReadonlyVault(
        settings=settings,
        catalog=catalog,
        cache=Cache(
            NAMESPACE,
            memory=MemoryTier(in_force.memory_bytes),
            disk=DiskTier(NAMESPACE, settings.covers_dir, floor_bytes),
            index=index,
            counters=Counters(),
            budget_bytes=in_force.budget_bytes,
            clock=clock,
        ),
        jobs=JobQueue(
            index.database,
            limit=settings.QUEUE_LIMIT,
            total=settings.MAX_CONCURRENT_DOWNLOADS,
            per_lane=settings.DOWNLOADS_PER_HOST,
            clock=clock,
        ),
        register=ImageRegistry(index.database),
        files=FileIndex(settings.files_dir / "files.db", clock, is_reader=True),
        streams=Index(settings.stream_cache_dir / "index.db", clock=clock, is_reader=True),
        stream_disk=DiskTier(STREAMS, settings.stream_cache_dir, floor_bytes),
        clock=clock,
        limits=lambda: in_force,  # asked once: a catalogue that somebody locks costs its patience once
    )


def reading_of(services: "Services") -> ReadonlyVault:
    """Return the same for the service itself, on the databases that it has open. Never closed: they are the service's."""
    covers, engine = services.covers, services.streams.cache.engine
    return ReadonlyVault(
        settings=services.settings,
        catalog=services.catalog,
        cache=covers.cache,
        jobs=covers.jobs,
        register=covers.registry,
        files=services.files.cache.index,
        streams=engine.index,
        stream_disk=engine.disk,
        clock=covers.clock,
        limits=services.limits,
    )
