"""What an import of a table costs: CPU, peak memory, and bytes written to storage, with the rows of the covers.

    python -m benchmarks.imports [--records 10000]

Each size is imported twice, in its own process: the second time nothing is new. 100,000 records take half a minute.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.library import SYLLABLES
from benchmarks.measure import machine, table, written_bytes
from image_cache.config import Settings
from image_cache.import_models import ImportRow
from image_cache.models import Track
from image_cache.services import open_services
from tests.support.vault import ROOT

GENRES = ("Jazz", "Rock", "Folk", "Pop", "Electronic", "Classical")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[10_000])
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    known = parser.parse_args()
    if known.run:
        print(json.dumps(_run(known.run, known.records[0])))
        return
    print(f"Imports\n{machine()}")
    rows: list[tuple[object, ...]] = []
    for records in known.records:
        with tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name:
            for what in ("new", "again"):
                command = [sys.executable, "-m", "benchmarks.imports", "--records", str(records), "--run", name]
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
                rows.append((f"{records:,} {what}", *json.loads(done.stdout)))
    table(("records", "CPU s", "wall s", "MB written", "of it catalogue", "kept MB", "peak MB"), rows)


def _run(folder: Path, records: int) -> tuple[float, ...]:
    services = open_services(Settings(DATA_DIR=folder, FREE_SPACE_FLOOR_MB=0))
    begun, cpu, before = time.monotonic(), time.process_time(), written_bytes(os.getpid())
    services.library.import_rows(_rows(records))
    catalogue = written_bytes(os.getpid()) - before
    services.covers.register(services.library.cover_urls())
    services.close()
    written = written_bytes(os.getpid()) - before
    kept = sum(path.stat().st_size for path in folder.rglob("*.db*"))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return time.process_time() - cpu, time.monotonic() - begun, written / 1e6, catalogue / 1e6, kept / 1e6, peak_mb


def _rows(records: int) -> Iterator[ImportRow]:
    rng = random.Random(4)
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(2, 4))).title() for _ in range(3000)]

    def some(count: int) -> str:
        return " ".join(rng.choices(words, k=count))

    for number in range(records):
        yield ImportRow(
            line=number + 1,
            artist=some(2),
            title=some(3),
            year=rng.randint(1950, 2024),
            genres=(rng.choice(GENRES),),
            formats=("Vinyl", "LP"),
            label=some(1),
            catno=f"{some(1)[:3]}-{number}",
            cover_url=f"https://covers.example/image/{number:08}/R-{number}.jpeg",
            tracks=tuple(Track(f"A{n}", some(3), 200) for n in range(4)),
        )


if __name__ == "__main__":
    main()
