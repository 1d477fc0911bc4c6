"""`report`: everything that the figures say: what is stored, how fast the disk is, which hosts and covers are in trouble."""

import os
import statistics
import time
from datetime import datetime
from typing import Any

import click

from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import EXITS, CommandContext, reason, verdict_line
from image_cache.cli.maintenance.status import StatusReport, collect, main_rows, short, since_line, today_rows
from image_cache.cli.output import Output
from image_cache.engine.key import Key
from image_cache.engine.stats.history import WriteBudget
from image_cache.engine.stats.hosts import HostFigures
from image_cache.engine.stats.miss_ratio import MissRatioCurve
from image_cache.maintenance.health.check import verdict
from image_cache.maintenance.readonly_vault import ReadonlyVault
from image_cache.maintenance.top_entries import TopEntry, biggest, top_dicts
from image_cache.units import megabytes, size

SAMPLE = 100  # images that are read to measure the disk
SAMPLE_LEAST = 10
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
SHOWN_HOSTS = 10
DATE_TIME = "%Y-%m-%d %H:%M"


@click.command("report", cls=MaintenanceCommand, is_reading=True)
def report(context: CommandContext) -> int:
    """Show detailed statistics.

    Sizes, disk speed, failing origins and covers, the recommended cache size, and how much is written to the SD card.
    """
    checks, vault, out = context.checks(is_deep=False), context.vault, context.out
    live = context.service.stats()
    known = collect(vault, live)
    sizes, speed, curve = vault.by_variant(), read_speed(vault), vault.miss_ratio_curve()
    out.line(f"VinylVault, {clock_time(context.clock(), DATE_TIME)}, {verdict(checks)}")
    out.line()
    out.rows([*main_rows(known), *_work_rows(known), *speed])
    out.line()
    out.table(
        ("cache", "entries", "bytes", "of", "hits", "misses", "evicted", "waiting", "given up"),
        [
            (
                cache.name,
                short(cache.entries),
                megabytes(cache.size_bytes),
                megabytes(cache.budget_bytes),
                *map(short, (cache.hits, cache.misses, cache.evictions, cache.waiting + cache.running, cache.given_up)),
            )
            for cache in known.since_caches
        ],
        right=range(1, 9),
    )
    out.line(since_line(known))
    if known.today:
        out.line()
        out.table(("", *(cache.name for cache in known.today), "all"), today_rows(known.today), right=range(1, 5))
    if sizes:
        out.line()
        out.table(
            ("variant", "images", "size", "mean", "last stored"),
            [
                (
                    one.variant,
                    f"{one.entries:,}",
                    megabytes(one.bytes),
                    f"{one.bytes / one.entries / 1e3:,.1f} KB",
                    clock_time(one.last_stored_at, DATE_TIME),
                )
                for one in sizes
            ],
            right=(1, 2, 3),
        )
    _top_tables(out, biggest(vault), live)
    if known.hosts:
        out.line()
        out.table(
            ("fetches", "failed", "median", "bytes", "host"),
            [
                (f"{h.fetches:,}", f"{h.failures:,}", _ms(h.median_ms), megabytes(h.fetched_bytes), host_line(h))
                for h in known.hosts[:SHOWN_HOSTS]
            ],
            right=(0, 1, 2, 3),
        )
    if known.failures:
        out.line()
        out.table(
            ("time", "reason", "failed fetch"),
            [(clock_time(failure.at, "%d %b %H:%M"), failure.reason[:34], failure.what) for failure in known.failures],
        )
    out.line()
    out.wrapped("", _curve_line(curve, known.stats.budget_bytes))
    for sentence in _wear_lines(known.wear):
        out.wrapped("", sentence)
    out.line()
    out.wrapped("", verdict_line(checks))
    out.json(
        {
            "verdict": verdict(checks),
            "reason": reason(checks),
            "figures": known.to_dict(),
            "sizes": [
                {"size": one.variant, "pictures": one.entries, "bytes": one.bytes, "last_stored_at": one.last_stored_at}
                for one in sizes
            ],
            "speed": dict(speed),
            "biggest": top_dicts(biggest(vault)),
            "most_requested": live.get("most_requested") if live else None,
            "curve": [{"bytes": size_bytes, "hit_ratio": share} for size_bytes, share in curve.points],
        }
    )
    return EXITS[verdict(checks)]


