"""When an image was taken, its stream's date and cover: for those who may know, and never the place."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from image_cache.imaging.sniff import exif_taken
from image_cache.models import ImageVisibility, StreamImage
from image_cache.web.streams.view_models import address
from tests.support.inside import Inside
from tests.support.pictures import encoded, noise
from tests.support.stage import ACTORS, SLUG, Stage, edits

PUBLIC, PRIVATE = ImageVisibility.PUBLIC, ImageVisibility.PRIVATE
PLACE = "Harbour of Leith"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Inside(tmp_path / "vault") as inside:
        yield Stage(inside)


def exif_of(taken: str) -> bytes:
    exif = Image.Exif()
    folder = exif.get_ifd(0x8769)
    folder[0x9003] = taken
    exif.get_ifd(0x8825)[0x001C] = PLACE.encode()  # the area, of the data about the place
    return exif.tobytes()


def add(stage: Stage, taken: str, seed: int, kind: ImageVisibility = PUBLIC) -> StreamImage:
    return stage.add(kind, body=encoded(noise("RGB", 90, 60, seed), "JPEG", exif=exif_of(taken)))


@pytest.mark.parametrize(
    ("taken", "found"),
    [("2026:07:11 22:14:05", "2026-07-11T22:14:05"), ("2026:13:11 22:14:05", ""), ("0000:00:00 00:00:00", ""), ("yesterday", "")],
)
def test_the_date_is_read_from_exif_as_cameras_write_it(taken: str, found: str) -> None:
    assert exif_taken(exif_of(taken)) == found


@pytest.mark.parametrize("body", [b"", b"Exif\0\0", b"MM\0*\0\0\0\x08", b"II*\0\xff\xff\xff\xff" + b"\xff" * 64])
def test_exif_that_is_no_exif_has_no_date(body: bytes) -> None:
    assert exif_taken(body) == ""


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_date_is_shown_to_visitors_where_the_owner_allows_it_and_a_place_never(
    stage: Stage, actor: str, is_allowed: bool
) -> None:
    late, early = add(stage, "2026:07:12 01:00:00", 901), add(stage, "2026:07:11 22:14:05", 902)
    if is_allowed:
        stage.ask("owner", "POST", f"/streams/{SLUG}", data={"whole": "1", "shows_taken": "1"})
    pages = (f"/streams/{SLUG}?order=taken", address(early), f"/api/images/{early.image_id}", f"/api/streams/{SLUG}/images")
    texts = [stage.ask(actor, "GET", page).text for page in pages]
    may_know = edits(actor) or is_allowed
    assert ("11 July 2026" in texts[0]) == may_know
    assert ("2026-07-11 22:14:05" in texts[1]) == may_know
    assert ("2026-07-11" in texts[2] + texts[3]) == edits(actor)
    order = re.findall(r'id="p-([0-9a-f-]+)"', texts[0])
    assert (order.index(early.image_id) < order.index(late.image_id)) == may_know
    for size in ("thumb", "detail", "large"):
        body = stage.ask(actor, "GET", address(early, size)).data
        assert PLACE.encode() not in body
        assert b"2026:07:11" not in body
    assert PLACE not in "".join(texts)


def test_a_cover_stands_for_a_stream_where_the_viewer_may_see_it(stage: Stage) -> None:
    second = stage.add(PUBLIC)
    for image, seen_by_visitors in ((second, second), (stage.images[PRIVATE], stage.images[PUBLIC])):
        stage.ask("owner", "POST", f"/streams/{SLUG}", data={"cover_id": image.image_id})
        assert image.image_id in stage.ask("owner", "GET", "/streams").text
        listed = stage.ask("stranger", "GET", "/streams").text
        assert seen_by_visitors.image_id in listed
        assert listed.count("/thumb") == 1
    stage.ask("owner", "POST", f"/streams/{SLUG}", data={"cover_id": second.image_id})
    stage.streams.update_stream_image(SLUG, second.image_id, is_sensitive=True)
    assert second.image_id not in stage.ask("owner", "GET", "/streams").text, "never a sensitive one"
    assert stage.ask("owner", "POST", f"/streams/{SLUG}", data={"cover_id": "../x"}).status_code in (400, 404)


def test_streams_are_listed_by_the_date_of_their_event(stage: Stage) -> None:
    owner = stage.streams.members.viewer("owner")
    for title, date in (("Older", "2019-05-04"), ("Newer", "2031-05-04"), ("Weekly", "every Thursday")):
        made = stage.streams.create_stream(title, owner=owner)
        assert stage.ask("owner", "POST", f"/streams/{made.slug}", data={"event_date": date}).status_code == 303
    text = stage.ask("stranger", "GET", "/streams").text
    titles = re.findall(r"<b>(Older|Newer|Weekly|An evening)</b>", text)
    assert (titles[0], titles[-1]) == ("Newer", "Older")
    assert "4 May 2031" in text
    assert "every Thursday" in text
    assert stage.ask("owner", "POST", f"/streams/{SLUG}", data={"event_date": "x" * 61}).status_code == 400
