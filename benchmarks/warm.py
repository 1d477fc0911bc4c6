"""Warm hits: covers that are in memory, beside nginx and Flask's `send_file` with the same files; what they write; 304s.

    python -m benchmarks.warm [--seconds 4] [--rounds 3] [--thumbor PROGRAM]

CPU is user and system time of the server's processes per request and hardly depends on what else runs. On two cores or more
the server has the last one to itself. Before the load, 10,000 hits are counted for what they write. A 304 is requested one cover,
again and again. "behind nginx" is the nginx of the project, which sends covers by itself. whitenoise takes part when it is installed
beside this project, thumbor (with what it rendered in its storage) when its program is named.
"""

import argparse
import os
import statistics
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from benchmarks.adapter import make_small
from benchmarks.client import Load, load, pin, tool
from benchmarks.measure import CORES, cpu_s, machine, pss_mb, table, tree, written_bytes
from benchmarks.servers import baseline, fill, nginx_proxy_cache, nginx_static, origin, pid_of, thumbor
from tests.support.front import Front, vault_behind
from tests.support.vault import Vault

COVERS = 200
HITS = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--thumbor", type=Path, help="its program")
    known = parser.parse_args()
    print(f"Warm hits, one worker, {COVERS} thumbnails, load by {tool()}\n{machine()}")
    with tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name, origin(COVERS) as base:
        folder = Path(name)
        files = folder / "files"
        files.mkdir()
        with (
            vault_behind(folder, trusted=(base,)) as vault,
            baseline(files) as (port, pid),
            nginx_static(files) as (nginx_port, nginx_pid),
        ):
            digests = fill(vault, [f"{base}/{n}.jpg" for n in range(COVERS)])
            make_small(vault.url, digests)
            for digest in digests:
                (files / f"{digest}.webp").write_bytes(vault.get(f"/cache/thumbnails/{digest}.webp").body)
            ours, theirs = [f"/cache/thumbnails/{digest}.webp" for digest in digests], [f"/{digest}.webp" for digest in digests]
            _writes(vault, ours)
            with Front(vault) as front, ExitStack() as peers:
                peer = {name: (port, pid, theirs) for name, (port, pid) in _peers(peers, folder, nginx_port)}
                if known.thumbor:
                    thumbor_port, thumbor_pid = peers.enter_context(thumbor(known.thumbor, folder))
                    made = f"/unsafe/fit-in/150x150/filters:format(webp):quality(85)/{base.removeprefix('http://')}"
                    peer["thumbor, rendered before"] = (thumbor_port, thumbor_pid, [f"{made}/{n}.jpg" for n in range(COVERS)])
                servers = {
                    "vault": (vault.port, pid_of(vault), ours),
                    "vault behind nginx": (front.port, front.pid, ours),
                    "Flask send_file": (port, pid, theirs),
                    **peer,
                    "nginx": (nginx_port, nginx_pid, theirs),
                }
                for peer_port, _, paths in peer.values():  # what they store or render with the first request
                    for path in paths:
                        urllib.request.urlopen(f"http://127.0.0.1:{peer_port}{path}", timeout=60).close()
                _compare(servers, known.seconds, known.rounds, {})
                print("\n304")
                conditional = {name: (port, pid, paths[:1]) for name, (port, pid, paths) in servers.items()}
                known_tags = {name: _tag(port, paths[0]) for name, (port, _, paths) in servers.items()}
                _compare(conditional, known.seconds, known.rounds, known_tags)


def _peers(peers: ExitStack, folder: Path, nginx_port: int) -> Iterator[tuple[str, tuple[int, int]]]:
    yield "nginx proxy_cache", peers.enter_context(nginx_proxy_cache(folder / "proxy", nginx_port))
    if find_spec("whitenoise"):
        yield "whitenoise", peers.enter_context(baseline(folder / "files", "whitenoise_app"))


def _tag(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        return str(answer.headers["ETag"])


def _writes(vault: Vault, paths: list[str]) -> None:
    (worker,) = vault.workers()
    before, count = written_bytes(worker), 0
    while count < HITS:
        count += load(vault.port, paths, 2).requests
    print(f"{count:,} hits wrote {(written_bytes(worker) - before) / 1024:.0f} KB to storage\n")


def _compare(servers: dict[str, tuple[int, int, list[str]]], seconds: float, rounds: int, tags: dict[str, str]) -> None:
    if len(CORES) > 1:
        for _, pid, _ in servers.values():
            for process in tree(pid):
                pin(process, CORES[-1])
        os.sched_setaffinity(0, set(CORES[:-1]))
    runs: dict[str, list[tuple[Load, float]]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, (port, pid, paths) in servers.items():
            before = cpu_s(pid)
            run = load(port, paths, seconds, headers={"If-None-Match": tags[name]} if tags else {})
            runs[name].append((run, (cpu_s(pid) - before) / run.requests * 1e6))
    os.sched_setaffinity(0, set(CORES))
    rows = []
    for name, found in runs.items():
        rates = sorted(run.requests / run.seconds for run, _ in found)
        cpu = statistics.median(us for _, us in found)
        p50, p99 = (statistics.median(getattr(run, what) for run, _ in found) for what in ("p50_ms", "p99_ms"))
        errors = sum(run.errors for run, _ in found)
        memory = pss_mb(*tree(servers[name][1]))
        rows.append((name, statistics.median(rates), f"{rates[0]:.0f}..{rates[-1]:.0f}", cpu, p50, p99, memory, errors))
    last = rows[-1]
    table(
        ("", "req/s", "min..max", "CPU us/req", "p50 ms", "p99 ms", "PSS MB", "errors", "x req/s", "x CPU"),
        [(*row, row[1] / last[1], row[3] / last[3]) for row in rows],
    )


if __name__ == "__main__":
    main()
