"""The numbers of a vault as the service wrote them: what the status line, the report and the monitor show."""

from dataclasses import asdict, dataclass
from typing import Any

from image_cache.covers.stats import CacheStats
from image_cache.engine.stats.history import Failure, HostFigures, WriteBudget, hosts, recent_failures, sd_wear
from image_cache.maintenance.health import megabytes
from image_cache.maintenance.readonly_vault import ReadonlyVault

STALE = "SELECT count(*) FROM images WHERE namespace = ? AND fetched_at IS NOT NULL AND (fresh_until IS NULL OR fresh_until <= ?)"


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One look. `hosts` are those that were fetched from, and those in trouble; `troubles` the last failures, the newest first.

    `memory_used_bytes` None: only the running service knows.
    """

    stats: CacheStats
    registered: int
    fetched: int
    given_up: int
    stale: int
    hosts: tuple[HostFigures, ...]
    troubles: tuple[Failure, ...]
    wear: WriteBudget
    memory_used_bytes: int | None = None

    @property
    def missing(self) -> int:
        return max(0, self.registered - self.fetched - self.given_up)

    @property
    def paused(self) -> tuple[HostFigures, ...]:
        return tuple(host for host in self.hosts if host.paused_until)

    def line(self) -> str:
        """Return what is worth a glance, in one line: 80 columns for the numbers of a usual vault."""
        stats = self.stats
        parts = (
            "no hits yet" if stats.hit_rate is None else f"{stats.hit_rate:.0f} % hits",
            f"{short(self.stale)} stale",
            f"{short(stats.misses)} misses",
            f"{megabytes(stats.total_size_bytes)}/{megabytes(stats.budget_bytes)}",
            f"queue {short(stats.queued)}",
            f"paused {len(self.paused)}",
            f"{megabytes(self.wear.today_bytes)} written",
        )
        return "  ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.stats.to_dict(),
            "registered": self.registered,
            "fetched": self.fetched,
            "given_up": self.given_up,
            "missing": self.missing,
            "stale": self.stale,
            "written_today_bytes": self.wear.today_bytes,
            "memory_used_bytes": self.memory_used_bytes,
            "memory_usage_mb": None if self.memory_used_bytes is None else round(self.memory_used_bytes / 1e6, 2),
            "memory_entries": None,
            "hosts": [asdict(host) for host in self.hosts],
            "recent_failures": [asdict(trouble) for trouble in self.troubles],
            "wear": asdict(self.wear),
        }


def figures_of(reading: ReadonlyVault, live: dict[str, Any] | None = None, *, troubles: int = 10) -> StatusReport:
    """Read the numbers; `live` is what the running service said of itself. Raises `DatabaseError`."""
    now, database, settings = reading.clock(), reading.index.database, reading.settings
    registered, fetched, given_up = reading.register.summary(reading.cache.namespace)
    return StatusReport(
        stats=reading.stats(),
        registered=registered,
        fetched=fetched,
        given_up=given_up,
        stale=reading.count(STALE, reading.cache.namespace, now),
        hosts=tuple(hosts(database, now)),
        troubles=tuple(recent_failures(database, troubles)),
        wear=sd_wear(database, now, budget_bytes=settings.sd_budget_bytes, endurance_bytes=settings.sd_endurance_bytes),
        memory_used_bytes=live.get("memory_used_bytes") if live else None,
    )


def short(number: float) -> str:
    """Return 1,234 as it is and 1,234,567 as 1.2 M."""
    if number < 10_000:
        return f"{number:,.0f}"
    return f"{number / 1e3:,.0f} k" if number < 1e6 else f"{number / 1e6:,.1f} M"
