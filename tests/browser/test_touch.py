"""By touch: a bought record from its barcode to the statistics and back, the cover enlarged, the keys on the screen of a kiosk."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import keep_screenshot
from tests.imaging.test_barcode import photo
from tests.support.musicbrainz import Archive
from tests.support.origin import jpeg
from tests.support.vault import Vault

Open = Callable[..., Any]
BARCODE = "4000000000006"
IS_LARGE = """() => { const image = document.querySelector(".pswp__item[aria-hidden=false] .pswp__img:not(.pswp__img--placeholder)");
  return image?.src.includes("/cache/detail-2x/") && image.complete && image.naturalWidth > 0; }"""
SIZES = [(800, 480), (390, 844)]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[str]:
    """The address of an empty vault that looks records up at a server of the protocol of MusicBrainz."""
    with Archive(tmp_path / "archive") as archive:
        archive.add("Blue Hour", "The Lanterns", barcode=BARCODE, catno="LAN 7", label="Lantern", year="1982")
        asks = {**archive.environment, "VINYL_VAULT_FIND_COVERS": "0"}
        with Vault(tmp_path / "vault", trusted=(archive.base,), **asks) as vault:
            yield vault.url


class Finger:
    """Counts what it touches, and keeps a screenshot of each page that it comes to."""

    def __init__(self, page: Any, folder: Path) -> None:
        self.page = page
        self.taps = 0
        self._folder = folder

    def tap(self, role: str, name: str, *, exact: bool = False) -> None:
        target = self.page.get_by_role(role, name=name, exact=exact).first
        target.wait_for()
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 24, (name, box)
        target.tap()
        self.taps += 1
        self.page.wait_for_load_state("load")

    def look(self, name: str) -> None:
        keep_screenshot(self.page, self._folder / f"{name}-{self.page.viewport_size['width']}.png")
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_bought_record_goes_in_by_its_barcode_is_edited_played_flipped_counted_and_undone(
    chromium: Any, home: str, tmp_path: Path, width: int, height: int
) -> None:
    """Eight taps, the photograph among them; only the tracks are typed."""
    context = chromium.new_context(viewport={"width": width, "height": height}, has_touch=True, base_url=home)
    page = context.new_page()
    finger = Finger(page, tmp_path)
    page.goto("/add")
    finger.look("add")
    page.set_input_files("#barcode", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo(BARCODE)})
    finger.taps += 1  # on the target, which opens the camera
    page.get_by_text("Which one is it?").wait_for()
    finger.look("candidates")
    finger.tap("button", "Add Blue Hour")
    page.get_by_text("Added.").wait_for()
    assert finger.taps == 2  # and it is on the wall
    finger.look("record")
    finger.tap("link", "Edit", exact=True)
    page.fill("#tracks", "A1 | Lamp | 3:20\nA2 | Wick | 2:40\nB1 | Oil | 4:00")
    finger.look("edit")
    finger.tap("button", "Save changes")
    page.get_by_text("Saved.").wait_for()
    finger.tap("link", "Put it on")
    finger.look("ready")
    finger.tap("button", "Start side A")
    page.get_by_role("button", name="Flip to side B").wait_for()
    finger.look("playing")
    finger.tap("button", "Flip to side B")
    page.get_by_text("Counted as played.").wait_for()
    finger.look("flipped")
    stats = context.new_page()
    stats.goto("/stats")
    assert "1 play" in stats.locator("main").inner_text()
    stats.close()
    finger.tap("button", "Undo the play")
    page.get_by_text("Counted as played.").wait_for(state="detached")
    assert finger.taps == 8
    page.goto("/plays")
    page.get_by_text("No plays counted yet").wait_for()
    context.close()


def test_a_tap_on_the_cover_enlarges_it_and_further_images_follow(open_page: Open, live_app: str, tmp_path: Path) -> None:
    page = open_page("/", 390, 844, touch=True)
    page.wait_for_selector(".wall .sleeve[data-state=ready]")
    path = page.locator(".wall li:has(.sleeve[data-state=ready]) .tile").first.get_attribute("href")
    page.goto(f"{path}/cover")
    page.select_option("#image-kind", "inner")
    inner = {"name": "inner.jpg", "mimeType": "image/jpeg", "buffer": jpeg(900, 600, (20, 90, 60))}
    page.set_input_files("#image-file", inner)
    page.get_by_role("button", name="Add image").tap()
    page.get_by_text("Image added.").wait_for()
    keep_screenshot(page, tmp_path / "images.png")
    page.goto(path)
    for _ in range(40):
        if page.locator(".further a").count():
            break
        page.wait_for_timeout(250)
        page.reload()
    assert not page.evaluate("performance.getEntriesByType('resource').some(({ name }) => name.includes('photoswipe'))")
    keep_screenshot(page, tmp_path / "record.png")
    page.get_by_role("link", name="Enlarge the cover").tap()
    page.locator(".pswp--open .lightbox-caption b", has_text="Cover").wait_for()
    page.wait_for_function(IS_LARGE, timeout=90_000)  # behind the covers of the wall in the queue
    keep_screenshot(page, tmp_path / "lightbox.png")
    assert page.locator(".lightbox-caption a").count() == 0
    inner_caption = page.locator(".lightbox-caption b", has_text="Inner sleeve")
    for _ in range(60):  # a key that comes before its opening is over is lost; after the last image there is none
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(250)
        if inner_caption.count():
            break
    inner_caption.wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.pswp__img')].some((one) => one.naturalWidth === 900)", timeout=90_000
    )
    assert page.url.endswith(path)  # the key did not go along the shelf
    page.go_back()
    page.locator(".pswp").wait_for(state="detached")
    page.get_by_role("link", name="Inner sleeve").tap()
    page.locator(".lightbox-caption b", has_text="Inner sleeve").wait_for()
    assert page.complaints == []


def test_a_link_to_the_cover_opens_it_without_scripts(open_page: Open) -> None:
    page = open_page("/")
    page.wait_for_selector(".wall .sleeve[data-state=ready]")
    path = page.locator(".wall li:has(.sleeve[data-state=ready]) .tile").first.get_attribute("href")
    plain = open_page(path, 390, 844, touch=True, scripts=False)
    plain.locator("a.enlarge").tap()
    plain.wait_for_url("**/cache/detail/*.webp")


def test_the_keys_of_a_kiosk_type_into_the_search_and_hold_umlauts(open_page: Open, tmp_path: Path) -> None:
    page = open_page("/search", 800, 480, touch=True)
    board = page.get_by_role("region", name="Keyboard")
    board.wait_for()
    assert page.locator(".find.wide input").get_attribute("inputmode") == "none"
    for letter in "ada":
        board.get_by_role("button", name=letter, exact=True).tap()
    page.wait_for_url(lambda url: url.endswith("q=ada"))  # the last search is shown
    page.get_by_text("Ada and the Number 1").first.wait_for()
    assert page.locator(".find.wide input").input_value() == "ada"
    keep_screenshot(page, tmp_path / "keys.png")
    first = page.locator(".rows .row").first.bounding_box()
    assert first["y"] + first["height"] <= board.bounding_box()["y"]
    for one in board.get_by_role("button").all():
        box = one.bounding_box()
        assert box["width"] >= 44, one.inner_text()
        assert box["height"] >= 44, one.inner_text()
        assert box["x"] >= 0, one.inner_text()
        assert box["x"] + box["width"] <= 800, one.inner_text()
    board.get_by_role("button", name="Delete").tap()
    held = board.get_by_role("button", name="o", exact=True).bounding_box()
    page.mouse.move(held["x"] + 9, held["y"] + 9)
    page.mouse.down()
    board.get_by_role("button", name="ö", exact=True).wait_for()
    page.mouse.up()
    board.get_by_role("button", name="ö", exact=True).tap()
    board.get_by_role("button", name="Digits").tap()
    board.get_by_role("button", name="7", exact=True).tap()
    assert page.locator(".find.wide input").input_value() == "adö7"
    page.keyboard.press("Escape")
    board.wait_for(state="detached")
    assert page.locator(".find.wide input").get_attribute("inputmode") is None
    page.locator(".find.wide input").press("x")
    page.wait_for_url(lambda url: "x" in url.partition("q=")[2])
    page.reload()
    page.get_by_role("button", name="Show the keyboard").wait_for()
    assert board.count() == 0  # there is a keyboard
    page.locator("h1").tap()  # away from the field: it is replaced with the rest
    page.locator(".find.wide input").evaluate(
        "one => { one.value = 'ada'; one.dispatchEvent(new Event('input', { bubbles: true })) }"
    )
    page.wait_for_url(lambda url: url.endswith("q=ada"))
    page.get_by_role("button", name="Show the keyboard").wait_for()
    page.goto("/search?q=zzzzqqqq")
    page.get_by_text("Nothing filed under").wait_for()
    page.get_by_role("button", name="Show the keyboard").tap()
    board.wait_for()
    assert page.complaints == []


@pytest.mark.parametrize(
    ("touch", "agent"), [(False, None), (True, "Mozilla/5.0 (Linux; Android 14; Pixel) AppleWebKit/537.36 Mobile Safari")]
)
def test_a_desk_and_a_phone_keep_their_own_keyboard(open_page: Open, touch: bool, agent: str | None) -> None:
    page = open_page("/search", 800, 400, touch=touch, **({"user_agent": agent} if agent else {}))
    page.locator(".find.wide input").wait_for()
    assert page.locator(".keys-open, .keys-board").count() == 0
    assert page.locator(".find.wide input").get_attribute("inputmode") is None
