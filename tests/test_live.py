"""The promises of the cover cache, on the real thing: gunicorn as a process, an origin as a server, files, SQLite, kill -9."""

import http.client
import io
import os
import random
import re
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from tests.support.origin import Origin, jpeg
from tests.support.vault import KILLS, Reply, Vault, wait_until

URLS = int(os.environ.get("URLS", "3000"))  # 10,000 in `make rehearse-long`
ADDRESS = re.compile(r"/cache/thumbnails/([0-9a-f]{64})\.webp")


def albums(origin: Origin, count: int, edge_px: int = 200) -> list[dict[str, object]]:
    """Put `count` different covers on the origin and return the records that show them."""
    rows: list[dict[str, object]] = []
    for number in range(count):
        colour = (number * 37 % 256, number * 91 % 256, number * 151 % 256)
        url = origin.put(f"/{number}.jpg", jpeg(edge_px, edge_px, colour), etag=f'"{number}"')
        rows.append({"artist": f"Artist {number:05}", "title": f"Title {number}", "year": 1950 + number % 70, "cover_url": url})
    return rows


def digests(vault: Vault, path: str = "/") -> list[str]:
    """Return the digests of the covers on a page, in order, each once."""
    return list(dict.fromkeys(ADDRESS.findall(vault.get(path, Accept="text/html").body.decode())))


def all_ready(vault: Vault, wanted: list[str]) -> bool:
    return len(vault.post("/api/cache/state", {"digests": wanted}).json()["ready"]) == len(wanted)


def fill(vault: Vault, origin: Origin, count: int) -> list[str]:
    vault.import_albums(albums(origin, count))
    shown = digests(vault)
    wait_until(lambda: all_ready(vault, shown), 120)
    return shown


def is_whole(reply: Reply) -> bool:
    Image.open(io.BytesIO(reply.body)).load()
    return reply.headers["content-type"] == "image/webp"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_200_viewers_of_a_cold_cover_cause_one_request_and_none_waits(origin: Origin, tmp_path: Path, workers: int) -> None:
    gate = threading.Event()
    url = origin.put("/cold.jpg", jpeg(700, 700), gate=gate)
    patient = {"VINYL_VAULT_FETCH_DEADLINE_S": "600"}  # the origin is held until all have been answered
    with Vault(tmp_path / "vault", trusted=(origin.base,), workers=workers, **patient) as vault:
        vault.import_albums([{"artist": "A", "title": "B", "cover_url": url}])
        (digest,) = digests(vault)
        paths = [f"/cache/{'thumbnails' if n % 2 else 'detail'}/{digest}.webp" for n in range(200)]
        with ThreadPoolExecutor(50) as viewers:
            replies = list(viewers.map(vault.get, paths))
        # All 200 have been answered, and the origin has not answered anything yet.
        assert {reply.status for reply in replies} == {202}
        assert {reply.headers["cache-control"] for reply in replies} == {"no-store"}
        assert all(int(reply.headers["retry-after"]) > 0 for reply in replies)
        gate.set()
        wait_until(lambda: all_ready(vault, [digest]))
        for variant in ("thumbnails-2x", "detail"):
            assert is_whole(vault.get(f"/cache/{variant}/{digest}.webp"))
        assert origin.count("/cold.jpg") == 1


@pytest.mark.slow
def test_after_a_restart_the_same_pages_need_no_origin_even_a_stopped_one(origin: Origin, tmp_path: Path) -> None:
    with Vault(tmp_path / "vault", trusted=(origin.base,)) as vault:
        shown = fill(vault, origin, 60)
        assert len(shown) == 60
        for digest in shown:
            assert vault.get(f"/cache/detail/{digest}.webp").status == 200
        asked = origin.count()
        assert asked == 60
        for is_stopped in (False, True):
            if is_stopped:
                origin.close()
            assert vault.stop() == 0
            vault.start()
            assert digests(vault) == shown
            for digest in shown:
                for variant in ("thumbnails-2x", "detail"):
                    reply = vault.get(f"/cache/{variant}/{digest}.webp")
                    assert reply.status == 200
                    assert is_whole(reply)
        assert origin.count() == asked


@pytest.mark.slow
def test_ten_thousand_warm_hits_write_less_than_64_kb(vault: Vault, origin: Origin) -> None:
    shown = fill(vault, origin, 30)
    (worker,) = vault.workers()
    for digest in shown:
        vault.get(f"/cache/thumbnails-2x/{digest}.webp")
    _settled(worker)
    before = _written(worker)
    with ThreadPoolExecutor(8) as viewers:  # over kept connections: within the minute between two times that counters are written
        statuses = set().union(*viewers.map(lambda _: _look_often(vault, shown, 1250), range(8)))
    assert statuses == {200}
    assert _written(worker) - before < 64 * 1024
    # The main loop counts what it has served twice a second.
    wait_until(lambda: vault.get("/api/cache/stats").json()["hits"] >= 10_000, 10)


def _look_often(vault: Vault, shown: list[str], count: int) -> set[int]:
    """Look at covers over one connection; returns the statuses of the answers."""
    statuses = set()
    with closing(http.client.HTTPConnection("127.0.0.1", vault.port, timeout=60)) as line:
        for number in range(count):
            line.request("GET", f"/cache/thumbnails-2x/{shown[number % len(shown)]}.webp")
            answer = line.getresponse()
            answer.read()
            statuses.add(answer.status)
    return statuses


