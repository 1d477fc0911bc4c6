"""Open Graph cards: what a chat shows of a link, which is no more than a visitor may see."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.models import ImageVisibility
from tests.support.inside import Inside
from tests.support.origin import Origin, jpeg
from tests.support.stage import SLUG, Stage


@pytest.fixture
def inside(tmp_path: Path, origin: Origin) -> Iterator[Inside]:
    with Inside(tmp_path / "vault", trusted=(origin.base,)) as opened:
        yield opened


def card(page: str) -> dict[str, str]:
    return dict(re.findall(r'<meta property="og:([a-z_]+)" content="([^"]*)">', page))


def test_a_record_has_a_card_with_its_cover_as_jpeg(inside: Inside, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg(400, 400))
    number = inside.album(url, "Blue & <One>")
    client = inside.stranger()
    assert "image" not in card(client.get(f"/album/{inside.album(title='Bare')}").text)
    assert inside.services.covers.get_image(url) is not None
    found = card(client.get(f"/album/{number}").text)
    assert (found["title"], found["description"]) == ("Blue &amp; &lt;One&gt;, Artist · VinylVault", "Artist")
    assert found["url"] == f"http://vault.local:5000/album/{number}"
    image = found["image"]
    assert image.startswith("http://vault.local:5000/cache/detail/")
    assert client.get(image.removeprefix("http://vault.local:5000")).mimetype == "image/jpeg"


def test_the_card_of_a_stream_shows_no_hidden_and_no_sensitive_image(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault") as inside:
        stage = Stage(inside)
        first = stage.images[ImageVisibility.PUBLIC]
        found = card(stage.ask("stranger", "GET", f"/streams/{SLUG}").text)
        assert found["url"] == f"http://vault.local:5000/streams/{SLUG}"
        assert first.image_id in found["image"]
        stage.streams.update_stream_image(SLUG, first.image_id, is_sensitive=True)
        shown = stage.add(ImageVisibility.PUBLIC)
        assert shown.image_id in card(stage.ask("stranger", "GET", f"/streams/{SLUG}").text)["image"]
        page = f"/streams/{SLUG}/images/{first.image_id}"
        assert "image" not in card(stage.ask("stranger", "GET", page).text)
        assert "image" in card(stage.ask("stranger", "GET", f"/streams/{SLUG}/images/{shown.image_id}").text)
        for actor in ("owner", "subscriber"):  # their page has images that no visitor sees
            assert "url" not in card(stage.ask(actor, "GET", f"/streams/{SLUG}").text), actor
