"""Sharing in a real browser: an owner with a phone makes a link, and a visitor without an account looks, downloads and sends images."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.pictures import encoded, noise
from tests.support.stage import photo
from tests.support.vault import Vault
from tests.support.visitor import SLUG, Browser, prepared

Open = Callable[..., Any]
PHONE = {"touch": True, "is_mobile": True}
SIZES = ((390, 844), (800, 480), (1280, 900))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Vault, Browser]]:
    with Vault(tmp_path_factory.mktemp("shares") / "vault") as running:
        owner = prepared(running)
        for number in range(5):
            visibility = "private" if number == 4 else "public"
            assert owner.upload(photo(number, 900, 600), visibility=visibility, title=f"Title {number}").status == 201
        yield running, owner


@pytest.fixture(scope="module")
def live_app(served: tuple[Vault, Browser]) -> str:
    return served[0].url


@pytest.fixture
def as_owner(open_page: Open, served: tuple[Vault, Browser]) -> Open:
    vault, owner = served
    name, _, value = owner.cookie.partition("=")
    cookie = {
        "name": name,
        "value": value,
        "domain": "127.0.0.1",
        "path": "/",
        "httpOnly": True,
        "secure": False,
        "sameSite": "Lax",
    }
    state = {"cookies": [{**cookie, "expires": -1}], "origins": []}
    assert vault.url.startswith("http://127.0.0.1")
    return lambda path, *sizes, **more: open_page(path, *sizes, storage_state=state, **more)


def test_three_taps_make_a_link_and_one_gives_a_visitor_all_images(
    as_owner: Open, open_page: Open, axe: Any, tmp_path: Path
) -> None:
    owner = as_owner(f"/streams/{SLUG}", 390, 844, **PHONE)
    owner.get_by_role("link", name="Share").tap()  # 1
    owner.get_by_text("Anyone with the link sees 4 public images, without an account. Private images stay hidden.").wait_for()
    owner.get_by_label("Accept images from visitors").check()
    owner.get_by_role("button", name="Create link").tap()  # 2
    owner.get_by_role("button", name="Copy the link").tap()  # 3
    assert axe(owner) == []
    link = owner.get_by_label("Link", exact=True).input_value()
    assert owner.locator("svg.qr").is_visible()
    assert owner.complaints == []

    guest = open_page(link, 390, 844, accept_downloads=True, **PHONE)
    assert guest.locator(".shot").count() == 4
    assert guest.locator("nav").count() == 0
    assert axe(guest) == []
    with guest.expect_download() as download:
        guest.get_by_role("link", name="Download all").tap()  # 1
    download.value.save_as(tmp_path / "all.zip")
    names = zipfile.ZipFile(tmp_path / "all.zip").namelist()
    assert (download.value.suggested_filename, names) == ("Evening.zip", [f"Title {number}.webp" for number in range(4)])

    guest.get_by_role("link", name="Add yours").tap()
    guest.get_by_label("Your name, optional").fill("Noor")
    sent = tmp_path / "mine.jpg"
    sent.write_bytes(encoded(noise("RGB", 90, 60, 77), "JPEG"))
    guest.get_by_label("Images").set_input_files(sent)
    guest.get_by_role("button", name="Send images").tap()
    guest.get_by_text("Sent", exact=True).wait_for()
    assert axe(guest) == []

    owner.goto(f"/streams/{SLUG}/waiting")
    owner.get_by_text("Noor,").wait_for()
    assert axe(owner) == []
    owner.get_by_role("button", name="Approve as public").tap()
    owner.get_by_text("1 image approved as public.").wait_for()
    guest.goto(link)
    assert guest.locator(".shot").count() == 5

    owner.goto(f"/streams/{SLUG}/links")
    assert axe(owner) == []
    owner.get_by_role("button", name="Revoke").tap()
    owner.get_by_text("The link no longer works.").wait_for()
    guest.reload()
    guest.get_by_role("heading", name="This link does not work").wait_for()


def test_a_selection_is_shared_without_scripts_and_opens_in_the_lightbox(as_owner: Open, open_page: Open) -> None:
    owner = as_owner(f"/streams/{SLUG}?select=1", 1280, 900, scripts=False)
    owner.locator("input[name=image]").nth(1).check(force=True)
    owner.get_by_role("button", name="Share").click()
    owner.get_by_text("Anyone with the link sees the 1 image that you selected").wait_for()
    owner.get_by_role("button", name="Create link").click()
    guest = open_page(owner.get_by_label("Link", exact=True).input_value(), 1280, 900)
    assert guest.locator(".shot").count() == 1
    guest.locator(".shot a").first.click()
    guest.locator(".pswp__img").first.wait_for()
    assert guest.complaints == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_pages_fit_and_read_at_every_size(as_owner: Open, axe: Any, size: tuple[int, int], dark: bool) -> None:
    for path in (f"/streams/{SLUG}/share", f"/streams/{SLUG}/links", "/account/tokens"):
        page = as_owner(path, *size, dark=dark, touch=size[0] < 900)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert axe(page) == [], path
        if path.endswith("/share"):
            button = page.get_by_role("button", name="Create link").bounding_box()
            assert button["y"] + button["height"] < size[1], "the whole form fits"
