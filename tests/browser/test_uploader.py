"""The uploader and a long gallery in a real browser: an upload is cancelled, one or all; "Show more" adds to the page."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.stage import photo
from tests.support.vault import Vault
from tests.support.visitor import SLUG, Browser, prepared

Open = Callable[..., Any]
SIZES = ((390, 844), (800, 480), (1280, 900))
SLOW_BYTES_A_S = 30_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Vault, Browser]]:
    limits = {"VINYL_VAULT_MAX_STREAM_IMAGES_PER_STREAM": "1000"}
    with Vault(tmp_path_factory.mktemp("uploader") / "vault", **limits) as running:
        yield running, prepared(running)


@pytest.fixture(scope="module")
def live_app(served: tuple[Vault, Browser]) -> str:
    return served[0].url


def slow(page: Any, bytes_a_s: int) -> None:
    """Let the line send so fast only; -1 for as fast as it can."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_s}
    session.send("Network.emulateNetworkConditions", limits)


def large(folder: Path, count: int) -> list[str]:
    paths = []
    for number in range(count):
        path = folder / f"photo-{number}.jpg"
        path.write_bytes(photo(500 + number, 700, 500))
        paths.append(str(path))
    return paths


@pytest.mark.parametrize("size", SIZES)
def test_one_upload_is_cancelled_and_the_others_go_on(
    as_owner: Open, served: tuple[Vault, Browser], axe: Any, tmp_path: Path, size: tuple[int, int]
) -> None:
    page = as_owner(f"/streams/{SLUG}", *size)
    slow(page, SLOW_BYTES_A_S)
    page.locator("input[type=file][multiple]").set_input_files(large(tmp_path, 4))
    page.locator("[data-upload-summary]").click()
    assert page.locator("[data-upload-cancel]").count() == 4
    page.get_by_role("button", name="Cancel photo-0.jpg").click()  # being sent
    page.get_by_role("button", name="Cancel photo-3.jpg").click()  # waiting
    assert axe(page) == []
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    slow(page, -1)
    page.get_by_text("2 of 4 uploaded, 2 cancelled").wait_for()
    assert page.locator("[data-upload-cancel]").count() == 0
    page.wait_for_function("() => document.querySelectorAll('.shot').length === 2")
    shown = served[1].get(f"/api/streams/{SLUG}/images").json()["images"]
    assert sorted(one["filename"] for one in shown) == ["photo-1.jpg", "photo-2.jpg"]
    for one in shown:
        served[1].ask("DELETE", f"/api/images/{one['image_id']}?for_good=true", None, {})
    assert page.complaints == []


def test_all_uploads_are_cancelled_at_once(as_owner: Open, served: tuple[Vault, Browser], tmp_path: Path) -> None:
    page = as_owner(f"/streams/{SLUG}", 390, 844, touch=True)
    slow(page, SLOW_BYTES_A_S)
    page.locator("input[type=file][multiple]").set_input_files(large(tmp_path, 5))
    page.get_by_role("button", name="Cancel", exact=True).tap()
    page.get_by_text("0 of 5 uploaded, 5 cancelled").wait_for()
    assert page.get_by_role("button", name="Close").is_visible()
    slow(page, -1)
    assert served[1].get(f"/api/streams/{SLUG}/images").json()["total"] == 0
    # The same files can be chosen again.
    page.locator("input[type=file][multiple]").set_input_files(large(tmp_path, 1))
    page.wait_for_function("() => document.querySelectorAll('.shot').length === 1")


def test_show_more_adds_to_the_page(as_owner: Open, served: tuple[Vault, Browser], axe: Any) -> None:
    owner = served[1]
    for number in range(0, 210, 30):
        pictures = [photo(1000 + number + one, 24, 16) for one in range(30)]
        assert owner.upload(*pictures).status == 201
    total = owner.get(f"/api/streams/{SLUG}/images").json()["total"]
    page = as_owner(f"/streams/{SLUG}", 1280, 900)
    assert page.locator(".shot").count() == 200
    assert axe(page) == []
    page.evaluate("() => { document.querySelector('.shot').dataset.stays = '1'; }")
    page.locator("[data-more]").click()
    page.wait_for_function(f"() => document.querySelectorAll('.shot').length === {total}")
    assert page.locator(".shot[data-stays]").count() == 1
    assert page.locator("[data-more]").count() == 0
    page.reload()
    assert page.locator(".shot").count() == total
    page.get_by_role("link", name="Select", exact=True).first.click()
    assert page.get_by_role("button", name=f"All {total}").count() == 1
    assert page.complaints == []
