"""The page of music folders and the form for notes: readable by all, quiet, and never wider than the screen."""

from collections.abc import Callable
from typing import Any

import pytest

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
    assert page.locator("#path-wrong").inner_text() == "Only folders below /media, /run/media, /mnt, /srv can be chosen here."
    assert page.locator("#path").input_value() == "/etc"
