"""What a sleeve shows while its image is not there: the larger one, or what is drawn below it. Never the icon of a broken image."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.origin import Origin, jpeg
from tests.support.vault import Vault, wait_until

Open = Callable[..., Any]
COVERS = 60  # the last rows of a phone are too far away to be loaded before someone scrolls
ALL_LARGE = """(from) => [...document.querySelectorAll(".wall img.lazy-load")].slice(from, from + 6)
  .every((image) => image.complete && image.naturalWidth > 50 && image.currentSrc.includes("/cache/"))"""

# Notes what a browser draws as broken: an image without an address, in any frame, and one that could not be read.
WATCH = """
window.broken = [];
const look = () => {
  for (const image of document.querySelectorAll(".wall img.lazy-load:not([src])")) {
    if (getComputedStyle(image).opacity !== "0") broken.push(image.alt);
  }
  requestAnimationFrame(look);
};
addEventListener("DOMContentLoaded", look);
addEventListener("error", ({ target }) => target instanceof HTMLImageElement && broken.push(target.currentSrc), true);
"""


def filled(vault: Vault, origin: Origin, gate: threading.Event | None = None) -> None:
    urls = [origin.put(f"/{n}.jpg", jpeg(640, 640, (n * 6, 90, 120)), gate=gate) for n in range(COVERS)]
    vault.import_albums([{"artist": f"Artist {n:02}", "title": f"Title {n}", "cover_url": url} for n, url in enumerate(urls)])


def answers_of(page: Any) -> list[tuple[int, str]]:
    """Return a list that fills with the status and address of each answer from the cache."""
    answers: list[tuple[int, str]] = []
    page.on("response", lambda answer: "/cache/t" in answer.url and answers.append((answer.status, answer.url)))
    return answers


def test_small_sleeves_show_the_larger_picture_and_ask_once(open_page: Open, origin: Origin, tmp_path: Path) -> None:
    """A new vault has 300 px only: each sleeve of 150 px lost its image, and asked again, until the small one was made."""
    gate = threading.Event()
    with Vault(tmp_path / "vault", trusted=(origin.base,)) as vault:
        filled(vault, origin, gate)
        page = open_page(f"{vault.url}/keys", 800, 480, dark=True)
        page.context.add_init_script(WATCH)
        answers = answers_of(page)
        page.goto(vault.url)
        gate.set()
        page.wait_for_function(ALL_LARGE, arg=0)
        wait_until(lambda: vault.get("/api/cache/stats").json()["total_entries"] >= 2 * COVERS, 60)
        page.wait_for_function("() => !document.querySelector('.wall .sleeve[data-state=working]')")
        assert 202 in {status for status, _ in answers}
        assert len(answers) == len({address.partition("?")[0] for _, address in answers})
        assert page.evaluate("broken") == []
        assert page.complaints == []


def test_a_picture_that_was_lost_comes_back_over_its_drawn_sleeve(open_page: Open, origin: Origin, tmp_path: Path) -> None:
    with Vault(tmp_path / "vault", trusted=(origin.base,)) as vault:
        filled(vault, origin)
        vault.get("/")
        wait_until(lambda: vault.get("/api/cache/stats").json()["total_entries"] >= 2 * COVERS, 60)
        vault.stop()  # nothing is in memory then
        vault.start()
        page = open_page(f"{vault.url}/keys", 360, 480)
        page.context.add_init_script(WATCH)
        page.goto(vault.url)
        page.wait_for_function(ALL_LARGE, arg=0)
        answers = answers_of(page)
        for file in (vault.folder / "cache/covers").rglob("*.webp"):
            file.unlink()
        page.evaluate("document.querySelector('.wall > li:last-child').scrollIntoView({behavior: 'instant'})")
        page.wait_for_function(ALL_LARGE, arg=COVERS - 6)
        assert any("?again=" in address for _, address in answers)
        assert page.evaluate("broken") == []


def test_pictures_that_cannot_be_had_leave_the_drawn_sleeve(open_page: Open, origin: Origin, tmp_path: Path) -> None:
    with Vault(tmp_path / "vault", trusted=(origin.base,)) as vault:
        filled(vault, origin)
        vault.get("/")
        wait_until(lambda: vault.get("/api/cache/stats").json()["total_entries"] >= 2 * COVERS, 60)
        page = open_page(vault.url, 360, 480)
        page.wait_for_function(ALL_LARGE, arg=0)
        vault.stop()
        page.evaluate("document.querySelector('.wall > li:last-child').scrollIntoView({behavior: 'instant'})")
        page.wait_for_function("() => document.querySelectorAll('.wall img.lazy-load:not([src])').length >= 6")
        shown = "[...document.querySelectorAll('.wall img.lazy-load:not([src])')].map((image) => getComputedStyle(image).opacity)"
        assert set(page.evaluate(shown)) == {"0"}
        assert page.locator(".wall .sleeve .drawn").last.is_visible()
