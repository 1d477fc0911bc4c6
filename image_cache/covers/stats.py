"""Statistics of the cover cache, as documented, and the progress of fetching."""

import time
from dataclasses import asdict

from image_cache.covers.digests import NAMESPACE
from image_cache.engine.cache import Cache
from image_cache.engine.jobs import JobQueue
from image_cache.engine.queue_flow import queue_flow
from image_cache.engine.registry import ImageRegistry
from image_cache.frozen import frozen
from image_cache.units import MEGABYTE

WINDOW_S = 60.0  # how far back the rate is measured
SAMPLES = 200
THUMBNAILS = ("thumbnails", "thumbnails-2x")  # a cover has one of them; which, says what looked at it


@frozen
class CacheStats:
    """A snapshot. `hit_rate` is a percentage, `hit_ratio` a fraction; both None before the first request.

    Counts are those of all processes since the index was created, at most a minute old for other processes. Sizes are bytes on
    disk, `memory_used_bytes` is the memory tier of this process.
    """

    total_entries: int
    total_size_bytes: int
    budget_bytes: int
    hit_rate: float | None
    hit_ratio: float | None
    hits: int
    misses: int
    evictions: int
    memory_entries: int
    memory_used_bytes: int
    memory_budget_bytes: int
    queued: int
    running: int
    fetches: int
    fetched_bytes: int
    renders: int
    failures: int
    disk_free_bytes: int
    ttl_hours: float
    paused_hosts: tuple[str, ...] = ()
    last_cleanup_at: float | None = None
    thumbnail_count: int = 0
    detail_count: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return all fields, and the documented names for the same figures in other units."""
        return {
            **asdict(self),
            "paused_hosts": list(self.paused_hosts),
            "total_size_mb": round(self.total_size_bytes / MEGABYTE, 2),
            "cache_size_mb": round(self.total_size_bytes / MEGABYTE, 2),
            "max_size_mb": round(self.budget_bytes / MEGABYTE, 2),
            "memory_usage_mb": round(self.memory_used_bytes / MEGABYTE, 2),
            "eviction_count": self.evictions,
            "cached_items": self.total_entries,
            "cache_limit_bytes": self.budget_bytes,
            "available_space_bytes": max(0, self.budget_bytes - self.total_size_bytes),
        }


def collect_stats(cache: Cache, jobs: JobQueue, ttl_hours: float) -> CacheStats:
    """Return the current figures, from kept totals. The two counts of large caches are up to a minute old."""
    counts, memory, totals = cache.counts(), cache.memory.stats(), cache.index.totals(cache.namespace)
    hits = sum(counts.get(name, 0) for name in ("memory_hits", "disk_hits", "front_hits"))
    misses = counts.get("misses", 0)
    variants = cache.index.count_by_variant(cache.namespace)
    ratio = hits / (hits + misses) if hits + misses else None
    return CacheStats(
        total_entries=totals.entries,
        total_size_bytes=totals.bytes,
        budget_bytes=cache.budget_bytes,
        hit_rate=None if ratio is None else round(ratio * 100, 2),
        hit_ratio=None if ratio is None else round(ratio, 4),
        hits=hits,
        misses=misses,
        evictions=counts.get("evictions", 0),
        memory_entries=memory.entries,
        memory_used_bytes=memory.used_bytes,
        memory_budget_bytes=memory.budget_bytes,
        queued=jobs.depth(),
        running=jobs.running(),
        fetches=counts.get("fetches", 0),
        fetched_bytes=counts.get("fetched_bytes", 0),
        renders=counts.get("renders", 0),
        failures=counts.get("failures", 0),
        disk_free_bytes=cache.disk.free_bytes(),
        ttl_hours=ttl_hours,
        paused_hosts=tuple(lane for lane, _, _ in jobs.paused_hosts()),
        last_cleanup_at=cache.index.meta("last_cleanup_at") or None,
        thumbnail_count=max(variants.get(name, 0) for name in THUMBNAILS),
        detail_count=variants.get("detail", 0),
    )


@frozen
class Progress:
    """Progress of fetching covers. `done` includes `failed`; `eta_s` is None while the speed is unknown. It never grows.

    `waiting` have to wait for their origins. `waits_until` is None while others are under way.
    """

    total: int
    done: int
    working: int
    failed: int
    eta_s: float | None = None
    is_paused: bool = False  # by an operator
    waiting: int = 0
    waits_until: float | None = None

    @property
    def state(self) -> str:
        """`paused` by an operator, `waiting` for origins, or `working`."""
        return "paused" if self.is_paused else "working" if self.waits_until is None else "waiting"


class ProgressEstimator:
    """Estimates when all covers will be fetched. Thread-safe: its values are replaced, never changed."""

    def __init__(self, registry: ImageRegistry, jobs: JobQueue) -> None:
        self._registry = registry
        self._jobs = jobs
        self._samples: list[tuple[float, int]] = []  # (monotonic time, covers done), when that changed
        self._promise: tuple[int, float] | None = None  # (covers in all, the end that was shown)

    def progress(self) -> Progress | None:
        """Return how far the fetching is, None when no job is queued or nothing is left to fetch."""
        flow = queue_flow(self._jobs)
        total, fetched, given_up = self._registry.summary(NAMESPACE)
        done = fetched + given_up
        if (not flow.is_moving and not flow.waiting) or done >= total:
            self._samples, self._promise = [], None
            return None
        if not flow.is_moving:
            self._samples = []  # a pause says nothing about the speed
            return Progress(total, done, 0, given_up, waiting=flow.waiting, waits_until=flow.until)
        eta_s = self._eta_s(total, done, max(0, total - done - flow.waiting))
        return Progress(total, done, flow.running, given_up, eta_s, waiting=flow.waiting)

    def _eta_s(self, total: int, done: int, left: int) -> float | None:
        """Return how long the rest takes at the speed of the last minute. An end that was shown is never moved to later."""
        now = time.monotonic()
        samples = [(at, number) for at, number in self._samples if now - at < WINDOW_S][-SAMPLES:]
        if not samples or samples[-1][1] != done:
            samples.append((now, done))
        self._samples = samples
        (first_at, first_done), (last_at, last_done) = samples[0], samples[-1]
        if last_done <= first_done or last_at - first_at < 1:
            return None
        ends_at = last_at + left * (last_at - first_at) / (last_done - first_done)
        if self._promise is not None and self._promise[0] == total:
            ends_at = min(ends_at, self._promise[1])
        self._promise = total, ends_at
        return ends_at - now if ends_at > now else None
