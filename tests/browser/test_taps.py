"""An evening with thirty images by touch alone, from the upload to the last byte, with every tap counted.

The counts are compared with benchmarks/TAPS.md, which sets them beside the ways that the documents of Lychee and Immich describe.
"""

import contextlib
import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.stage import photo
from tests.support.vault import ROOT, Vault, wait_until
from tests.support.visitor import SLUG, Browser, prepared

Open = Callable[..., Any]
PHONE = {"touch": True, "is_mobile": True}
IMAGES = 30
SIZES = ((390, 844), (800, 480))


class Taps:
    """Counts the taps of a task. A long press and a drag count as one each. Taps in the phone's own file chooser do not count."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._task = ""

    def begin(self, task: str) -> None:
        self._task = task
        self.counts[task] = 0

    def tap(self, locator: Any) -> None:
        locator.tap()
        self.counts[self._task] += 1

    def touched(self) -> None:
        self.counts[self._task] += 1


@pytest.fixture(scope="module", params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    found: tuple[int, int] = request.param
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, size: tuple[int, int]) -> Iterator[tuple[Vault, Browser]]:
    with Vault(tmp_path_factory.mktemp("taps") / "vault") as running:
        yield running, prepared(running)


@pytest.fixture(scope="module")
def live_app(served: tuple[Vault, Browser]) -> str:
    return served[0].url


def press_and_drag(page: Any, first: int, last: int) -> None:
    """Hold a finger on one tile and draw it to another, also below the fold: what lies between is selected."""
    page.evaluate("() => scrollTo(0, 0)")

    def middle(number: int) -> dict[str, float]:
        box = page.locator(".shot .frame").nth(number).bounding_box()
        return {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}

    touch = page.context.new_cdp_session(page)
    start = middle(first)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [start]})
    page.locator(".shot :checked").first.wait_for()
    lowest = page.evaluate("() => document.querySelector('[data-selection]').getBoundingClientRect().top - 10")
    edge = page.viewport_size["height"] - 90  # a finger there scrolls the page
    for step in range(1, 200):
        end = middle(last)  # measured again: the band is open by now, and the page may have scrolled
        share = min(1, step / 10)
        between = {axis: start[axis] + (end[axis] - start[axis]) * share for axis in ("x", "y")}
        at = {"x": between["x"], "y": between["y"] if between["y"] <= lowest else edge}
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at]})
        page.evaluate("() => new Promise(requestAnimationFrame)")
        if share == 1 and count_of_selected(page) == last - first + 1 and end["y"] <= lowest:
            break
    page.wait_for_function(f"() => document.querySelectorAll('.shot :checked').length === {last - first + 1}")
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def count_of_selected(page: Any) -> int:
    return int(page.locator(".shot :checked").count())


def left_of(folder: Path, *bodies: bytes) -> list[Path]:
    """Return the files of a vault that contain one of these bodies. The databases are first written out, and their WAL emptied."""
    for path in folder.rglob("*.db"):
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as conn:
            assert conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, path
    return [path for path in folder.rglob("*") if path.is_file() and any(body in path.read_bytes() for body in bodies)]


def test_an_evening_by_touch(
    served: tuple[Vault, Browser], size: tuple[int, int], as_owner: Open, open_page: Open, tmp_path: Path
) -> None:
    taps = Taps()
    paths = []
    for number in range(IMAGES):
        paths.append(tmp_path / f"IMG_{number:04}.jpg")
        paths[-1].write_bytes(photo(7000 + number, 450, 600))
    page = as_owner(f"/streams/{SLUG}", *size, **PHONE)

    taps.begin("upload thirty")
    with page.expect_file_chooser() as chooser:
        taps.tap(page.locator("label.button", has_text="Add").first)
    chooser.value.set_files([str(path) for path in paths])
    page.get_by_text(f"{IMAGES} of {IMAGES} uploaded").wait_for(timeout=180_000)
    page.wait_for_function(f"() => document.querySelectorAll('.shot').length === {IMAGES}")
    page.reload()

    taps.begin("select ten of them and share them by a link")
    press_and_drag(page, 0, 9)
    taps.touched()
    assert count_of_selected(page) == 10
    taps.tap(page.get_by_role("button", name="Share"))
    taps.tap(page.get_by_role("button", name="Create link"))
    taps.tap(page.get_by_role("button", name="Copy the link"))
    link = page.get_by_label("Link", exact=True).input_value()

    taps.begin("see them as a visitor and download them as a ZIP")
    guest = open_page(link, *size, accept_downloads=True, **PHONE)
    assert guest.locator(".shot").count() == 10
    with guest.expect_download() as download:
        taps.tap(guest.get_by_role("link", name="Download all"))
    download.value.save_as(tmp_path / "all.zip")
    assert len(zipfile.ZipFile(tmp_path / "all.zip").namelist()) == 10

    taps.begin("delete ten and bring them back")
    page.goto(f"/streams/{SLUG}")
    press_and_drag(page, 0, 9)
    taps.touched()
    taps.tap(page.get_by_role("button", name="Trash", exact=True))
    page.get_by_text("10 images moved to the trash.").wait_for()
    assert open_page(link, 390, 844, **PHONE).locator(".shot").count() == 0
    taps.tap(page.get_by_role("button", name="Undo"))
    page.wait_for_function(f"() => document.querySelectorAll('.shot').length === {IMAGES}")
    assert open_page(link, 390, 844, **PHONE).locator(".shot").count() == 10

    taps.begin("delete one for good")
    gone = page.locator(".shot").first.get_attribute("data-id")
    folder = served[0].folder
    original = next(folder.rglob(f"{gone}_original.*")).read_bytes()
    name = page.locator(".shot").first.locator(".caption").inner_text().encode()
    addresses = [f"/streams/{SLUG}/images/{gone}/{kind}" for kind in ("thumb", "tile", "large")]
    wait_until(lambda: all(served[1].get(one).status == 200 for one in addresses))  # rendered again since it was restored
    shown = [served[1].get(one).body for one in addresses]
    # So that the search below would find them, wherever they are.
    assert all(left_of(folder, body) for body in (original, name, *shown))
    press_and_drag(page, 0, 0)
    taps.touched()
    assert count_of_selected(page) == 1
    taps.tap(page.get_by_role("button", name="Trash", exact=True))
    page.get_by_text("1 image moved to the trash.").wait_for()
    taps.tap(page.get_by_role("link", name="Delete for good"))
    page.get_by_role("heading", name="Delete 1 image for good?").wait_for()
    taps.tap(page.get_by_role("button", name="Delete for good"))
    page.get_by_role("heading", name="The trash is empty").wait_for()

    wait_until(lambda: not [path for path in folder.rglob("*") if gone in path.name])
    assert left_of(folder, original, name, *shown) == [], "no byte of it is left, neither in a file nor in a database or its WAL"
    assert open_page(link, *size, **PHONE).locator(".shot").count() == 9

    taps.begin("delete ten of the trash for good")
    page.goto(f"/streams/{SLUG}")
    press_and_drag(page, 0, 11)
    page.get_by_role("button", name="Trash", exact=True).tap()
    page.get_by_text("12 images moved to the trash.").wait_for()
    page.goto(f"/streams/{SLUG}/trash")
    press_and_drag(page, 0, 9)
    taps.touched()
    taps.tap(page.get_by_role("button", name="Delete for good"))
    page.get_by_role("heading", name="Delete 10 images for good?").wait_for()
    taps.tap(page.get_by_role("button", name="Delete for good"))
    page.get_by_text("Deleted for good.").wait_for()
    assert page.locator(".shot").count() == 2
    wait_until(lambda: len(list(folder.rglob("*_original.*"))) == IMAGES - 11)
    assert page.complaints == []

    print(f"\n{size[0]} x {size[1]} px\n" + "\n".join(f"{count:3} {task}" for task, count in taps.counts.items()))
    table = (ROOT / "benchmarks/TAPS.md").read_text(encoding="utf-8")
    known = {task: int(count) for task, count in re.findall(r"^\| ([^|]+?) \| ([0-9]+) \|", table, re.MULTILINE)}
    assert known == taps.counts
