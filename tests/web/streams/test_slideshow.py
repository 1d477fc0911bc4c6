"""The slideshow of a stream, of a link, and the kiosk: who sees which images, one after the other, and what is left out."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.models import ImageVisibility
from tests.support.inside import Inside
from tests.support.stage import ACTORS, KINDS, SLUG, Stage, sees
from tests.support.videos import video

PUBLIC, PRIVATE = ImageVisibility.PUBLIC, ImageVisibility.PRIVATE
SHOWN = re.compile(r'<img src="[^"]*/images/([0-9a-f-]{36})/screen"')
NEXT = re.compile(r'data-next="([^"]+)"')


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Inside(tmp_path / "vault") as inside:
        yield Stage(inside)


def round_of(stage: Stage, actor: str, start: str) -> list[str]:
    """Return the ids that a whole round shows, by following each page to the next one."""
    found: list[str] = []
    path = start
    while True:
        page = stage.ask(actor, "GET", path)
        assert page.status_code == 200
        assert page.headers["Cache-Control"] == "private, no-store"
        ids = SHOWN.findall(page.text)
        assert len(ids) <= 1
        if not ids or ids[0] in found:
            return found
        found += ids
        path = NEXT.findall(page.text)[0].replace("&amp;", "&")


@pytest.mark.parametrize("actor", ACTORS)
def test_a_slideshow_has_what_its_viewer_may_see_and_a_kiosk_what_everyone_may(stage: Stage, actor: str) -> None:
    seen = [stage.images[kind].image_id for kind in KINDS if sees(actor, kind)]
    assert sorted(round_of(stage, actor, f"/streams/{SLUG}/slideshow")) == sorted(seen)
    assert round_of(stage, actor, f"/streams/{SLUG}/kiosk") == [stage.images[PUBLIC].image_id]


def test_sensitive_images_and_videos_are_left_out(stage: Stage) -> None:
    stage.add(PUBLIC, is_sensitive=True)
    stage.add(PUBLIC, body=video(2))
    assert round_of(stage, "owner", f"/streams/{SLUG}/slideshow") == [stage.images[kind].image_id for kind in stage.images]


def test_what_is_hidden_meanwhile_does_not_come_any_more(stage: Stage) -> None:
    for number in range(3):
        stage.add(PUBLIC, title=f"More {number}")
    start = f"/streams/{SLUG}/kiosk?at=2"
    second = SHOWN.findall(stage.ask("stranger", "GET", start).text)[0]
    stage.ask("owner", "PATCH", f"/api/images/{second}", json={"visibility": "private"})
    assert second not in round_of(stage, "stranger", f"/streams/{SLUG}/kiosk")
    assert SHOWN.findall(stage.ask("stranger", "GET", start).text) != [second]


@pytest.mark.parametrize("query", ["at=0", "at=999", "at=x", "at=", "at=" + "9" * 400, "seconds=1", "seconds=x"])
def test_a_wrong_number_is_the_first_image_at_the_usual_pace(stage: Stage, query: str) -> None:
    page = stage.ask("stranger", "GET", f"/streams/{SLUG}/slideshow?{query}").text
    assert SHOWN.findall(page) == [stage.images[PUBLIC].image_id]
    assert 'data-seconds="18"' in page


def test_without_scripts_the_page_goes_on_by_itself(stage: Stage) -> None:
    stage.add(PUBLIC)
    page = stage.ask("stranger", "GET", f"/streams/{SLUG}/kiosk?seconds=60").text
    assert f'<meta http-equiv="refresh" content="60;url=/streams/{SLUG}/kiosk?at=2&amp;seconds=60">' in page


def test_a_slideshow_is_no_view(stage: Stage) -> None:
    image = stage.images[PUBLIC]
    stage.ask("stranger", "GET", f"/streams/{SLUG}/images/{image.image_id}/screen")
    assert stage.streams.view_count(image) == 0
    stage.ask("stranger", "GET", f"/streams/{SLUG}/images/{image.image_id}/large")
    assert stage.streams.view_count(image) == 1


def test_a_link_has_a_slideshow_with_a_code_for_those_who_may_add(stage: Stage) -> None:
    owner = stage.streams.members.viewer("owner")
    for may_upload in (True, False):
        code, share = stage.streams.shares.create(stage.stream, owner, may_upload=may_upload)
        ids = round_of(stage, "stranger", f"/s/{code}/slideshow")
        assert stage.images[PRIVATE].image_id not in ids
        assert stage.images[PUBLIC].image_id in ids
        page = stage.ask("stranger", "GET", f"/s/{code}/slideshow").text
        assert ("Scan to add your images" in page) is may_upload
        assert f"/streams/{SLUG}" not in page
        stage.streams.shares.revoke(stage.stream, share.id)
        assert stage.ask("stranger", "GET", f"/s/{code}/slideshow").status_code == 404


def test_an_empty_stream_says_so(stage: Stage) -> None:
    stage.streams.create_stream("Empty", "empty")
    assert "There are no images to show" in stage.ask("stranger", "GET", "/streams/empty/slideshow").text
