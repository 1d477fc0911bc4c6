"""What the measurements share: the machine, process trees in /proc, times, tables. Linux only."""

import json
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

TICK = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))


def machine() -> str:
    """Name the machine, the date and the load: no figure means anything without them."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    lines = dict(line.split(":", 1) for line in reversed(text.splitlines()) if ":" in line)
    names = {name.strip(): value.strip() for name, value in lines.items()}
    model = names.get("Model") or names.get("model name") or "unknown"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{time.strftime('%Y-%m-%d %H:%M')}  {model}, {len(CORES)} cores, {memory:.1f} GB, {platform.machine()}, "
        f"Linux {platform.release()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )


def tree(pid: int) -> list[int]:
    """Return the process and all its living descendants."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        parent = _stat(int(name))[1:2]
        if parent:
            children.setdefault(int(parent[0]), []).append(int(name))
    found, rest = [], [pid]
    while rest:
        found.append(rest.pop())
        rest += children.get(found[-1], [])
    return found


def cpu_s(pid: int) -> float:
    """Return user and system seconds of a tree, children that ended included. The kernel counts in steps of 10 ms."""
    return sum(sum(map(int, _stat(p)[11:15])) for p in tree(pid)) / TICK


def memory_mb(pid: int, file: str, field: str) -> float:
    """Return one `Field: 123 kB` line of /proc/PID/FILE in MB of 2^20 bytes; 0 when the process is gone."""
    try:
        for line in Path(f"/proc/{pid}/{file}").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def pss_mb(*pids: int) -> float:
    """Return the proportional set size: what the machine would get back if these processes ended."""
    return sum(memory_mb(pid, "smaps_rollup", "Pss") for pid in pids)


def written_bytes(pid: int) -> int:
    """Return how many bytes the process caused to be written to storage."""
    lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("write_bytes")).split()[1])


class PeakRss(threading.Thread):
    """Peak RSS of every process of a tree from now on, those that come and go included. `with PeakRss(pid) as peak:`."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self.mb: dict[int, float] = {}

    def __enter__(self) -> Self:
        for pid in tree(self._pid):
            Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # resets the high-water mark
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.wait(0.02):
            for pid in tree(self._pid):
                self.mb[pid] = max(self.mb.get(pid, 0.0), memory_mb(pid, "status", "VmHWM"))


def timed(work: Callable[[], object], times: int) -> list[float]:
    """Return the microseconds of each call, sorted; one call before does not count."""
    work()
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        found.append((time.perf_counter() - begun) * 1e6)
    return sorted(found)


def spread(times: Sequence[float]) -> tuple[float, float, float, float]:
    """Return median, p90, p99 and max of sorted values."""
    return statistics.median(times), times[int(len(times) * 0.9)], times[int(len(times) * 0.99)], times[-1]


def low_to_high(values: Sequence[float]) -> str:
    """Return the least and the greatest of the values, as a cell of a table: whether the median between them means much."""
    return f"{_cell(float(min(values)))}..{_cell(float(max(values)))}"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows as aligned columns, the first to the left, and the load. `$BENCH_JSON` names a file that gets them too."""
    _record(head, rows)
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(head))]
    for row in cells:
        print(
            "  ".join(
                text.rjust(width) if n else text.ljust(width) for n, (text, width) in enumerate(zip(row, widths, strict=True))
            )
        )
    print(f"load {os.getloadavg()[0]:.1f}\n", flush=True)


def _record(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Append the table to a file of results, a line of JSON; `benchmarks.plot` draws from it."""
    if path := os.environ.get("BENCH_JSON"):
        run = {"part": Path(sys.argv[0]).stem, "run": os.getpid(), "options": sys.argv[1:], "machine": machine()}
        found = {**run, "head": list(head), "rows": [list(row) for row in rows]}
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")


def _cell(value: object) -> str:
    return (
        f"{value:,.4g}"
        if isinstance(value, float) and abs(value) < 1000
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )


def _stat(pid: int) -> list[str]:
    # The command before the fields may contain spaces and brackets, so count from its end.
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
