"""`monitor`: a live screen on a terminal, one line per interval when piped. SIGTERM and Ctrl-C end it and restore the screen."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType
from typing import Any

import click

from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.maintenance.report import clock_time, host_line
from image_cache.cli.maintenance.status import StatusReport, collect, short
from image_cache.cli.output import cut
from image_cache.cli.params import LONGEST_S, SHORTEST_S, Number
from image_cache.db.database import DatabaseError
from image_cache.db.diagnosis import kind_of, sentence_of
from image_cache.logs import printable
from image_cache.maintenance.cache_figures import CacheFigures
from image_cache.maintenance.rates import SAMPLE_S, WINDOWS_S, Rates
from image_cache.resources import own_command
from image_cache.units import megabytes

TERMINAL_S, PIPED_S = 2.0, 60.0
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # the alternate screen without a cursor, and back
SHOWN_COUNTERS = ("fetches", "failures", "renders")
COUNTERS = ("hits", "misses", "fetches", "failures", "renders", "evictions")
SIZE_DOTS = 20
SHOWN_HOSTS, SHOWN_FAILURES, SHOWN_REQUESTED = 4, 8, 2


@click.command("monitor", cls=MaintenanceCommand, is_reading=True)
@click.option(
    "--interval",
    "--monitor-interval",
    "interval_s",
    type=Number(LONGEST_S, least=SHORTEST_S),
    metavar="S",
    help="refresh every S seconds, at least 0.2 (default: 2 on a terminal, otherwise 60)",
)
def monitor(context: CommandContext, interval_s: float | None) -> int:
    """Show live figures until you press Ctrl-C.

    On a terminal, a live screen with rates over 10, 100 and 1000 seconds; when piped, one line per interval. The exit status is 0.
    """
    if interval_s is None:
        interval_s = TERMINAL_S if context.out.is_terminal else PIPED_S
    rates = Rates()
    with ended_by_signals() as stop, _screen(context):
        shown_at = float("-inf")
        while True:
            seen = _sample(context, rates)
            if time.monotonic() - shown_at >= interval_s - 0.05:
                shown_at = time.monotonic()
                _show(context, seen, rates, interval_s)
            if stop.wait(min(SAMPLE_S, interval_s, max(0.05, shown_at + interval_s - time.monotonic()))):
                return 0


def _sample(context: CommandContext, rates: Rates) -> StatusReport | str:
    """Return the figures, or the sentence that says why there are none."""
    live = context.service.stats()
    try:
        report = replace(collect(context.vault, live, failures=SHOWN_FAILURES), live=live)
    except DatabaseError as error:
        context.vault.close()  # the next sample opens the file that replaced it
        return f"Cannot read the index. {sentence_of(kind_of(error))}"
    rates.add(time.monotonic(), {name: float(value) for name, value in _counters(report, live).items()})
    return report


def _counters(report: StatusReport, live: dict[str, Any] | None) -> dict[str, float]:
    stats = report.stats.to_dict()
    counters = {name: stats[name] for name in (*COUNTERS, "fetched_bytes")}
    for name in counters:
        value = live.get(name) if live else None
        if isinstance(value, int | float):
            counters[name] = value
    return {**counters, **_by_cache(report, live)}  # type: ignore[dict-item]


def _by_cache(report: StatusReport, live: dict[str, Any] | None) -> dict[str, float]:
    """Return hits and misses of each cache; those of the running service are not a minute old."""
    found = live.get("caches") if live else None
    fresh = found if isinstance(found, dict) else {}
    counters = {}
    for cache in report.caches:
        for name in ("hits", "misses"):
            value = fresh.get(cache.name, {}).get(name)
            counters[f"{cache.name}.{name}"] = float(value if isinstance(value, int) else getattr(cache, name))
    return counters


def _show(context: CommandContext, seen: StatusReport | str, rates: Rates, interval_s: float) -> None:
    out, now = context.out, clock_time(context.clock(), "%Y-%m-%d %H:%M:%S")
    if out.is_json:
        out.json({"at": context.clock(), **({"error": seen} if isinstance(seen, str) else seen.to_dict())})
    elif not out.is_terminal:
        out.line(f"{now}  {seen if isinstance(seen, str) else seen.line()}")
    else:
        lines = _page(context, seen, rates, interval_s, now)
        room = out.height - 1
        out.stream.write("\x1b[H" + "".join(f"{cut(line, out.width)}\x1b[K\n" for line in lines[:room]) + "\x1b[J")
    out.flush()


def _page(context: CommandContext, seen: StatusReport | str, rates: Rates, interval_s: float, now: str) -> list[str]:
    head = f"VinylVault  {context.service.address if context.service.answers() else 'service not responding'}"
    lines = [f"{head}{now:>{max(2, context.out.width - len(head))}}", ""]
    if isinstance(seen, str):
        return [*lines, seen, "", f"For details: {own_command('health')}. Press Ctrl-C to quit."]
    lines += [seen.line(is_short=True), "", f"{'per second':<12}" + "".join(f"{f'{window:.0f} s':>12}" for window in WINDOWS_S)]
    for cache in seen.caches:
        lines.append(f"{cache.name:<12}" + "".join(f"{_requests(rates, cache.name, window):>12}" for window in WINDOWS_S))
    for name in SHOWN_COUNTERS:
        lines.append(f"{name:<12}" + "".join(f"{_shown(rates.rate(name, window)):>12}" for window in WINDOWS_S))
    lines.append(f"{'KB fetched':<12}" + "".join(f"{_shown(rates.rate('fetched_bytes', w), 1000):>12}" for w in WINDOWS_S))
    stats = seen.stats
    memory = "-" if seen.memory_used_bytes is None else megabytes(seen.memory_used_bytes)
    lines += [
        "",
        f"queue   {stats.queued:,} waiting, {stats.running} running, {seen.covers.missing:,} covers pending,"
        f" {seen.covers.given_up:,} unavailable",
        f"memory  {memory} of {megabytes(stats.memory_budget_bytes)}; {megabytes(stats.disk_free_bytes)} free disk space",
        "",
        f"{'hits in':<8}{'10 s':>6}{'100 s':>8}{'1000 s':>8}   {'size':<20} {'limit':>7} {'evict':>6} {'queue':>6} {'err':>4}",
        *(store_line(cache, rates) for cache in seen.caches),
    ]
    if bad := [host for host in seen.hosts if host.reason]:
        lines += ["", "failing origins"]
        lines += [f"  {host_line(host)}" for host in bad[:SHOWN_HOSTS]]
    if seen.failures:
        lines += ["", "last errors"]
        lines += [f"  {clock_time(failure.at)}  {failure.reason[:36]:<36}  {failure.what}" for failure in seen.failures]
    lines += most_requested_lines(seen.live, context.out.width)
    return [*lines, "", f"updated every {interval_s:g} s; press Ctrl-C to quit"]


def store_line(cache: CacheFigures, rates: Rates) -> str:
    """Return the figures of one cache in 80 columns; err are those that are not retried."""
    hits = [_hit_rate(rates, cache.name, window) for window in WINDOWS_S]
    filled = round(SIZE_DOTS * min(1.0, cache.size_bytes / cache.budget_bytes)) if cache.budget_bytes else 0
    dots = "\N{BLACK CIRCLE}" * filled + "\N{WHITE CIRCLE}" * (SIZE_DOTS - filled)
    queue = cache.waiting + cache.running
    return (
        f"{cache.name:<8}{hits[0]:>6}{hits[1]:>8}{hits[2]:>8}   {dots} {megabytes(cache.budget_bytes):>7}"
        f" {short(cache.evictions):>6} {short(queue):>6} {short(cache.given_up):>4}"
    )


def _hit_rate(rates: Rates, name: str, window_s: float) -> str:
    share = rates.hit_share(name, window_s)
    return "-" if share is None else "100%" if share == 1 else f"{min(99.9, 100 * share):.1f}%"


def _requests(rates: Rates, name: str, window_s: float) -> str:
    hits, misses = rates.rate(f"{name}.hits", window_s), rates.rate(f"{name}.misses", window_s)
    return "-" if hits is None or misses is None else f"{hits + misses:,.1f}"


def most_requested_lines(live: dict[str, Any] | None, width: int) -> list[str]:
    """Return what is requested most, as the running service counts it: a line for each, at most two of a cache."""
    found = live.get("most_requested") if live else None
    rows = [row for rows in found.values() for row in rows[:SHOWN_REQUESTED]] if isinstance(found, dict) else []
    if not rows:
        return []
    lines = ["", f"{'most requested':<{width - 9}} requests"]
    for row in rows:
        name = f"  {row['cache']:<8}{row['name']}, {row['detail']}"
        lines.append(f"{cut(printable(name), width - 10):<{width - 10}}{row['requests'] or 0:>10,}")
    return lines


def _shown(rate: float | None, unit: float = 1.0) -> str:
    return "-" if rate is None else f"{rate / unit:,.1f}"


@contextlib.contextmanager
def _screen(context: CommandContext) -> Iterator[None]:
    if not context.out.is_terminal:
        yield
        return
    context.out.stream.write(ENTER)
    try:
        yield
    finally:
        context.out.stream.write(LEAVE)
        context.out.flush()


class _Stop:
    """An event that a signal handler sets. A pipe, because a handler that takes a lock, such as that of `threading.Event`,
    deadlocks when the thread that it interrupts holds it.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def set(self, number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):  # the pipe is full: set many times over
            os.write(self._write, b"!")

    def wait(self, timeout_s: float) -> bool:
        """Return True as soon as it is set, False after the timeout."""
        return bool(select.select([self._read], [], [], timeout_s)[0])

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[_Stop]:
    """Yield what SIGTERM, SIGINT and SIGHUP set; restore their handlers afterwards."""
    stop = _Stop()
    before = {number: signal.signal(number, stop.set) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()
