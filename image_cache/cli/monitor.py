"""`monitor`: a live screen on a terminal, one line an interval when piped. Ends at SIGTERM and Ctrl-C, and leaves the screen as it was."""

import contextlib
import os
import select
import signal
import time
from collections import deque
from collections.abc import Iterator
from types import FrameType
from typing import Any

from image_cache.cli.context import CommandContext
from image_cache.cli.output import cut
from image_cache.cli.status import StatusReport, clock_time, figures_of, host_line
from image_cache.db.database import DatabaseError
from image_cache.db.diagnosis import kind_of, sentence_of
from image_cache.maintenance.health import megabytes

WINDOWS_S = (10.0, 100.0, 1000.0)
SAMPLE_S = 2.0  # how often the counters are read, whatever is shown
TERMINAL_S, PIPED_S = 2.0, 60.0
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # another screen without a cursor, and back
COUNTERS = (
    ("hits", "hits"),
    ("misses", "misses"),
    ("fetches", "fetches"),
    ("failures", "failures"),
    ("renders", "renders"),
    ("evictions", "evictions"),
)


class Rates:
    """Counters over time. A counter that went back begins anew: the index was replaced, or the service started again."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, dict[str, float]]] = deque()

    def add(self, at: float, counters: dict[str, float]) -> None:
        if self._samples and any(counters[name] < value for name, value in self._samples[-1][1].items()):
            self._samples.clear()
        self._samples.append((at, counters))
        while self._samples[0][0] < at - WINDOWS_S[-1] - SAMPLE_S:
            self._samples.popleft()

    def rate(self, name: str, window_s: float) -> float | None:
        """Return how many a second, over the last `window_s`; None while the window is longer than what was seen."""
        last_at, last = self._samples[-1]
        if last_at - self._samples[0][0] < window_s * 0.8:
            return None
        at, first = next(sample for sample in self._samples if sample[0] >= last_at - window_s)
        return (last[name] - first[name]) / (last_at - at) if last_at > at else None


def monitor(scene: CommandContext) -> int:
    """Look again and again until a signal says to stop. Returns 0 after that, whatever was seen."""
    interval_s = scene.wanted.interval_s
    if interval_s is None:
        interval_s = TERMINAL_S if scene.out.is_terminal else PIPED_S
    interval_s = max(0.2, interval_s)
    rates = Rates()
    with _ended_by_signals() as stop, _screen(scene):
        shown_at = float("-inf")
        while True:
            seen = _look(scene, rates)
            if time.monotonic() - shown_at >= interval_s - 0.05:
                shown_at = time.monotonic()
                _show(scene, seen, rates, interval_s)
            if stop.wait(min(SAMPLE_S, interval_s, max(0.05, shown_at + interval_s - time.monotonic()))):
                return 0


def _look(scene: CommandContext, rates: Rates) -> StatusReport | str:
    """Return the figures, or the sentence that says why there are none."""
    live = scene.service.stats()
    try:
        known = figures_of(scene.reading, live, troubles=8)
    except DatabaseError as error:
        scene.reading.close()  # a file that was replaced is opened anew the next time
        return f"The index cannot be read. {sentence_of(kind_of(error))}"
    rates.add(time.monotonic(), {name: float(value) for name, value in _counters(known, live).items()})
    return known


def _counters(known: StatusReport, live: dict[str, Any] | None) -> dict[str, float]:
    stats = known.stats.to_dict()
    counters = {name: stats[name] for name, _ in COUNTERS} | {"fetched_bytes": stats["fetched_bytes"]}
    for name in counters:
        value = live.get(name) if live else None
        if isinstance(value, int | float):
            counters[name] = value
    return counters  # type: ignore[return-value]


def _show(scene: CommandContext, seen: StatusReport | str, rates: Rates, interval_s: float) -> None:
    out, now = scene.out, clock_time(scene.clock(), "%Y-%m-%d %H:%M:%S")
    if out.is_json:
        out.json({"at": scene.clock(), **({"error": seen} if isinstance(seen, str) else seen.to_dict())})
    elif not out.is_terminal:
        out.line(f"{now}  {seen if isinstance(seen, str) else seen.line()}")
    else:
        lines = _page(scene, seen, rates, interval_s, now)
        room = out.height - 1
        out.stream.write("\x1b[H" + "".join(f"{cut(line, out.width)}\x1b[K\n" for line in lines[:room]) + "\x1b[J")
    out.flush()


def _page(scene: CommandContext, seen: StatusReport | str, rates: Rates, interval_s: float, now: str) -> list[str]:
    head = f"VinylVault  {scene.service.address if scene.service.answers() else 'the service does not answer'}"
    lines = [f"{head}{now:>{max(2, scene.out.width - len(head))}}", ""]
    if isinstance(seen, str):
        return [*lines, seen, "", "cache_monitor.py --action health says more. Ctrl-C ends."]
    lines += [seen.line(), "", f"{'a second':<12}" + "".join(f"{f'{window:.0f} s':>12}" for window in WINDOWS_S)]
    for name, label in COUNTERS:
        lines.append(f"{label:<12}" + "".join(f"{_shown(rates.rate(name, window)):>12}" for window in WINDOWS_S))
    lines.append(f"{'KB fetched':<12}" + "".join(f"{_shown(rates.rate('fetched_bytes', w), 1000):>12}" for w in WINDOWS_S))
    stats = seen.stats
    memory = "-" if seen.memory_used_bytes is None else megabytes(seen.memory_used_bytes)
    lines += [
        "",
        f"queue   {stats.queued:,} waiting, {stats.running} running, {seen.missing:,} covers to come, {seen.given_up:,} given up",
        f"memory  {memory} of {megabytes(stats.memory_budget_bytes)}; {megabytes(stats.disk_free_bytes)} free on the disk",
    ]
    if bad := [host for host in seen.hosts if host.reason]:
        lines += ["", "hosts in trouble"]
        lines += [f"  {host_line(host)}" for host in bad[:4]]
    if seen.troubles:
        lines += ["", "last errors"]
        lines += [f"  {clock_time(t.at)}  {t.reason[:36]:<36}  {t.what}" for t in seen.troubles]
    return [*lines, "", f"every {interval_s:g} s; Ctrl-C ends"]


def _shown(rate: float | None, unit: float = 1.0) -> str:
    return "-" if rate is None else f"{rate / unit:,.1f}"


@contextlib.contextmanager
def _screen(scene: CommandContext) -> Iterator[None]:
    if not scene.out.is_terminal:
        yield
        return
    scene.out.stream.write(ENTER)
    try:
        yield
    finally:
        scene.out.stream.write(LEAVE)
        scene.out.flush()


class _Stop:
    """Told by a signal handler that it is time to end. A pipe, because a handler that takes a lock, such as that of an event,
    waits for ever when the thread that it interrupts holds it.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def tell(self, number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):  # told often enough
            os.write(self._write, b"!")

    def wait(self, timeout_s: float) -> bool:
        """Wait to be told, for so long at most."""
        return bool(select.select([self._read], [], [], timeout_s)[0])

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[_Stop]:
    """Yield what SIGTERM, SIGINT and SIGHUP tell; afterwards signals mean what they meant before."""
    stop = _Stop()
    before = {number: signal.signal(number, stop.tell) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()
