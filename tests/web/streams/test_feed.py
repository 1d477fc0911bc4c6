"""The Atom feed and the card of a stream: what every visitor sees, while the stream is public."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.models import ImageVisibility
from tests.support.inside import Inside
from tests.support.stage import ACTORS, SLUG, Stage

ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Inside(tmp_path / "vault", MAX_STREAM_IMAGES_PER_STREAM=100) as inside:
        yield Stage(inside)


def entries(stage: Stage, actor: str = "stranger") -> list[str]:
    answer = stage.ask(actor, "GET", f"/streams/{SLUG}.atom")
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "application/atom+xml"
    return [
        entry.findtext(f"{ATOM}id", "").removeprefix("urn:uuid:") for entry in ET.fromstring(answer.data).iter(f"{ATOM}entry")
    ]


@pytest.mark.parametrize("actor", ACTORS)
def test_the_feed_has_public_images_only_whoever_asks(stage: Stage, actor: str) -> None:
    stage.add(ImageVisibility.PUBLIC, is_sensitive=True)
    assert entries(stage, actor) == [stage.images[ImageVisibility.PUBLIC].image_id]


def test_the_feed_has_the_fifty_newest_first(stage: Stage) -> None:
    added = [stage.add(ImageVisibility.PUBLIC).image_id for _ in range(52)]
    assert entries(stage) == added[::-1][:50]


@pytest.mark.parametrize("kind", ["private", "subscribers"])
def test_feed_and_card_end_with_the_visibility(stage: Stage, kind: str) -> None:
    tag = stage.ask("stranger", "GET", f"/streams/{SLUG}.atom").headers["ETag"]
    unchanged = stage.ask("stranger", "GET", f"/streams/{SLUG}.atom", headers={"If-None-Match": tag})
    assert unchanged.status_code == 304
    assert f'href="/streams/{SLUG}.atom"' in stage.ask("stranger", "GET", f"/streams/{SLUG}").text
    stage.streams.update_stream(stage.stream, {"visibility": kind})
    for headers in ({}, {"If-None-Match": tag}):
        assert stage.ask("stranger", "GET", f"/streams/{SLUG}.atom", headers=headers).status_code == 404
    image = stage.images[ImageVisibility.PUBLIC].image_id
    for path in (f"/streams/{SLUG}", f"/streams/{SLUG}/images/{image}"):
        page = stage.ask("stranger", "GET", path).text
        assert "og:image" not in page
        assert ".atom" not in page


def test_markup_in_texts_stays_text(stage: Stage) -> None:
    stage.streams.update_stream(stage.stream, {"title": "Rock & < Roll", "description": 'A "quote" & more'})
    stage.streams.update_stream_image(SLUG, stage.images[ImageVisibility.PUBLIC].image_id, title="1 < 2 & 3")
    feed = ET.fromstring(stage.ask("stranger", "GET", f"/streams/{SLUG}.atom").data)
    assert feed.findtext(f"{ATOM}title") == "Rock & < Roll"
    assert feed.findtext(f"{ATOM}entry/{ATOM}title") == "1 < 2 & 3"
