"""Uploads over slow lines, and connections that are used again after large bodies: `make rehearse-uploads`, about five minutes of
waiting. Short ones of the same kinds are in `test_attacks.py`.
"""

import http.client
import os
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter

from tests.support.front import Front, vault_behind
from tests.support.stage import multipart, photo
from tests.support.vault import Vault
from tests.support.visitor import SLUG, Browser, prepared

pytestmark = [pytest.mark.slow, pytest.mark.server]

SIZES = {"300 KB": 300_000, "900 KB": 900_000, "5 MB": 5_000_000}
RATES = {"20 KB/s": 20_000, "50 KB/s": 50_000, "200 KB/s": 200_000}
PIECES_PER_S = 4
LIMITS = {"VINYL_VAULT_MAX_STREAM_IMAGES_PER_STREAM": "10000", "VINYL_VAULT_FREE_SPACE_FLOOR_MB": "0"}


def image_of(size_bytes: int, seed: int) -> bytes:
    """Return a JPEG of that size: what follows its end is stored as well."""
    image = photo(seed, 640, 480)
    return image + bytes(size_bytes - len(image))


def upload_slowly(owner: Browser, port: int, body: bytes, rate: int, address: str) -> int:
    data, kind = multipart({}, (body,))
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=120, source_address=(address, 0))
    client.putrequest("POST", f"/api/streams/{SLUG}/images", skip_host=True)
    headers = {"Host": "vault.local", "Content-Type": kind, "Content-Length": str(len(data))}
    for name, value in {**headers, "Cookie": owner.cookie, "X-CSRFToken": owner.token}.items():
        client.putheader(name, value)
    client.endheaders()
    step = rate // PIECES_PER_S
    for at in range(0, len(data), step):
        client.send(data[at : at + step])
        time.sleep(1 / PIECES_PER_S)
    status = client.getresponse().status
    client.close()
    return status


@pytest.mark.parametrize("is_behind", [False, True], ids=["alone", "behind nginx"])
def test_uploads_over_slow_lines_are_stored(tmp_path: Path, is_behind: bool) -> None:
    """Nine at a time, each at its own pace: one of 900 KB was cut after 15 s."""
    with vault_behind(tmp_path, **LIMITS) as vault, Front(vault) as front:
        owner = prepared(vault)
        port = front.port if is_behind else vault.port
        statuses: dict[str, int] = {}

        def run(number: int, size: str, rate: str) -> None:
            body = image_of(SIZES[size], number)
            statuses[f"{size} at {rate}"] = upload_slowly(owner, port, body, RATES[rate], f"127.0.0.{number + 10}")

        named = [(size, rate) for size in SIZES for rate in RATES]
        threads = [threading.Thread(target=run, args=(number, *one)) for number, one in enumerate(named)]
        for thread in threads:
            thread.start()
        slowest = 0.0
        while any(thread.is_alive() for thread in threads):
            started = time.monotonic()
            assert vault.get("/keys").status == 200
            slowest = max(slowest, time.monotonic() - started)
            time.sleep(1)
        assert statuses == {f"{size} at {rate}": 201 for size, rate in named}
        print(f"nine uploads stored; slowest page meanwhile {slowest:.2f} s")


class From(HTTPAdapter):
    """Sends from one address: the limits of requests count by address."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(max_retries=0)

    def init_poolmanager(self, *arguments: object, **named: object) -> None:
        super().init_poolmanager(*arguments, source_address=(self.address, 0), **named)  # type: ignore[arg-type, no-untyped-call]


def use_again(vault: Vault, port: int, count: int) -> Counter[str]:
    """Send bodies of 1.1 MB, each followed by a GET on the same connection. Return the statuses, and what was lost."""
    owner = prepared(vault)
    data, kind = multipart({}, (os.urandom(1_100_000),))
    results: Counter[str] = Counter()
    for number in range(count):
        if number % 25 == 0:
            session = requests.Session()
            session.mount("http://", From(f"127.0.0.{number // 25 + 10}"))
        headers = {"Content-Type": kind, "Cookie": owner.cookie, "X-CSRFToken": owner.token, "Host": "vault.local"}
        for method, path, body in (("POST", f"/api/streams/{SLUG}/images", data), ("GET", "/keys", None)):
            try:
                answer = session.request(method, f"http://127.0.0.1:{port}{path}", data=body, headers=headers, timeout=60)
                results[f"{method} {answer.status_code}"] += 1
            except requests.RequestException as error:
                results[f"{method} lost: {type(error).__name__}"] += 1
    return results


def test_a_session_loses_no_request_after_a_large_body(tmp_path: Path) -> None:
    """4 of 30 were lost: the response said keep-alive, and the connection was closed."""
    with Vault(tmp_path / "vault", **LIMITS) as vault:
        results = use_again(vault, vault.port, 600)
    print(results)
    assert results["GET 200"] == 600
    assert not any("lost" in name or name.startswith("POST 5") for name in results)


def test_nginx_gets_no_502_on_a_connection_that_is_used_again(tmp_path: Path) -> None:
    """3 of 80 were 502."""
    with vault_behind(tmp_path, **LIMITS) as vault, Front(vault) as front:
        results = use_again(vault, front.port, 500)
    print(results)
    assert results["GET 200"] == 500
    assert not any("lost" in name or name.startswith("POST 5") for name in results)
