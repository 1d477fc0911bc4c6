"""Do I have it? On the phone and on the little screen, with and without scripts."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (800, 480)])
def test_a_title_is_answered_on_one_screen(open_page: Callable[..., Any], width: int, height: int, scripts: bool) -> None:
    page = open_page("/album/3", width, height, scripts=scripts)
    title = page.locator(".says h1").inner_text()
    page.goto(page.url.replace("/album/3", "/have"))
    page.locator("main input[name=q]").fill(title)
    page.locator("main").get_by_role("button", name="Look up").click()
    page.get_by_text("You have").first.wait_for()
    row = page.locator("main .rows .row").first
    assert title in row.inner_text()
    box = row.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < height  # nothing to scroll for the answer
    page.goto(page.url.partition("?")[0] + "?q=nothing+of+the+kind")
    page.get_by_text("You do not have it").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
