"""Further images of a record: uploaded as covers are, shown in their order, and gone with their last use."""

import io
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from image_cache.importers.artwork.record_images import MAX_IMAGES
from tests.support.inside import Inside
from tests.support.vault import wait_until
from tests.web.covers.test_edit import picture, post, put


def add(client: FlaskClient, album_id: int, body: bytes, kind: str = "back") -> Any:
    return post(client, f"/album/{album_id}/images", picture=(io.BytesIO(body), "back.jpg"), kind=kind)


def files(inside: Inside) -> list[str]:
    return sorted(path.name for path in inside.services.settings.state_dir.glob("own_covers/**/*") if path.is_file())


@pytest.fixture
def inside(tmp_path: Path) -> Any:
    with Inside(tmp_path / "vault") as opened:
        yield opened


def test_images_are_added_in_order_shown_on_the_record_moved_and_removed(inside: Inside) -> None:
    number = put(inside)
    owner = inside.logged_in("owner")
    for seed, kind in ((1, "back"), (2, "inner"), (3, "nonsense")):
        assert add(owner, number, picture(seed), kind).headers["Location"] == f"/album/{number}/cover?done=image#images"
    images = inside.services.record_images
    assert [one.kind for one in images.of(number)] == ["back", "inner", "other"]
    back, inner, other = (one.id for one in images.of(number))
    wait_until(lambda: inside.stranger().get(f"/album/{number}").text.count("data-shot") == 3)
    page = inside.stranger().get(f"/album/{number}").text
    assert page.index(">Back<") < page.index(">Inner sleeve<") < page.index(">Other<")
    link = page.partition('class="further"')[2].partition('href="')[2].partition('"')[0]
    assert inside.stranger().get(link).mimetype == "image/webp"  # without scripts the link opens the image
    post(owner, f"/album/{number}/images/{other}/earlier")
    post(owner, f"/album/{number}/images/{back}/later")
    assert [one.id for one in images.of(number)] == [other, back, inner]
    post(owner, f"/album/{number}/images/{other}/earlier")  # it is the first one
    assert [one.id for one in images.of(number)] == [other, back, inner]
    assert len(files(inside)) == 3
    post(owner, f"/album/{number}/images/{back}/remove")
    assert [one.id for one in images.of(number)] == [other, inner]
    assert len(files(inside)) == 2
    assert post(owner, f"/album/{number}/images/{back}/remove").status_code == 303


def test_members_and_strangers_add_nothing(inside: Inside) -> None:
    number = put(inside)
    assert add(inside.logged_in("member"), number, picture()).status_code == 403
    assert inside.services.record_images.of(number) == []


@pytest.mark.parametrize(("body", "status"), [(b"", 415), (b"GIF89a nonsense", 415), (b"<svg/>", 415)])
def test_what_is_no_image_is_refused_beside_the_form(inside: Inside, body: bytes, status: int) -> None:
    number = put(inside)
    answer = add(inside.logged_in("owner"), number, body)
    assert answer.status_code == status
    assert 'id="image-wrong"' in answer.text
    assert 'id="picture-wrong"' not in answer.text
    assert files(inside) == []


def test_the_same_image_twice_and_one_too_many_are_refused_and_leave_no_file(inside: Inside) -> None:
    number = put(inside)
    owner = inside.logged_in("owner")
    add(owner, number, picture(1))
    assert "has this image already" in add(owner, number, picture(1)).text
    assert len(files(inside)) == 1
    for seed in range(2, MAX_IMAGES + 1):
        add(owner, number, picture(seed))
    assert "Remove one to add another" in add(owner, number, picture(99)).text
    assert len(files(inside)) == MAX_IMAGES


def test_a_file_stays_while_a_cover_or_another_record_shows_it_and_goes_with_the_last_record(inside: Inside) -> None:
    one, two = put(inside, "One"), put(inside, "Two")
    owner = inside.logged_in("owner")
    add(owner, one, picture(1))
    add(owner, two, picture(1))
    post(owner, f"/album/{two}/cover/upload", picture=(io.BytesIO(picture(1)), "front.jpg"))
    assert len(files(inside)) == 1
    post(owner, f"/album/{two}/cover/remove")
    inside.services.library.remove([one])
    assert len(files(inside)) == 1
    inside.services.library.remove([two])
    assert files(inside) == []


def test_housekeeping_knows_the_addresses_of_further_images(inside: Inside) -> None:
    number = put(inside)
    add(inside.logged_in("owner"), number, picture(1))
    assert [url[:4] for url in inside.services.library.cover_urls()] == ["own:"]
