"""Cold covers: fetch from an origin process, render both sizes, store, answer both; beside Pillow straight from the manual.

    python -m benchmarks.cold [--covers 48] [--rounds 3] [--thumbor PROGRAM]

CPU is user and system time of all processes (web worker, decoder child) per cover, from the preload to the last answer, colours
included. Addresses are new in every round. Peaks are those of the largest web process and of the largest decoder process. With
`--thumbor` (`pip install thumbor` into its own environment) thumbor fetches and renders the same covers by turns, first in
the two sizes that a wall and a record show (600 and 300 px), then in 150 px too, which only a small wall at single density uses.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import nullcontext
from pathlib import Path

from benchmarks import adapter
from benchmarks.measure import PeakRss, cpu_s, low_to_high, machine, table
from benchmarks.servers import fill, origin, pid_of, thumbor
from tests.support.vault import ROOT, Vault

Run = tuple[float, ...]  # as the columns of the table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--covers", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--thumbor", type=Path, help="its program")
    known = parser.parse_args()
    print(f"Cold covers, {known.covers} of 1,000 px\n{machine()}")
    runs: dict[str, list[Run]] = {"vault": [], "thumbor" if known.thumbor else "naive Pillow": []}
    with tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name, origin(known.covers) as base:
        folder = Path(name)
        with (
            Vault(folder / "vault", trusted=(base,)) as vault,
            thumbor(known.thumbor, folder) if known.thumbor else nullcontext((0, 0)) as (port, peer),
        ):
            fill(vault, [f"{base}/warm-up/{n}.jpg" for n in range(min(8, known.covers))])
            for number in range(known.rounds):
                urls = [f"{base}/{number}/{n}.jpg" for n in range(known.covers)]
                runs["vault"].append(_vault(vault, urls, is_small_too=bool(known.thumbor)))
                if known.thumbor:
                    runs["thumbor"].append(_thumbor(port, peer, urls))
                else:
                    runs["naive Pillow"].append(naive(folder / f"naive-{number}", urls))
    rows = [(name, *(statistics.median(column) for column in zip(*found, strict=True))) for name, found in runs.items()]
    spreads = [low_to_high([run[0] for run in found]) for found in runs.values()]
    theirs = rows[-1]
    table(
        (
            "",
            "CPU ms",
            "min..max",
            "wall ms",
            "600 px B",
            "300 px B",
            "web peak MB",
            "decoder peak MB",
            "150 px: + CPU ms",
            "x",
            "x of all three",
        ),
        [
            (*row[:2], spread, *row[2:], row[1] / theirs[1], (row[1] + row[-1]) / (theirs[1] + theirs[-1]))
            for row, spread in zip(rows, spreads, strict=True)
        ],
    )


def _vault(vault: Vault, urls: list[str], *, is_small_too: bool) -> Run:
    pid = pid_of(vault)
    (worker,) = vault.workers()
    begun, before = time.perf_counter(), cpu_s(pid)
    with PeakRss(pid) as peak:
        digests = fill(vault, urls)
        large, small = ([len(vault.get(f"/cache/{size}/{d}.webp").body) for d in digests] for size in ("detail", "thumbnails-2x"))
    per = 1000 / len(urls)
    used, wall = (cpu_s(pid) - before) * per, (time.perf_counter() - begun) * per
    if is_small_too:
        adapter.make_small(vault.url, digests)
    decoders = [mb for process, mb in peak.mb.items() if process not in (pid, worker)]
    peaks = max(peak.mb[worker], peak.mb[pid]), max(decoders, default=0.0)
    return used, wall, statistics.mean(large), statistics.mean(small), *peaks, (cpu_s(pid) - before) * per - used


def _thumbor(port: int, pid: int, urls: list[str]) -> Run:
    """Ask for each size of each cover, which it fetches once."""

    def sizes(edge_px: int) -> list[int]:
        answers = []
        for url in urls:
            path = f"/unsafe/fit-in/{edge_px}x{edge_px}/filters:format(webp):quality(85)/{url.removeprefix('http://')}"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                answers.append(len(answer.read()))
        return answers

    begun, before, per = time.perf_counter(), cpu_s(pid), 1000 / len(urls)
    with PeakRss(pid) as peak:
        large, small = sizes(600), sizes(300)
    used, wall = (cpu_s(pid) - before) * per, (time.perf_counter() - begun) * per
    sizes(150)
    most = max(peak.mb.values())
    return used, wall, statistics.mean(large), statistics.mean(small), most, 0.0, (cpu_s(pid) - before) * per - used


def naive(folder: Path, urls: list[str]) -> Run:
    folder.mkdir()
    program = [sys.executable, "-m", "benchmarks.baseline", str(folder)]
    first = _used(program, urls[:1])  # starting Python and loading Pillow is not the recipe's fault
    begun = time.perf_counter()
    used = _used(program, urls) - first
    wall = time.perf_counter() - begun
    sizes = [statistics.mean(path.stat().st_size for path in folder.glob(f"*-{edge_px}.webp")) for edge_px in (600, 300)]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return used / (len(urls) - 1) * 1000, wall / len(urls) * 1000, *sizes, 0.0, peak, 0.0


def _used(program: list[str], urls: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(program, cwd=ROOT, input="\n".join(urls), text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
