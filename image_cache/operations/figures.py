"""The numbers of a vault as the service wrote them: what the status line, the report and the monitor show."""

from dataclasses import asdict, dataclass
from typing import Any

from image_cache.covers.stats import CacheStats
from image_cache.engine.jobs import MAX_ASKED_PAUSE_S
from image_cache.health import megabytes
from image_cache.reading import Reading

STALE = "SELECT count(*) FROM images WHERE namespace = ? AND fetched_at IS NOT NULL AND (fresh_until IS NULL OR fresh_until <= ?)"
FAILED = (
    "SELECT identity, failure, failures, retry_at, is_final FROM images WHERE namespace = ? AND failures > 0"
    " ORDER BY retry_at DESC LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A cover that could not be fetched. `retry_at` 0: not tried again by itself."""

    identity: str
    reason: str
    failures: int
    retry_at: float
    is_final: bool


@dataclass(frozen=True, slots=True)
class Host:
    """An origin in trouble. `paused_until` 0: not paused yet."""

    name: str
    failures: int
    paused_until: float
    reason: str


@dataclass(frozen=True, slots=True)
class Figures:
    """One look. `written_today_bytes` None: not known. `memory_used_bytes` None: only the running service knows."""

    stats: CacheStats
    registered: int
    fetched: int
    given_up: int
    stale: int
    hosts: tuple[Host, ...]
    troubles: tuple[Trouble, ...]
    memory_used_bytes: int | None = None
    written_today_bytes: int | None = None

    @property
    def missing(self) -> int:
        return max(0, self.registered - self.fetched - self.given_up)

    @property
    def paused(self) -> tuple[Host, ...]:
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
            *(() if self.written_today_bytes is None else (f"{megabytes(self.written_today_bytes)} written",)),
        )
        return "  ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.stats.to_dict(),
            **{name: value for name, value in asdict(self).items() if name not in ("stats", "hosts", "troubles")},
            "memory_usage_mb": None if self.memory_used_bytes is None else round(self.memory_used_bytes / 1e6, 2),
            "memory_entries": None,
            "missing": self.missing,
            "hosts": [asdict(host) for host in self.hosts],
            "recent_failures": [asdict(trouble) for trouble in self.troubles],
        }


def figures_of(reading: Reading, live: dict[str, Any] | None = None, *, troubles: int = 10) -> Figures:
    """Read the numbers; `live` is what the running service said of itself. Raises `DatabaseError`."""
    now, database = reading.clock(), reading.index.database
    registered, fetched, given_up = reading.register.summary(reading.cache.namespace)
    hosts = database.rows("SELECT lane, failures, paused_until, reason FROM lanes ORDER BY paused_until DESC")
    failed = database.rows(FAILED, (reading.cache.namespace, troubles))
    return Figures(
        stats=reading.stats(),
        registered=registered,
        fetched=fetched,
        given_up=given_up,
        stale=reading.count(STALE, reading.cache.namespace, now),
        hosts=tuple(Host(n, f, at if now < at <= now + MAX_ASKED_PAUSE_S else 0.0, r) for n, f, at, r in hosts),
        troubles=tuple(Trouble(n, r, f, at if at > now else 0.0, bool(final)) for n, r, f, at, final in failed),
        memory_used_bytes=live.get("memory_used_bytes") if live else None,
    )


def short(number: float) -> str:
    """Return 1,234 as it is and 1,234,567 as 1.2 M."""
    if number < 10_000:
        return f"{number:,.0f}"
    return f"{number / 1e3:,.0f} k" if number < 1e6 else f"{number / 1e6:,.1f} M"
