"""Every page is complete without JavaScript."""

from collections.abc import Callable
from typing import Any

Open = Callable[..., Any]


def test_the_wall_has_its_pages_and_shows_covers_after_a_reload(open_page: Open) -> None:
    page = open_page("/", scripts=False)
    tiles = page.locator(".wall .tile").count()
    assert tiles >= 12
    for _ in range(120):
        ready = page.locator(".wall .sleeve[data-state=ready]").count()
        if ready >= tiles * 0.8:
            break
        page.wait_for_timeout(500)
        page.reload()
    assert ready >= tiles * 0.8
    image = page.locator(".wall .sleeve[data-state=ready] img").first
    assert image.get_attribute("src") == image.get_attribute("data-src")
    page.locator(".pager a[rel=next]").click()
    page.wait_for_url("**page=2**")


def test_search_is_a_form(open_page: Open) -> None:
    page = open_page("/", scripts=False)
    artist = page.locator(".cap b").first.inner_text()
    page.locator(".top .find input").fill(artist)
    page.locator(".top .find input").press("Enter")
    page.locator(".rows .row").first.wait_for()


def test_order_filter_and_size_are_links_and_a_form(open_page: Open) -> None:
    page = open_page("/", 800, 480, scripts=False)
    page.locator(".sorter").click()
    page.wait_for_url("**/sort**")
    page.locator("select[name=decade]").select_option(index=1)
    page.get_by_role("button", name="Apply filters").click()
    page.wait_for_url("**decade=*")
    page.locator(".chosen-filters a").wait_for()


def test_a_play_is_a_form(open_page: Open) -> None:
    page = open_page("/album/3", scripts=False)
    page.get_by_role("button", name="I played it").click()
    page.get_by_text("Play counted.").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Play undone.").wait_for()
