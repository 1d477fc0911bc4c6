"""The dashboard in a browser: it keeps itself up to date, leaves alone what someone uses, fits every screen, works without scripts."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from image_cache.config import Settings
from image_cache.services import open_services
from tests.support.clock import FakeClock
from tests.support.engine import key, webp
from tests.support.vault import Vault

HERE = "/admin/cache"


def live(folder: Path) -> None:
    """Let 30 hours go by in a vault: hits, misses, fetches, and one cover that is still to be fetched."""
    clock = FakeClock(time.time() - 30 * 3600)
    services = open_services(Settings(DATA_DIR=folder), clock=clock)
    cache = services.covers.cache
    assert cache.recorder is not None
    cache.put({key(n): webp(n, 50_000) for n in range(30)})
    for hour in range(30):
        for number in range(50):
            cache.get(key(number % 31))
        cache.recorder.record_fetch("covers.example", 0.1 + hour / 50, 1000)
        cache.flush()
        clock.advance(3600)
    services.covers.register(["https://covers.example/one.jpg"])
    services.close()


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    folder = tmp_path_factory.mktemp("dashboard") / "vault"
    live(folder)
    with Vault(folder, VINYL_VAULT_ORIGIN_ALLOWLIST="nobody.example") as running:
        yield running


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (800, 480), (390, 844), (320, 640)])
def test_it_fits_the_screen_and_nothing_is_wrong_with_it(
    vault: Vault, open_page: Callable[..., Any], axe: Callable[[Any], list[str]], width: int, height: int
) -> None:
    page = open_page(vault.url + HERE, width, height, dark=width == 390, touch=width < 1000)
    assert page.locator("svg.chart-of").count() >= 6
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Text of a chart is twelve pixels at least, on every width.
    scale = page.evaluate(
        "(() => { const svg = document.querySelector('.chart-of'); return svg.getBoundingClientRect().width / 600; })()"
    )
    size = page.evaluate("parseFloat(getComputedStyle(document.querySelector('.chart-of text')).fontSize)")
    assert size * scale >= 12
    assert axe(page) == []
    assert page.complaints == []


def test_what_changes_elsewhere_appears_and_an_open_table_stays_open(vault: Vault, open_page: Callable[..., Any]) -> None:
    page = open_page(vault.url + HERE)
    page.evaluate("window.isTheSame = true")
    page.locator("[data-keep=chart-1] summary").click()
    other = open_page(vault.url + HERE)
    other.click(":is(button):text-is('Pause fetching')")
    other.locator("button:text-is('Resume fetching')").wait_for()
    page.locator("#days").fill("12")
    page.evaluate("document.activeElement.blur()")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # someone comes back to the page
    page.locator("button:text-is('Resume fetching')").wait_for(timeout=90_000)
    assert page.evaluate("window.isTheSame") is True
    assert page.locator("#days").input_value() == "12"
    assert page.locator("[data-keep=chart-1][open]").count() == 1
    page.click("button:text-is('Resume fetching')")
    page.locator("button:text-is('Pause fetching')").wait_for()
    assert page.complaints == []


def test_without_scripts_everything_can_be_done(vault: Vault, open_page: Callable[..., Any]) -> None:
    page = open_page(vault.url + HERE, scripts=False)
    page.locator("a:text-is('Reload')").wait_for()
    page.fill("#max_size_mb", "77")
    with page.expect_navigation():
        page.click("button:text-is('Save limits')")
    assert page.locator("#max_size_mb").input_value() == "77"
    page.click("a:text-is('30 days')")
    page.locator("[aria-current=true]:text-is('30 days')").wait_for()
    page.click("a:text-is('Clear cache')")
    page.locator("h1:text-is('Clear the cover cache?')").wait_for()
    page.click("a:text-is('Cancel')")
    page.locator("h1:text-is('Dashboard')").wait_for()
