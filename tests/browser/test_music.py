"""The page of music folders and the form for notes: readable by all, quiet, and never wider than the screen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.music import collection
from tests.support.vault import Vault

PAGES = ["/import/music", "/album/1?notes=1"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_and_nothing_overflows(
    path: str, dark: bool, open_page: Callable[..., Any], axe: Callable[[Any], list[str]]
) -> None:
    page = open_page(path, dark=dark, reduced_motion="reduce")
    assert axe(page) == []
    assert page.complaints == []
    wide = []
    for width, height in ((320, 640), (390, 844), (800, 480), (1440, 900)):
        page.set_viewport_size({"width": width, "height": height})
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(width)
    assert wide == []


def test_a_path_that_cannot_be_chosen_says_why_beside_the_field(open_page: Callable[..., Any]) -> None:
    page = open_page("/import/music")
    page.locator("#path").fill("/etc")
    page.locator("#add button").click()
    page.locator("#path-wrong").wait_for()
    assert page.locator("#path-wrong").inner_text() == "Choose a folder inside /media, /run/media, /mnt, /srv."
    assert page.locator("#path").input_value() == "/etc"


def test_the_numbers_of_a_page_agree_when_a_scan_has_ended(tmp_path: Path, open_page: Callable[..., Any]) -> None:
    """Without a reload: the search field outside of the part that is rendered again counts the same records."""
    (tmp_path / "Music").mkdir()
    collection(tmp_path / "Music", albums=300, tracks=6)
    with Vault(tmp_path / "vault", VINYL_VAULT_MUSIC_DIRS=str(tmp_path / "Music"), VINYL_VAULT_MUSIC_RESCAN_HOURS="0") as vault:
        vault.import_albums([{"artist": "Ada", "title": "Bought as a file", "format": "File"}])
        page = open_page(vault.url + "/import/music")
        task = page.locator("[data-task]")
        if not task.count():
            page.locator("button:text-is('Scan now')").click()
        task.wait_for()
        page.evaluate("window.isTheSame = true")
        page.locator("#found").wait_for(timeout=120_000)
        assert page.evaluate("window.isTheSame") is True
        assert "300 records in 1,800 files" in page.locator(".roots").inner_text()
        assert page.locator("input[type=search]").get_attribute("placeholder") == "Search 301 records"
        page.locator("a:text-is('Show these records')").click()
        page.locator(".wall .tile").first.wait_for()
        assert page.locator("h1 sup").inner_text() == "300"
        assert page.locator(".chosen-filters a").get_attribute("aria-label") == "Without records from music folders"
        assert page.complaints == []
