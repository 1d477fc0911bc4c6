"""ETags of pages: going back is a 304, for the same viewer only, until anything changes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.support.inside import Inside
from tests.support.origin import Origin
from tests.support.statements import traced
from tests.support.vault import wait_until

PAGES = ("/", "/?sort=year", "/search?q=title", "/album/1")


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with Origin() as origin, Inside(tmp_path / "vault", trusted=(origin.base,)) as running:
        running.cover(origin)
        running.album(origin.url("/cover.jpg"))
        wait_until(lambda: running.services.covers.jobs.depth() == 0)
        yield running


def seen(client: FlaskClient, path: str) -> str:
    """Look at a page until nothing of it is new to the vault; return its tag."""
    client.get(path)
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "private, no-cache")
    return answer.headers["ETag"]


def again(client: FlaskClient, path: str, tag: str, **headers: str) -> int:
    return client.get(path, headers={"If-None-Match": tag, **headers}).status_code


@pytest.mark.parametrize("path", PAGES)
def test_going_back_to_a_page_is_a_304_that_renders_nothing(inside: Inside, path: str) -> None:
    """Every look at a page rendered it: 10 ms of CPU for what the browser had."""
    client = inside.stranger()
    tag = seen(client, path)
    statements = traced(inside.services.catalog)
    answer = client.get(path, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", tag)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert not [sql for sql in statements if "FROM albums" in sql]
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert again(client, path, packed.headers["ETag"]) == 304


@pytest.mark.parametrize(
    "change",
    [
        lambda inside: inside.services.library.rate(1, 4),
        lambda inside: inside.services.library.record_play(1),
        lambda inside: inside.services.library.write_notes(1, "warped"),
        lambda inside: inside.album(title="Another"),
        lambda inside: inside.services.covers.clear("thumbnails-2x"),
        lambda inside: inside.services.library.remove([1]),
    ],
)
def test_a_page_is_new_after_any_change(inside: Inside, change: Callable[[Inside], object]) -> None:
    inside.album(title="A second")
    client = inside.stranger()
    tag = seen(client, "/")
    assert again(client, "/", tag) == 304
    change(inside)
    assert again(client, "/", tag) == 200


def test_a_tag_is_good_for_its_viewer_only(inside: Inside) -> None:
    first, second = inside.stranger(), inside.stranger()
    tag = seen(first, "/")
    assert again(second, "/", tag) == 200, "another session has another token in its forms"
    assert seen(second, "/") != tag
    assert again(first, "/?page=1", tag) == 200
    assert again(first, "/", tag, **{"Save-Data": "on"}) == 200
    first.set_cookie("density", "s", domain="vault.local")
    assert again(first, "/", tag) == 200


@pytest.mark.parametrize("path", PAGES)
def test_pages_of_people_who_may_change_something_have_no_tag(inside: Inside, path: str) -> None:
    inside.account()
    stranger = inside.stranger()
    tag = seen(stranger, path)
    for client, caching in ((inside.logged_in_again(), "no-store"), (inside.client(), "private, no-cache")):
        answer = client.get(path, headers={"If-None-Match": tag})
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, caching)
        assert "ETag" not in answer.headers


def test_a_page_that_tells_a_message_has_no_tag(inside: Inside) -> None:
    client = inside.stranger()
    seen(client, "/")
    assert "ETag" not in client.get("/?done=removed").headers


def test_the_first_run_has_no_tag(tmp_path: Path) -> None:
    """It tells how much space there is, which no database knows."""
    with Inside(tmp_path / "vault") as empty:
        assert "ETag" not in empty.stranger().get("/").headers
