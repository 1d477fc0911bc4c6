"""The slideshow in a real browser: it goes on by itself, wakes by touch, stays while the server is away, and keeps still on request."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.stage import photo
from tests.support.vault import Vault
from tests.support.visitor import SLUG, prepared

Open = Callable[..., Any]
SIZES = ((390, 844), (800, 480), (1280, 900))
NUMBER = "() => document.querySelector('[data-slide-number]').textContent"
IS_QUIET = "() => document.body.classList.contains('is-quiet')"


@pytest.fixture(scope="module")
def live_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Vault(tmp_path_factory.mktemp("slideshow") / "vault") as running:
        owner = prepared(running)
        for number in range(4):
            assert owner.upload(photo(number, 900 - 100 * number, 600), title=f"Title {number}").status == 201
        yield running.url


def test_it_goes_on_by_itself_and_the_first_touch_only_wakes_it(open_page: Open) -> None:
    page = open_page(f"/streams/{SLUG}/kiosk?seconds=3", 800, 480, touch=True)
    assert page.evaluate(NUMBER) == "1 of 4"
    page.wait_for_function(f"() => ({NUMBER})() === '2 of 4'")
    assert page.url.endswith("at=2&seconds=3")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play").wait_for()
    page.wait_for_function(IS_QUIET)
    shown = page.evaluate(NUMBER)
    page.touchscreen.tap(400, 450)  # where the button is
    page.wait_for_function(f"() => !({IS_QUIET})()")
    assert page.get_by_role("button", name="Play").count() == 1, "the first touch only wakes"
    page.get_by_role("button", name="Play").tap()
    page.get_by_role("button", name="Pause").wait_for()
    page.wait_for_function(f"() => ({NUMBER})() !== '{shown}'")
    assert page.complaints == []


def test_keys_lead_forth_and_back_and_out(open_page: Open) -> None:
    page = open_page(f"/streams/{SLUG}/slideshow", 1280, 900)
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => ({NUMBER})() === '2 of 4'")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"() => ({NUMBER})() === '1 of 4'")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"() => ({NUMBER})() === '4 of 4'")
    page.keyboard.press("Escape")
    page.wait_for_url(f"**/streams/{SLUG}")


def test_while_the_server_is_away_the_last_image_stays(open_page: Open) -> None:
    page = open_page(f"/streams/{SLUG}/kiosk?seconds=3", 800, 480)
    page.context.set_offline(True)
    page.keyboard.press("ArrowRight")
    with page.expect_event("requestfailed", timeout=30_000):
        page.keyboard.press("ArrowRight")
    assert page.locator("[data-slide-image]").is_visible()
    assert page.evaluate(NUMBER) == "1 of 4"
    page.context.set_offline(False)
    page.wait_for_function(f"() => ({NUMBER})() !== '1 of 4'")


@pytest.mark.parametrize("reduced", [True, False])
def test_it_fits_and_fades_only_where_motion_is_welcome(open_page: Open, axe: Any, reduced: bool) -> None:
    for width, height in SIZES:
        page = open_page(f"/streams/{SLUG}/slideshow", width, height, reduced_motion="reduce" if reduced else "no-preference")
        box = page.locator("[data-slide-image]").bounding_box()
        assert box["width"] <= width
        assert box["y"] + box["height"] <= height
        assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight")
        assert axe(page) == []
        page.evaluate(
            "() => { window.faded = 0; new MutationObserver(() => { window.faded += document.body.classList.contains('leaving'); })"
            ".observe(document.body, { attributes: true }); }"
        )
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"() => ({NUMBER})() === '2 of 4'")
        assert (page.evaluate("() => window.faded") == 0) is reduced
        assert page.complaints == []


def test_the_text_moves_by_the_hour(open_page: Open) -> None:
    page = open_page(f"/streams/{SLUG}/kiosk", 800, 480)
    found = set()
    for hour in range(4):
        page.locator("[data-slide]").evaluate(f"(one) => {{ one.dataset.shift = '{hour}'; }}")
        box = page.locator("aside").bounding_box()
        found.add((box["x"], box["y"]))
    assert len(found) == 4
    assert page.locator("[data-close]").count() == 0, "a kiosk has no way out"
