"""The page of large files while one is being fetched: the dots move, the controls work, visitors see the door."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.imaging.test_volumes import nifti
from tests.support.origin import Origin
from tests.support.vault import Vault, wait_until
from tests.support.volumes import serve

MB = 1_000_000


@pytest.fixture
def vault(origin: Origin, tmp_path: Path) -> Iterator[Vault]:
    with Vault(tmp_path / "vault", trusted=(origin.base,), VINYL_VAULT_FREE_SPACE_FLOOR_MB="0") as running:
        running.command("users", "add", "Vera", "--role", "operator", stdin="correct horse\n")
        yield running


def test_progress_moves_and_the_controls_work(
    vault: Vault, origin: Origin, open_page: Callable[..., Any], axe: Callable[[Any], list[str]], tmp_path: Path
) -> None:
    url, volume = serve(
        origin, "/sub-014_T1w.bin", b"v" * 12 * MB, bytes_per_s=MB // 5
    )  # a minute, so that the tests find it in progress
    page = open_page(vault.url + "/files")
    page.fill("#url", url)
    page.click(":is(button, a):text-is('Download')")
    dots = page.locator("[data-state=working] progress")
    dots.wait_for()
    first = float(dots.get_attribute("value") or 0)
    wait_until(lambda: float(page.locator("[data-file] progress").first.get_attribute("value") or 0) > first + 0.05)
    page.locator("[data-says]:has-text('B/s')").wait_for()
    assert axe(page) == []
    page.click(":is(button, a):text-is('Pause')")
    page.locator("[data-state=paused]").wait_for()
    volume.bytes_per_s = 6 * MB
    page.click(":is(button, a):text-is('Resume')")
    page.locator("[data-state=fresh]").wait_for(timeout=60_000)  # without a reload
    assert "Verified" in page.locator("[data-says]").first.inner_text()
    page.click(":is(button, a):text-is('Open')")
    page.locator("h1:has-text('sub-014_T1w.bin')").wait_for()
    with page.expect_download() as download:
        page.click(":is(button, a):text-is('Download')")
    assert Path(download.value.path()).stat().st_size == 12 * MB
    assert page.complaints == []


def test_a_volume_is_shown_and_a_budget_is_changed(
    vault: Vault, origin: Origin, open_page: Callable[..., Any], axe: Callable[[Any], list[str]]
) -> None:
    url, _ = serve(origin, "/brain.nii", nifti((8, 8, 8), bytes(range(256)) * 4))
    vault.post("/api/files", {"url": url})
    page = open_page(vault.url + "/files")
    page.locator("[data-state=fresh]").wait_for(timeout=60_000)
    page.click(":is(button, a):text-is('Open')")
    page.locator(".slices img").nth(2).wait_for()
    page.wait_for_function("() => [...document.querySelectorAll('.slices img')].every((i) => i.complete && i.naturalWidth > 0)")
    assert axe(page) == []
    slider, image = page.locator(".slider").first, page.locator(".slices img").first
    before = image.get_attribute("src")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.locator("[data-number]:text-is('6 of 8')").wait_for()
    page.wait_for_function("before => document.querySelector('.slices img').getAttribute('src') !== before", arg=before)
    assert image.get_attribute("alt") == "Sagittal slice, 6 of 8"
    page.keyboard.press("Shift+ArrowLeft")
    page.locator("[data-number]:text-is('1 of 8')").wait_for()
    page.goto(vault.url + "/files")
    page.fill("#max_size_mb", "0")
    page.click(":is(button, a):text-is('Save limits')")
    page.locator("#bounds-wrong:has-text('must be between')").wait_for()
    page.fill("#max_size_mb", "64")
    page.click(":is(button, a):text-is('Save limits')")
    page.locator(".figures:has-text('64 MB')").wait_for()
    with page.expect_navigation():
        page.click(":is(button, a):text-is('Clear cache')")
    with page.expect_navigation(url="**/files"):
        page.click("button:text-is('Clear cache')")
    assert page.locator("[data-file]").count() == 0


def test_a_registry_is_downloaded_and_its_failed_file_retried(
    vault: Vault, origin: Origin, open_page: Callable[..., Any], axe: Callable[[Any], list[str]]
) -> None:
    bodies = [bytes([number]) * 3000 for number in range(3)]
    lines = [
        f"part-{number} {hashlib.sha256(body).hexdigest()} {serve(origin, f'/{number}.bin', body)[0]}"
        for number, body in enumerate(bodies)
    ]
    origin.remove("/2.bin")
    page = open_page(vault.url + "/files/registries")
    page.fill("#name", "set.txt")
    page.fill("#registry-lines", "\n".join(lines))
    page.click("button:text-is('Add registry')")
    page.click("button:text-is('Download all')")
    page.locator("[data-registry][data-state=failed]").wait_for()  # without a reload
    assert "2 of 3" in page.locator(".figures").inner_text()
    assert axe(page) == []
    serve(origin, "/2.bin", bodies[2])
    page.click("button:text-is('Retry the 1 failed')")
    page.locator("[data-registry][data-state=done]").wait_for(timeout=60_000)
    assert page.complaints == []


def test_a_stranger_finds_the_door(vault: Vault, origin: Origin, open_page: Callable[..., Any]) -> None:
    url, _ = serve(origin, "/secret.bin", b"x" * 100)
    vault.post("/api/files", {"url": url})
    page = open_page(vault.url + "/files", extra_http_headers={"X-Forwarded-For": "192.168.1.50"})
    assert page.locator("#password").count() == 1
    assert "secret" not in page.content()
