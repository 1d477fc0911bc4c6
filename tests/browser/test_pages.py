"""What every page owes to everyone: it is quiet, stands still, fits, and can be read by all."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import IS_SETTLED

PAGES = [
    "/",
    "/?density=l",
    "/album/1",
    "/search",
    "/search?q=the",
    "/search?q=zugzwangzugzwang",
    "/about",
    "/keys",
    "/sort",
    "/more",
]
DOORS = ["/login", "/claim", "/health"]
WIDTHS = [(320, 640), (390, 844), (720, 450), (800, 480), (960, 600), (961, 600), (1040, 768), (1440, 900), (1920, 1080)]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES + DOORS)
def test_axe_finds_nothing_and_the_console_is_silent(
    path: str, dark: bool, open_page: Callable[..., Any], axe: Callable[[Any], list[str]]
) -> None:
    page = open_page(path, dark=dark, reduced_motion="reduce")
    assert axe(page) == []
    assert page.complaints == []


def test_an_error_page_can_be_read_by_all(open_page: Callable[..., Any], axe: Callable[[Any], list[str]]) -> None:
    assert axe(open_page("/nowhere", reduced_motion="reduce")) == []


@pytest.mark.parametrize(("width", "height"), [(390, 844), (800, 480)])
@pytest.mark.parametrize("path", ["/", "/album/1", "/search?q=the"])
def test_axe_finds_nothing_on_small_screens(
    path: str, width: int, height: int, open_page: Callable[..., Any], axe: Callable[[Any], list[str]]
) -> None:
    assert axe(open_page(path, width, height, touch=True, reduced_motion="reduce")) == []


@pytest.mark.parametrize(
    "path", ["/", "/?density=s", "/?sort=added", "/album/1", "/search?q=the", "/login", "/keys", "/sort", "/nowhere"]
)
def test_nothing_overflows(path: str, open_page: Callable[..., Any]) -> None:
    page = open_page(path)
    wide = []
    for width, height in WIDTHS:
        page.set_viewport_size({"width": width, "height": height})
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(width)
    assert wide == []


@pytest.mark.parametrize("path", ["/", "/?page=2", "/album/1", "/random", "/search?q=the"])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (800, 480), (1440, 900)])
def test_nothing_moves_once_it_is_seen(path: str, width: int, height: int, open_page: Callable[..., Any]) -> None:
    page = open_page(path, width, height)
    page.wait_for_function(IS_SETTLED)
    page.wait_for_timeout(600)  # what comes now must not move anything either
    page.evaluate("scrollTo({top: 1500, behavior: 'instant'})")
    page.wait_for_function(IS_SETTLED)
    page.wait_for_timeout(600)
    assert page.evaluate("window.shifted") == 0, page.evaluate("window.movers")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (800, 480)])
@pytest.mark.parametrize("path", ["/", "/album/1", "/sort", "/more", "/login", "/wants", "/have?q=the", "/spin"])
def test_everything_to_touch_is_large_enough(path: str, width: int, height: int, open_page: Callable[..., Any]) -> None:
    """44 px each way; links inside a sentence and the spines of the shelf (34 wide, 150 high) are the exceptions."""
    page = open_page(path, width, height, touch=True, is_mobile=True)
    small = page.evaluate(
        """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), select")]
          .filter((one) => one.checkVisibility() && !one.closest("p, h2, .board, .skip, [type=checkbox]"))
          .map((one) => [one.outerHTML.slice(0, 90), one.getBoundingClientRect()])
          .filter(([, box]) => box.width > 1 && (box.height < 43.5 || box.width < 43.5))
          .map(([html, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${html}`)"""
    )
    assert small == []


@pytest.mark.parametrize(("width", "height"), [(390, 844), (800, 480), (1440, 900)])
@pytest.mark.parametrize("path", ["/", "/album/1", "/about", "/nowhere"])
def test_the_way_in_is_on_every_page_at_every_size(path: str, width: int, height: int, open_page: Callable[..., Any]) -> None:
    box = open_page(path, width, height).locator(".session").get_by_role("link", name="Log in").bounding_box()
    assert box is not None
    assert 0 <= box["x"] < box["x"] + box["width"] <= width
    assert 0 <= box["y"] < box["y"] + box["height"] <= height


@pytest.mark.parametrize("has_clipboard", [True, False])
def test_a_command_is_copied_also_where_the_browser_has_no_clipboard(has_clipboard: bool, open_page: Callable[..., Any]) -> None:
    """Over plain http from another computer there is no `navigator.clipboard`."""
    page = open_page("/login", permissions=["clipboard-read", "clipboard-write"])
    if not has_clipboard:
        page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.get_by_role("button", name="Copy the command").click()
    page.get_by_text("Copied").first.wait_for()
    page.fill("#name", "")
    page.focus("#name")
    page.keyboard.press("Control+V")
    command = page.locator("#command").inner_text()  # of a vault without accounts: where its setup code is logged
    assert command == "sudo journalctl -u vinylvault | grep code"
    assert page.locator("#name").input_value() == command
