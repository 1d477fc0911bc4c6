"""From an empty vault to a wall with covers by a token, in a browser; a pause and a cancel on the way; the same without scripts."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.discogs import ACCOUNT, TOKEN, DiscogsServer
from tests.support.vault import Vault, wait_until

HERE = "/import/discogs"
WAIT_MS = 30_000
SIZES = ((1440, 900, False), (800, 480, True), (390, 844, False))


@pytest.fixture
def discogs() -> Iterator[DiscogsServer]:
    with DiscogsServer(records=130, window_s=1.0, images="self") as running:
        yield running


@pytest.fixture
def vault(discogs: DiscogsServer, tmp_path: Path) -> Iterator[Vault]:
    settings = {"VINYL_VAULT_DISCOGS_API_URL": discogs.base, "VINYL_VAULT_DISCOGS_WINDOW_S": "1"}
    with Vault(tmp_path / "vault", trusted=(discogs.base,), **settings) as running:
        yield running


def test_a_token_leads_to_a_wall_with_covers(
    vault: Vault, discogs: DiscogsServer, open_page: Callable[..., Any], axe: Callable[[Any], list[str]]
) -> None:
    page = open_page(vault.url + HERE)
    page.fill("#token", "X" * 40)
    page.click("button:text-is('Test it')")
    page.locator("text=Discogs does not know this token").first.wait_for(timeout=WAIT_MS)
    page.fill("#token", TOKEN)
    page.click("button:text-is('Test it')")
    page.locator(f"text=Connected as {ACCOUNT}, 130 items.").first.wait_for(timeout=WAIT_MS)  # without a reload
    assert axe(page) == []

    discogs.control(faults=[{"path": "page=2&per_page=100", "kind": "429", "after": 300, "times": 1}])
    page.click("button:text-is('Sync now')")
    page.locator("text=Discogs asks for a pause.").first.wait_for(timeout=WAIT_MS)
    page.locator("[data-task-left]:has-text('on again in')").wait_for(timeout=WAIT_MS)
    for width, height, dark in SIZES:
        shown = open_page(vault.url + HERE, width, height, dark=dark)
        assert axe(shown) == []
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("button:text-is('Cancel')")
    page.locator("text=Cancelled. What was saved stays.").first.wait_for(timeout=WAIT_MS)

    # The pause was of five minutes, for the whole account: another token's window is not ours to wait for here.
    vault.command("albums", "discogs", "--forget")
    assert "100 records" in open_page(vault.url + "/").locator("[placeholder]").first.get_attribute("placeholder")
    assert page.complaints == []


def test_the_wall_fills_and_a_record_that_is_opened_gets_its_tracks(
    vault: Vault, discogs: DiscogsServer, open_page: Callable[..., Any], axe: Callable[[Any], list[str]], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN, encoding="ascii")
    vault.command("albums", "sync", "--token-file", str(tmp_path / "token"))
    page = open_page(vault.url + "/")
    page.locator(".sleeve[data-state=ready]").nth(5).wait_for(timeout=WAIT_MS)
    page.locator(".credit").scroll_into_view_if_needed()
    assert "Data provided by Discogs. Read at " in page.locator(".credit").inner_text()
    assert axe(page) == []

    discogs.control(faults=[{"path": "/releases/", "kind": "503", "after": 1, "times": 1}])
    record = open_page(vault.url + "/album/5")
    record.locator("text=The tracks are on their way.").wait_for(timeout=WAIT_MS)
    assert axe(record) == []
    record.locator(".sides >> text=Opening 100004").wait_for(timeout=WAIT_MS)  # without a reload
    assert record.complaints == []

    plain = open_page(vault.url + "/album/6", scripts=False)
    assert "Look again" in plain.locator("[data-details]").inner_text()
    wait_until(lambda: plain.reload() is not None and plain.locator(".sides").count() > 0, 30)
    assert "Opening 100005" in plain.locator(".sides").inner_text()


def test_without_scripts_a_token_is_tested_and_a_sync_is_followed_by_looking_again(
    vault: Vault, discogs: DiscogsServer, open_page: Callable[..., Any]
) -> None:
    page = open_page(vault.url + HERE, scripts=False)
    page.fill("#token", TOKEN)
    page.click("button:text-is('Test it')")
    wait_until(lambda: page.reload() is not None and page.locator("button:text-is('Sync now')").count() > 0, 30)
    page.click("button:text-is('Sync now')")
    wait_until(lambda: page.reload() is not None and page.locator("text=130 records read").count() > 0, 30)
    page.click("a:text-is('Disconnect')")
    page.click("button:text-is('Disconnect')")
    assert page.locator("#token").count() == 1
    assert page.url.endswith(HERE)
