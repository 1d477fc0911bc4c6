"""`make bench-quick`: what got worse by a tenth, in three minutes.

    python -m benchmarks.quick [--write]

Every figure is a ratio to something measured in the same run, by turns, so that another machine or a busy one changes little: to nginx,
to Flask, to Pillow from the manual, to a fixed piece of Python, or bytes written to bytes kept. They are compared with
`benchmarks/quick.json`; `--write` replaces that file. The exit status is 1 if something got worse. One bad figure on a busy machine
means: run it again.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks import cold, wall
from benchmarks.adapter import make_small
from benchmarks.client import load
from benchmarks.measure import cpu_s, machine, pss_mb, table, tree, written_bytes
from benchmarks.servers import baseline, fill, nginx_static, origin, pid_of
from tests.support.vault import ROOT, Vault, compiled_in

KEPT = Path(__file__).with_name("quick.json")
WORSE = 1.10
ROUNDS, COVERS, RECORDS, ON_A_PAGE = 3, 16, 4000, 60
PAGES = ("/", "/search?q=artist", "/album/7")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep the figures of this run as those to compare with")
    known = parser.parse_args()
    print(machine(), flush=True)
    found = {**_import(), **_serve()}
    kept: dict[str, float] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    got_worse = worse(found, kept)
    change = {name: f"{100 * value / kept[name] - 100:+.0f} %" if name in kept else "new" for name, value in found.items()}
    rows = [
        (name, value, kept.get(name, "-"), change[name], "worse" if name in got_worse else "") for name, value in found.items()
    ]
    table(("ratio", "now", "before", "change", ""), rows)
    if known.write:
        KEPT.write_text(json.dumps({name: round(value, 3) for name, value in found.items()}, indent=2) + "\n", encoding="utf-8")
    elif got_worse:
        print(f"Worse by a tenth or more: {', '.join(got_worse)}.")
        return 1
    return 0


def worse(found: Mapping[str, float], kept: Mapping[str, float]) -> list[str]:
    """Return the names of the figures that are a tenth or more above those that were kept. Less is better, in all of them."""
    return [name for name, value in found.items() if name in kept and value > kept[name] * WORSE]


def python_ms() -> float:
    """Return the CPU milliseconds of a fixed piece of Python, like what a page does: dictionaries, text, sorting."""
    begun = time.process_time()
    for _ in range(20):
        rows = [{"artist": f"Artist {n * 7919 % 1000}", "year": 1950 + n % 70, "title": f"A record {n}"} for n in range(1000)]
        rows.sort(key=lambda row: (row["artist"], row["year"]))
        "".join(f'<li title="{row["title"]}">{row["artist"]}</li>' for row in rows).encode()
    return (time.process_time() - begun) * 1000


def _import() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name:
        command = [sys.executable, "-m", "benchmarks.imports", "--records", str(RECORDS), "--run", name]
        fixed = [python_ms() for _ in range(ROUNDS)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        fixed += [python_ms() for _ in range(ROUNDS)]
    cpu, _, written, _, kept, _ = json.loads(done.stdout)
    each_ms = cpu * 1000 / RECORDS
    return {
        "import: CPU of a record to 1/100 of the fixed Python": each_ms / statistics.median(fixed) * 100,
        "import: MB written to MB kept": written / kept,
    }


def _serve() -> dict[str, float]:
    with (
        tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name,
        origin(max(ON_A_PAGE, ROUNDS * COVERS)) as base,
        Vault(
            Path(name) / "vault", trusted=(base,), VINYL_VAULT_FREE_SPACE_FLOOR_MB="0", **compiled_in(Path(name) / "pyc")
        ) as vault,
        _static(Path(name) / "files") as (static, flask_mb),
    ):
        vault.stop()
        vault.start()  # its modules are compiled
        vault.get("/")
        time.sleep(3)
        first_mb = pss_mb(*vault.workers())
        covers, digests = _covers(vault, Path(name), base)
        found = {
            "memory after one page to Flask's": first_mb / flask_mb,
            "memory after covers to Flask's": pss_mb(*vault.workers()) / flask_mb,
            **covers,
        }
        vault.stop()
        vault.import_albums([wall.record(number, base) for number in range(ON_A_PAGE)])
        vault.start()
        found |= _pages(vault)
        make_small(vault.url, digests)
        paths = [f"/cache/thumbnails/{digest}.webp" for digest in digests]
        for path in paths:
            (Path(name) / "files" / path.rpartition("/")[2]).write_bytes(vault.get(path).body)
        return found | _warm(vault, static, paths)


@contextmanager
def _static(folder: Path) -> Iterator[tuple[tuple[int, int], float]]:
    """Run nginx on a folder; yields its (port, process number), and what Flask's `send_file` takes idle."""
    folder.mkdir()
    with baseline(folder) as (port, pid):
        (folder / "one.webp").write_bytes(b"RIFF")
        load(port, ["/one.webp"], 1)
        flask_mb = pss_mb(*tree(pid))
    with nginx_static(folder) as static:
        yield static, flask_mb


