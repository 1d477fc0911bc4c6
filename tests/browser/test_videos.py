"""A video in a real browser: chosen on a phone, shown by its poster and its length, and played by ranges; a visitor plays it by a link."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.stage import multipart, photo
from tests.support.vault import Vault, wait_until
from tests.support.videos import video
from tests.support.visitor import SLUG, Browser, prepared

Open = Callable[..., Any]
PHONE = {"touch": True, "is_mobile": True}
SIZES = ((390, 844), (800, 480), (1280, 900))
PLAYS = "() => { const one = document.querySelector('video'); return one.currentTime > 0.2 && one.videoWidth > 0; }"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Vault, Browser]]:
    with Vault(tmp_path_factory.mktemp("videos") / "vault") as running:
        owner = prepared(running)
        assert owner.upload(photo(1, 900, 600), title="A picture").status == 201
        yield running, owner


@pytest.fixture(scope="module")
def live_app(served: tuple[Vault, Browser]) -> str:
    return served[0].url


def test_a_video_is_uploaded_and_played(
    served: tuple[Vault, Browser], as_owner: Open, open_page: Open, axe: Any, tmp_path: Path
) -> None:
    film = tmp_path / "party.mp4"
    film.write_bytes(video(5, size="640x360", codec="libvpx-vp9", colour="orange"))
    owner = as_owner(f"/streams/{SLUG}", 390, 844, **PHONE)
    owner.locator("input[type=file][multiple]").set_input_files(str(film))
    owner.locator(".plate.length").wait_for()
    assert owner.locator(".plate.length").inner_text().endswith("0:05")
    assert axe(owner) == []

    for width, height in SIZES:
        page = open_page(f"/streams/{SLUG}", width, height, dark=width == 800)
        page.locator(".frame[data-video]").click()  # leads to its page: the lightbox has images
        player = page.locator("video")
        player.wait_for()
        ranges: list[str] = []
        page.on("request", lambda request, ranges=ranges: ranges.append(request.headers.get("range", "")))
        box = player.bounding_box()
        assert box["width"] <= width
        assert box["y"] + box["height"] <= height
        page.evaluate("() => { const one = document.querySelector('video'); one.muted = true; return one.play(); }")
        page.wait_for_function(PLAYS)
        assert any(one.startswith("bytes=") for one in ranges)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert axe(page) == []
        assert page.complaints == []

    owner.goto(f"/streams/{SLUG}/share")
    owner.get_by_role("button", name="Create link").tap()
    link = owner.get_by_label("Link", exact=True).input_value()
    guest = open_page(link, 390, 844, **PHONE)
    guest.locator(".frame[data-video]").tap()
    guest.locator("video").wait_for()
    guest.evaluate("() => { const one = document.querySelector('video'); one.muted = true; return one.play(); }")
    guest.wait_for_function(PLAYS)
    assert guest.complaints == []


def test_what_the_server_cannot_store_is_refused_before_it_is_sent(as_owner: Open, tmp_path: Path) -> None:
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(100_000_001)
    owner = as_owner(f"/streams/{SLUG}", 1280, 900)
    sent: list[str] = []
    owner.on("request", lambda request: request.method == "POST" and sent.append(request.url))
    owner.locator("input[type=file][multiple]").set_input_files(str(large))
    owner.get_by_text("The limit is 100 MB.").wait_for()
    assert sent == []


BROKEN = "() => [...document.images].filter((one) => one.complete && !one.naturalWidth && one.offsetWidth).map((one) => one.src)"


def turn_to(page: Any, number: str) -> None:
    """Go on in the lightbox, which takes no key while it opens, until it shows this number."""
    page.locator(".pswp__counter").wait_for()
    wait_until(lambda: page.locator(".pswp__counter").inner_text() == number or page.keyboard.press("ArrowRight"))


def test_no_page_shows_a_video_as_an_image_that_is_broken(served: tuple[Vault, Browser], as_owner: Open, open_page: Open) -> None:
    """The lightbox and the slideshow go from image to image; a video is played on its page, with black beside an upright one."""
    for seed in (2, 3):
        assert served[1].upload(photo(seed, 900, 600), visibility="public").status == 201
    upright = (
        served[1].upload(video(3, size="360x640", codec="libvpx-vp9", colour="teal"), visibility="public").json()["results"][0]
    )
    for width, height in SIZES:
        page = as_owner(f"/streams/{SLUG}", width, height, touch=width < 1000, dark=width == 390)
        images, videos = page.locator(".frame[data-shot]").count(), page.locator(".frame[data-video]").count()
        assert (images >= 3, videos >= 1) == (True, True)
        assert page.evaluate(BROKEN) == []
        page.locator(".frame[data-shot]").first.click()
        for number in range(1, images + 1):
            turn_to(page, f"{number} / {images}")
            page.wait_for_function("() => [...document.querySelectorAll('.pswp__img')].every((one) => one.complete)")
            assert page.locator(".pswp__error-msg").count() == 0
        page.keyboard.press("Escape")
        page.goto(f"/streams/{SLUG}?select=1")
        page.locator(f".shot[data-id='{upright['image_id']}'] .mark-it").click()
        page.get_by_text("1 selected").wait_for()
        page.goto(f"/streams/{SLUG}/slideshow")
        assert page.get_by_text(f"1 of {images}").count() == 1
        page.goto(upright["page_url"])
        box = page.locator("video").bounding_box()
        assert (box["width"] <= width, box["y"] + box["height"] <= height) == (True, True)
        assert page.locator("video").evaluate("(one) => getComputedStyle(one).backgroundColor") == "rgb(16, 14, 13)"
        assert page.complaints == []


def test_a_stream_of_videos_alone_offers_no_slideshow(served: tuple[Vault, Browser], as_owner: Open) -> None:
    owner = served[1]
    made = owner.ask("POST", "/api/streams", b'{"title": "Films"}', {"Content-Type": "application/json"}).json()
    for colour in ("red", "blue"):
        data, kind = multipart({}, (video(2, colour=colour),))
        assert (
            owner.ask("POST", f"{made['url'].replace('/streams', '/api/streams')}/images", data, {"Content-Type": kind}).status
            == 201
        )
    page = as_owner(made["url"])
    assert page.locator(".frame[data-video]").count() == 2
    assert page.get_by_role("link", name="Slideshow").count() == 0