def _top_tables(out: Output, found: dict[str, list[TopEntry]], live: dict[str, Any] | None) -> None:
    """Write what is biggest, and what is requested most if the service runs, which counts it."""
    counted = live.get("most_requested") if live else None
    counted = counted if isinstance(counted, dict) else {}
    big = [(megabytes_or_less(one.size_bytes), one.cache, f"{one.name}, {one.detail}") for ones in found.values() for one in ones]
    most = [
        (f"{row['requests'] or 0:,}", str(row["cache"]), f"{row['name']}, {row['detail']}")
        for rows in counted.values()
        for row in rows
    ]
    for head, rows in (("biggest", big), ("most requested", most)):
        if rows:
            out.line()
            out.table(("size" if head == "biggest" else "requests", "cache", head), rows, right=(0,))


def megabytes_or_less(size_bytes: int | None) -> str:
    return "-" if size_bytes is None else size(size_bytes)


def host_line(host: HostFigures) -> str:
    """Return the host, and its trouble when it is in some."""
    until = f" paused until {clock_time(host.paused_until)}" if host.paused_until else ""
    return f"{host.lane}{until}{' (' + host.reason + ')' if host.reason else ''}"


def clock_time(at: float, shape: str = "%H:%M:%S") -> str:
    """Return a moment in local time."""
    try:
        return datetime.fromtimestamp(at).strftime(shape)  # noqa: DTZ006
    except (ValueError, OverflowError, OSError):
        return "?"


def read_speed(vault: ReadonlyVault) -> list[tuple[str, str]]:
    """Measure how long it takes to read some images, those first that are least likely in the page cache of the system."""
    took_ms = []
    for key, _ in vault.index.victims(vault.cache.namespace, SAMPLE):
        started = time.monotonic()
        if _read(vault, key):
            took_ms.append((time.monotonic() - started) * 1000)
    if len(took_ms) < SAMPLE_LEAST:
        return [("Reading from disk", "not enough images to measure")]
    took_ms.sort()
    median, p90 = statistics.median(took_ms), took_ms[int(len(took_ms) * 0.9)]
    return [("Reading from disk", f"median {median:.2f} ms, p90 {p90:.2f} ms")]


def _read(vault: ReadonlyVault, key: Key) -> bool:
    try:
        fd = os.open(vault.cache.disk.root / key.path, READ_FLAGS)
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


def _work_rows(known: StatusReport) -> list[tuple[str, str]]:
    stats = known.stats
    cleaned = clock_time(stats.last_cleanup_at, DATE_TIME) if stats.last_cleanup_at else "never"
    return [
        ("Hits / misses", f"{stats.hits:,}, {stats.misses:,}"),
        ("Fetches", f"{stats.fetches:,}, {megabytes(stats.fetched_bytes)}; {stats.failures:,} failed"),
        ("Renders", f"{stats.renders:,}"),
        ("Time to live", f"{stats.ttl_hours:g} hours; {known.stale:,} stale (still served, refreshed on use)"),
        ("Last cleanup", cleaned),
    ]


def _curve_line(curve: MissRatioCurve, budget_bytes: int) -> str:
    """Return how big the cache should be, or that too little is known."""
    if not curve.is_enough:
        return "Recommended cache size: not enough data yet (at least one day and a few hundred requests)."
    shares = ", ".join(f"{megabytes(size)} {share * 100:.0f}%" for size, share in curve.points)
    here, best = dict(curve.points)[budget_bytes], max(share for _, share in curve.points)
    if here < best - 0.005:
        advice = f"With {megabytes(curve.enough_bytes)} the hit rate would be {best * 100:.0f}%."
    else:
        advice = f"{megabytes(min(curve.enough_bytes, budget_bytes))} is enough."
    return f"Estimated hit rate by cache size: {shares}. {advice}"


def _wear_lines(wear: WriteBudget) -> list[str]:
    """Return what was written to the card, and how long it lasts at that rate."""
    lines = [f"Written today: {megabytes(wear.today_bytes)} of a {megabytes(wear.budget_bytes)} daily budget."]
    if wear.per_day_bytes is not None:
        rate = f"Average {megabytes(wear.per_day_bytes)} per day"
        lines.append(f"{rate}; at this rate the SD card lasts {wear.years:,.0f} years." if wear.years is not None else f"{rate}.")
    return lines


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"
