"""The pages about covers in a real browser: missing, the bench, the audit, the wall by colour; with scripts and without."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.support.musicbrainz import Archive
from tests.support.origin import Origin
from tests.support.vault import Vault, wait_until

Open = Callable[..., Any]
COLOURS = [
    (178, 34, 34),
    (214, 120, 40),
    (226, 190, 60),
    (60, 140, 70),
    (40, 80, 170),
    (110, 60, 150),
    (240, 240, 236),
    (24, 24, 24),
]


def sleeve(at: int, width: int = 600, height: int = 600) -> bytes:
    """A sleeve with its own shape in one of eight colours."""
    colour = COLOURS[at % len(COLOURS)]
    picture = Image.new("RGB", (width, height), colour)
    draw = ImageDraw.Draw(picture)
    lighter = tuple(min(255, round(part * 1.15) + 12) for part in colour)
    for step in range(5):
        x, y = (at * 97 + step * 131) % width, (at * 61 + step * 173) % height
        draw.ellipse((x - 70, y - 50, x + 60 + 9 * at, y + 90), fill=lighter)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Vault, Archive]]:
    """A vault with sleeves of eight colours, each flaw once, and three records without a cover, of which one is to be found."""
    folder = tmp_path_factory.mktemp("covers")
    with (
        Archive(folder / "archive") as archive,
        Origin() as origin,
        Vault(folder / "vault", trusted=(origin.base, archive.base), **archive.environment) as vault,
    ):
        rows = [
            {"artist": f"Artist {at:02}", "title": f"Sleeve {at}", "cover_url": origin.put(f"/{at}.jpg", sleeve(at))}
            for at in range(16)
        ]
        rows += [
            {"artist": "Small", "title": "Stamp", "cover_url": origin.put("/small.jpg", sleeve(3, 180, 180))},
            {"artist": "Wide", "title": "Banner", "cover_url": origin.put("/wide.jpg", sleeve(4, 700, 420))},
            {"artist": "Twin", "title": "Again", "cover_url": origin.put("/twin.jpg", _scanned(sleeve(5)))},
            *(
                {"artist": f"Blank {title}", "title": title, "cover_url": origin.put("/blank.jpg", _plain())}
                for title in ("Nothing", "Void", "Hollow")
            ),
            {"artist": "The Lanterns", "title": "Blue Hour", "cover_url": ""},
            {"artist": "The Lanterns", "title": "Grey Hour", "cover_url": ""},
            {"artist": "Nobody", "title": "Unheard", "cover_url": ""},
        ]
        archive.add("Blue Hour", "The Lanterns", fronts=[sleeve(4)])
        archive.add("Grey Hour Live", "The Lanterns Tribute", fronts=[sleeve(1), sleeve(2)])
        archive.add("Grey Hour Again", "The Lanterns Tribute", fronts=[sleeve(3)])
        vault.import_albums(rows)
        vault.get("/")
        wait_until(lambda: b'id="black"' in vault.get("/?sort=colour").body, timeout_s=120)
        yield vault, archive


def _scanned(body: bytes) -> bytes:
    """The same sleeve, smaller and somewhat lighter."""
    out = io.BytesIO()
    picture = Image.open(io.BytesIO(body)).resize((480, 480)).point(lambda value: min(255, value + 3))
    picture.save(out, "JPEG", quality=70)
    return out.getvalue()


def _plain() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (400, 400), (200, 200, 200)).save(out, "JPEG")
    return out.getvalue()


def test_the_wall_by_colour_goes_from_red_to_black(open_page: Open, shelf: tuple[Vault, Archive]) -> None:
    page = open_page(f"{shelf[0].url}/?sort=colour")
    labels = page.locator(".wall .tab").all_inner_texts()
    assert labels[0] == "Red"
    assert labels.index("Blue") < labels.index("White") < labels.index("Black")
    assert page.locator(".cells-colours .spines path").count() > 8
    page.locator(".cells a", has_text="Blue").click()
    page.wait_for_function("() => document.activeElement.closest('[data-group=Blue]') !== null")
    page.wait_for_function("() => [...document.querySelectorAll('.wall img')].filter((one) => one.naturalWidth > 1).length > 8")
    assert page.complaints == []


def test_an_album_leads_to_six_sleeves_near_in_colour(open_page: Open, shelf: tuple[Vault, Archive]) -> None:
    page = open_page(f"{shelf[0].url}/album/1")
    near = page.locator(".near-wall .tile")
    assert near.count() == 6
    near.first.click()
    page.wait_for_url(lambda url: not url.endswith("/album/1"))
    page.get_by_role("link", name="the wall by colour").click()
    page.wait_for_url("**sort=colour**")


def test_a_search_runs_and_what_it_finds_comes_in(open_page: Open, shelf: tuple[Vault, Archive]) -> None:
    vault, _ = shelf
    wait_until(lambda: b"Nothing" in vault.get("/covers/missing").body, timeout_s=120)  # the blank was judged
    wait_until(lambda: b"Finding covers" not in vault.get("/covers/missing").body, timeout_s=120)  # nor does one run by itself
    page = open_page(f"{vault.url}/covers/missing")
    assert page.locator(".missing li").count() >= 2
    if page.get_by_role("button", name="Search for all of them now").count():
        page.get_by_role("button", name="Search for all of them now").click()
    wait_until(lambda: b"Blue Hour" not in vault.get("/covers/missing").body, timeout_s=120)
    wait_until(lambda: b"Finding covers" not in vault.get("/covers/missing").body, timeout_s=120)
    page.wait_for_function("() => !document.body.textContent.includes('Blue Hour')", timeout=60_000)
    page.reload()
    page.locator(".missing li", has_text="Grey Hour").locator(".tried", has_text="suggestions").wait_for()
    assert page.locator(".missing li", has_text="Unheard").locator(".tried").inner_text().startswith("No cover found anywhere")
    assert page.complaints == []


def test_one_is_chosen_and_one_is_uploaded_without_scripts(open_page: Open, shelf: tuple[Vault, Archive], tmp_path: Path) -> None:
    vault, _ = shelf
    page = open_page(f"{vault.url}/covers/missing", scripts=False)
    page.locator(".missing li", has_text="Unheard").locator(".acts a").click()
    mine = tmp_path / "mine.jpg"
    mine.write_bytes(sleeve(6))
    page.locator("#picture").set_input_files(str(mine))
    page.get_by_role("button", name="Upload cover").click()
    page.get_by_text("Your image is now the cover").wait_for()
    page.get_by_text("Uploaded by you").wait_for()
    page.get_by_role("button", name="Remove my cover").click()
    page.get_by_text("No cover found", exact=True).wait_for()
    (tmp_path / "mine.txt").write_text("no picture")
    page.locator("#picture").set_input_files(str(tmp_path / "mine.txt"))
    page.get_by_role("button", name="Upload cover").click()
    page.locator(".wrong").wait_for()


def test_a_rejected_sleeve_is_said_to_be_right_and_that_is_undone(open_page: Open, shelf: tuple[Vault, Archive]) -> None:
    vault, _ = shelf
    wait_until(lambda: b"Show it anyway" in vault.get("/covers/audit").body, timeout_s=120)
    page = open_page(f"{vault.url}/covers/audit?kind=dummy", scripts=False)
    with page.expect_navigation():
        page.locator(".flaws-dummy li", has_text="Void").get_by_role("button", name="Show it anyway").click()
    assert page.locator(".flaws-dummy li", has_text="Void").count() == 0
    page.goto(f"{vault.url}/search?q=Void")
    page.locator("a", has_text="Void").first.click()
    page.get_by_role("link", name="Cover", exact=True).click()
    page.get_by_text("Chosen by you, from the source").wait_for()
    page.get_by_role("button", name="Undo my choice").click()
    page.get_by_role("button", name="Show it anyway").wait_for()


def test_the_audit_shows_each_flaw_and_leads_to_the_bench(open_page: Open, shelf: tuple[Vault, Archive]) -> None:
    vault, _ = shelf
    names = ("dummy", "small", "oblong", "twins")
    wait_until(lambda: all(f"flaws-{name}".encode() in vault.get("/covers/audit").body for name in names), timeout_s=120)
    page = open_page(f"{vault.url}/covers/audit", scripts=False)
    flaws = {name: page.locator(f".flaws-{name}") for name in names}
    assert flaws["small"].get_by_text("180 × 180 px").is_visible()  # noqa: RUF001  as people write it
    assert flaws["oblong"].get_by_text("Banner").is_visible()
    assert flaws["dummy"].locator(".cap").get_by_text("Nothing", exact=True).is_visible()
    assert flaws["twins"].locator("li").first.locator(".tile").count() == 2
    flaws["small"].locator(".tile").click()
    page.wait_for_url("**/cover")
    page.get_by_text("Search again").wait_for()


@pytest.mark.parametrize("path", ["/covers/missing", "/covers/audit", "/album/3/cover", "/album/3", "/?sort=colour"])
def test_nothing_overflows_and_everybody_can_use_it(
    open_page: Open, axe: Callable[[Any], list[str]], shelf: tuple[Vault, Archive], path: str
) -> None:
    page = open_page(shelf[0].url + path, dark=path == "/covers/audit", reduced_motion="reduce")
    assert axe(page) == []
    for width, height in ((800, 480), (320, 640), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert axe(page) == []
    assert page.complaints == []


def test_strangers_get_a_door_and_no_list(shelf: tuple[Vault, Archive]) -> None:
    answer = shelf[0].get("/covers/missing", X_Forwarded_For="192.168.1.9", Accept="text/html")
    assert answer.status == 401
    assert b"Unheard" not in answer.body