def _covers(vault: Vault, folder: Path, base: str) -> tuple[dict[str, float], list[str]]:
    """Have covers fetched in rounds, by turns with Pillow from the manual; returns the ratios, and the digests."""
    ours, naive, digests = [], [], list[str]()
    pid = pid_of(vault)
    files = vault.folder / "cache/covers"
    written = sum(map(written_bytes, tree(pid)))
    for number in range(ROUNDS):
        urls = [f"{base}/0/{n}.jpg" for n in range(number * COVERS, (number + 1) * COVERS)]
        before = cpu_s(pid)
        digests += fill(vault, urls)
        ours.append((cpu_s(pid) - before) / COVERS * 1000)
        naive.append(cold.naive(folder / f"naive-{number}", urls)[0])
    written = sum(map(written_bytes, tree(pid))) - written
    stored = sum(path.stat().st_size for path in files.rglob("*.webp"))
    return {
        "a new cover: CPU to Pillow's": statistics.median(ours) / statistics.median(naive),
        "a new cover: bytes written to bytes of its files": written / stored,
    }, digests


def _pages(vault: Vault) -> dict[str, float]:
    pid, found = pid_of(vault), dict[str, float]()
    browser = wall.Browser(vault.port)
    while vault.post("/api/cache/state", {"digests": []}).json()["progress"] is not None:  # the covers of the records come first
        time.sleep(1)
    for path in PAGES:
        browser.get(path, **wall.VISITOR)
        ratios = []
        for _ in range(ROUNDS):
            fixed = python_ms()
            before = cpu_s(pid)
            for _ in range(wall.ASKED):
                browser.get(path, **wall.VISITOR)
            ratios.append((cpu_s(pid) - before) * 1000 / wall.ASKED / fixed)
        found[f"page {path}: CPU to the fixed Python"] = statistics.median(ratios)
    return found


def _warm(vault: Vault, static: tuple[int, int], paths: list[str]) -> dict[str, float]:
    """Compare hits with nginx by CPU per request, pinned to nothing: a few seconds each, by turns."""
    port, pid = static
    found: dict[str, float] = {}
    tag = vault.get(paths[0]).headers["etag"]
    for what, headers, asked in (("hit", {}, paths), ("304", {"If-None-Match": tag}, paths[:1])):
        theirs = [f"/{path.rpartition('/')[2]}" for path in asked]
        with_tag = headers and {"If-None-Match": _nginx_tag(port, theirs[0])}
        rounds: list[float] = []
        for _ in range(ROUNDS):
            mine = _request_us(vault.port, pid_of(vault), asked, headers)
            rounds.append(mine / _request_us(port, pid, theirs, with_tag or {}))
        found[f"warm {what}: CPU to nginx"] = statistics.median(rounds)
    return found


def _request_us(port: int, pid: int, paths: list[str], headers: Mapping[str, str]) -> float:
    before = cpu_s(pid)
    run = load(port, paths, 2, headers=headers)
    return (cpu_s(pid) - before) / run.requests * 1e6


def _nginx_tag(port: int, path: str) -> str:
    return wall.Browser(port).get(path)[1]["etag"]


if __name__ == "__main__":
    sys.exit(main())
