"""What a page costs, counted: statements and calls of the request thread; and which of it a template may do."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from flask import render_template_string

from tests.support.inside import Inside
from tests.support.origin import Origin, jpeg
from tests.support.statements import traced

PACKAGE = str(Path(__file__).resolve().parents[3] / "image_cache")
COMPREHENSIONS = {"<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>"}
COVERS = 60


@pytest.fixture(scope="module")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Inside, Origin]]:
    """A wall of 60 records whose covers are cached. No thread runs."""
    with (
        Origin() as origin,
        Inside(tmp_path_factory.mktemp("wall") / "vault", trusted=(origin.base,), settled=False) as inside,
    ):
        services = inside.services
        services.covers.cache.index.mark_complete()
        rows = "\n".join(f"Artist {n},Title {n},{origin.put(f'/{n}.jpg', jpeg(40, 40, (n, 9, 9)))}" for n in range(COVERS))
        table = inside.folder.parent / "wall.csv"
        table.write_text(f"artist,title,cover_url\n{rows}\n", encoding="utf-8")
        services.library.import_table(table)
        services.covers.register(services.library.cover_urls())
        services.covers.enqueue_missing(list(services.library.cover_urls()))
        while services.loader.run_next():
            pass
        inside.app.before_request_funcs[None] = [
            hook for hook in inside.app.before_request_funcs[None] if hook.__name__ != "_start"
        ]
        inside.client().get("/")
        yield inside, origin


def statements(inside: Inside, path: str) -> list[str]:
    seen = [traced(database) for database in (inside.services.catalog, inside.services.covers.cache.index.database)]
    assert inside.client().get(path).status_code == 200
    found = [sql for part in seen for sql in part]
    for part in seen:
        part.clear()
    return found


def calls(work: Callable[[], object]) -> Counter[str]:
    """Count the calls of functions of the package on this thread."""
    found: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and code.co_name not in COMPREHENSIONS:
            found[code.co_qualname] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def test_the_wall_of_sixty_warm_covers_takes_at_most_ten_reads_and_no_write(wall: tuple[Inside, Origin]) -> None:
    inside, _ = wall
    page = inside.client().get("/").text
    assert page.count("/cache/thumbnails/") >= COVERS
    found = statements(inside, "/")
    assert len(found) <= 10
    assert {sql.split()[0] for sql in found} == {"SELECT"}


def test_the_wall_identifies_and_hashes_each_cover_once(wall: tuple[Inside, Origin]) -> None:
    inside, _ = wall
    client = inside.client()
    client.get("/")
    found = calls(lambda: client.get("/"))
    assert found["identify"] == found["digest_of"] == found["_image"] == COVERS
    assert found.total() <= 915


def test_a_record_resolves_each_cover_on_its_page_once(wall: tuple[Inside, Origin]) -> None:
    inside, _ = wall
    client = inside.client()
    client.get("/album/30")
    found = calls(lambda: client.get("/album/30"))
    shown = 2 * 20 + 1  # the record and its neighbours; no cover was analysed for its colours
    assert found["identify"] == found["digest_of"] == found["_image"] == shown


def test_a_help_page_does_not_look_at_the_token_of_discogs(wall: tuple[Inside, Origin]) -> None:
    inside, _ = wall
    token = str(inside.services.settings.discogs_token_path)
    opened: list[str] = []
    here = threading.get_ident()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and threading.get_ident() == here and frame.f_code.co_qualname.startswith("TokenFile."):
            opened.append(frame.f_code.co_qualname)

    client = inside.client()
    sys.setprofile(note)
    try:
        assert client.get("/keys").status_code == 200
    finally:
        sys.setprofile(None)
    assert opened == [], token


def test_a_template_of_somebody_else_writes_nothing_while_it_is_rendered(wall: tuple[Inside, Origin]) -> None:
    """A cover that no view knew of has its address at once; it is registered when the page is done, before the browser asks."""
    inside, origin = wall
    url = origin.put("/of-a-template.jpg", jpeg(40, 40))
    template = "{{ get_thumbnail_url(url) }} {{ get_detail_image_url({'cover_url': url}) }} {{ get_thumbnail_url(none) }}"
    with inside.app.test_request_context("/"):
        seen = traced(inside.services.covers.cache.index.database)
        thumbnail, detail, placeholder = render_template_string(template, url=url).split()
        assert seen
        assert {sql.split()[0] for sql in seen} == {"SELECT"}
        inside.app.process_response(inside.app.response_class(""))
    digest = inside.services.covers.digest_of(url)
    assert thumbnail == f"/cache/thumbnails/{digest}.webp"
    assert detail == f"/cache/detail/{digest}.webp"
    assert placeholder == "/cache/placeholders/placeholder_thumbnails.webp"
    assert inside.client().get(thumbnail).status_code == 202


def test_a_stored_cover_is_one_hit_and_a_missing_one_is_one_miss(wall: tuple[Inside, Origin]) -> None:
    inside, origin = wall
    cache = inside.services.covers.cache
    stored = inside.services.covers.digest_of(origin.url("/1.jpg"))
    client = inside.client()

    def counted(digest: str, status: int) -> tuple[int, int]:
        cache.memory.clear()
        before = Counter(cache.counts())
        assert client.get(f"/cache/detail/{digest}.webp").status_code == status
        after = Counter(cache.counts())
        return after["disk_hits"] - before["disk_hits"], after["misses"] - before["misses"]

    assert counted(stored, 200) == (1, 0)
    assert counted("0" * 64, 404) == (0, 1)


def test_a_cover_from_the_disk_needs_no_flask(wall: tuple[Inside, Origin]) -> None:
    inside, origin = wall
    digest = inside.services.covers.digest_of(origin.url("/2.jpg"))
    client = inside.client()
    inside.services.covers.cache.memory.clear()
    found = calls(lambda: client.get(f"/cache/thumbnails-2x/{digest}.webp"))
    assert found["Index.find"] == 1
    assert found["services"] == found["_check_access"] == 0
