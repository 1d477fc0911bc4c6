"""What docs/EMBEDDING.md promises to a Flask developer: the example app as its own process, and the snippets of the page."""

import http.client
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache import ImageVisibility, StreamImageManager
from tests.support.operator import environment
from tests.support.origin import Origin, jpeg
from tests.support.pictures import encoded, noise
from tests.support.ports import free_port
from tests.support.servers import about_to_start
from tests.support.vault import ROOT, wait_until

EXAMPLE = ROOT / "docs/examples/record_shop.py"
PAGE = ROOT / "docs/EMBEDDING.md"
PRICE_LIST = b"title,price\nTide,12\n"


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except (OSError, http.client.HTTPException):
        return 0, b""


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin() as server:
        server.put("/tide.jpg", jpeg(300, 300))
        server.put("/prices.csv", PRICE_LIST, content_type="text/csv")
        yield server


@pytest.fixture(scope="module")
def shop(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example app with one record and one image in its window, served by Flask's own server."""
    about_to_start()
    folder = tmp_path_factory.mktemp("shop")
    env = environment(
        folder / "data",
        VINYL_VAULT_TRUSTED_ORIGINS=origin.base,
        VINYL_VAULT_FIND_COVERS="0",
        PRICE_LIST=origin.url("/prices.csv"),
    )
    (folder / "records.csv").write_text(f"artist,title,cover_url\nStaithe,Tide,{origin.url('/tide.jpg')}\n")
    vinylvault = [sys.executable, "-m", "image_cache.cli"]
    subprocess.run([*vinylvault, "import", str(folder / "records.csv")], cwd=ROOT, env=env, check=True, capture_output=True)
    streams = StreamImageManager(folder / "data/state/stream_images", folder / "data/cache/streams")
    streams.upload_stream_image(
        "shop-window", encoded(noise("RGB", 90, 60, 1), "JPEG"), "w.jpg", ImageVisibility.PUBLIC, title="Sale"
    )
    streams.upload_stream_image(
        "shop-window", encoded(noise("RGB", 90, 60, 2), "JPEG"), "p.jpg", ImageVisibility.PRIVATE, title="Till"
    )
    streams.close()
    port = free_port()
    log = folder / "shop.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "flask", "--app", str(EXAMPLE), "run", "--port", str(port)]
        server = subprocess.Popen(command, cwd=folder, env={**env, "PYTHONPATH": str(ROOT)}, stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: get(f"{url}/shop")[0] == 200 or server.poll() is not None, 60)
        assert server.poll() is None, log.read_text()
        yield url
    finally:
        server.terminate()
        server.wait(30)


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.slow
@pytest.mark.server
def test_the_example_shows_covers(shop: str) -> None:
    page = get(f"{shop}/shop")[1].decode()
    (cover,) = re.findall(r"/cache/thumbnails/[0-9a-f]{64}\.webp", page)
    assert 'alt="Tide"' in page
    assert page.count("<main") == 1  # that of base.html
    wait_until(lambda: get(shop + cover)[0] == 200, 60)
    assert get(shop + cover)[1].startswith(b"RIFF")


@pytest.mark.slow
@pytest.mark.server
def test_the_example_shows_a_stream_to_those_who_may_see_it(shop: str) -> None:
    page = get(f"{shop}/shop")[1].decode()
    assert "Sale" in page
    assert "Till" not in page
    assert "/streams.css" in page
    image = re.findall(r"/streams/shop-window/images/[0-9a-f-]+/thumb", page)[0]
    assert get(shop + image)[1].startswith(b"RIFF")


@pytest.mark.slow
@pytest.mark.server
def test_the_example_caches_a_file(shop: str, origin: Origin) -> None:
    wait_until(lambda: get(f"{shop}/shop/prices")[0] == 200, 60)
    assert get(f"{shop}/shop/prices") == (200, PRICE_LIST)
    assert origin.count("/prices.csv") == 1
    assert "<dt>Files</dt><dd>1</dd>" in get(f"{shop}/shop")[1].decode()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_a_snippet_of_the_page_runs(number: int, origin: Origin, tmp_path: Path) -> None:
    snippet = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[number]
    (tmp_path / "photo.jpg").write_bytes(encoded(noise("RGB", 90, 60, 1), "JPEG"))
    text = snippet.replace("https://covers.example/", origin.url("/")).replace("https://shop.example/", origin.url("/"))
    env = environment(tmp_path / "data", VINYL_VAULT_TRUSTED_ORIGINS=origin.base, PYTHONPATH=str(ROOT), PATH=os.environ["PATH"])
    done = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
