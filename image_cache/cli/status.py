"""`status`, `health` and `report`: what they say. They change nothing and start no thread."""

import os
import statistics
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from image_cache.cli.context import EXITS, CommandContext, as_dict, reason
from image_cache.covers.stats import CacheStats
from image_cache.db.database import DatabaseError
from image_cache.engine.key import Key
from image_cache.engine.stats.history import Failure, HostFigures, WriteBudget, hosts, recent_failures, sd_wear
from image_cache.engine.stats.miss_ratio import MissRatioCurve, reuse_curve
from image_cache.maintenance.health import megabytes, verdict
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


SAMPLE = 100  # pictures that the report reads to say how fast the disk is
READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
BY_VARIANT = (
    "SELECT variant, count(*), sum(size_bytes), max(stored_at) FROM entries WHERE namespace = ? GROUP BY variant ORDER BY variant"
)


def status(scene: CommandContext) -> int:
    """Say how it is: one line for a glance, then the documented numbers."""
    checks = scene.checks(is_deep=False)
    said, why = verdict(checks), reason(checks)
    try:
        known = figures_of(scene.reading, scene.service.stats())
    except DatabaseError:  # the checks say why
        known = None
    if known is not None:
        scene.out.line(known.line())
        scene.out.line()
        scene.out.rows(numbers(known))
        scene.out.line()
    scene.out.wrapped("", f"{said}{': ' + why if why else ''}")
    if why:
        for check in checks:
            if check.advice and check.state in ("warning", "failed"):
                scene.out.wrapped("  ", check.advice)
    scene.out.json(
        {
            "verdict": said,
            "reason": why,
            "figures": known.to_dict() if known else None,
            "checks": [as_dict(check) for check in checks],
        }
    )
    return EXITS[said]


def health(scene: CommandContext) -> int:
    """Look at everything and say what is wrong; with a time to wait, again until nothing has failed or it is over."""
    deadline = time.monotonic() + scene.wanted.wait_s
    while True:
        checks = scene.checks(is_deep=True)
        is_up = verdict(checks) != "unhealthy" and checks[0].state == "well"
        if is_up or time.monotonic() >= deadline:
            return scene.tell(checks)
        time.sleep(0.5)


def report(scene: CommandContext) -> int:
    """Say everything that the numbers can: what is stored, how fast it is, which hosts and covers are in trouble."""
    checks = scene.checks(is_deep=False)
    known = figures_of(scene.reading, scene.service.stats())
    sizes = scene.reading.index.database.rows(BY_VARIANT, (scene.reading.cache.namespace,))
    speed = read_speed(scene.reading)
    curve = reuse_curve(scene.reading.index.database, scene.clock(), budget_bytes=known.stats.budget_bytes)
    out = scene.out
    out.line(f"VinylVault, {clock_time(scene.clock(), '%Y-%m-%d %H:%M')}, {verdict(checks)}")
    out.line()
    out.rows([*numbers(known), *work(known), *speed])
    if sizes:
        out.line()
        out.table(
            ("size", "pictures", "bytes", "mean", "last stored"),
            [(v, f"{n:,}", megabytes(b), f"{b / n / 1e3:,.1f} KB", clock_time(at, "%Y-%m-%d %H:%M")) for v, n, b, at in sizes],
            right=(1, 2, 3),
        )
    if known.hosts:
        out.line()
        out.table(
            ("fetches", "failed", "median", "bytes", "host"),
            [
                (f"{h.fetches:,}", f"{h.failures:,}", _ms(h.median_ms), megabytes(h.fetched_bytes), host_line(h))
                for h in known.hosts[:10]
            ],
            right=(0, 1, 2, 3),
        )
    if known.troubles:
        out.line()
        out.table(
            ("when", "why", "what could not be fetched"),
            [(clock_time(t.at, "%d %b %H:%M"), t.reason[:34], t.what) for t in known.troubles],
        )
    out.line()
    out.wrapped("", curve_line(curve, known.stats.budget_bytes))
    for sentence in card_lines(known.wear):
        out.wrapped("", sentence)
    why = reason(checks)
    out.line()
    out.wrapped("", f"{verdict(checks)}{': ' + why if why else ''}")
    out.json(
        {
            "verdict": verdict(checks),
            "reason": why,
            "figures": known.to_dict(),
            "sizes": [{"size": v, "pictures": n, "bytes": b, "last_stored_at": at} for v, n, b, at in sizes],
            "speed": dict(speed),
            "curve": [{"bytes": size, "hit_ratio": share} for size, share in curve.points],
        }
    )
    return EXITS[verdict(checks)]