def _written(pid: int) -> int:
    """Bytes that the process caused to be written to storage."""
    return int(re.search(r"^write_bytes: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE)[1])  # type: ignore[index]


def _settled(pid: int) -> None:
    """Wait until what follows the fetching of covers (their colours, counters) has been written too."""

    def is_quiet() -> bool:
        before = _written(pid)
        time.sleep(2.5)
        return _written(pid) == before

    wait_until(is_quiet, 180)


def _rss(pid: int) -> int:
    return int(re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1]) * 1024  # type: ignore[index]


@pytest.mark.slow
def test_kill_9_at_random_moments_tears_nothing_and_loses_nothing(origin: Origin, tmp_path: Path) -> None:
    chance = random.Random(9)
    rows = albums(origin, 120, edge_px=400)
    seen: dict[str, bytes] = {}
    with Vault(tmp_path / "vault", trusted=(origin.base,)) as vault:
        vault.import_albums(rows)
        wanted = [*digests(vault), *digests(vault, "/?page=2")]
        assert len(wanted) == 120
        for moment in range(KILLS):
            _look(vault, chance.sample(wanted, 6), seen)
            time.sleep(chance.uniform(0, 0.4))
            if moment % 10 == 9:
                vault.kill()
                vault.start()
            else:
                vault.crash()
            if moment % 25 == 24:  # begin again, or everything would be here after the first few kills
                assert vault.post("/api/cache/clear").status in (200, 429)
                wanted = [*digests(vault), *digests(vault, "/?page=2")]
        for page in ("/", "/?page=2"):
            digests(vault, page)
        wait_until(lambda: all_ready(vault, wanted), 240)
        _look(vault, wanted, seen)
        assert vault.stop() == 0
        _check_index(vault.folder)


def _look(vault: Vault, digests: list[str], seen: dict[str, bytes]) -> None:
    for digest in digests:
        try:
            reply = vault.get(f"/cache/thumbnails/{digest}.webp")
        except OSError:  # the worker is being killed or started right now
            continue
        assert reply.status in (200, 202, 404)
        if reply.status == 200:
            assert is_whole(reply)
            assert seen.setdefault(digest, reply.body) == reply.body


def _check_index(folder: Path) -> None:
    """Files and rows say the same, the database is sound, and leftovers of kills are swept."""
    from image_cache.config import Settings
    from image_cache.engine.maintenance import sweep
    from image_cache.services import open_services

    services = open_services(Settings(DATA_DIR=folder))
    for path in (folder / "cache/covers").rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - 3600, time.time() - 3600))
    sweep(services.covers.cache)
    services.close()
    with sqlite3.connect(folder / "cache/index.db") as index:
        assert index.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = index.execute("SELECT count(*), sum(size_bytes) FROM entries").fetchone()
        assert index.execute("SELECT entries, bytes FROM totals WHERE namespace = 'covers'").fetchone() == rows
    index.close()
    files = [path for path in (folder / "cache/covers").rglob("*.*") if path.suffix in (".webp", ".jpg")]
    assert (len(files), sum(path.stat().st_size for path in files)) == rows
    assert not list((folder / "cache/covers").rglob(".part-*"))


@pytest.mark.slow
def test_thousands_of_urls_are_accepted_at_once_and_a_visible_cover_overtakes_them(origin: Origin, tmp_path: Path) -> None:
    body = jpeg(80, 80)
    urls = [origin.put(f"/warm/{n}.jpg", body) for n in range(URLS)]
    seen_url = origin.put("/visible.jpg", jpeg(300, 300))
    with Vault(tmp_path / "vault", trusted=(origin.base,)) as vault:
        vault.import_albums([{"artist": "A", "title": "B", "cover_url": seen_url}])
        (worker,) = vault.workers()
        before, started = _rss(worker), time.monotonic()
        jobs = []
        for start in range(0, URLS, 500):
            reply = vault.post("/api/cache/preload", {"urls": urls[start : start + 500]})
            assert reply.status == 202
            assert reply.json()["preloaded"] == 500
            jobs.append(reply.json()["job"])
        accepted_s = time.monotonic() - started
        done = sum(vault.get(f"/api/cache/jobs/{job}").json()["done"] for job in jobs)
        assert done < 0.9 * URLS, f"accepting took {accepted_s:.1f} s, as long as fetching"
        (digest,) = digests(vault)
        assert vault.get(f"/cache/thumbnails-2x/{digest}.webp").status in (200, 202)
        wait_until(lambda: all_ready(vault, [digest]), 60)
        assert origin.count() < URLS - 100
        assert _rss(worker) - before < 30_000_000
        progress = vault.post("/api/cache/state", {"digests": [digest]}).json()["progress"]
        assert 0 < progress["done"] < progress["total"] == URLS + 1
        vault.kill()
        vault.start()
        wait_until(lambda: vault.get("/api/cache/stats").json()["queued"] == 0, 900)
        assert vault.get("/api/cache/stats").json()["total_entries"] == 2 * (URLS + 1)
        ends = [vault.get(f"/api/cache/jobs/{job}").json() for job in jobs]
        assert sum(end["done"] for end in ends) == URLS
        assert sum(end["failed"] for end in ends) == 0
