"""The trash: what is moved there is gone for everyone else at once, comes back as it was, and leaves no byte when it is deleted."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.models import ImageVisibility, StreamImage
from image_cache.streams.original_table import OriginalTable, originals_in
from image_cache.web.streams.view_models import SIZES, address
from tests.support.clock import FakeClock
from tests.support.inside import Inside
from tests.support.pictures import decoded
from tests.support.stage import ACTORS, SLUG, Stage, edits, files, photo

PUBLIC, PRIVATE = ImageVisibility.PUBLIC, ImageVisibility.PRIVATE
DAY_S = 86400.0


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Inside(tmp_path / "vault") as inside:
        yield Stage(inside)


def places(image: StreamImage) -> list[str]:
    return [address(image), *(address(image, size) for size in (*SIZES, "original")), f"/api/images/{image.image_id}"]


def bytes_on_disk(stage: Stage) -> bytes:
    folders = (stage.inside.folder / "state/stream_images", stage.inside.folder / "cache/streams")
    return b"".join(path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("by", ["page", "api", "selection"])
def test_an_image_in_the_trash_is_gone_for_everyone_at_once(stage: Stage, by: str) -> None:
    image = stage.images[PUBLIC]
    shown = {path: stage.ask("stranger", "GET", path).data for path in places(image)[:-2]}
    tags = {path: stage.ask("stranger", "GET", path).headers.get("ETag", "") for path in places(image)}
    if by == "page":
        assert stage.ask("co-owner", "POST", f"{address(image)}/delete").status_code == 303
    elif by == "api":
        assert stage.ask("co-owner", "DELETE", f"/api/images/{image.image_id}").json == {"deleted": True}
    else:
        chosen = {"image": image.image_id, "action": "trash"}
        assert stage.ask("co-owner", "POST", f"/streams/{SLUG}/selection", data=chosen).status_code == 303
    for actor in ACTORS:
        for path in places(image):
            assert stage.ask(actor, "GET", path).status_code == 404, f"{actor} {path}"
            assert stage.ask(actor, "GET", path, headers={"If-None-Match": tags[path] or "*"}).status_code == 404
        lists = (f"/streams/{SLUG}", "/streams", "/streams?q=title", f"/api/streams/{SLUG}/images", "/api/streams?q=title")
        assert not any(image.image_id in stage.ask(actor, "GET", path).text for path in lists), actor
    assert stage.ask("stranger", "GET", f"/api/streams/{SLUG}").json["images"] == 0
    assert stage.ask("stranger", "GET", f"/api/streams/{SLUG}/stats").json["total"] == 0
    streams = stage.streams
    assert all(streams.cache.get(streams.cache.key(image.image_id, variant)) is None for variant in streams.images.variants)
    left = [
        path
        for path in (stage.inside.folder / "cache/streams").rglob("*.webp")
        if shown[address(image, "detail")] == path.read_bytes()
    ]
    assert all("trash_thumb" in str(path) for path in left)


@pytest.mark.parametrize("actor", ACTORS)
def test_only_those_who_edit_a_stream_see_its_trash(stage: Stage, actor: str) -> None:
    image = stage.images[PRIVATE]
    stage.ask("owner", "POST", f"{address(image)}/delete")
    page = stage.ask(actor, "GET", f"/streams/{SLUG}/trash")
    thumb = stage.ask(actor, "GET", f"/streams/{SLUG}/trash/{image.image_id}")
    listed = stage.ask(actor, "GET", f"/api/streams/{SLUG}/trash")
    erased = stage.ask(actor, "DELETE", f"/api/images/{image.image_id}?for_good=true")
    if edits(actor):
        assert image.image_id in page.text
        assert "30 days left" in page.text
        assert (thumb.status_code, thumb.headers["Cache-Control"]) == (200, "private, no-store")
        assert max(decoded(thumb.data).size) == 90
        assert [one["image_id"] for one in listed.json["images"]] == [image.image_id]
        assert erased.json == {"deleted": True}
        assert stage.ask(actor, "GET", f"/streams/{SLUG}/trash/{image.image_id}").status_code == 404
    else:
        refused = 401 if actor == "stranger" else 403
        assert (page.status_code, thumb.status_code, listed.status_code, erased.status_code) == (refused, 404, refused, 404)
        assert image.image_id not in page.text + listed.text
        assert stage.streams.trash.totals(stage.stream)[0] == 1


def test_the_trash_shows_a_variant_that_was_not_cached(stage: Stage) -> None:
    image = stage.add(PUBLIC, is_sensitive=True)
    blurred = stage.ask("owner", "GET", address(image, "thumb-blurred")).data
    stage.streams.images.delete_variants(image.image_id)
    stage.ask("owner", "POST", f"{address(image)}/delete")
    assert stage.ask("owner", "GET", f"/streams/{SLUG}/trash/{image.image_id}").data == blurred


def test_a_restored_image_has_its_place_title_visibility_and_views_again(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault") as inside:
        stage = Stage(inside)
        image = stage.images[PUBLIC]
        order = [one.image_id for one in stage.streams.queries.all_images(stage.stream)]
        stage.ask("stranger", "GET", address(image, "detail"))
        stage.streams.run_maintenance()
        stage.ask("subscriber", "GET", address(image, "detail"))  # not written yet when it goes
        original = stage.ask("owner", "GET", address(image, "original")).data
        stage.ask("owner", "POST", f"{address(image)}/delete")
        done = stage.ask("owner", "POST", f"/streams/{SLUG}/trash/restore", data={"image": image.image_id})
        assert done.headers["Location"] == f"/streams/{SLUG}?done=restored"
        again = stage.ask("owner", "GET", f"/api/images/{image.image_id}").json
        assert (again["title"], again["visibility"], again["view_count"]) == ("Title of public", "public", 2)
        assert sum(day["views"] for day in stage.ask("owner", "GET", f"/api/images/{image.image_id}/views").json["days"]) == 2
        assert [one.image_id for one in stage.streams.queries.all_images(stage.stream)] == order
        assert stage.ask("owner", "GET", address(image, "original")).data == original
        assert stage.ask("stranger", "GET", address(image, "thumb")).status_code in (200, 202)
        assert image.image_id in stage.ask("stranger", "GET", "/api/streams?q=title+of+public").text
        assert stage.streams.trash.totals(stage.stream) == (0, 0)


def test_the_trash_counts_against_the_limit_and_says_so(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", MAX_STREAM_IMAGES_PER_STREAM=3) as inside:
        stage = Stage(inside)
        stage.ask("owner", "POST", f"{address(stage.images[PUBLIC])}/delete")
        text = stage.ask("owner", "GET", f"/streams/{SLUG}").text
        assert "3 of 3 images, 1 of them in the trash" in text
        assert "count against the limit" in stage.ask("owner", "GET", f"/streams/{SLUG}/trash").text
        upload = {"data": files((photo(1), "a.jpg"))}
        refused = stage.ask("owner", "POST", f"/api/streams/{SLUG}/images", **upload).json["results"][0]
        assert refused["kind"] == "too-many"
        assert "with its trash" in refused["reason"]
        stage.ask("owner", "POST", f"/streams/{SLUG}/trash/delete", data={"all": "1"})
        assert stage.ask("owner", "POST", f"/api/streams/{SLUG}/images", data=files((photo(1), "a.jpg"))).json["stored"] == 1


def test_deleting_for_good_asks_on_a_page_and_leaves_no_byte(stage: Stage) -> None:
    kept, gone = stage.images[PRIVATE], stage.images[PUBLIC]
    original = stage.ask("owner", "GET", address(gone, "original")).data
    thumb = stage.ask("owner", "GET", address(gone, "thumb")).data
    number = gone.number
    for image in (kept, gone):
        stage.ask("stranger", "GET", address(image, "detail"))
        stage.ask("owner", "POST", f"{address(image)}/delete")
    assert stage.streams.trash.totals(stage.stream)[0] == 2
    question = stage.ask("owner", "GET", f"/streams/{SLUG}/trash/delete?image={gone.image_id}").text
    assert "Delete 1 image for good?" in question
    assert "You cannot undo this." in question
    assert kept.image_id not in question
    asked = stage.ask("owner", "POST", f"/streams/{SLUG}/trash/delete", data={"image": gone.image_id, "ask": "1"})
    assert (asked.status_code, "Delete 1 image for good?" in asked.text) == (200, True)
    assert stage.streams.trash.totals(stage.stream)[0] == 2, "asked, not deleted"
    stage.ask("owner", "POST", f"/streams/{SLUG}/trash/delete", data={"image": gone.image_id})
    everything = bytes_on_disk(stage)
    assert original not in everything
    assert thumb not in everything
    assert [one.image.image_id for one in stage.streams.trash.images(stage.stream)] == [kept.image_id]
    assert not stage.streams.rows.db.rows("SELECT * FROM image_views WHERE image_number = ?", (number,))
    assert stage.streams.cache.get(stage.streams.cache.key(gone.image_id, "trash_thumb")) is None
    assert stage.ask("owner", "POST", f"/streams/{SLUG}/trash/restore", data={"image": gone.image_id}).status_code == 303
    assert stage.ask("owner", "GET", address(gone)).status_code == 404


def test_an_image_that_was_uploaded_again_stays_in_the_trash_with_the_reason(stage: Stage) -> None:
    image = stage.images[PUBLIC]
    body = stage.ask("owner", "GET", address(image, "original")).data
    stage.ask("owner", "POST", f"{address(image)}/delete")
    again = stage.add(PUBLIC, body=body)
    answer = stage.ask("owner", "POST", f"/api/streams/{SLUG}/trash/restore", json={"images": [image.image_id, "none"]}).json
    assert answer["restored"] == []
    assert answer["failed"] == {
        image.image_id: "The same image is already in the stream.",
        "none": "It is not there any more.",
    }
    stage.ask("owner", "DELETE", f"/api/images/{again.image_id}?for_good=true")
    done = stage.ask("owner", "POST", f"/api/streams/{SLUG}/trash/restore", json={"images": [image.image_id]}).json
    assert done == {"restored": [image.image_id], "failed": {}}


def test_the_trash_is_emptied_after_thirty_days_and_not_before(tmp_path: Path) -> None:
    clock = FakeClock()
    with Inside(tmp_path / "vault", clock=clock, settled=False) as inside:
        stage = Stage(inside)
        streams = stage.streams
        original = streams.images.original(stage.images[PUBLIC])
        assert original is not None
        streams.trash.move(stage.stream, [stage.images[PUBLIC].image_id])
        clock.advance(10 * DAY_S)
        streams.trash.move(stage.stream, [stage.images[PRIVATE].image_id])
        clock.advance(20 * DAY_S - 60)
        streams.run_maintenance()
        assert streams.trash.totals(stage.stream)[0] == 2
        assert streams.trash.days_left(clock() - 30 * DAY_S + 60) == 1
        clock.advance(120)
        streams.run_maintenance()
        assert [one.image.image_id for one in streams.trash.images(stage.stream)] == [stage.images[PRIVATE].image_id]
        assert original not in bytes_on_disk(stage)
        streams.trash.move_stream(stage.stream)
        clock.advance(31 * DAY_S)
        streams.run_maintenance()
        assert streams.trash.stream(SLUG) is None
        assert not [path for path in (inside.folder / "state/stream_images").rglob("*") if path.is_file()]


def test_a_stream_comes_back_with_its_people_and_images(stage: Stage) -> None:
    already = stage.add(PUBLIC)
    stage.ask("owner", "POST", f"{address(already)}/delete")
    link = stage.streams.members.invite(stage.stream)[0]
    assert stage.ask("owner", "POST", f"/streams/{SLUG}/delete").headers["Location"] == f"/streams?trashed={SLUG}"
    assert "moved to the trash" in stage.ask("owner", "GET", f"/streams?trashed={SLUG}").text
    for actor in ACTORS:
        assert stage.ask(actor, "GET", f"/streams/{SLUG}").status_code == 404
        assert stage.ask(actor, "GET", address(stage.images[PUBLIC], "thumb")).status_code == 404
        assert "An evening" not in stage.ask(actor, "GET", "/streams").text
    assert stage.inside.stranger().get(f"/invite/{link}").status_code == 404
    assert "An evening" in stage.ask("owner", "GET", "/trash").text
    assert "4 images" in stage.ask("owner", "GET", "/trash").text
    for actor in ("other", "co-owner", "subscriber"):
        assert "An evening" not in stage.ask(actor, "GET", "/trash").text
        assert stage.ask(actor, "POST", f"/trash/{SLUG}/restore").status_code == 404
        assert stage.ask(actor, "POST", f"/trash/{SLUG}/delete").status_code == 404
    made = stage.streams.create_stream("Evening", owner=stage.streams.members.viewer("owner"))
    assert made.slug == f"{SLUG}-2", "its address stays reserved"
    assert stage.ask("owner", "POST", f"/trash/{SLUG}/restore").status_code == 303
    assert stage.ask("subscriber", "GET", f"/api/streams/{SLUG}").json["images"] == 2
    assert stage.ask("co-owner", "GET", f"/api/streams/{SLUG}").json["images"] == 3
    assert [one.image.image_id for one in stage.streams.trash.images(stage.streams.find_stream(SLUG))] == [already.image_id]  # type: ignore[arg-type]


def test_the_privacy_check_knows_the_trash_and_finds_a_leak(stage: Stage) -> None:
    image = stage.images[PUBLIC]
    stage.ask("owner", "POST", f"{address(image)}/delete")
    runner = stage.inside.app.test_cli_runner()
    done = runner.invoke(args=["streams", "check", SLUG])
    assert (done.exit_code, "0 failed" in done.output) == (0, True)
    views = stage.inside.app.view_functions
    whole = views["stream_trash.thumb"]
    views["stream_trash.thumb"] = lambda **_: "anything"
    try:
        done = runner.invoke(args=["streams", "check", SLUG])
    finally:
        views["stream_trash.thumb"] = whole
    assert done.exit_code == 1
    assert f"/trash/{image.image_id}" in done.output


def test_originals_in_the_trash_are_known_to_backup_and_scrub(stage: Stage) -> None:
    table = OriginalTable(stage.streams.rows.db)
    before = sorted(one.file_path for one in table.originals())
    stage.ask("owner", "POST", f"{address(stage.images[PUBLIC])}/delete")
    assert sorted(one.file_path for one in table.originals()) == before
    with stage.streams.rows.db.reading() as conn:
        assert sorted(one.file_path for one in originals_in(conn)) == before
    assert all(table.is_known(path) for path in before)
    assert (table.count(), table.total_bytes()) == (3, sum(image.size_bytes for image in stage.images.values()))


def test_for_good_is_yes_or_no(stage: Stage) -> None:
    answer = stage.ask("owner", "DELETE", f"/api/images/{stage.images[PUBLIC].image_id}?for_good=yes")
    assert (answer.status_code, answer.json["error"]) == (400, "for_good must be true or false.")
    assert stage.ask("stranger", "GET", address(stage.images[PUBLIC])).status_code == 200
    body = stage.ask("owner", "GET", address(stage.images[PUBLIC], "original")).data
    assert stage.ask("owner", "DELETE", f"/api/images/{stage.images[PUBLIC].image_id}?for_good=true").json == {"deleted": True}
    assert body not in bytes_on_disk(stage)


def test_what_was_just_moved_to_the_trash_can_be_deleted_for_good_from_where_it_is_undone(stage: Stage) -> None:
    """Five taps fewer; it still goes through the trash, and is asked once, for however many there are."""
    moved, before = (
        [stage.images[kind].image_id for kind in (ImageVisibility.PUBLIC, ImageVisibility.PRIVATE)],
        stage.add(ImageVisibility.PUBLIC),
    )
    stage.ask("owner", "POST", f"{address(before)}/delete")
    there = stage.ask("owner", "POST", f"/streams/{SLUG}/selection", data={"action": "trash", "image": moved}).headers["Location"]
    band = stage.ask("owner", "GET", there).text
    (way,) = re.findall(r'href="([^"]+/trash/delete[?]undo=[0-9]+)"', band)
    question = stage.ask("owner", "GET", way).text
    assert "Delete 2 images for good?" in question
    assert before.image_id not in question
    for actor in ("stranger", "other", "subscriber"):
        assert stage.ask(actor, "GET", way).status_code in (401, 403, 404)
    assert stage.ask("co-owner", "GET", way).status_code == 303, "what another account did is not its own to take up"
    stage.ask("owner", "POST", f"/streams/{SLUG}/undo/{way.rpartition('=')[2]}")
    assert stage.ask("owner", "GET", way).status_code == 303, "they are back in the stream"


def test_a_selection_of_a_thousand_is_asked_about_once(stage: Stage) -> None:
    """Its address was longer than a request may be."""
    ids = [f"{number:08}-0000-0000-0000-000000000000" for number in range(1000)]
    gone = stage.images[ImageVisibility.PUBLIC]
    stage.ask("owner", "POST", f"{address(gone)}/delete")
    page = stage.ask("owner", "GET", f"/streams/{SLUG}/trash").text
    assert 'formaction="/streams/evening/trash/delete" data-by-page' in page
    assert "formmethod" not in page
    asked = stage.ask("owner", "POST", f"/streams/{SLUG}/trash/delete", data={"ask": "1", "image": [*ids, gone.image_id]})
    assert "Delete 1 image for good?" in asked.text
