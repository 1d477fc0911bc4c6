"""Streams in a real browser: an owner with a phone, a visitor who looks, and someone without scripts."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Route

from tests.browser.conftest import IS_SETTLED
from tests.support.pictures import encoded, noise, quartered
from tests.support.vault import ROOT, Vault

Open = Callable[..., Any]

NAME, PASSWORD = "vera", "a long password"
PHONE = {"width": 390, "height": 844, "touch": True, "is_mobile": True}
TURNED = (1, 3, 6, 8)  # EXIF orientations that cameras write
TITLES = ("Second encore", "Load-out")


@pytest.fixture(scope="module")
def live_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A vault without records, in which vera has an account."""
    with Vault(tmp_path_factory.mktemp("streams") / "vault") as running:
        running.command("users", "add", "ed", "--role", "operator", stdin=f"{PASSWORD}\n")
        running.command("users", "add", NAME, "--role", "owner", stdin=f"{PASSWORD}\n")
        yield running.url


@pytest.fixture(scope="module")
def session(chromium: Any, live_app: str) -> Any:
    """The cookies of a browser in which vera is logged in."""
    context = chromium.new_context(base_url=live_app)
    page = context.new_page()
    page.goto("/login?next=/streams")
    page.fill("#name", NAME)
    page.fill("#password", PASSWORD)
    page.click("button:has-text('Log in')")
    page.wait_for_url("**/streams")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eighteen images of mixed formats, shapes and orientations, with two among them that are none."""
    folder = tmp_path_factory.mktemp("photos")
    made = []
    for n in range(18):
        size = ((1500, 1000), (900, 1200), (700, 700))[n % 3]
        picture = noise("RGB", 9 + n, 7, n).resize(size, Image.Resampling.BICUBIC)
        format_ = ("JPEG", "JPEG", "PNG", "WEBP", "GIF", "BMP")[n % 6]
        options: dict[str, Any] = {}
        if format_ == "JPEG":
            exif = Image.Exif()
            exif[0x0112] = TURNED[n // 2 % 4]
            options = {"exif": exif, "quality": 85}
        made.append(folder / f"photo-{n:02}.{'jpg' if format_ == 'JPEG' else format_.lower()}")
        made[-1].write_bytes(encoded(picture, format_, **options))
    for at, name, body in ((5, "notes.jpg", b"Not a picture at all."), (11, "scan.png", b"\x89PNG\r\n" + bytes(20_400_000))):
        made.insert(at, folder / name)
        made[at].write_bytes(body)
    return made


@pytest.fixture
def as_owner(open_page: Open, session: Any) -> Open:
    return lambda path, *sizes, **more: open_page(path, *sizes, storage_state=session, **more)


@pytest.fixture(scope="module")
def gallery(chromium: Any, live_app: str, session: Any, photos: list[Path]) -> str:
    """The address of a stream with six public images, the second one sensitive."""
    context = chromium.new_context(base_url=live_app, storage_state=session, java_script_enabled=True)
    page = context.new_page()
    address = make_stream(page, "Rehearsal")
    good = [path for path in photos if path.name.startswith("photo")][:6]
    page.set_input_files(".file-input", good[:1])
    page.get_by_text("1 of 1 uploaded").wait_for()
    page.set_input_files(".file-input", good[1:])
    page.get_by_text("6 of 6 uploaded").wait_for()
    page.goto(f"{address}?select=1")
    page.locator(".shot label").nth(1).click()
    page.get_by_text("Visibility", exact=True).click()
    page.get_by_role("button", name="Sensitive", exact=True).click()
    page.get_by_text("1 image marked as sensitive.").wait_for()
    context.close()
    return address


def make_stream(page: Any, title: str, visibility: str = "public") -> str:
    page.goto("/streams")
    page.fill("#new #title", title)
    page.select_option("#new #visibility", visibility)
    page.click("text=Create stream")
    page.wait_for_url("**/streams/*")
    return str(urlsplit(page.url).path)


def press_long(page: Any, at: int) -> None:
    """Hold a finger on a tile for half a second."""
    box = page.locator(".shot .frame").nth(at).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    page.locator(".shot :checked").first.wait_for()
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def of_ours(complaints: list[str]) -> list[str]:
    """Leave out what the browser itself says of an answer that refuses a file."""
    return [text for text in complaints if not re.search(r"status of (409|413|415)", text)]


def test_an_owner_with_a_phone_uploads_an_evening(
    as_owner: Open, open_page: Open, axe: Callable[[Any], list[str]], photos: list[Path]
) -> None:
    page = as_owner("/streams", **PHONE)
    address = make_stream(page, "Garage night")
    limits = page.locator(".upload-hint").inner_text()
    assert "20 MB each" in limits
    assert "0 of 50 images" in limits
    page.set_input_files(".file-input", photos)
    page.get_by_text("18 of 20 uploaded, 2 rejected").wait_for(timeout=180_000)
    refused = page.locator(".is-refused")
    reasons = {row.locator(".file").inner_text(): row.inner_text() for row in refused.all()}
    assert sorted(reasons) == ["notes.jpg", "scan.png"]
    assert "Not a supported image" in reasons["notes.jpg"]
    assert "This file is 20.4 MB. The limit is 20 MB." in reasons["scan.png"]
    page.get_by_text("18 images: 18 public").wait_for()
    assert page.locator(".shot").count() == 18
    assert axe(page) == []

    page.get_by_role("button", name="Close").tap()
    page.locator(".shot").nth(0).scroll_into_view_if_needed()
    press_long(page, 0)
    page.locator(".shot label").nth(4).tap()
    page.locator(".shot label").nth(9).tap()
    page.get_by_text("3 selected").wait_for()
    assert axe(page) == []
    page.get_by_text("Visibility", exact=True).tap()
    page.get_by_role("button", name="Private").tap()
    page.get_by_text("3 images saved as private.").wait_for()
    page.get_by_text("18 images: 15 public, 0 for subscribers, 3 private").wait_for()

    for at, title in enumerate(TITLES):
        page.goto(page.locator(".shot .frame").nth(at).get_attribute("href"))
        page.fill("#title", title)
        page.click("text=Save")
        page.wait_for_url("**done=*")
        page.goto(address)
    page.get_by_role("link", name="More for this stream").tap()
    page.fill(".find.here input", "encore")
    page.press(".find.here input", "Enter")
    page.wait_for_url("**q=encore*")
    assert page.locator(".shot .caption b").all_text_contents() == [TITLES[0]]

    page.goto(address)
    press_long(page, 1)
    page.get_by_role("button", name="Trash", exact=True).tap()
    page.get_by_text("1 image moved to the trash.").wait_for()
    assert page.locator(".shot").count() == 17
    page.reload()
    page.get_by_role("button", name="Undo").tap()
    page.get_by_text("18 images: 15 public").wait_for()
    press_long(page, 1)
    page.get_by_role("button", name="Trash", exact=True).tap()
    page.get_by_text("17 images: 14 public, 0 for subscribers, 3 private").wait_for()
    assert of_ours(page.complaints) == []

    other = open_page(address)
    assert other.locator(".shot").count() == 14
    assert other.locator(".numbers").first.inner_text() == f"14 images, by {NAME}"
    assert other.get_by_text("private").count() == 0
    other.goto("/streams")
    assert "14 images" in other.locator(".strip", has_text="Garage night").inner_text()
    assert other.complaints == []


def test_an_owner_sees_what_others_see(as_owner: Open) -> None:
    page = as_owner("/streams")
    address = make_stream(page, "Closed doors", "private")
    page.get_by_role("link", name="As visitor").click()
    page.get_by_text("Viewing as a visitor: nothing is visible.").wait_for()
    page.locator(".band a").click()
    page.wait_for_url(f"**{address}")
    page.goto(f"{address}/selftest")
    assert page.get_by_role("heading", name="Privacy check passed").is_visible()


def test_keys_turn_the_pictures_of_the_lightbox(gallery: str, open_page: Open) -> None:
    page = open_page(gallery)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator(".frame").first.focus()
    page.keyboard.press("Enter")
    page.locator(".pswp--open").wait_for()
    page.wait_for_function(
        """() => { const image = document.querySelector(".pswp__item[aria-hidden=false] .pswp__img:not(.pswp__img--placeholder)");
          return /large$/.test(image?.src) && image.complete && image.naturalWidth > 0; }"""
    )
    assert sum(url.endswith("/large") for url in asked) == 1, "only the one that is looked at counts as looked at"
    page.keyboard.press("s")
    assert "/streams/" in page.url, "keys of the page are off meanwhile"
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Sensitive. Show image").wait_for()
    assert page.locator(".pswp__counter").inner_text() == "2 / 6"
    page.get_by_role("button", name="Sensitive. Show image").click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.pswp__item[aria-hidden=false] .pswp__img')].some((one) => /large$/.test(one.src) && one.naturalWidth)"
    )
    page.keyboard.press("Escape")
    page.locator(".pswp").wait_for(state="detached")
    assert page.locator(".frame").first.evaluate("(one) => one === document.activeElement")
    assert urlsplit(page.url).path == gallery
    assert page.complaints == []


# Before its opening is over the lightbox takes no finger, and a finger that comes while it turns the image stops it.
IS_OPEN = """() => [...document.querySelectorAll(".pswp__bg, .pswp__item[aria-hidden=false] .pswp__zoom-wrap")]
  .every((one) => one.style.transition.startsWith("none") && getComputedStyle(one).opacity === "1")"""
STANDS_STILL = "() => Math.abs(document.querySelector('.pswp__item[aria-hidden=false]').getBoundingClientRect().left) < 0.5"


def test_fingers_turn_and_enlarge_and_back_closes(gallery: str, open_page: Open) -> None:
    page = open_page(gallery, **PHONE)
    page.locator(".frame").first.tap()
    page.locator(".pswp--open.pswp--ui-visible").wait_for()
    page.wait_for_function(IS_OPEN)
    touch = page.context.new_cdp_session(page)
    swipe(touch, (330, 400), (60, 400))
    page.wait_for_function("() => document.querySelector('.pswp__counter').textContent === '2 / 6'")
    page.wait_for_function(STANDS_STILL)
    assert page.locator(".pswp--zoomed-in").count() == 0
    pinch(touch, (195, 400), 40, 150)
    page.locator(".pswp--zoomed-in").wait_for()
    page.go_back()
    page.locator(".pswp").wait_for(state="detached")
    assert urlsplit(page.url).path == gallery
    assert page.complaints == []


def swipe(touch: Any, start: tuple[int, int], end: tuple[int, int]) -> None:
    for step in range(11):
        x, y = (start[i] + (end[i] - start[i]) * step / 10 for i in (0, 1))
        kind = "touchMove" if step else "touchStart"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def pinch(touch: Any, middle: tuple[int, int], start_px: int, end_px: int) -> None:
    x, y = middle
    for step in range(11):
        apart = start_px + (end_px - start_px) * step / 10
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove" if step else "touchStart", "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_sensitive_picture_is_other_bytes_until_it_is_asked_for(gallery: str, open_page: Open) -> None:
    page = open_page(gallery)
    frame = page.locator(".frame", has=page.locator(".plate.show"))
    assert "blurred" in frame.locator("img").get_attribute("src")
    frame.click()
    page.wait_for_function("() => !document.querySelector('.plate')")
    assert "blurred" not in frame_source(page, 1)
    assert page.locator(".pswp").count() == 0

    plain = open_page(gallery, scripts=False)
    plain.locator(".frame", has=plain.locator(".plate.show")).click()
    assert "blurred" in plain.locator("img.whole").get_attribute("src")
    plain.get_by_role("link", name="Show image").click()
    plain.locator("img.whole:not([src*=blurred])").wait_for()


def frame_source(page: Any, at: int) -> str:
    found: str = page.locator(".frame img").nth(at).get_attribute("src")
    return found


def test_without_scripts_a_form_uploads_and_says_what_became_of_each(as_owner: Open, photos: list[Path]) -> None:
    page = as_owner("/streams", scripts=False)
    address = make_stream(page, "By form", "private")
    page.set_input_files(".file-input", photos[3:6])
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("heading", name="2 of 3 uploaded").wait_for()
    page.wait_for_load_state()
    assert "Not a supported image" in page.locator(".is-refused").inner_text()
    assert page.get_by_text("Uploaded, private").count() == 2
    page.get_by_role("link", name="Back to the stream").click()
    page.wait_for_url(f"**{address}")
    assert page.locator(".shot").count() == 2
    page.goto(f"{address}?select=1")
    page.locator(".shot label").first.click()
    page.get_by_text("Visibility", exact=True).click()
    page.get_by_role("button", name="Public").click()
    page.get_by_text("1 image saved as public.").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Undone.").wait_for()
    page.goto(f"{address}?select=1")
    page.locator(".shot label").first.click()
    page.get_by_role("button", name="Trash").click()
    page.get_by_text("1 image moved to the trash.").wait_for()
    assert page.locator(".shot").count() == 1
    page.get_by_role("link", name="Trash").click()
    page.locator(".shot label").first.click()
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_role("heading", name="Delete 1 image for good?").wait_for()
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_role("heading", name="The trash is empty").wait_for()


def test_what_is_dropped_anywhere_on_the_page_is_uploaded(as_owner: Open) -> None:
    page = as_owner("/streams")
    make_stream(page, "Dropped")
    body = encoded(quartered(), "PNG").hex()
    page.evaluate(
        """(hex) => {
          const bytes = Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
          for (const kind of ["dragover", "drop"]) document.body.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        body,
    )
    page.get_by_text("1 of 1 uploaded").wait_for()
    page.locator(".shot").wait_for()
    assert page.complaints == []


