"""The preload's answer names digests, and the adapter of the benchmarks turns addresses into images that are there."""

import subprocess
import sys
from pathlib import Path

import pytest

from app import create_app
from image_cache.config import Settings
from tests.support.origin import Origin, jpeg
from tests.support.vault import Vault


def test_preload_answers_the_digests_of_accepted_addresses_only(tmp_path: Path) -> None:
    app = create_app(Settings(DATA_DIR=tmp_path))
    services = app.extensions["vinylvault"]
    good, bad = "https://covers.example/1.jpg", "ftp://covers.example/2.jpg"
    try:
        reply = app.test_client().post("/api/cache/preload", json={"urls": [good, bad]}).get_json()
        assert reply["digests"] == {good: services.covers.digest_of(good)}
        assert set(reply["refused"]) == {bad}
    finally:
        services.close()


@pytest.mark.slow
def test_the_adapter_prints_two_pictures_for_each_address(origin: Origin, tmp_path: Path) -> None:
    urls = [origin.put(f"/{n}.jpg", jpeg(700, 700, (n * 60, 90, 20))) for n in range(3)]
    with Vault(tmp_path / "vault", trusted=(origin.base,)) as vault:
        done = subprocess.run(
            [sys.executable, "benchmarks/adapter.py", vault.url],
            input="\n".join(urls),
            text=True,
            capture_output=True,
            check=True,
        )
        pairs = [line.split("\t") for line in done.stdout.splitlines()]
        assert len(pairs) == 3
        for detail, thumbnail in pairs:
            assert vault.get(detail).status == vault.get(thumbnail).status == 200
    assert origin.count() == 3