def numbers(known: StatusReport) -> list[tuple[str, str]]:
    """Return the five documented numbers, and what is needed to understand them."""
    stats = known.stats
    asked = stats.hits + stats.misses
    rate = "nothing was asked for yet" if stats.hit_rate is None else f"{stats.hit_rate:.1f} % of {asked:,} requests"
    share = 100 * stats.total_size_bytes / stats.budget_bytes if stats.budget_bytes else 0
    memory = "the service does not say" if known.memory_used_bytes is None else megabytes(known.memory_used_bytes)
    return [
        ("Hit rate", rate),
        ("Total entries", f"{stats.total_entries:,}"),
        ("Cache size", f"{megabytes(stats.total_size_bytes)} of {megabytes(stats.budget_bytes)} ({share:.0f} %)"),
        ("Memory usage", f"{memory} of {megabytes(stats.memory_budget_bytes)}"),
        ("Eviction count", f"{stats.evictions:,}"),
        ("Covers", f"{known.fetched:,} of {known.registered:,} fetched, {known.missing:,} to come, {known.given_up:,} given up"),
        ("Queue", f"{stats.queued:,} waiting, {stats.running:,} running"),
        ("Free on the disk", megabytes(stats.disk_free_bytes)),
    ]


def work(known: StatusReport) -> list[tuple[str, str]]:
    stats = known.stats
    cleaned = clock_time(stats.last_cleanup_at, "%Y-%m-%d %H:%M") if stats.last_cleanup_at else "never"
    return [
        ("Hits, misses", f"{stats.hits:,}, {stats.misses:,}"),
        ("Fetches", f"{stats.fetches:,}, {megabytes(stats.fetched_bytes)}; {stats.failures:,} failed"),
        ("Renders", f"{stats.renders:,}"),
        ("Fresh for", f"{stats.ttl_hours:g} hours; {known.stale:,} stale, shown until they are revalidated"),
        ("Last cleanup", cleaned),
    ]


def host_line(host: HostFigures) -> str:
    """Return the host, and its trouble when it is in some."""
    until = f" paused until {clock_time(host.paused_until)}" if host.paused_until else ""
    return f"{host.lane}{until}{' (' + host.reason + ')' if host.reason else ''}"


def curve_line(curve: MissRatioCurve, budget_bytes: int) -> str:
    """Say how big the cache should be, or that too little is known."""
    if not curve.is_enough:
        return "How big should the cache be? Too little is known yet: that takes a day, and some hundred uses."
    told = ", ".join(f"{megabytes(size)} {share * 100:.0f} %" for size, share in curve.points)
    here, best = dict(curve.points)[budget_bytes], max(share for _, share in curve.points)
    if here < best - 0.005:
        advice = f"{megabytes(curve.enough_bytes)} would answer {best * 100:.0f} %."
    else:
        advice = f"{megabytes(min(curve.enough_bytes, budget_bytes))} are enough."
    return f"How big should the cache be? {told}. {advice}"


def card_lines(wear: WriteBudget) -> list[str]:
    """Say what was written to the card, and how long it lasts at that pace."""
    said = [f"Written today: {megabytes(wear.today_bytes)} of a budget of {megabytes(wear.budget_bytes)}."]
    if wear.per_day_bytes is not None:
        pace = f"{megabytes(wear.per_day_bytes)} a day in the last whole days"
        said.append(f"{pace}; the card lasts {wear.years:,.0f} years at that." if wear.years is not None else f"{pace}.")
    return said


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"


def read_speed(reading: ReadonlyVault) -> list[tuple[str, str]]:
    """Read some pictures, the least recently used first because those are hardly in the system's memory, and say how long it took."""
    took_ms = []
    for key, _ in reading.index.victims(reading.cache.namespace, SAMPLE):
        started = time.monotonic()
        if _read(reading, key):
            took_ms.append((time.monotonic() - started) * 1000)
    if len(took_ms) < 10:
        return [("Reading from disk", "too few pictures to say")]
    took_ms.sort()
    return [
        (
            "Reading from disk",
            f"{statistics.median(took_ms):.2f} ms, {took_ms[int(len(took_ms) * 0.9)]:.2f} ms for the slowest tenth",
        )
    ]


def clock_time(at: float, shape: str = "%H:%M:%S") -> str:
    """Return a time as the clock on the wall shows it."""
    try:
        return datetime.fromtimestamp(at).strftime(shape)  # noqa: DTZ006
    except (ValueError, OverflowError, OSError):
        return "?"


def _read(reading: ReadonlyVault, key: Key) -> bool:
    try:
        fd = os.open(reading.cache.disk.root / key.path, READING)
    except OSError:
        return False
    try:
        while os.read(fd, 1 << 20):
            pass
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