def test_an_animation_is_said_to_be_shown_as_a_still(as_owner: Open, tmp_path: Path) -> None:
    page = as_owner("/streams")
    make_stream(page, "Turning")
    path = tmp_path / "turning.gif"
    frames = [quartered(), quartered().rotate(90)]
    path.write_bytes(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    page.set_input_files(".file-input", path)
    page.get_by_text("1 of 1 uploaded").wait_for()
    page.get_by_text("Show files").click()
    row = page.locator(".is-stored")
    assert row.locator(".why").inner_text() == "Animation: only the first frame is shown. The original is unchanged."
    boxes = [row.locator(part).bounding_box() for part in (".why", ".outcome")]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"], "beside each other"
    assert page.complaints == []


def test_an_upload_that_does_not_get_through_can_be_tried_again(as_owner: Open, photos: list[Path]) -> None:
    page = as_owner("/streams")
    make_stream(page, "Flaky")
    page.route("**/api/streams/*/images", lambda route: route.abort())
    page.set_input_files(".file-input", photos[:1])
    page.get_by_text("Could not reach VinylVault.").wait_for()
    page.unroute("**/api/streams/*/images")
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("1 of 1 uploaded").wait_for()


def test_an_upload_that_comes_while_the_server_is_busy_is_tried_again_by_itself(as_owner: Open, photos: list[Path]) -> None:
    """A person had to send it again by hand; with the reason in the response there was not even a button."""
    page = as_owner("/streams")
    make_stream(page, "Busy")
    busy = {"name": "a.jpg", "ok": False, "kind": "busy", "reason": "VinylVault is busy with other images.", "status": 503}
    answers = [{"results": [busy], "stored": 0, "refused": 1}, {"error": "Not now", "status": 503}]

    def answer(route: Route) -> None:
        if answers:
            route.fulfill(status=503, json=answers.pop(0), headers={"Retry-After": "1"})
        else:
            route.continue_()

    page.route("**/api/streams/*/images", answer)
    page.set_input_files(".file-input", photos[:1])
    page.locator(".fold summary").click()
    page.get_by_text("Retrying in a moment").wait_for()
    page.get_by_text("1 of 1 uploaded").wait_for()
    assert answers == []


def test_somebody_who_is_invited_joins_and_sees_more(as_owner: Open, open_page: Open, photos: list[Path]) -> None:
    page = as_owner("/streams")
    address = make_stream(page, "For a few", "subscribers")
    page.set_input_files(".file-input", photos[:1])
    page.get_by_text("1 of 1 uploaded").wait_for()
    page.get_by_role("link", name="People").click()
    page.get_by_role("button", name="Create link").click()
    link = page.get_by_label("Copy this link and send it.").input_value()
    guest = open_page(urlsplit(link).path, **PHONE)
    guest.fill("#name", "guest")
    guest.fill("#password", PASSWORD)
    guest.get_by_role("button", name="Create account and join").tap()
    guest.wait_for_url(f"**{address}")
    assert guest.locator(".shot").count() == 1
    assert guest.locator(".uploader, .keep").count() == 0
    page.reload()
    assert page.locator(".members").get_by_text("guest").is_visible()
    stranger = open_page("/streams")
    assert stranger.get_by_text("For a few").count() == 0
    assert stranger.get_by_role("link", name="Log in").first.is_visible()


PAGES = (
    "",
    "?q=zugzwang",
    "?as=stranger",
    "/people",
    "/selftest",
    "/trash",
    "?select=1",
    "?edit=titles",
    "?view=squares",
    "LIST",
    "SEARCH",
    "PICTURE",
    "MOVE",
)


def place(kind: str, gallery: str, page: Any) -> str:
    if kind in ("PICTURE", "MOVE"):
        page.goto(gallery)
        found: str = page.locator(".frame").first.get_attribute("href")
        return f"{gallery}/move?image={found.rpartition('/')[2]}" if kind == "MOVE" else found
    return {"LIST": "/streams", "SEARCH": "/streams?q=photo"}.get(kind, gallery + kind)


@pytest.mark.parametrize("kind", PAGES)
def test_every_page_of_streams_can_be_read_fits_and_stands_still(
    kind: str, gallery: str, as_owner: Open, axe: Callable[[Any], list[str]]
) -> None:
    page = as_owner("/keys", reduced_motion="reduce")
    page.goto(place(kind, gallery, page))
    page.wait_for_function(IS_SETTLED)
    page.wait_for_timeout(500)  # what comes now must not move anything either
    assert page.evaluate("window.shifted") == 0, page.evaluate("window.movers")
    assert axe(page) == []
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert axe(page) == []
    wide = []
    for width in (320, 390, 641, 720, 800, 960, 961, 1200, 1440, 1920):
        page.set_viewport_size({"width": width, "height": 480 if width == 800 else 800})
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(width)
    assert wide == []
    assert page.complaints == []


@pytest.mark.parametrize(("width", "height"), [(390, 844), (800, 480)])
@pytest.mark.parametrize("kind", PAGES)
def test_everything_to_touch_is_large_enough_and_stands_still(
    kind: str, width: int, height: int, gallery: str, as_owner: Open
) -> None:
    page = as_owner("/keys", width, height, touch=True, is_mobile=True)
    page.goto(place(kind, gallery, page))
    page.wait_for_function(IS_SETTLED)
    page.wait_for_timeout(300)
    small = page.evaluate(
        """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, summary, label.tick, textarea")]
          .filter((one) => one.checkVisibility() && !one.closest("p:not(.crumb, .band, .ways), h2, td, .skip, .files") && !one.matches("[type=checkbox], [type=radio]"))
          .map((one) => [one.outerHTML.slice(0, 90), one.getBoundingClientRect()])
          .filter(([, box]) => box.width > 1 && (box.height < 43.5 || box.width < 43.5))
          .map(([html, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${html}`)"""
    )
    assert small == []
    assert page.evaluate("window.shifted") == 0


def test_rows_have_one_height_each_and_squares_three_columns_on_a_phone(gallery: str, open_page: Open) -> None:
    page = open_page(gallery)
    for width, height, tallest in ((1440, 900, 208), (800, 480, 132), (390, 844, 122)):
        page.set_viewport_size({"width": width, "height": height})
        boxes = [one.bounding_box() for one in page.locator(".frame").all()]
        rows: dict[int, list[float]] = {}
        for box in boxes:
            rows.setdefault(round(box["y"]), []).append(box["height"])
        assert all(max(heights) - min(heights) < 1.5 and max(heights) <= tallest for heights in rows.values())
        assert all(0.9 < box["width"] / box["height"] / ratio < 1.1 for box, ratio in zip(boxes, shapes_of(page), strict=True))
    page.goto(f"{gallery}?view=squares")
    boxes = [one.bounding_box() for one in page.locator(".frame").all()]
    assert sum(box["y"] == boxes[0]["y"] for box in boxes) == 3
    assert all(abs(box["width"] - box["height"]) < 1 for box in boxes)


def shapes_of(page: Any) -> list[float]:
    found: list[float] = page.eval_on_selector_all(".frame", "all => all.map(({dataset}) => dataset.width / dataset.height)")
    return found


def test_a_mouse_selects_a_run_and_keys_all(gallery: str, as_owner: Open) -> None:
    page = as_owner(gallery)
    page.locator(".frame").nth(0).click(modifiers=["Shift"])
    page.locator(".shot label").nth(3).click(modifiers=["Shift"])
    page.get_by_text("4 selected").wait_for()
    page.keyboard.press("Control+a")
    page.get_by_text("6 selected").wait_for()
    page.keyboard.press("Escape")
    page.locator(".mark-it").first.wait_for(state="detached")
    page.locator(".frame").nth(2).focus()
    page.keyboard.press("x")
    page.get_by_text("1 selected").wait_for()
    first, last = (page.locator(".shot").nth(at).bounding_box() for at in (3, 5))
    page.mouse.move(first["x"] + 60, first["y"] + 60)
    page.mouse.down()
    page.mouse.move(last["x"] + 60, last["y"] + 60, steps=6)
    page.mouse.up()
    page.get_by_text("4 selected").wait_for()
    page.go_back()
    page.locator(".chosen-bar").wait_for(state="detached")
    assert page.complaints == []


def test_titles_are_written_in_place_and_images_arranged_by_keys_and_drag(as_owner: Open, photos: list[Path]) -> None:
    page = as_owner("/streams")
    address = make_stream(page, "Arranged")
    page.set_input_files(".file-input", [path for path in photos if path.name.startswith("photo")][:3])
    page.get_by_text("3 of 3 uploaded").wait_for()
    page.goto(address)
    page.locator(".caption").nth(0).click()
    page.keyboard.type("One")
    page.keyboard.press("Tab")
    page.keyboard.type("Two")
    page.keyboard.press("Enter")
    page.locator(".caption b", has_text="Two").wait_for()
    page.locator(".frame").nth(2).focus()
    page.keyboard.press("F2")
    page.keyboard.type("Lost")
    page.keyboard.press("Escape")
    assert page.locator(".caption b").all_text_contents() == ["One", "Two"]
    page.goto(f"{address}?edit=order")
    names = page.locator(".frame img").evaluate_all("all => all.map(({alt}) => alt)")
    page.locator(".grip").nth(0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_text("One, 2 of 3").wait_for(state="attached")
    start, first = page.locator(".grip").nth(2).bounding_box(), page.locator(".frame").nth(0).bounding_box()
    page.mouse.move(start["x"] + 20, start["y"] + 20)
    page.mouse.down()
    page.mouse.move(first["x"] + 20, first["y"] + 60, steps=8)
    page.mouse.up()
    page.get_by_role("button", name="Save order").click()
    page.get_by_text("Order saved.").wait_for()
    assert page.locator(".frame img").evaluate_all("all => all.map(({alt}) => alt)") == [names[2], "Two", "One"]
    assert page.complaints == []


def test_keys_lead_through_pictures_and_back(gallery: str, open_page: Open) -> None:
    page = open_page("/keys")
    page.clock.set_fixed_time(time.time())  # the second key must come within 1.5 s of the first
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.wait_for_url("**/streams")
    page.goto(gallery)
    page.goto(page.locator(".frame").first.get_attribute("href"))
    first = page.url
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: url != first)
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(first)
    page.keyboard.press("Escape")
    page.wait_for_url(f"**{gallery}#p-*")


def test_the_viewer_of_pictures_is_vendored_with_its_licence() -> None:
    folder = ROOT / "static" / "vendor" / "photoswipe-5.4.4"
    assert "MIT" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert "photoswipe-5.4.4/" in (ROOT / "static/js/shared/lightbox.js").read_text(encoding="utf-8")


def test_the_bar_of_an_operator_leaves_room_for_the_search(open_page: Open) -> None:
    page = open_page("/login", 1280, 800)
    page.fill("#name", "ed")
    page.fill("#password", PASSWORD)
    page.click("button:has-text('Log in')")
    page.locator(".session .who").wait_for()
    page.goto("/about")
    field, text = page.evaluate(
        """() => {
          const field = document.querySelector(".top .find input"), text = document.createElement("span");
          text.textContent = "Search 10,000 records";
          for (const name of ["fontFamily", "fontSize", "fontStretch", "letterSpacing"]) text.style[name] = getComputedStyle(field)[name];
          text.style.position = "absolute";
          text.style.whiteSpace = "nowrap";
          const width = field.clientWidth;
          document.body.append(text);
          return [width, text.offsetWidth];
        }"""
    )
    assert field > text
