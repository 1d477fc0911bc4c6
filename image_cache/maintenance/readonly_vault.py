"""Read-only view of a vault: its databases, its folders, and every figure that pages, `/metrics` and commands show.

Nothing is created, moved, migrated or flushed, and no thread is started. Each part is opened on first use, so that one that is
broken does not hide the others.
"""

import time
from collections.abc import Callable, Sequence
from itertools import islice

from image_cache.config import Settings
from image_cache.covers import NAMESPACE
from image_cache.covers.build import open_queue, open_shared
from image_cache.covers.runtime_limits import RuntimeLimits, default_limits
from image_cache.covers.stats import CacheStats, collect_stats
from image_cache.covers.store import CacheLimits
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.open_catalog import has_catalog, open_catalog
from image_cache.engine.cache import Cache
from image_cache.engine.disk import DiskTier
from image_cache.engine.index import Index, Totals, VariantTotals
from image_cache.engine.jobs import JobQueue
from image_cache.engine.memory import MemoryTier
from image_cache.engine.registry import ImageRegistry
from image_cache.engine.stats.counters import Counters
from image_cache.engine.stats.history import (
    DAY_S,
    SHORT_S,
    Failure,
    Sample,
    WriteBudget,
    recent_failures,
    samples,
    sd_wear,
)
from image_cache.engine.stats.hosts import HostFigures, hosts
from image_cache.engine.stats.miss_ratio import MissRatioCurve, reuse_curve
from image_cache.files.disk.index import FileIndex
from image_cache.files.disk.runtime_limits import FileLimits, FileRuntimeLimits
from image_cache.frozen import frozen
from image_cache.imaging.variants import cover_variants
from image_cache.importers.artwork.table import ArtworkTable
from image_cache.models import Album
from image_cache.records.orders.appearance_table import RecordAppearanceTable
from image_cache.records.table import AlbumTable
from image_cache.streams.cache import NAMESPACE as STREAMS
from image_cache.streams.upload.usage_table import OwnerUsage, OwnerUsageTable
from image_cache.units import MEGABYTE


@frozen
class CoverCounts:
    """Covers by state. `given_up` are those that were never fetched and are not retried automatically."""

    registered: int
    fetched: int
    given_up: int

    @property
    def missing(self) -> int:
        return max(0, self.registered - self.fetched - self.given_up)


