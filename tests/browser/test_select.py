"""Selecting records in Chromium: a long press, Shift and X begin it on the wall, which stays where it is; a selection goes over pages."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.conftest import NAMES
from tests.support.vault import Vault

RECORDS = 300
IS_SELECTING = "() => document.querySelector('.selected-bar [data-selected-count] b')"
HAS_BOX_AT = "(place) => document.querySelector(`.wall > li[aria-posinset='${place}'] .choice`)"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    rows: list[dict[str, object]] = [
        {"artist": f"{NAMES[n % len(NAMES)]} {n:03}", "title": f"Volume {n}"} for n in range(RECORDS)
    ]
    with Vault(tmp_path_factory.mktemp("select") / "vault") as vault:
        vault.import_albums(rows)
        yield vault.url


@pytest.fixture
def visit(chromium: Any, shelf: str) -> Iterator[Callable[..., Any]]:
    contexts = []

    def open_one(width: int, height: int, path: str = "/", *, scripts: bool = True) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, has_touch=True, base_url=shelf, java_script_enabled=scripts
        )
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda message: message.type in ("error", "warning") and page.complaints.append(message.text))
        page.goto(path, wait_until="load")
        return page

    yield open_one
    for context in contexts:
        context.close()


def selected(page: Any) -> str:
    return str(page.locator("[data-selected-count]").inner_text())


def test_a_long_press_begins_and_taps_go_on_while_the_wall_stays(visit: Callable[..., Any]) -> None:
    page = visit(390, 844)
    page.evaluate("scrollTo(0, 900)")
    item = page.locator(".wall > li").nth(20)
    box = item.bounding_box()
    session = page.context.new_cdp_session(page)
    point = {"x": box["x"] + 40, "y": box["y"] + 40}
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    page.wait_for_function(IS_SELECTING)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert selected(page) == "1 selected"
    assert abs(item.bounding_box()["y"] - box["y"]) < 2
    for number in (21, 22):
        page.locator(".choice").nth(number).tap()
    page.locator(".choice").nth(20).tap()
    assert selected(page) == "2 selected"
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
    page.get_by_role("button", name="Edit", exact=True).tap()
    page.get_by_role("heading", name="Edit 2 records").wait_for()
    assert page.complaints == []


def test_shift_takes_a_range_x_a_single_one_and_escape_ends_it(visit: Callable[..., Any]) -> None:
    page = visit(1280, 900)
    page.locator("a.tile").nth(3).click(modifiers=["Shift"])
    page.wait_for_function(IS_SELECTING)
    page.locator(".choice").nth(8).click(modifiers=["Shift"])
    page.wait_for_function("() => document.querySelector('[data-selected-count]').textContent === '6 selected'")
    page.locator(".choice input").nth(9).focus()
    page.keyboard.press("x")
    assert selected(page) == "7 selected"
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function(HAS_BOX_AT, arg=RECORDS)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function(HAS_BOX_AT, arg=1)
    assert page.locator(".choice :checked").count() == 7  # the tiles had left the page, and are back
    page.get_by_role("button", name="Select all 300").click()
    page.wait_for_url("**/?select=*")
    assert selected(page) == "300 selected"
    page.locator(".choice").nth(0).click()
    assert selected(page) == "299 selected"
    page.get_by_role("button", name="Crate").click()
    page.get_by_role("heading", name="Put 299 records in a crate").wait_for()
    page.goto("/")
    page.locator("a.tile").nth(0).focus()
    page.keyboard.press("x")
    page.wait_for_function(IS_SELECTING)
    page.keyboard.press("Escape")
    page.wait_for_function("() => !document.body.matches('.selecting')")
    assert page.complaints == []


def test_a_short_press_opens_the_record(visit: Callable[..., Any]) -> None:
    page = visit(800, 480)
    page.locator("a.tile").nth(0).tap()
    page.wait_for_url("**/album/*")


@pytest.mark.parametrize(("width", "height"), [(800, 480), (390, 844)])
def test_without_scripts_boxes_and_the_bar_are_a_form(visit: Callable[..., Any], width: int, height: int) -> None:
    page = visit(width, height, "/?select=1", scripts=False)
    page.locator(".choice").nth(1).click()
    page.get_by_role("button", name="Next page").click()
    page.locator(".choice").nth(0).click()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("heading", name="Remove 2 records?").wait_for()
    page.get_by_role("button", name="Remove records").click()
    page.get_by_text("2 records removed.").first.wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("2 records put back.").wait_for()
