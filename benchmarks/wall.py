"""A wall from empty to warm, as a phone or a desktop at the default density sees it: every sleeve in 300 px.

    python -m benchmarks.wall [--covers 60 1000]

Each page is requested; its covers are polled for as the page's script does, and requested when they are ready, again when the
answer is a placeholder. It ends when all of them were shown, and a minute's background work (colours, counters) is done. CPU is that of all
processes of the vault; bytes are those that they had written to storage, of which the files take their blocks, the index the
rest. Memory is that of the server alone once its decoder has left, a minute later. Then pages are measured alone over HTTP, without compression: CPU of the server per answer, the first and a repeated one.
"""

import argparse
import http.client
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import cpu_s, low_to_high, machine, pss_mb, table, tree, written_bytes
from benchmarks.servers import origin, pid_of
from tests.support.vault import Vault, compiled_in

PICTURE = re.compile(r"/cache/thumbnails-2x/([0-9a-f]{64})\.webp 300w")
POLL_S = 0.6
DRAWN = 120  # covers that differ; the others have the same pixels at another address
DECODER_LEAVES_S = 75.0
ASKED = 60  # times a page is requested
VISITOR = {"X-Forwarded-For": "192.0.2.7"}  # not someone on the server itself, who may change everything
GENRES = ("Jazz", "Rock", "Folk", "Electronic")


class Browser:
    """One kept connection and one session; counts what was asked and how it was answered."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.answers: dict[int, int] = {}
        self.cookie = ""

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        self.connection.request("GET", path, headers={**headers, **({"Cookie": self.cookie} if self.cookie else {})})
        answer = self.connection.getresponse()
        self.cookie = (answer.getheader("Set-Cookie") or self.cookie).partition(";")[0]
        self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--covers", type=int, nargs="+", default=[60])
    known = parser.parse_args()
    print(f"A wall of covers of 1,000 px from empty to warm\n{machine()}")
    for covers in known.covers:
        with (
            tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name,
            origin(min(covers, DRAWN)) as base,
            Vault(
                Path(name) / "vault", trusted=(base,), VINYL_VAULT_FREE_SPACE_FLOOR_MB="0", **compiled_in(Path(name) / "compiled")
            ) as vault,
        ):
            vault.import_albums([record(number, base) for number in range(covers)])
            vault.stop()
            vault.start()
            time.sleep(2)
            _wall(vault, covers)
            if covers == known.covers[0]:
                _pages(vault)


def record(number: int, base: str) -> dict[str, object]:
    return {
        "artist": f"Artist {number:04}",
        "title": f"A record of some name {number}",
        "year": 1950 + number % 70,
        "label": f"Label {number % 40}",
        "genres": [GENRES[number % 4]],
        "cover_url": f"{base}/{number // DRAWN}/{number % DRAWN}.jpg",
        "tracks": [{"position": f"A{n}", "title": f"A track of some length {n}", "duration": "3:20"} for n in range(10)],
    }


def _wall(vault: Vault, covers: int) -> None:
    browser, pid = Browser(vault.port), pid_of(vault)
    files = vault.folder / "cache/covers"
    with _spent(pid) as spent:
        digests: list[str] = []
        for number in range(1, -(-covers // 60) + 1):
            page = browser.get(f"/?page={number}")[2].decode()
            shown = list(dict.fromkeys(PICTURE.findall(page)))
            digests += shown
            waiting = shown
            while waiting:
                time.sleep(POLL_S)
                states = vault.post("/api/cache/state", {"digests": waiting}).json()
                waiting = [d for d in waiting if d not in states["ready"] or not _is_there(browser, d)]
        shown_s = cpu_s(pid)
        time.sleep(15)
    shown_mb = pss_mb(*vault.workers())
    time.sleep(DECODER_LEAVES_S)
    stored = sum(path.stat().st_blocks * 512 for path in files.rglob("*.webp"))
    cpu, written, began = spent
    each = 1 / len(digests)
    rows = [
        ("CPU ms until all are shown", (shown_s - began) * 1000 * each),
        ("CPU ms with what follows", cpu * 1000 * each),
        ("KB written", written / 1000 * each),
        ("  of it the files, in blocks", stored / 1000 * each),
        ("  of it the index", (written - stored) / 1000 * each),
        ("picture requests", (sum(browser.answers.values()) - covers / 60) * each),
        ("  of them placeholders (202)", browser.answers.get(202, 0) * each),
        ("memory MB, with all covers in memory", shown_mb),
        ("  and a minute later", pss_mb(*vault.workers())),
    ]
    table((f"per cover, of {len(digests)}", ""), rows)


def _is_there(browser: Browser, digest: str) -> bool:
    return browser.get(f"/cache/thumbnails-2x/{digest}.webp")[0] == 200


def _pages(vault: Vault) -> None:
    browser, pid = Browser(vault.port), pid_of(vault)
    rows: list[tuple[object, ...]] = []
    for path in ("/", "/?sort=colour", "/search?q=artist", "/album/7"):
        browser.get(path, **VISITOR)
        _, headers, body = browser.get(path, **VISITOR)
        costs = []
        for known in (VISITOR, {**VISITOR, "If-None-Match": headers["etag"]} if "etag" in headers else VISITOR):
            for _ in range(3):
                with _spent(pid) as spent:
                    statuses = {browser.get(path, **known)[0] for _ in range(ASKED // 3)}
                costs.append(spent[0] * 1000 / (ASKED // 3))
        first, again = costs[:3], costs[3:]
        rows.append(
            (
                path,
                len(body) / 1000,
                statistics.median(first),
                low_to_high(first),
                statistics.median(again),
                low_to_high(again),
                *statuses,
            )
        )
    table(("page", "KB", "CPU ms", "min..max", "again: CPU ms", "min..max", "status"), rows)


@contextmanager
def _spent(pid: int) -> Iterator[list[float]]:
    """Yield a list that holds, at the end: seconds of CPU, bytes written, and the CPU seconds at the start."""
    before = cpu_s(pid)
    bytes_before = {process: written_bytes(process) for process in tree(pid)}
    yield (spent := [0.0, 0.0, before])
    spent[0] = cpu_s(pid) - before
    spent[1] = sum(written_bytes(process) - bytes_before.get(process, 0) for process in tree(pid))


if __name__ == "__main__":
    main()