@frozen
class ReadonlyVault:
    """One vault. Every method may raise `DatabaseError`. Close it in the thread that used it."""

    settings: Settings
    catalog: CatalogDatabase
    cache: Cache
    jobs: JobQueue
    registry: ImageRegistry
    files: FileIndex
    streams: Index
    stream_disk: DiskTier
    clock: Callable[[], float]
    limits: Callable[[], CacheLimits]
    file_limits: Callable[[], FileLimits]
    waiting_renders: Callable[[], int] = lambda: 0  # of stream images; only the service knows
    live_file_counts: Callable[[], dict[str, int]] | None = None  # of the service, with what is not written yet
    stream_cache: Cache | None = None  # that of the service: with its memory, and counters that are not written yet

    @property
    def index(self) -> Index:
        return self.cache.index

    @property
    def variants(self) -> tuple[str, ...]:
        """The names of the sizes of a cover, smallest first."""
        known = self.settings
        return tuple(v.name for v in cover_variants(known.THUMBNAIL_SIZE, known.DETAIL_SIZE, known.IMAGE_QUALITY, known.RECIPE))

    @property
    def stream_budget_bytes(self) -> int:
        return int(self.settings.STREAM_CACHE_SIZE_MB * MEGABYTE)

    def file_counts(self) -> dict[str, int]:
        """Return the counters of the files."""
        return self.files.counts() if self.live_file_counts is None else self.live_file_counts()

    def count_records(self) -> int:
        return AlbumTable(self.catalog).count()

    def records_with_cover(self, is_same: Callable[[str], bool], limit: int) -> list[int]:
        """Return the ids of the first records whose cover URL passes."""
        found = (album_id for album_id, url in AlbumTable(self.catalog).sources_of_covers() if is_same(url))
        return list(islice(found, limit))

    def records_of_covers(self, digests: Sequence[str]) -> dict[str, Album]:
        """Return the first record with each of these covers, for those that were looked at since they were fetched."""
        if not digests or not has_catalog(self.settings):
            return {}
        found = RecordAppearanceTable(self.registry.database).records_of(digests)
        albums = {album.id: album for album in AlbumTable(self.catalog).albums(list(found.values()), tracks=False)}
        return {digest: albums[album_id] for digest, album_id in found.items() if album_id in albums}

    def stats(self) -> CacheStats:
        """Return the figures of the covers as the service wrote them, at most a minute old. Its memory tier is not among them."""
        return collect_stats(self.cache, self.jobs, self.limits().ttl_hours)

    def covers(self) -> CoverCounts:
        return CoverCounts(*self.registry.summary(self.cache.namespace))

    def lookups_due(self) -> int:
        """Return for how many records a cover is to be looked for elsewhere now."""
        return ArtworkTable(self.catalog).count_due(self.clock())

    def stale_covers(self) -> int:
        return self.registry.count_stale(self.cache.namespace, self.clock())

    def totals(self) -> Totals:
        return self.index.totals(self.cache.namespace)

    def unused(self, days: float) -> Totals:
        """Return what was not used for this many days."""
        return self.index.unused(self.cache.namespace, self.clock() - days * DAY_S)

    def by_variant(self) -> list[VariantTotals]:
        return self.index.by_variant(self.cache.namespace)

    def hosts(self, limit: int = 50) -> list[HostFigures]:
        """Return the hosts that were fetched from and those in trouble, the last used first."""
        return hosts(self.index.database, self.clock(), limit, lanes=self.registry.database)

    def failures(self, limit: int = 20) -> list[Failure]:
        """Return the last failures, newest first."""
        return recent_failures(self.registry.database, limit)

    def samples(self, *, span_s: int = SHORT_S, back_s: float = DAY_S) -> list[Sample]:
        """Return the history of the last `back_s` seconds, oldest first."""
        return samples(self.index.database, self.clock(), span_s=span_s, back_s=back_s)

    def wear(self) -> WriteBudget:
        """Return what was written to the card by day, beside its budget."""
        known = self.settings
        return sd_wear(
            self.index.database,
            self.clock(),
            budget_bytes=known.sd_budget_bytes,
            endurance_bytes=known.sd_endurance_bytes,
        )

    def miss_ratio_curve(self) -> MissRatioCurve:
        """Return the share of requests that caches of other sizes would have answered."""
        return reuse_curve(self.index.database, self.clock(), budget_bytes=self.cache.budget_bytes)

    def owners(self) -> list[OwnerUsage]:
        """Return what each owner's streams hold, the largest first."""
        return OwnerUsageTable(self.catalog).owners()

    def close(self) -> None:
        self.catalog.close()
        self.index.close()
        self.files.close()
        self.streams.close()


def open_readonly(settings: Settings, *, clock: Callable[[], float] = time.time) -> ReadonlyVault:
    """Return the vault that the settings describe. Opens only the catalogue, and creates nothing."""
    catalog = open_catalog(settings, is_reader=True)
    default = default_limits(settings)
    in_force = RuntimeLimits(default, catalog, clock)() if has_catalog(settings) else default
    index = Index(settings.index_path, clock=clock, is_reader=True)
    shared = open_shared(settings, catalog, is_reader=True)
    database = index.database if shared is None else shared.index
    clock = clock if shared is None else shared.clock
    floor_bytes = settings.floor_bytes
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
        jobs=open_queue(settings, database, clock, shared),
        registry=ImageRegistry(database),
        files=FileIndex(settings.files_dir / "files.db", clock, is_reader=True),
        streams=Index(settings.stream_cache_dir / "index.db", clock=clock, is_reader=True),
        stream_disk=DiskTier(STREAMS, settings.stream_cache_dir, floor_bytes),
        clock=clock,
        file_limits=FileRuntimeLimits(settings, catalog if has_catalog(settings) else None),
        limits=lambda: in_force,  # read once: a catalogue that another process locks costs its timeout once
    )
