"""The order of a crate by a finger, the mouse and the keyboard: stored at once, and taken back where that fails."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.vault import Vault, wait_until

Open = Callable[..., Any]
RECORDS = 40
NAMES = "() => [...document.querySelectorAll('.ordered > li')].map((row) => Number(row.dataset.name.slice(7)))"
SAID = "() => document.querySelector('[data-said]').innerText"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Vault(tmp_path_factory.mktemp("crates") / "vault") as vault:
        vault.import_albums([{"artist": "Sutherland", "title": f"Volume {n}"} for n in range(1, RECORDS + 1)])
        yield vault.url


@pytest.fixture
def crate(chromium: Any, home: str) -> Iterator[Open]:
    """Open the order of a new crate, in a window of its own."""
    contexts = []

    def open_one(width: int, height: int, name: str, *, count: int = 6, **more: Any) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, base_url=home, **more)
        contexts.append(context)
        context.set_default_timeout(90_000)
        page = context.new_page()
        page.goto("/crates")
        token = page.locator("input[name=csrf_token]").first.get_attribute("value")
        made = context.request.post("/crates", form={"csrf_token": token, "name": name}).url
        for number in range(1, count + 1):
            form = {"csrf_token": token, "album": str(number), "action": "put"}
            context.request.post(f"{made}/records", form=form, headers={"Accept": "text/html"}, max_redirects=0)
        page.goto(f"{made}?order=1")
        return page

    yield open_one
    for context in contexts:
        context.close()


def stored(page: Any, url: str = "") -> list[int]:
    """Return the order as the server has it, by the numbers in the titles."""
    text = page.context.request.get((url or page.url).partition("?")[0]).text()
    return [int(number) for number in re.findall(r"Volume (\d+)</span>", text)]


def middle(page: Any, number: int) -> tuple[float, float]:
    box = page.locator(".handle").nth(number).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def wait_for_words(page: Any, words: str) -> None:
    page.wait_for_function(f"words => ({SAID})().includes(words)", arg=words)


@pytest.mark.parametrize(("width", "height"), [(800, 480), (390, 844)])
def test_a_finger_drags_a_record_beyond_the_edge_of_the_screen(crate: Open, width: int, height: int) -> None:
    page = crate(width, height, f"Sunday {width}", count=RECORDS, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    box = page.locator(".handle").first.bounding_box()
    assert min(box["width"], box["height"]) >= 44
    x, y = middle(page, 0)
    session = page.context.new_cdp_session(page)
    send = lambda kind, at: session.send(  # noqa: E731
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [] if at is None else [{"x": x, "y": at}]}
    )
    send("touchStart", y)
    for step in range(1, 6):
        send("touchMove", y + (height - 30 - y) * step / 5)
    page.wait_for_function(f"() => ({NAMES})().indexOf(1) >= 20")  # the finger rests at the edge, and the page scrolls
    send("touchEnd", None)
    wait_for_words(page, "Volume 1 moved from 1 to ")
    order = page.evaluate(NAMES)
    assert stored(page) == order
    assert order.index(1) >= 20
    page.get_by_role("button", name="Undo").tap()
    wait_for_words(page, " to 1.")
    assert stored(page) == page.evaluate(NAMES) == list(range(1, RECORDS + 1))


def test_the_mouse_drags_and_escape_puts_it_back(crate: Open) -> None:
    page = crate(1280, 900, "By mouse")
    page.mouse.move(*middle(page, 4))
    page.mouse.down()
    page.mouse.move(*middle(page, 2), steps=8)
    page.wait_for_function(f"() => ({NAMES})().indexOf(5) === 2")
    page.keyboard.press("Escape")
    assert page.evaluate(NAMES) == [1, 2, 3, 4, 5, 6]
    page.mouse.up()
    page.mouse.move(*middle(page, 4))
    page.mouse.down()
    page.mouse.move(*middle(page, 2), steps=8)
    page.wait_for_function(f"() => ({NAMES})().indexOf(5) === 2")
    page.mouse.up()
    wait_for_words(page, "Volume 5 moved from 5 to 3.")
    assert stored(page)[:6] == [1, 2, 5, 3, 4, 6]


def test_arrow_keys_move_a_record_and_the_last_place_is_stored(crate: Open) -> None:
    page = crate(800, 480, "By keys")
    page.locator(".handle").nth(1).focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    wait_for_words(page, "Volume 2 moved from 2 to 4.")
    assert page.evaluate("document.activeElement.parentElement.dataset.name") == "Volume 2"
    assert stored(page)[:5] == [1, 3, 4, 2, 5]
    page.keyboard.press("End")
    order = page.url
    page.goto("/crates")  # at once, before the key rests
    wait_until(lambda: stored(page, order)[-1] == 2)


def test_a_move_that_is_not_stored_is_taken_back_and_said(crate: Open) -> None:
    page = crate(800, 480, "Without a server")
    page.route("**/records", lambda route: route.abort())
    page.locator(".handle").nth(1).focus()
    page.keyboard.press("ArrowDown")
    wait_for_words(page, "Not moved: the server cannot be reached. Try again.")
    assert page.evaluate(NAMES)[:4] == [1, 2, 3, 4]


def test_without_scripts_buttons_move_a_record_by_one(crate: Open) -> None:
    page = crate(390, 844, "Without scripts", java_script_enabled=False)
    assert page.locator(".handle").count() == 0
    page.get_by_role("button", name="Move Volume 2 up").click()
    page.get_by_text("Volume 2 is moved.").wait_for()
    assert stored(page)[:3] == [2, 1, 3]
    page.locator("#p2").fill("5")
    page.get_by_role("button", name="Move Volume 2 to this place").click()
    page.get_by_text("Volume 2 is moved.").wait_for()
    assert stored(page)[:5] == [1, 3, 4, 5, 2]
