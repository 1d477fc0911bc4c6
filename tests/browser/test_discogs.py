"""From an empty vault to a wall with covers by a token, in a browser; a pause and a cancel on the way; the same without scripts."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.discogs import ACCOUNT, TOKEN, DiscogsServer
from tests.support.vault import Vault, wait_until

HERE = "/import/discogs"
WAIT_MS = 60_000


@pytest.fixture(scope="module")
def discogs() -> Iterator[DiscogsServer]:
    with DiscogsServer(records=130, window_s=1.0, images="self") as running:
        yield running


@pytest.fixture(scope="module")
def vault(discogs: DiscogsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    settings = {"VINYL_VAULT_DISCOGS_API_URL": discogs.base, "VINYL_VAULT_DISCOGS_WINDOW_S": "1"}
    with Vault(tmp_path_factory.mktemp("discogs") / "vault", trusted=(discogs.base,), **settings) as running:
        yield running


def disconnect(page: Any) -> None:
    if page.locator("a:text-is('Disconnect Discogs')").count():
        page.click("a:text-is('Disconnect Discogs')")
        page.click("button:text-is('Disconnect')")
    page.locator("#token").first.wait_for(timeout=WAIT_MS)


def appears(page: Any, text: str) -> None:
    """Wait for a text that comes without a reload."""
    page.locator(f"#main >> text={text}").first.wait_for(timeout=WAIT_MS)


def test_a_token_leads_to_a_wall_with_covers_and_a_record_to_its_tracks(
    vault: Vault, discogs: DiscogsServer, open_page: Callable[..., Any], axe: Callable[[Any], list[str]]
) -> None:
    page = open_page(vault.url + HERE)
    disconnect(page)
    page.fill("#token", "X" * 40)
    page.click("button:text-is('Test and save')")
    appears(page, "Discogs does not accept this token")
    page.fill("#token", TOKEN)
    page.click("button:text-is('Test and save')")
    appears(page, f"Connected as {ACCOUNT}, 130 items.")

    discogs.control(faults=[{"path": "page=2&per_page=100", "kind": "429", "after": 5}])
    page.click("button:text-is('Sync now')")
    appears(page, "Rate limit reached.")
    page.locator("[data-task-left]:has-text('resumes in')").wait_for(timeout=WAIT_MS)
    for width, height, dark in ((800, 480, True), (390, 844, False)):
        shown = open_page(vault.url + HERE, width, height, dark=dark)
        assert axe(shown) == []
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("button:text-is('Cancel')")
    appears(page, "Cancelled. Everything saved so far stays.")
    discogs.control(faults=[{"path": "/releases/", "kind": "503", "after": 1}])
    page.click("button:text-is('Sync now')")
    appears(page, "130 records read")
    assert page.complaints == []

    wall = open_page(vault.url + "/")
    wall.locator(".sleeve[data-state=ready]").nth(5).wait_for(timeout=WAIT_MS)
    assert "Data provided by Discogs. Synced " in wall.locator(".credit").inner_text()
    record = open_page(vault.url + "/album/5")
    record.locator("text=Loading the track list").wait_for(timeout=WAIT_MS)
    discogs.control(faults=[])
    assert axe(record) == []
    record.locator(".sides >> text=Opening 100004").wait_for(timeout=WAIT_MS)  # the first try fails
    assert record.complaints == []


def test_the_same_without_scripts_by_looking_again(vault: Vault, discogs: DiscogsServer, open_page: Callable[..., Any]) -> None:
    discogs.control(faults=[])
    page = open_page(vault.url + HERE, scripts=False)
    disconnect(page)
    page.fill("#token", TOKEN)
    with page.expect_navigation():
        page.click("button:text-is('Test and save')")
    wait_until(lambda: page.reload() is not None and page.locator("button:text-is('Sync now')").count() > 0, 60)
    with page.expect_navigation():
        page.click("button:text-is('Sync now')")
    wait_until(lambda: page.reload() is not None and page.locator("text=130 records read").count() > 0, 60)
    record = open_page(vault.url + "/album/6", scripts=False)
    wait_until(lambda: record.reload() is not None and record.locator(".sides").count() > 0, 60)
    assert "Opening 100005" in record.locator(".sides").inner_text()
    disconnect(page)
    assert page.url.endswith(HERE)
