"""A gallery of more images than fit on a page: 200 at first, further ones by a link, in every order, and through a link."""

import re
from collections.abc import Iterator

import pytest

from image_cache.models import ImageVisibility
from tests.support.inside import Inside
from tests.support.stage import SLUG, Stage, photo

IMAGES = 203  # with the three that are there already
TILE = re.compile(r'<li class="shot [^"]*" id="p-([0-9a-f-]{36})"')
MORE = re.compile(r'<a class="button tall" href="([^"]+)" data-more>Show ([0-9]+) more</a>')


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Inside(tmp_path_factory.mktemp("long") / "vault", MAX_STREAM_IMAGES_PER_STREAM=1000) as inside:
        stage = Stage(inside)
        for number in range(IMAGES - 3):
            stage.add(ImageVisibility.PUBLIC, title=f"No. {number:03}", body=photo(number, 24, 16))
        yield stage


@pytest.mark.parametrize("order", ["hand", "taken", "added", "title"])
def test_two_hundred_come_first_and_the_link_leads_to_all(stage: Stage, order: str) -> None:
    first = stage.ask("owner", "GET", f"/streams/{SLUG}?order={order}").text
    ids = TILE.findall(first)
    assert len(ids) == 200
    found = MORE.search(first)
    assert found
    assert found[2] == "3"
    whole = stage.ask("owner", "GET", found[1].replace("&amp;", "&")).text
    every = TILE.findall(whole)
    assert (len(every), every[:200]) == (IMAGES, ids)
    assert not MORE.search(whole)
    assert f"{IMAGES} images" in first, "the numbers are those of the stream"


def test_a_search_is_cut_as_well_and_says_how_many_there_are(stage: Stage) -> None:
    page = stage.ask("owner", "GET", f"/streams/{SLUG}?q=no").text
    assert len(TILE.findall(page)) == 200
    assert "200 images found for" in page
    assert not MORE.search(page)


@pytest.mark.parametrize("upto", ["0", "-1", "x", "", "999999", "9" * 300])
def test_a_wrong_number_is_the_first_page(stage: Stage, upto: str) -> None:
    assert len(TILE.findall(stage.ask("owner", "GET", f"/streams/{SLUG}?upto={upto}").text)) == 200


def test_a_link_is_cut_as_well(stage: Stage) -> None:
    code, _ = stage.streams.shares.create(stage.stream, stage.streams.members.viewer("owner"))
    page = stage.ask("stranger", "GET", f"/s/{code}").text
    found = MORE.search(page)
    assert found
    assert "202 images." in page  # without the private one
    assert (len(TILE.findall(page)), found[1]) == (200, f"/s/{code}?upto=400")
    assert len(TILE.findall(stage.ask("stranger", "GET", found[1]).text)) == 202


def test_the_order_by_hand_of_the_first_leaves_the_others_where_they_are(stage: Stage) -> None:
    before = [image.image_id for image in stage.streams.queries.images(stage.streams.members.viewer("owner"), stage.stream)]
    page = stage.ask("owner", "GET", f"/streams/{SLUG}?order=hand&edit=order").text
    shown = TILE.findall(page)
    places = {f"place-{image_id}": str(len(shown) - number) for number, image_id in enumerate(shown)}
    assert stage.ask("owner", "POST", f"/streams/{SLUG}/order", data=places).status_code == 303
    after = [image.image_id for image in stage.streams.queries.images(stage.streams.members.viewer("owner"), stage.stream)]
    assert after[:200] == shown[::-1]
    assert after[200:] == before[200:]
