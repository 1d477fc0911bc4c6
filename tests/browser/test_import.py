"""From an empty vault to a wall, in a browser: by a table and by the demo, with scripts and without."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from image_cache.db.catalog import CatalogDatabase
from image_cache.tasks.table import TaskTable
from tests.support.origin import Origin, jpeg
from tests.support.vault import Vault, wait_until

Open = Callable[..., Any]
Axe = Callable[[Any], list[str]]


@pytest.fixture
def vault(origin: Origin, tmp_path: Path) -> Iterator[Vault]:
    with Vault(tmp_path / "vault", trusted=(origin.base,)) as running:
        yield running


@pytest.fixture
def looks(open_page: Open, axe: Axe) -> tuple[Open, Axe]:
    return open_page, axe


def write(folder: Path, origin: Origin, count: int = 30) -> str:
    lines = ["artist;title;year;cover_url"]
    for n in range(count):
        url = origin.put(f"/{n}.jpg", jpeg(300, 300, (n * 8 % 256, 90, 160)))
        lines.append(f"Ada {n};Low Water {n};{1960 + n};{url}")
    lines.append(";;1970;")
    path = folder / "mine.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    return str(path)


def take(page: Any, path: str) -> None:
    """Send a table, read what would happen, and take it in."""
    page.set_input_files("#table", path)
    page.click("button:text-is('Upload and preview')")
    page.locator("#found").wait_for()
    assert "31 rows read: 30 new, 1 rejected." in page.locator(".result").inner_text()
    assert page.get_by_text("neither artist nor title").is_visible()
    page.click("button:text-is('Import 30 records')")
    page.locator("#done").wait_for()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_table_fills_an_empty_wall(
    vault: Vault, origin: Origin, looks: tuple[Open, Axe], tmp_path: Path, scripts: bool
) -> None:
    open_page, axe = looks
    page = open_page(vault.url + "/", scripts=scripts)
    assert page.locator("h1").inner_text() == "Nothing on the wall yet"
    if scripts:
        assert axe(page) == []
    page.click("a:has-text('CSV or JSON')")
    page.locator("#table").wait_for()
    take(page, write(tmp_path, origin))
    if scripts:
        assert axe(page) == []
    page.click("a:has-text('See all')")
    page.locator(".wall .tile").nth(29).wait_for()
    assert page.locator(".wall .tile").count() == 30
    if scripts:
        page.wait_for_function("() => document.querySelectorAll('.wall .sleeve[data-state=ready]').length >= 12", timeout=60_000)
    else:
        wait_until(lambda: bool(page.reload()) and page.locator(".wall .sleeve[data-state=ready]").count() == 30, 60, 0.5)
    assert page.complaints == []


def test_the_demo_fills_an_empty_wall_with_sleeves_and_goes_again(vault: Vault, open_page: Open, axe: Axe) -> None:
    page = open_page(vault.url + "/", 800, 480, touch=True)
    page.click("a:has-text('Demo collection')")
    page.click("button:text-is('Add the demo records')")
    page.locator("a:text-is('Remove the demo')").wait_for(timeout=120_000)
    assert axe(page) == []
    page.click("a:has-text('See all')")
    page.locator(".wall").wait_for()
    page.wait_for_function(
        "() => document.querySelectorAll('.wall .sleeve[data-state=ready] img[src*=\"/cache/\"]').length >= 6", timeout=120_000
    )
    page.goto(vault.url + "/import/demo")
    page.click("a:text-is('Remove the demo')")
    page.locator("h1:text-is('Remove the demo?')").wait_for()
    assert axe(page) == []
    page.click("button:text-is('Remove the demo')")
    page.locator("button:text-is('Add the demo records')").wait_for(timeout=120_000)
    page.goto(vault.url + "/")
    assert page.locator("h1").inner_text() == "Nothing on the wall yet"
    assert page.complaints == []


def test_a_task_is_followed_on_its_page_and_on_the_wall(vault: Vault, open_page: Open, axe: Axe) -> None:
    """The task is one that no one runs here, so that it stands still until the test moves it."""
    vault.import_albums([{"artist": "A", "title": "B"}])
    catalog = CatalogDatabase(vault.folder / "state" / "catalog.db")
    rows = TaskTable(catalog)
    task_id, _ = rows.add("nobody-runs-this", {}, time.time())
    rows.set(task_id, time.time(), state="running", done=10, total=100, says="10 folders read")
    page, wall = open_page(vault.url + "/import"), open_page(vault.url + "/")
    for shown in (page, wall):
        assert shown.locator("[data-task-says]").inner_text() == "10 folders read"
        assert shown.locator("[data-task] progress").evaluate("(dots) => dots.value") == 0.1
    assert axe(page) == axe(wall) == []
    rows.set(task_id, time.time(), done=60, says="60 folders read")
    for shown in (page, wall):
        shown.wait_for_function("() => document.querySelector('[data-task] progress').value === 0.6", timeout=60_000)
        assert shown.locator("[data-task-says]").inner_text() == "60 folders read"
    rows.set(task_id, time.time(), paused_until=time.time() + 300, says="A pause.")
    page.locator("[data-task] .lamp.warning").wait_for()
    assert "resumes in" in page.locator("[data-task-left]").inner_text()
    page.click("button:text-is('Cancel')")
    wait_until(lambda: rows.is_cancelled(task_id))
    page.wait_for_load_state()
    rows.set(task_id, time.time(), state="cancelled", paused_until=None, says="Cancelled. Everything saved so far stays.")
    page.locator("[data-task][data-state=cancelled]").wait_for()
    page.locator("button:text-is('Cancel')").wait_for(state="detached")
    wall.locator(".job.is-over").wait_for()
    assert wall.locator("[data-task-says]").inner_text() == "Cancelled. Everything saved so far stays."
    assert wall.locator("[role=status]").last.inner_text() == "Cancelled. Everything saved so far stays."
    assert page.complaints == wall.complaints == []
    catalog.close()


def test_a_refused_table_says_why_and_the_form_stays(live_app: str, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "stock.csv"
    path.write_text("listing_id,title\n1,x\n")
    page = open_page(live_app + "/import/table", 390, 844, touch=True)
    page.set_input_files("#table", str(path))
    page.click("button:text-is('Upload and preview')")
    page.locator("#refused").wait_for()
    assert "stock.csv: this is a Discogs inventory" in page.locator(".result").inner_text()
    assert page.locator("#table").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.complaints == []
