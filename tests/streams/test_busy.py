"""A server whose decoder is busy: pages are answered at once, even while others request images that must be rendered."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.origin import Origin
from tests.support.pictures import encoded, noise
from tests.support.stage import photo
from tests.support.vault import Vault, wait_until
from tests.support.visitor import Browser, prepared
from tests.test_live import ADDRESS, albums

STRANGERS, UPLOADS, HOSTILE = 12, 8, 6


@pytest.fixture
def live(tmp_path: Path, origin: Origin) -> Iterator[Vault]:
    with Vault(tmp_path / "vault", trusted=(origin.base,), VINYL_VAULT_FREE_SPACE_FLOOR_MB="0") as vault:
        yield vault


@pytest.mark.slow
def test_the_wall_answers_while_strangers_ask_for_jpegs_and_an_owner_uploads(live: Vault, origin: Origin) -> None:
    """Twelve requests for cold JPEGs held every request thread for as long as covers decoded, uploads for 40 s."""
    owner = prepared(live)
    live.import_albums(albums(origin, STRANGERS))
    page = live.get("/", Accept="text/html").body.decode()
    digests = list(dict.fromkeys(ADDRESS.findall(page)))
    wait_until(lambda: len(live.post("/api/cache/state", {"digests": digests}).json()["ready"]) == len(digests), 120)
    slow = encoded(noise("RGB", 2200, 2200), "JPEG", quality=95)  # seconds to decode and to render
    hostile = [
        {"artist": "Slow", "title": str(n), "cover_url": origin.put(f"/slow{n}.jpg", slow + bytes([n]))} for n in range(HOSTILE)
    ]
    live.import_albums(hostile)
    assert live.get("/?q=slow", Accept="text/html").status == 200  # their covers are fetched from now on
    took, done = [], threading.Event()

    def look() -> None:
        while not done.is_set():
            asked = time.monotonic()
            assert live.get("/", Accept="text/html").status == 200
            took.append(time.monotonic() - asked)
            done.wait(0.5)

    def upload(number: int) -> int:
        while True:
            answer = Browser.upload(owner, photo(number, 1600, 1200))
            if answer.status != 503:
                return answer.status
            time.sleep(1)

    def jpeg(digest: str) -> set[int]:
        statuses = set()
        for _ in range(20):
            statuses.add(live.get(f"/cache/thumbnails/{digest}.jpg").status)
            if 200 in statuses:
                break
            time.sleep(0.5)
        return statuses

    looking = threading.Thread(target=look)
    looking.start()
    try:
        with ThreadPoolExecutor(STRANGERS + UPLOADS) as pool:
            uploads = [pool.submit(upload, n) for n in range(UPLOADS)]
            answered = list(pool.map(jpeg, digests))
            assert [one.result() for one in uploads] == [201] * UPLOADS
    finally:
        done.set()
        looking.join()
    assert set().union(*answered) <= {200, 202}
    assert len(took) > 2
    assert max(took) < 1.0, took
