"""Cold covers: fetch from an origin process, render both sizes, store, answer both; beside Pillow straight from the manual.

    python -m benchmarks.cold [--covers 48] [--rounds 3]

CPU is user and system time of all processes (web worker, decoder child) per cover, from the preload to the last answer.
Addresses are new in every round. Peaks are those of the largest web process and of the largest decoder process.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import PeakRss, cpu_s, machine, table
from benchmarks.servers import fill, origin, pid_of
from tests.support.vault import ROOT, Vault


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--covers", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    known = parser.parse_args()
    print(f"Cold covers, {known.covers} of 1,000 px, both sizes\n{machine()}")
    runs: dict[str, list[tuple[float, ...]]] = {"vault": [], "naive Pillow": []}
    with tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name, origin(known.covers) as base:
        folder = Path(name)
        with Vault(folder / "vault", trusted=(base,)) as vault:
            fill(vault, [f"{base}/warm-up/0.jpg"])
            for number in range(known.rounds):
                urls = [f"{base}/{number}/{n}.jpg" for n in range(known.covers)]
                runs["vault"].append(_vault(vault, urls))
                runs["naive Pillow"].append(_naive(folder / f"naive-{number}", urls))
    rows = [(name, *(statistics.median(column) for column in zip(*found, strict=True))) for name, found in runs.items()]
    table(
        ("", "CPU ms", "wall ms", "600 px B", "300 px B", "web peak MB", "decoder peak MB", "x CPU"),
        [(*row, row[1] / rows[-1][1]) for row in rows],
    )


def _vault(vault: Vault, urls: list[str]) -> tuple[float, ...]:
    pid = pid_of(vault)
    (worker,) = vault.workers()
    begun, before = time.perf_counter(), cpu_s(pid)
    with PeakRss(pid) as peak:
        digests = fill(vault, urls)
        large, small = ([len(vault.get(f"/cache/{size}/{d}.webp").body) for d in digests] for size in ("detail", "thumbnails-2x"))
    per = 1000 / len(urls)
    decoders = [mb for process, mb in peak.mb.items() if process not in (pid, worker)]
    return (
        (cpu_s(pid) - before) * per,
        (time.perf_counter() - begun) * per,
        statistics.mean(large),
        statistics.mean(small),
        max(peak.mb[worker], peak.mb[pid]),
        max(decoders, default=0.0),
    )


def _naive(folder: Path, urls: list[str]) -> tuple[float, ...]:
    folder.mkdir()
    program = [sys.executable, "-m", "benchmarks.baseline", str(folder)]
    first = _used(program, urls[:1])  # starting Python and loading Pillow is not the recipe's fault
    begun = time.perf_counter()
    used = _used(program, urls) - first
    wall = time.perf_counter() - begun
    sizes = [statistics.mean(path.stat().st_size for path in folder.glob(f"*-{edge_px}.webp")) for edge_px in (600, 300)]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return used / (len(urls) - 1) * 1000, wall / len(urls) * 1000, *sizes, 0.0, peak


def _used(program: list[str], urls: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(program, cwd=ROOT, input="\n".join(urls), text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
