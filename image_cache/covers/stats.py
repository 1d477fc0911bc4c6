"""The numbers of the cover cache, as documented: one dataclass, one dictionary."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class CacheStats:
    """A snapshot. `hit_rate` is a percentage, `hit_ratio` a fraction; both None while nobody asked for anything yet.

    Counts are since the index was made, of all processes, at most a minute old for the other ones. Sizes are bytes on disk,
    `memory_used_bytes` is the memory tier of this process.
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

    def to_dict(self) -> dict[str, object]:
        """Return all fields, and the documented names that say the same in other units."""
        return {
            **asdict(self),
            "paused_hosts": list(self.paused_hosts),
            "total_size_mb": round(self.total_size_bytes / 1_000_000, 2),
            "cache_size_mb": round(self.total_size_bytes / 1_000_000, 2),
            "max_size_mb": round(self.budget_bytes / 1_000_000, 2),
            "memory_usage_mb": round(self.memory_used_bytes / 1_000_000, 2),
            "eviction_count": self.evictions,
            "cached_items": self.total_entries,
        }
