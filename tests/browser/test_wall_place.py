"""The wall keeps its place: 5,000 records by fling, back from the middle, a jump to a letter, a turned screen."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.conftest import COUNT_SHIFTS, NAMES
from tests.support.vault import Vault

RECORDS = 5000
MAX_TILES = 360
MAX_HEAP = 8e6  # bytes of the scripts; 1.8 MB were measured
SCREENS = [(800, 480), (390, 844)]
TILES = "document.querySelectorAll('.wall > li').length"
NODES = "document.querySelectorAll('*').length"
LAST = f"() => document.querySelector('.wall > li:last-child').ariaPosInSet === '{RECORDS}'"
# The tile in the middle of the screen: its link, its number and its place.
MIDDLE = """() => {
  const item = [...document.querySelectorAll(".wall > li")].find((one) => one.getBoundingClientRect().bottom > innerHeight / 2);
  return [item.querySelector("a").getAttribute("href"), Number(item.ariaPosInSet), item.getBoundingClientRect().top];
}"""
# How many rows of tiles stand above and below the screen, or on it: both ends of the window of the wall are out of sight.
AROUND = """() => {
  const boxes = [...document.querySelectorAll(".wall > li")].map((one) => one.getBoundingClientRect());
  return boxes[0].bottom < 0 && boxes.at(-1).top > innerHeight;
}"""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    rows: list[dict[str, object]] = [
        {"artist": f"{NAMES[n % len(NAMES)]} {n // len(NAMES):03}", "title": f"Volume {n}", "genre": "Jazz"}
        for n in range(RECORDS)
    ]
    with Vault(tmp_path_factory.mktemp("place") / "vault") as vault:
        vault.import_albums(rows)
        yield vault.url


@pytest.fixture
def visit(chromium: Any, shelf: str) -> Iterator[Callable[..., Any]]:
    contexts = []

    def open_one(width: int, height: int, path: str = "/") -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, has_touch=True, base_url=shelf)
        contexts.append(context)
        context.add_init_script(COUNT_SHIFTS)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda message: message.type in ("error", "warning") and page.complaints.append(message.text))
        page.goto(path, wait_until="load")
        page.wait_for_function("() => document.fonts.status === 'loaded'")
        return page

    yield open_one
    for context in contexts:
        context.close()


def fling(page: Any, height: int) -> None:
    """Move a finger up, and let go while it is still moving."""
    session = page.context.new_cdp_session(page)
    start, step = height - 90, (height - 160) / 5
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": 150, "y": start}]})
    for move in range(1, 6):
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": 150, "y": start - move * step}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()


def memory(page: Any) -> tuple[float, int]:
    """Return the bytes of the scripts and the nodes of the page, once what is unused is freed."""
    session = page.context.new_cdp_session(page)
    for name in ("HeapProfiler.enable", "HeapProfiler.collectGarbage", "Performance.enable"):
        session.send(name)
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    nodes = session.send("Memory.getDOMCounters")["nodes"]
    session.detach()
    return metrics["JSHeapUsedSize"], nodes


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_five_thousand_records_are_one_wall_that_scrolls_without_a_pause(
    visit: Callable[..., Any], width: int, height: int
) -> None:
    page = visit(width, height)
    height_of_wall = "document.querySelector('.wall').getBoundingClientRect().height"
    whole = page.evaluate(height_of_wall)
    before = -1
    for _ in range(6):
        assert page.evaluate("scrollY") > before
        before = page.evaluate("scrollY")
        fling(page, height)
        page.wait_for_function(f"() => scrollY > {before}")
    # On to the end, several screens a frame, as fast flings do; what is in the page is counted on the way.
    seen = page.evaluate(
        f"""() => new Promise((done) => {{
          const seen = {{ tiles: 0, nodes: 0, stops: 0 }};
          const step = () => {{
            const from = scrollY;
            scrollBy({{ top: 3000, behavior: "instant" }});
            seen.tiles = Math.max(seen.tiles, {TILES});
            seen.nodes = Math.max(seen.nodes, {NODES});
            const left = document.documentElement.scrollHeight - innerHeight - scrollY;
            if (left < 2) return done(seen);
            if (scrollY === from) seen.stops += 1;
            requestAnimationFrame(step);
          }};
          step();
        }})"""
    )
    assert seen["stops"] == 0
    assert seen["tiles"] <= MAX_TILES
    assert seen["nodes"] < MAX_TILES * 30
    end = page.evaluate("scrollY")
    page.wait_for_function(LAST)
    assert page.locator("[data-range]").inner_text().endswith("to 5,000 of 5,000")
    assert abs(page.evaluate("scrollY") - end) < 60  # the last page's own pager is a line lower
    assert abs(page.evaluate(height_of_wall) - whole) < 2
    assert page.evaluate(f"{TILES}") <= MAX_TILES
    assert page.evaluate("window.shifted") == 0
    heap, nodes = memory(page)
    assert heap < MAX_HEAP
    assert nodes < MAX_TILES * 60  # also those that have left the page
    assert page.complaints == []


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_a_jump_to_the_end_stays_there(visit: Callable[..., Any], width: int, height: int) -> None:
    """The browser laid out between the new tiles and the space around them: the wall was too low, and scrolled up by screens."""
    page = visit(width, height)
    page.evaluate("scrollTo({top: 2500, behavior: 'instant'})")
    page.wait_for_function(f"() => {TILES} > 60")  # more tiles than the last page has
    page.evaluate("scrollTo({top: document.documentElement.scrollHeight, behavior: 'instant'})")
    end = page.evaluate("scrollY")
    page.wait_for_function(LAST)
    assert abs(page.evaluate("scrollY") - end) < 60


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_back_from_the_three_thousandth_record_is_where_it_was(visit: Callable[..., Any], width: int, height: int) -> None:
    page = visit(width, height)
    page.evaluate("scrollTo({top: document.documentElement.scrollHeight * .6, behavior: 'instant'})")
    page.wait_for_function(AROUND)
    page.wait_for_function("() => location.search.includes('page=5')")
    href, number, _ = page.evaluate(MIDDLE)
    assert 2900 < number < 3100
    page.tap(f".wall a[href='{href}']")
    page.wait_for_url("**/album/*")
    assert page.evaluate("document.readyState") in ("interactive", "complete")
    page.go_back()
    page.wait_for_selector(f".wall a[href='{href}']")
    page.wait_for_function(AROUND)
    place = page.evaluate("history.state.place")
    assert place["href"] == href
    top = page.evaluate(f"document.querySelector('.wall a[href=\"{href}\"]').closest('li').getBoundingClientRect().top")
    assert abs(top - place["top"]) < 2
    assert page.evaluate("document.activeElement.getAttribute('href')") == href
    assert page.evaluate("window.shifted") == 0
    page.reload()
    page.wait_for_selector(f".wall a[href='{href}']")
    page.wait_for_function(AROUND)
    top = page.evaluate(f"document.querySelector('.wall a[href=\"{href}\"]').closest('li').getBoundingClientRect().top")
    assert abs(top - place["top"]) < height / 2
    assert page.complaints == []


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_a_jump_to_a_letter_leaves_records_above_and_below(visit: Callable[..., Any], width: int, height: int) -> None:
    page = visit(width, height)
    page.locator(".cells a[data-label=Q]").evaluate("cell => cell.click()")
    page.wait_for_selector("[data-group=Q]")
    page.wait_for_function(AROUND)
    line = page.evaluate("parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop)")
    assert abs(page.evaluate("document.querySelector('[data-group=Q]').getBoundingClientRect().top") - line) < 3
    assert "Pip" in page.evaluate("document.querySelector('[data-group=Q]').previousElementSibling.innerText")
    assert page.evaluate("window.shifted") == 0
    page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    page.wait_for_function("() => document.querySelector('.wall > li').ariaPosInSet === '1' && !location.search")
    assert page.locator("[data-group=Q]").count() == 0
    page.locator(".cells a[data-label=Q]").evaluate("cell => cell.click()")  # its own page has left the window meanwhile
    page.wait_for_selector("[data-group=Q]")
    page.wait_for_function(AROUND)
    assert abs(page.evaluate("document.querySelector('[data-group=Q]').getBoundingClientRect().top") - line) < 3


def test_a_turned_screen_shows_the_same_records(visit: Callable[..., Any]) -> None:
    page = visit(390, 844, "/?page=40")
    page.wait_for_function(AROUND)
    page.wait_for_function("() => history.state?.place")
    href = page.evaluate("history.state.place.href")
    page.set_viewport_size({"width": 800, "height": 480})
    page.wait_for_function(
        f"""() => {{ const box = document.querySelector(`.wall a[href="{href}"]`)?.getBoundingClientRect();
          return box && box.top > -1 && box.top < innerHeight; }}"""
    )
    columns = (
        "new Set([...document.querySelectorAll('.wall > li')].map((one) => Math.round(one.getBoundingClientRect().left))).size"
    )
    assert page.evaluate(columns) == 6
    number = page.evaluate("Number(document.querySelector('.wall > li').ariaPosInSet)")
    left = page.evaluate("document.querySelector('.wall > li').getBoundingClientRect().left")
    first = page.evaluate(
        "Math.min(...[...document.querySelectorAll('.wall > li')].map((one) => one.getBoundingClientRect().left))"
    )
    assert (left == first) == ((number - 1) % 6 == 0)


def test_a_page_that_does_not_come_is_asked_for_again(visit: Callable[..., Any]) -> None:
    page = visit(800, 480)
    refused: list[str] = []

    def refuse(route: Any) -> None:
        refused.append(route.request.url)
        route.abort() if len(refused) < 2 else route.continue_()

    page.route("**/?page=*", refuse)
    page.evaluate("scrollTo({top: document.documentElement.scrollHeight, behavior: 'instant'})")
    page.wait_for_function(LAST)
    assert len(refused) >= 2


def test_without_scripts_the_pages_are_links(chromium: Any, shelf: str) -> None:
    context = chromium.new_context(viewport={"width": 800, "height": 480}, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{shelf}/?page=40")
    assert page.locator(".wall > li").count() == 60
    assert page.locator(".pager a[rel=prev]").get_attribute("href") == "/?page=39"
    assert page.locator(".pager a[rel=next]").get_attribute("href") == "/?page=41"
    context.close()
