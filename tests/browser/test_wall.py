"""The wall: sleeves that arrive, pages that follow, keys, and the way back."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from image_cache.sleeves.draw import BY_GENRE
from tests.sleeves.test_drawn_sleeves import AWKWARD
from tests.support.origin import Origin, jpeg
from tests.support.vault import Vault

Open = Callable[..., Any]

# The lines of the drawn sleeves that reach over the edge of theirs by more than a pixel.
OUTSIDE = """() => [...document.querySelectorAll(".wall .lettered")].flatMap((svg) => {
  const sleeve = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter((text) => {
    const box = text.getBoundingClientRect();
    return box.left < sleeve.left - 1 || box.right > sleeve.right + 1 || (text.querySelector("tspan") && box.bottom > sleeve.bottom + 1);
  }).map((text) => text.textContent);
})"""


def focused(page: Any) -> str:
    return page.evaluate("document.activeElement.getAttribute('href') ?? document.activeElement.tagName")


def test_covers_that_were_missing_arrive_without_a_reload(open_page: Open, origin: Origin, tmp_path: Path) -> None:
    """The origin answers nothing until the page has been seen without a single cover; one it does not have at all."""
    gate = threading.Event()
    urls = [origin.put(f"/{n}.jpg", jpeg(400, 400, (n * 9, 90, 120)), gate=gate) for n in range(20)]
    urls.append(origin.put("/none.jpg", status=404, gate=gate))
    with Vault(tmp_path / "vault", trusted=(origin.base,), VINYL_VAULT_FETCH_DEADLINE_S="600") as vault:
        vault.import_albums([{"artist": f"Artist {n:02}", "title": f"Title {n}", "cover_url": url} for n, url in enumerate(urls)])
        page = open_page(vault.url)
        states = "() => [...document.querySelectorAll('.wall .sleeve')].map((one) => one.dataset.state)"
        assert set(page.evaluate(states)) <= {"waiting", "working"}
        assert page.locator("[data-job]").is_visible()
        gate.set()
        page.wait_for_function(
            """() => [...document.querySelectorAll(".wall img.lazy-load")].slice(0, 20)
              .every((image) => image.complete && image.naturalWidth > 50 && image.currentSrc.includes("/cache/"))"""
        )
        page.wait_for_function("() => document.querySelectorAll('.sleeve[data-state=failed] .lettered').length === 1")
        page.wait_for_function(
            "() => document.querySelector('[data-job-words]').textContent === '20 covers downloaded, 1 failed'"
        )
        assert page.evaluate(states) == ["ready"] * 20 + ["failed"]
        assert page.evaluate("performance.getEntriesByType('navigation').length") == 1
        assert page.evaluate("window.shifted") == 0
        assert page.complaints == []


def test_names_stay_inside_of_the_sleeves_that_are_drawn(chromium: Any, tmp_path: Path) -> None:
    with Vault(tmp_path / "vault") as vault:
        rows = [
            {"artist": artist or "?", "title": title or "?", "genre": genre} for artist, title in AWKWARD for genre in BY_GENRE
        ]
        vault.import_albums(rows)
        for width, height, density in ((1440, 900, "l"), (800, 480, "m"), (390, 844, "s")):
            context = chromium.new_context(viewport={"width": width, "height": height})
            page = context.new_page()
            outside = []
            for number in range(1, 1 + -(-len(rows) // 60)):
                page.goto(f"{vault.url}?page={number}&density={density}")
                page.wait_for_function("() => document.fonts.status === 'loaded'")
                outside += page.evaluate(OUTSIDE)
            assert outside == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            context.close()


def test_the_next_pages_join_and_the_address_follows(open_page: Open) -> None:
    page = open_page("/")
    first = page.locator(".wall > li").count()
    page.evaluate("scrollTo({top: document.body.scrollHeight, behavior: 'instant'})")
    page.wait_for_function(f"() => document.querySelectorAll('.wall > li').length > {first}")
    page.evaluate("scrollTo({top: document.body.scrollHeight, behavior: 'instant'})")
    page.wait_for_function("() => location.search.includes('page=')")
    assert page.locator("[data-range]").inner_text().startswith("1 to ")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


def test_back_returns_to_the_same_sleeve(open_page: Open) -> None:
    page = open_page("/")
    page.evaluate("scrollTo({top: document.body.scrollHeight, behavior: 'instant'})")
    page.wait_for_function("() => document.querySelectorAll('.wall > li').length > 60")
    page.evaluate("document.querySelectorAll('.wall > li')[70].scrollIntoView({block: 'center'})")
    page.wait_for_function("() => location.search.includes('page=2')")
    target = page.evaluate("document.querySelectorAll('.wall .tile')[70].getAttribute('href')")
    page.click(f".wall a[href='{target}']")
    page.wait_for_url("**/album/*")
    page.go_back()
    page.wait_for_selector(f".wall a[href='{target}']")
    page.wait_for_function(
        f"""() => {{ const box = document.querySelector(".wall a[href='{target}']").getBoundingClientRect();
          return box.top > 0 && box.top < 900; }}"""
    )


def test_arrows_move_by_what_the_eye_sees(open_page: Open) -> None:
    page = open_page("/")
    page.keyboard.press("ArrowRight")
    first = focused(page)
    box = page.locator(".tile:focus").bounding_box()
    page.keyboard.press("ArrowDown")
    below = page.locator(".tile:focus").bounding_box()
    assert abs(below["x"] - box["x"]) < 4
    assert below["y"] > box["y"]
    page.keyboard.press("ArrowUp")
    assert focused(page) == first
    page.keyboard.press("End")
    page.keyboard.press("Home")
    assert focused(page) == first
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{first}")
    page.keyboard.press("Escape")
    page.wait_for_selector(".wall")


def test_arrow_down_scrolls_as_ever_while_no_sleeve_is_chosen(open_page: Open) -> None:
    page = open_page("/")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("() => scrollY > 0")
    assert focused(page) == "BODY"


def test_keys_open_the_dialog_the_search_and_the_letters(open_page: Open) -> None:
    page = open_page("/")
    page.keyboard.press("?")
    page.wait_for_selector("dialog.dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.dialog", state="detached")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.press("?")
    page.wait_for_url("**/search?q=*")  # it was typed, and searched for
    assert page.locator("dialog.dialog").count() == 0
    page.goto("/")
    page.keyboard.press("Shift+B")
    page.wait_for_function("() => document.activeElement.closest('[data-group=B]') || location.search.includes('page=')")


def test_single_keys_can_be_switched_off(open_page: Open) -> None:
    page = open_page("/keys")
    page.get_by_label("Enable single-key shortcuts").uncheck()
    page.goto("/")
    page.keyboard.press("?")
    page.keyboard.press("s")
    page.wait_for_timeout(300)
    assert page.locator("dialog.dialog").count() == 0
    assert page.evaluate("location.pathname") == "/"


def test_the_size_of_the_sleeves_changes_in_place_and_is_remembered(open_page: Open) -> None:
    page = open_page("/")
    with page.expect_response(lambda answer: "density=s" in answer.url):
        page.keyboard.press("-")
    assert "density-s" in page.evaluate("document.body.className")
    page.goto("/")
    assert "density-s" in page.evaluate("document.body.className")


def test_typing_searches_and_back_shows_the_wall_again(open_page: Open) -> None:
    page = open_page("/")
    artist = page.locator(".cap b").first.inner_text()
    page.locator(".top .find input").press_sequentially(artist[:5], delay=30)
    words = json.dumps(artist[:5].strip())
    page.wait_for_function(f"() => new URLSearchParams(location.search).get('q') === {words}")  # the last letter was searched for
    page.wait_for_selector(".rows .row")
    assert urlsplit(page.url).path == "/search"
    assert page.evaluate("document.activeElement.name") == "q"
    assert page.locator("mark").count() > 0
    page.go_back()
    page.wait_for_selector(".wall .tile")
    assert page.complaints == []


def test_the_ruler_points_at_what_stands_on_top(open_page: Open) -> None:
    page = open_page("/")
    cell = page.locator(".cells a").nth(2)
    label = cell.get_attribute("data-label")
    if cell.get_attribute("href").startswith("#"):
        cell.click()
        page.wait_for_function(f"() => document.querySelector('.cells [aria-current]')?.dataset.label === {label!r}")


def test_a_chosen_filter_acts_at_once(open_page: Open) -> None:
    page = open_page("/")
    page.locator(".toolbar select[name=decade]").select_option(index=1)
    page.wait_for_url("**decade=*")
    assert page.locator(".chosen").is_visible()


def test_the_sort_dialog_opens_on_a_small_screen(open_page: Open) -> None:
    page = open_page("/", 800, 480, touch=True)
    page.locator(".sorter").tap()
    page.wait_for_selector("dialog.dialog[open]")
    page.locator("dialog .segments a", has_text="Year").tap()
    page.wait_for_url("**sort=year")
    assert page.complaints == []


def test_the_little_screen_shows_two_whole_rows_or_twenty_four_sleeves(open_page: Open) -> None:
    whole = """() => [...document.querySelectorAll(".wall .sleeve")]
      .map((one) => one.getBoundingClientRect()).filter((box) => box.top >= 0 && box.bottom <= 424).length"""
    assert open_page("/?density=m", 800, 480, touch=True).evaluate(whole) == 12
    assert open_page("/?density=s", 800, 480, touch=True).evaluate(whole) >= 24
