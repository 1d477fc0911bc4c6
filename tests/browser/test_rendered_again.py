"""A gallery whose rendered copies are gone, in a real browser: every image is shown in the end, and none is ever broken."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.stage import photo
from tests.support.vault import Vault
from tests.support.visitor import SLUG, prepared

COUNT = 30
SMALL_PX = 8  # a placeholder is one pixel wide, which `srcset` scales
WIDTHS = "() => [...document.querySelectorAll('.shot img')].map((image) => image.complete ? image.naturalWidth : -1)"
EAGER = "() => document.querySelectorAll('.shot img').forEach((image) => { image.loading = 'eager'; })"


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    with Vault(tmp_path_factory.mktemp("again") / "vault") as running:
        owner = prepared(running)
        for first in range(0, COUNT, 10):
            answer = owner.upload(*(photo(first + n, 900, 600) for n in range(10)))
            assert all(row["ok"] for row in answer.json()["results"])
        yield running


@pytest.fixture(scope="module")
def live_app(vault: Vault) -> str:
    return vault.url


@pytest.fixture
def bare(vault: Vault) -> Vault:
    """The vault, with none of its rendered copies, neither in memory nor on disk."""
    vault.stop()
    shutil.rmtree(Path(vault.folder) / "cache" / "streams")
    vault.start()
    return vault


def test_with_scripts_every_image_is_swapped_in(bare: Vault, open_page: Callable[..., Any]) -> None:
    page = open_page(f"/streams/{SLUG}")
    page.evaluate(EAGER)
    page.wait_for_function(
        f"() => {{ const all = ({WIDTHS})(); return all.length === {COUNT} && all.every((w) => w > {SMALL_PX}); }}",
        timeout=90_000,
    )


def test_without_scripts_none_is_broken_and_a_reload_shows_them(bare: Vault, chromium: Any) -> None:
    context = chromium.new_context(base_url=bare.url, java_script_enabled=False, viewport={"width": 1280, "height": 9000})
    try:
        page = context.new_page()
        answers: list[tuple[int, str]] = []
        page.on(
            "response",
            lambda answer: "/images/" in answer.url and answers.append((answer.status, answer.headers.get("content-type", ""))),
        )
        for _ in range(30):
            page.goto(f"/streams/{SLUG}", wait_until="load")
            widths = page.evaluate(WIDTHS)
            assert len(widths) == COUNT
            assert {kind for status, kind in answers if status != 304} == {"image/webp"}, "a broken image"
            assert {status for status, _ in answers} <= {200, 202, 304}
            if all(width > SMALL_PX for width in widths):
                return
            time.sleep(1)
        pytest.fail(f"not all are shown after 30 reloads: {widths}")
    finally:
        context.close()
