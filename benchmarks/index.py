"""The index at 10,000 and at 1,000,000 entries: what a lookup, a store, an eviction, the totals and a start cost.

    python -m benchmarks.index [--sizes 10000 1000000]

An image has two entries, a thumbnail and a detail image. Times in microseconds: median, p90, p99, max. A start is measured in
its own process, everything opened and the threads running, with the memory that it takes more than with an empty index.
Files are not written: this measures SQLite and what we do with it.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import machine, memory_mb, spread, table, timed
from image_cache.config import Settings
from image_cache.covers import NAMESPACE
from image_cache.covers.build import CoverServices, open_covers
from image_cache.engine.key import Key, digest_of
from image_cache.engine.registry import ImageRecord
from image_cache.services import open_services
from tests.support.vault import ROOT

VARIANTS = ("thumbnails", "detail")
FLUSHED = 500  # distinct covers that a busy minute shows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs=2, default=(10_000, 1_000_000), metavar=("SMALL", "LARGE"))
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    known = parser.parse_args()
    if known.start:
        _start(known.start)
        return
    print(f"The index, two entries an image\n{machine()}")
    found: list[dict[str, tuple[float, ...]]] = []
    starts: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name:
        empty = _started(Path(name, "empty"))
        for size in known.sizes:
            settings = Settings(DATA_DIR=Path(name, str(size)), FREE_SPACE_FLOOR_MB=0)
            parts = open_covers(settings)
            begun = time.perf_counter()
            digests = _build(parts, size)
            took = time.perf_counter() - begun
            print(f"{size:>9,} entries built in {took:.0f} s, {settings.index_path.stat().st_size / 1e6:.0f} MB")
            found.append(_measured(parts, digests))
            parts.covers.cache.index.close()
            starts.append(_started(settings.DATA_DIR))
    small, large = found
    head = ("us", *(f"{size:,} {what}".strip() for size in known.sizes for what in ("", "p90", "p99", "max")), "ratio")
    table(head, [(what, *small[what], *large[what], large[what][0] / small[what][0]) for what in small])
    rows = [("empty", empty["ms"], empty["mb"], 0.0)]
    rows += [(f"{size:,}", run["ms"], run["mb"], run["mb"] - empty["mb"]) for size, run in zip(known.sizes, starts, strict=True)]
    table(("start", "ms", "RSS MB", "more MB"), rows)


def _build(parts: CoverServices, entries: int) -> list[str]:
    """Fill register and index as fetches would have, but sorted and in one transaction; returns some of the digests."""
    rng = random.Random(1)
    digests = sorted(digest_of(NAMESPACE, str(number)) for number in range(entries // 2))
    index, register = parts.covers.cache.index, parts.covers.registry
    now = time.time()
    index.clock = lambda: now - rng.random() * 1e7
    with index.database.write() as conn:
        conn.execute("PRAGMA cache_size=-400000")
        for number, digest in enumerate(digests):
            url = f"https://covers.example/image/{number:08}/R-{number}-1234567890.jpeg"
            image = ImageRecord(digest, NAMESPACE, url, url, "covers.example")
            register.add(conn, [image])
            register.record_fetch(
                conn,
                replace(
                    image,
                    etag=f'"{number:016x}"',
                    body_sha256=bytes.fromhex(digest),
                    fetched_at=now,
                    fresh_until=now + 86400,
                    width=600,
                    height=600,
                    average="#336699",
                    hue=210,
                    chroma=0.1,
                ),
            )
            for variant in VARIANTS:
                index.record(conn, Key(NAMESPACE, variant, digest), rng.randint(3_000, 90_000), bytes.fromhex(digest))
    with index.database.reading() as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    index.close()
    index.clock = time.time
    return rng.sample(digests, min(5_000, len(digests)))


def _measured(parts: CoverServices, digests: list[str]) -> dict[str, tuple[float, ...]]:
    covers, index = parts.covers, parts.covers.cache.index
    some = iter(digests * 20)
    rng = random.Random(2)
    kept = len(digests) // 2  # the first half is looked at, the second half is thrown away

    def record() -> None:
        digest = rng.randbytes(32).hex()
        with index.database.write() as conn:
            for variant in VARIANTS:
                index.record(conn, Key(NAMESPACE, variant, digest), 5_000, b"\0" * 32)

    def evict() -> None:
        victims = [key for key, _ in index.victims(NAMESPACE, 100)]
        with index.database.write() as conn:
            index.remove(conn, victims)

    def flush() -> None:
        with index.database.write() as conn:
            index.touch(conn, [Key(NAMESPACE, "thumbnails", digest) for digest in rng.sample(digests, FLUSHED)])
            index.add_counts(conn, {"memory_hits": 1000})

    def progress() -> object:
        found = covers.progress()
        assert found is not None  # a job is waiting
        return found

    covers.preload(["https://covers.example/waiting.jpg"])

    def page() -> list[str]:
        return rng.sample(digests[:kept], 60)

    work: dict[str, tuple[Callable[[], object], int]] = {
        "lookup": (lambda: index.find(Key(NAMESPACE, "thumbnails", next(some))), 5_000),
        "states of a page of 60": (lambda: covers.states(page()), 200),
        "store 2, one transaction": (record, 500),
        "100 victims": (lambda: index.victims(NAMESPACE, 100), 200),
        "evict 100": (evict, 20),
        f"flush {FLUSHED} uses": (flush, 10),
        "totals": (lambda: index.totals(NAMESPACE), 1_000),
        "stats, all numbers": (covers.get_cache_stats, 200),
        "progress while loading": (progress, 20),
    }
    return {what: spread(timed(call, times)) for what, (call, times) in work.items()}


def _started(folder: Path) -> dict[str, float]:
    """Start the services of a folder in a new process, twice; returns the second, with everything in the page cache."""
    command = [sys.executable, "-m", "benchmarks.index", "--start", str(folder)]
    for _ in range(2):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _start(folder: Path) -> None:
    begun = time.perf_counter()
    services = open_services(Settings(DATA_DIR=folder, FREE_SPACE_FLOOR_MB=0))
    services.start()
    ms = (time.perf_counter() - begun) * 1000
    time.sleep(0.5)  # the housekeeper's first look
    print(json.dumps({"ms": ms, "mb": memory_mb(os.getpid(), "status", "VmRSS")}))
    services.close()


if __name__ == "__main__":
    main()
