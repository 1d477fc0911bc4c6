"""`status` and `health`: the state of a vault at a glance, and check by check."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import click

from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import EXITS, CommandContext, as_dict, reason, verdict_line
from image_cache.cli.output import WIDTH, Output
from image_cache.cli.params import LONGEST_S, Number
from image_cache.covers.machine_speed import measured_ms, time_limits
from image_cache.covers.stats import CacheStats
from image_cache.db.database import DatabaseError
from image_cache.db.open_catalog import has_catalog
from image_cache.engine.stats.history import Failure, WriteBudget
from image_cache.engine.stats.hosts import HostFigures
from image_cache.frozen import frozen
from image_cache.maintenance.cache_figures import CacheFigures, cache_figures
from image_cache.maintenance.counters_since import CountersSince, counters_since, counters_today, today_dicts
from image_cache.maintenance.health.check import verdict
from image_cache.maintenance.readonly_vault import CoverCounts, ReadonlyVault
from image_cache.units import megabytes

POLL_S = 0.5  # between two looks while a service starts


@frozen
class StatusReport:
    """The figures of one moment. `hosts` are those that were fetched from or are in trouble; `failures` the last, newest first.

    `memory_used_bytes` None: only the running service knows.
    """

    stats: CacheStats
    covers: CoverCounts
    stale: int
    hosts: tuple[HostFigures, ...]
    failures: tuple[Failure, ...]
    wear: WriteBudget
    memory_used_bytes: int | None = None
    caches: tuple[CacheFigures, ...] = ()
    live: dict[str, Any] | None = None  # what the running service says besides
    since: float = 0.0  # Unix seconds of the last reset of the counters
    since_caches: tuple[CacheFigures, ...] = ()  # with the counters since then
    today: tuple[CacheFigures, ...] = ()  # with the counters of this day; empty if the service has not run today
    cover_cpu_ms: float | None = None  # what rendering a cover takes of this machine; None while it was not measured

    @property
    def paused(self) -> tuple[HostFigures, ...]:
        return tuple(host for host in self.hosts if host.paused_until)

    def line(self, *, is_short: bool = False) -> str:
        """Return the figures that are worth a glance, in one line; a short one is 80 columns, without streams and files."""
        stats = self.stats
        parts: tuple[str, ...] = (
            "no requests yet" if stats.hit_rate is None else f"{stats.hit_rate:.0f}% hits",
            f"{short(self.stale)} stale",
            f"{short(stats.misses)} misses",
            f"{megabytes(stats.total_size_bytes)}/{megabytes(stats.budget_bytes)}",
            f"queue {short(stats.queued)}",
            f"paused {len(self.paused)}",
            f"{megabytes(self.wear.today_bytes)} written",
            *(f"{cache.name} {megabytes(cache.size_bytes)}" for cache in self.caches[1:] if cache.entries and not is_short),
        )
        if not is_short:
            return "  ".join(parts)
        while len("  ".join(parts)) > WIDTH:
            parts = parts[:-1]
        return "  ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.stats.to_dict(),
            **asdict(self.covers),
            "missing": self.covers.missing,
            "stale": self.stale,
            "written_today_bytes": self.wear.today_bytes,
            "memory_used_bytes": self.memory_used_bytes,
            "memory_usage_mb": None if self.memory_used_bytes is None else round(self.memory_used_bytes / 1e6, 2),
            "memory_entries": None,
            "hosts": [asdict(host) for host in self.hosts],
            "recent_failures": [asdict(failure) for failure in self.failures],
            "wear": asdict(self.wear),
            "cover_cpu_ms": self.cover_cpu_ms,
            "caches": {cache.name: {**cache.to_dict(), "root": str(cache.root)} for cache in self.caches},
            "since": self.since or None,
            "caches_since": {cache.name: cache.to_dict() for cache in self.since_caches},
            "caches_today": today_dicts(self.today),
        }


def collect(vault: ReadonlyVault, live: dict[str, Any] | None = None, *, failures: int = 10) -> StatusReport:
    """Read the figures; `live` are those of the running service. Raises `DatabaseError`."""
    caches = cache_figures(vault)
    is_there = has_catalog(vault.settings)
    counted = counters_since(vault.catalog, caches) if is_there else CountersSince(0.0, caches)
    return StatusReport(
        stats=vault.stats(),
        covers=vault.covers(),
        stale=vault.stale_covers(),
        hosts=tuple(vault.hosts()),
        failures=tuple(vault.failures(failures)),
        wear=vault.wear(),
        memory_used_bytes=live.get("memory_used_bytes") if live else None,
        caches=caches,
        since=counted.since,
        since_caches=counted.caches,
        today=counters_today(vault.catalog, caches, vault.clock()) if is_there else (),
        cover_cpu_ms=measured_ms(vault.index),
    )


@click.command("status", cls=MaintenanceCommand, is_reading=True)
def status(context: CommandContext) -> int:
    """Show the current state: one line at a glance, then the figures."""
    checks, out = context.checks(is_deep=False), context.out
    try:
        report = collect(context.vault, context.service.stats())
    except DatabaseError:  # the checks say why
        report = None
    if report is not None:
        out.line(report.line(is_short=out.is_terminal))
        out.line()
        out.rows([*main_rows(report), *((check.name, check.message) for check in checks if check.name == "Nodes")])
        if out.is_terminal:
            out.line()
            caches_table(out, report)
        out.line()
    out.wrapped("", verdict_line(checks))
    if reason(checks):
        for check in checks:
            if check.advice and check.state in ("warning", "failed"):
                out.wrapped("  ", check.advice)
    out.json(
        {
            "verdict": verdict(checks),
            "reason": reason(checks),
            "figures": report.to_dict() if report else None,
            "checks": [as_dict(check) for check in checks],
        }
    )
    return EXITS[verdict(checks)]


@click.command("health", cls=MaintenanceCommand, is_reading=True)
@click.option(
    "--wait", "wait_s", type=Number(LONGEST_S), default=0.0, metavar="S", help="wait up to S seconds for the service to start"
)
def health(context: CommandContext, wait_s: float) -> int:
    """Check everything and suggest fixes.

    With --wait, check again until the service responds and nothing has failed, or the time is up.
    """
    deadline = time.monotonic() + wait_s
    while True:
        checks = context.checks(is_deep=True)
        is_up = verdict(checks) != "unhealthy" and checks[0].state == "well"
        if is_up or time.monotonic() >= deadline:
            return context.print_checks(checks)
        time.sleep(POLL_S)


def main_rows(report: StatusReport) -> list[tuple[str, str]]:
    """Return the five documented figures, and those that are needed to understand them."""
    stats, covers = report.stats, report.covers
    requests = stats.hits + stats.misses
    rate = "no requests yet" if stats.hit_rate is None else f"{stats.hit_rate:.1f}% of {requests:,} requests"
    share = 100 * stats.total_size_bytes / stats.budget_bytes if stats.budget_bytes else 0
    memory = "unknown (service not running)" if report.memory_used_bytes is None else megabytes(report.memory_used_bytes)
    return [
        ("Hit rate", rate),
        ("Cached images", f"{stats.total_entries:,}"),
        ("Cache size", f"{megabytes(stats.total_size_bytes)} of {megabytes(stats.budget_bytes)} ({share:.0f}%)"),
        ("Memory usage", f"{memory} of {megabytes(stats.memory_budget_bytes)}"),
        ("Evictions", f"{stats.evictions:,}"),
        (
            "Covers",
            f"{covers.fetched:,} of {covers.registered:,} fetched, {covers.missing:,} pending, {covers.given_up:,} unavailable",
        ),
        ("Queue", f"{stats.queued:,} waiting, {stats.running:,} running"),
        *cache_rows(report),
        ("Free disk space", megabytes(stats.disk_free_bytes)),
        *speed_rows(report.cover_cpu_ms),
    ]


def caches_table(out: Output, report: StatusReport) -> None:
    """Write the three caches beside each other: figure by figure, with their sum. Counters are those since the last reset."""
    caches = report.since_caches
    out.table(
        ("", *(cache.name for cache in caches), "all"),
        [
            _row("Requests", caches, lambda cache: cache.hits + cache.misses, short),
            ("Hit rate", *(_percent(cache.hits, cache.misses) for cache in caches), _percent(*_sums(caches))),
            _row("Size", caches, lambda cache: cache.size_bytes, megabytes),
            _row("Limit", caches, lambda cache: cache.budget_bytes, megabytes),
            _row("Entries", caches, lambda cache: cache.entries, short),
            _row("Evicted", caches, lambda cache: cache.evictions, short),
            _row("Errors", caches, lambda cache: cache.errors, short),
            *today_rows(report.today),
            ("Oldest use", *(_oldest(cache.oldest_use_at) for cache in caches), _oldest(min(_uses(caches), default=None))),
            _row("Queue", caches, lambda cache: cache.waiting + cache.running, short),
            _row("Unavailable", caches, lambda cache: cache.given_up, short),
        ],
        right=range(1, 5),
    )
    out.line(since_line(report))


def today_rows(today: Sequence[CacheFigures]) -> list[tuple[str, ...]]:
    """Return what was evicted and what failed since midnight; no rows if no one knows."""
    if not today:
        return []
    return [
        _row("Evicted today", today, lambda cache: cache.evictions, short),
        _row("Errors today", today, lambda cache: cache.errors, short),
    ]


def since_line(report: StatusReport) -> str:
    """Return when the counters of the tables began."""
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(report.since)) if report.since else "the beginning"
    return f"Counters since {since}. To count from now: vinylvault reset-counters"


def _row(
    name: str, caches: Sequence[CacheFigures], figure: Callable[[CacheFigures], int], shown: Callable[[float], str]
) -> tuple[str, ...]:
    values = [figure(cache) for cache in caches]
    return (name, *map(shown, values), shown(sum(values)))


def _uses(caches: Sequence[CacheFigures]) -> list[float]:
    return [cache.oldest_use_at for cache in caches if cache.oldest_use_at is not None]


def _oldest(at: float | None) -> str:
    return "-" if at is None else time.strftime("%Y-%m-%d", time.localtime(at))


def _sums(caches: Sequence[CacheFigures]) -> tuple[int, int]:
    return sum(cache.hits for cache in caches), sum(cache.misses for cache in caches)


def _percent(hits: int, misses: int) -> str:
    if not hits + misses:
        return "-"
    return "100%" if not misses else f"{min(99.9, 100 * hits / (hits + misses)):.1f}%"


def speed_rows(cost_ms: float | None) -> list[tuple[str, str]]:
    """Return how fast this machine renders, and how long an image may take on it."""
    if cost_ms is None:
        return []
    return [("Machine speed", f"{cost_ms:,.0f} ms of CPU time per cover; an image may take {time_limits(cost_ms)[0]} s")]


def cache_rows(report: StatusReport) -> list[tuple[str, str]]:
    """Return what the caches beside that of the covers hold, and what waits for them."""
    return [(cache.name.capitalize(), cache_line(cache)) for cache in report.caches[1:]]


def cache_line(cache: CacheFigures) -> str:
    """Return the figures of one cache: 3 files, 100 MB of 10.0 GB; 50% of 12 requests; 1 waiting, 1 given up."""
    requests = cache.hits + cache.misses
    rate = "" if cache.hit_rate is None else f"; {cache.hit_rate:.0f}% of {requests:,} requests"
    work = ((cache.running, "running"), (cache.waiting, "waiting"), (cache.given_up, "given up"))
    jobs = ", ".join(f"{number:,} {words}" for number, words in work if number)
    return f"{cache.holds} of {megabytes(cache.budget_bytes)}{rate}{f'; {jobs}' if jobs else ''}"


def short(number: float) -> str:
    """Return 1,234 as it is and 1,234,567 as 1.2 M."""
    if number < 10_000:
        return f"{number:,.0f}"
    return f"{number / 1e3:,.0f} k" if number < 1e6 else f"{number / 1e6:,.1f} M"
