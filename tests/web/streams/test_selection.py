"""Many images at once: by forms without scripts, each change with its undo, and what failed image by image."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.models import ImageVisibility, Stream
from image_cache.web.streams.shapes import shape_of
from image_cache.web.streams.view_models import address
from tests.support.inside import Inside
from tests.support.stage import ACTORS, SLUG, Stage, edits, photo

PUBLIC, PRIVATE, SUBSCRIBERS = ImageVisibility.PUBLIC, ImageVisibility.PRIVATE, ImageVisibility.SUBSCRIBERS
GONE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Inside(tmp_path / "vault", MAX_STREAM_IMAGES_PER_STREAM=6) as inside:
        yield Stage(inside)


def ids(stage: Stage, stream: Stream | None = None) -> list[str]:
    return [image.image_id for image in stage.streams.queries.all_images(stream or stage.stream)]


def kinds(stage: Stage) -> list[str]:
    return [image.visibility.value for image in stage.streams.queries.all_images(stage.stream)]


def do(stage: Stage, actor: str, action: str, *chosen: str, **more: str) -> str:
    """Send the form of a selection; return the text of the page that it leads to."""
    answer = stage.ask(actor, "POST", f"/streams/{SLUG}/selection", data={"image": list(chosen), "action": action, **more})
    assert answer.status_code == 303, answer.text
    return stage.ask(actor, "GET", answer.headers["Location"]).text


def undo(stage: Stage, actor: str, page: str) -> str:
    path = re.search(rf'action="(/streams/{SLUG}/undo/\d+)"', page)
    assert path, page
    answer = stage.ask(actor, "POST", path[1])
    assert answer.status_code == 303
    return stage.ask(actor, "GET", answer.headers["Location"]).text


def test_a_visibility_of_many_is_saved_and_undone(stage: Stage) -> None:
    before = kinds(stage)
    page = do(stage, "owner", "private", *ids(stage))
    assert "3 images saved as private." in page
    assert kinds(stage) == ["private"] * 3
    assert stage.ask("stranger", "GET", f"/api/streams/{SLUG}").json["images"] == 0
    reloaded = stage.ask("owner", "GET", f"/streams/{SLUG}?undo={_number(page)}").text
    assert "3 images saved as private." in reloaded
    assert "Undone." in undo(stage, "owner", page)
    assert kinds(stage) == before
    again = stage.ask("owner", "POST", f"/streams/{SLUG}/undo/{_number(page)}")
    assert again.status_code == 404, "once"


def _number(page: str) -> str:
    return re.search(r"/undo/(\d+)", page)[1]  # type: ignore[index]


def test_what_is_gone_is_reported_and_the_others_are_changed(stage: Stage) -> None:
    page = do(stage, "co-owner", "sensitive", stage.images[PUBLIC].image_id, GONE)
    assert "1 image marked as sensitive. 1 not: It is not there any more." in page
    assert [image.is_sensitive for image in stage.streams.queries.all_images(stage.stream)].count(True) == 1
    undo(stage, "co-owner", page)
    assert not any(image.is_sensitive for image in stage.streams.queries.all_images(stage.stream))


def test_only_who_made_a_change_undoes_it(stage: Stage) -> None:
    page = do(stage, "owner", "public", *ids(stage))
    number = _number(page)
    assert stage.ask("co-owner", "POST", f"/streams/{SLUG}/undo/{number}").status_code == 404
    assert f"/undo/{number}" not in stage.ask("co-owner", "GET", f"/streams/{SLUG}?undo={number}").text
    do(stage, "owner", "private", *ids(stage))
    assert stage.ask("owner", "POST", f"/streams/{SLUG}/undo/{number}").status_code == 404, "another change came after it"
    assert kinds(stage) == ["private"] * 3


def test_trash_acts_at_once_and_undo_brings_back(stage: Stage) -> None:
    order = ids(stage)
    page = do(stage, "owner", "trash", *order[:2])
    assert "2 images moved to the trash. They stay there for 30 days." in page
    assert ids(stage) == order[2:]
    undo(stage, "owner", page)
    assert ids(stage) == order


@pytest.mark.parametrize("actor", ACTORS)
def test_checkboxes_and_the_band_are_for_those_who_edit(stage: Stage, actor: str) -> None:
    page = stage.ask(actor, "GET", f"/streams/{SLUG}?select=1").text
    assert ('type="checkbox" name="image"' in page) == edits(actor)
    assert ('action="trash"' in page or 'value="trash"' in page) == edits(actor)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"action": "private"}, "Select 1 to"),
        ({"image": GONE, "action": "burn"}, "Choose what to do"),
        ({"image": GONE, "action": "move", "to": SLUG}, "already in this stream"),
    ],
)
def test_a_form_that_makes_no_sense_changes_nothing(stage: Stage, data: dict[str, str], field: str) -> None:
    before = kinds(stage)
    answer = stage.ask("owner", "POST", f"/streams/{SLUG}/selection", data=data)
    assert answer.status_code == 400
    assert field in answer.text
    assert kinds(stage) == before


def test_images_move_to_another_stream_and_back_with_all_that_is_theirs(stage: Stage) -> None:
    other = stage.streams.create_stream("Elsewhere", "elsewhere", owner=stage.streams.members.viewer("owner"))
    first, second = ids(stage)[:2]
    original = stage.ask("owner", "GET", address(stage.streams.rows.image(first)[1], "original")).data  # type: ignore[index]
    question = stage.ask("owner", "GET", f"/streams/{SLUG}/move?image={first}&image={second}").text
    assert "Move 2 images" in question
    assert "0 of 6" in question
    page = do(stage, "owner", "move", first, second, to="elsewhere")
    assert "2 images moved to “Elsewhere”." in page
    assert (ids(stage, other), len(ids(stage))) == ([first, second], 1)
    moved = stage.ask("owner", "GET", f"/api/images/{first}").json
    assert (moved["stream_id"], moved["title"]) == ("elsewhere", f"Title of {moved['visibility']}")
    assert stage.ask("owner", "GET", moved["original_url"]).data == original
    assert stage.ask("owner", "GET", f"/streams/{SLUG}/images/{first}").status_code == 404
    folder = stage.inside.folder / "state/stream_images"
    assert (len(list((folder / "elsewhere").iterdir())), len(list((folder / SLUG).iterdir()))) == (2, 1)
    undo(stage, "owner", page)
    assert (ids(stage)[:2], ids(stage, other)) == ([first, second], [])


def test_a_copy_is_an_image_of_its_own_and_a_full_stream_takes_what_it_can(stage: Stage) -> None:
    other = stage.streams.create_stream("Elsewhere", "elsewhere", owner=stage.streams.members.viewer("owner"))
    page = do(stage, "owner", "copy", *ids(stage), to="elsewhere")
    assert "3 images copied to “Elsewhere”." in page
    assert len(ids(stage, other)) == len(ids(stage)) == 3
    assert not set(ids(stage)) & set(ids(stage, other))
    again = do(stage, "owner", "copy", ids(stage)[0], to="elsewhere")
    assert "1 not: The same image is already in the stream." in again
    more = [stage.add(PUBLIC).image_id for _ in range(3)]
    for seed in (9001, 9002):
        stage.streams.upload_stream_image("elsewhere", photo(seed), "a.jpg")
    page = do(stage, "owner", "move", *more[:2], to="elsewhere")
    assert "1 image moved to “Elsewhere”." in page
    assert "1 not: The stream is full" in page


def test_no_image_goes_to_a_stream_of_someone_else(stage: Stage) -> None:
    for name in ("other", "nowhere"):
        if name == "other":
            stage.streams.create_stream("Theirs", "other", owner=stage.streams.members.viewer("other"))
        answer = stage.ask(
            "owner", "POST", f"/streams/{SLUG}/selection", data={"image": ids(stage), "action": "move", "to": name}
        )
        assert answer.status_code in (403, 404)
    assert len(ids(stage)) == 3


def test_titles_are_saved_together_and_undone(stage: Stage) -> None:
    first, second, third = ids(stage)
    form = {f"title-{first}": "Encore", f"title-{second}": "<b>", f"title-{third}": stage.images[SUBSCRIBERS].title}
    answer = stage.ask("owner", "POST", f"/streams/{SLUG}/titles", data=form)
    page = stage.ask("owner", "GET", answer.headers["Location"]).text
    assert "1 title saved. 1 not: " in page
    assert "must not contain HTML" in page
    titles = [image.title for image in stage.streams.queries.all_images(stage.stream)]
    assert titles[0] == "Encore"
    assert first in stage.ask("owner", "GET", "/api/streams?q=encore").text
    undo(stage, "owner", page)
    assert stage.streams.queries.all_images(stage.stream)[0].title == titles[0].replace("Encore", f"Title of {kinds(stage)[0]}")


def test_the_order_by_hand_is_a_form_of_numbers(stage: Stage) -> None:
    first, second, third = ids(stage)
    answer = stage.ask(
        "owner", "POST", f"/streams/{SLUG}/order", data={f"place-{first}": "9", f"place-{second}": "2", f"place-{third}": "1"}
    )
    assert ids(stage) == [third, second, first]
    page = stage.ask("owner", "GET", answer.headers["Location"]).text
    assert "Order saved." in page
    undo(stage, "owner", page)
    assert ids(stage) == [first, second, third]
    assert stage.ask("owner", "POST", f"/streams/{SLUG}/order", data={f"place-{first}": "first"}).status_code == 400


def test_a_layout_and_an_order_are_remembered_for_a_stream(stage: Stage) -> None:
    client = stage.client("stranger")
    assert 'class="flow"' in client.get(f"/streams/{SLUG}").text
    client.get(f"/streams/{SLUG}?view=squares&order=title")
    page = client.get(f"/streams/{SLUG}").text
    assert 'class="squares"' in page
    assert re.search(r'order=title"\s+aria-current="true"', page)
    assert 'class="squares"' in client.get(f"/streams/{SLUG}?view=circles").text, "what is not known changes nothing"


def test_an_order_by_date_added_has_the_newest_first(stage: Stage) -> None:
    stage.ask(
        "owner", "POST", f"/streams/{SLUG}/order", data={f"place-{one}": str(at) for at, one in enumerate(reversed(ids(stage)))}
    )
    page = stage.ask("owner", "GET", f"/streams/{SLUG}?order=added").text
    newest = sorted(stage.streams.queries.all_images(stage.stream), key=lambda image: -image.number)
    assert re.findall(r'id="p-([0-9a-f-]+)"', page) == [image.image_id for image in newest]


def test_every_link_and_form_of_the_pages_leads_somewhere(stage: Stage) -> None:
    stage.ask("owner", "POST", f"{address(stage.images[SUBSCRIBERS])}/delete")
    for page in ("", "?select=1", "?edit=titles", "?edit=order", "/trash", f"/move?image={ids(stage)[0]}"):
        text = stage.ask("owner", "GET", f"/streams/{SLUG}{page}").text
        for name, path in re.findall(r' (href|action|formaction)="([^"#?]*)', text):
            assert not path or path.startswith("/"), f"{page} {name} {path}"
            if name == "href" and path.startswith("/streams/"):
                assert stage.ask("owner", "GET", path).status_code in (200, 202, 302, 303), f"{page} {path}"


@pytest.mark.parametrize(
    ("dimensions", "shape"),
    [((100, 100), "q0"), ((720, 480), "q10"), ((480, 720), "qm10"), ((100, 900), "qm18"), ((9000, 100), "q28"), ((0, 0), "q0")],
)
def test_a_shape_is_a_class_in_steps_of_four_percent(dimensions: tuple[int, int], shape: str) -> None:
    assert shape_of(dimensions)[0] == shape


def test_each_shape_has_a_rule_in_the_style_sheet() -> None:
    css = Path("static/css/streams/gallery.css").read_text(encoding="utf-8")
    for edge in range(30, 400):
        name, ratio = shape_of((edge, 100))
        assert f".{name} {{ --r: {ratio:.3f}; }}" in css
