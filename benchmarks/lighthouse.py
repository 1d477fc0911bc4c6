"""Lighthouse on the wall of the demo, when its covers are prepared: as someone looks for the first time, and again.

    make lighthouse    or    python -m benchmarks.lighthouse [--runs 3] [--program lighthouse]

Needs Chromium and Lighthouse, which is no part of this project: `npm install -g lighthouse@12`. A run takes 20 to 40 s. The first look
comes right after the server was started again: nothing is in memory, and no variant was requested. Phones are simulated by Lighthouse:
a slow CPU (a quarter) and 1.6 Mbit/s, so a busy machine shows in the first column.
"""

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import machine, table
from tests.support.ports import free_port
from tests.support.vault import ROOT

CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
METRICS = ("first-contentful-paint", "largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift")
PREPARED_S = 900.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of the second look; the first look can be had once")
    parser.add_argument("--program", default="lighthouse", help="how Lighthouse is called")
    parser.add_argument("--path", default="/", help="the page")
    known = parser.parse_args()
    program = shlex.split(known.program)
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
    if not shutil.which(program[0]) or not chromium:
        sys.exit("Lighthouse or Chromium is missing: npm install -g lighthouse@12, apt install chromium.")
    print(f"Lighthouse on {known.path}\n{machine()}")
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name:
        with _demo(Path(name)) as url:
            _wait_until_prepared(url)
        for device in ("mobile", "desktop"):
            with _demo(Path(name)) as url:
                for what, count in (("first look", 1), ("again", known.runs)):
                    reports = [_report(program, chromium, url + known.path, device) for _ in range(count)]
                    rows.append((f"{device}, {what}", *_row(reports)))
    table(
        ("", "performance", "accessible", "practices", "SEO", "FCP s", "LCP s", "TBT ms", "CLS", "requests", "KB", "missing"),
        rows,
    )


@contextmanager
def _demo(folder: Path) -> Iterator[str]:
    """Run `vinylvault demo`; yields its address."""
    port = free_port()
    env = {"HOST": "127.0.0.1", "PORT": str(port), "VINYL_VAULT_DATA_DIR": str(folder / "demo"), "DEMO_ORIGIN_PORT": "5977"}
    command = [sys.executable, "-m", "image_cache.cli", "demo"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **env}, stdout=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(lambda: _answers(f"{url}/keys"), 120)
            time.sleep(3)  # what a start does in the background
            yield url
        finally:
            process.terminate()
            process.wait(60)


def _wait_until_prepared(url: str) -> None:
    def is_prepared() -> bool:
        request = urllib.request.Request(f"{url}/api/cache/state", b'{"digests": []}', {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["progress"] is None

    _wait_for(is_prepared, PREPARED_S)
    time.sleep(15)  # the colours


def _wait_for(condition: Any, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"The demo was not ready within {timeout_s:.0f} s.")
        time.sleep(1)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


def _report(program: list[str], chromium: str, url: str, device: str) -> dict[str, Any]:
    options = ["--quiet", "--output=json", f"--only-categories={','.join(CATEGORIES)}"]
    options += [
        "--chrome-flags=--headless=new --no-sandbox --disable-gpu",
        *(["--preset=desktop"] if device == "desktop" else []),
    ]
    done = subprocess.run(
        [*program, url, *options], env={**os.environ, "CHROME_PATH": chromium}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"Lighthouse: {done.stderr.strip()[-1000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _row(reports: list[dict[str, Any]]) -> tuple[object, ...]:
    """Return the medians, and the audits that cost points in any category but performance."""
    scores = [statistics.median(100 * report["categories"][name]["score"] for report in reports) for name in CATEGORIES]
    fcp, lcp, tbt, cls = (statistics.median(report["audits"][name]["numericValue"] for report in reports) for name in METRICS)
    sent = [report["audits"]["network-requests"]["details"]["items"] for report in reports]
    kb = statistics.median(sum(item["transferSize"] for item in items) / 1000 for items in sent)
    lost = {
        audit["id"]
        for report in reports
        for name in CATEGORIES[1:]
        for audit in report["categories"][name]["auditRefs"]
        if audit["weight"] and _is_lost(report["audits"][audit["id"]])
    }
    requests = statistics.median(map(len, sent))
    return *(f"{score:.0f}" for score in scores), fcp / 1000, lcp / 1000, tbt, cls, requests, kb, " ".join(sorted(lost))


def _is_lost(audit: dict[str, Any]) -> bool:
    return audit["scoreDisplayMode"] not in ("notApplicable", "manual", "informative") and (audit["score"] or 0) < 1


if __name__ == "__main__":
    main()
