"""What visitors send through a link: private until an owner approves it, bounded, and silent about what they may not see."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from image_cache.models import ImageVisibility
from image_cache.streams import UploadLimits
from image_cache.streams.share.shares import DAY_S, MAX_SENT_PER_DAY
from tests.support.clock import FakeClock
from tests.support.inside import Inside, form_token
from tests.support.pictures import animation
from tests.support.stage import ACTORS, SLUG, Stage, files, photo


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_790_000_000.0)


@pytest.fixture
def stage(tmp_path: Path, clock: FakeClock) -> Iterator[Stage]:
    with Inside(tmp_path / "vault", clock=clock) as inside:
        yield Stage(inside)


def link(stage: Stage, **fields: Any) -> str:
    values = {"may_upload": True, **fields}
    return stage.streams.shares.create(stage.stream, stage.streams.members.viewer("owner"), **values)[0]


def send(stage: Stage, code: str, *bodies: bytes, name: str = "Noor") -> TestResponse:
    client = stage.inside.stranger()
    token = form_token(client, f"/s/{code}/add")
    named = [(body, f"{number}.jpg") for number, body in enumerate(bodies)]
    return client.post(f"/s/{code}/add", data=files(*named, name=name, csrf_token=token, visibility="public"))


def test_what_a_visitor_sends_is_hidden_from_all_but_editors_until_it_is_approved(stage: Stage) -> None:
    code = link(stage)
    answer = send(stage, code, photo(500))
    assert (answer.status_code, "Sent" in answer.text) == (200, True)
    (waiting,) = stage.streams.shares.waiting(stage.stream)
    assert (waiting.sender, waiting.sent_at) == ("Noor", 1_790_000_000.0)
    assert waiting.image_id not in answer.text
    thumb = f"/streams/{SLUG}/images/{waiting.image_id}/thumb"
    statuses = {actor: stage.ask(actor, "GET", thumb).status_code for actor in ACTORS}
    assert statuses == {"stranger": 404, "other": 404, "subscriber": 404, "co-owner": 200, "owner": 200}
    assert stage.inside.stranger().get(f"/s/{code}/images/{waiting.image_id}/thumb").status_code == 404
    page = stage.ask("owner", "GET", f"/streams/{SLUG}/waiting").text
    assert "Noor" in page
    assert "Waiting<sup>1</sup>" in stage.ask("owner", "GET", f"/streams/{SLUG}").text
    form = {"action": "approve", "image": waiting.image_id}
    assert stage.ask("owner", "POST", f"/streams/{SLUG}/waiting", data=form).status_code == 303
    assert stage.ask("stranger", "GET", thumb).status_code == 200
    assert stage.streams.shares.waiting(stage.stream) == []


def test_what_is_rejected_is_gone_from_the_stream(stage: Stage) -> None:
    code = link(stage)
    send(stage, code, photo(500), photo(501))
    first, second = stage.streams.shares.waiting(stage.stream)
    form = {"action": "reject", "image": first.image_id}
    assert stage.ask("owner", "POST", f"/streams/{SLUG}/waiting", data=form).status_code == 303
    assert [one.image_id for one in stage.streams.shares.waiting(stage.stream)] == [second.image_id]
    assert stage.ask("owner", "GET", f"/streams/{SLUG}/images/{first.image_id}/thumb").status_code == 404


def test_what_was_rejected_waits_again_when_it_is_restored_and_is_forgotten_when_it_is_deleted_for_good(stage: Stage) -> None:
    send(stage, link(stage), photo(500))
    (waiting,) = stage.streams.shares.waiting(stage.stream)
    stage.ask("owner", "POST", f"/streams/{SLUG}/waiting", data={"action": "reject", "image": waiting.image_id})
    stage.streams.trash.restore(stage.stream, [waiting.image_id])
    assert stage.streams.shares.waiting(stage.stream) == [waiting]
    stage.streams.delete_stream_image(SLUG, waiting.image_id)
    assert stage.streams.rows.db.rows("SELECT * FROM visitor_images") == []


def test_only_what_waits_can_be_decided(stage: Stage) -> None:
    """An image of the stream that no visitor sent is not deleted by a form of this page."""
    own = stage.images[ImageVisibility.PRIVATE]
    form = {"action": "reject", "image": own.image_id}
    assert stage.ask("owner", "POST", f"/streams/{SLUG}/waiting", data=form).status_code == 303
    assert stage.ask("owner", "GET", f"/streams/{SLUG}/images/{own.image_id}/thumb").status_code == 200


def test_making_an_image_visible_in_any_other_way_ends_its_wait(stage: Stage) -> None:
    send(stage, link(stage), photo(500))
    (waiting,) = stage.streams.shares.waiting(stage.stream)
    change = stage.ask("owner", "PATCH", f"/api/images/{waiting.image_id}", json={"visibility": "subscribers"})
    assert change.status_code == 200
    assert stage.streams.shares.waiting(stage.stream) == []


def test_a_link_takes_twenty_images_a_day(stage: Stage, clock: FakeClock) -> None:
    code = link(stage)
    assert f"You can add {MAX_SENT_PER_DAY} more images today" in stage.inside.stranger().get(f"/s/{code}/add").text
    answer = send(stage, code, *(photo(600 + number, 20, 20) for number in range(MAX_SENT_PER_DAY + 1)))
    assert answer.text.count("Sent") == MAX_SENT_PER_DAY
    assert f"The link takes {MAX_SENT_PER_DAY} images a day." in answer.text
    assert "accepts no more images today" in stage.inside.stranger().get(f"/s/{code}/add").text
    clock.advance(DAY_S + 1)
    assert f"{MAX_SENT_PER_DAY} more images today" in stage.inside.stranger().get(f"/s/{code}/add").text


def test_a_link_that_takes_none_has_no_form(stage: Stage) -> None:
    code = link(stage, may_upload=False)
    client = stage.inside.stranger()
    assert "Add yours" not in client.get(f"/s/{code}").text
    assert client.get(f"/s/{code}/add").status_code == 404
    token = form_token(stage.inside.stranger())
    assert client.post(f"/s/{code}/add", data=files((photo(1), "a.jpg"), csrf_token=token)).status_code in (403, 404)
    assert stage.streams.shares.waiting(stage.stream) == []


def test_a_visitor_does_not_learn_which_hidden_images_there_are(stage: Stage) -> None:
    """The same bytes as a private image: it is not stored twice, and the answer is that of any other."""
    private = stage.streams.images.original(stage.images[ImageVisibility.PRIVATE])
    assert private is not None
    code = link(stage)
    answers = [send(stage, code, body) for body in (private, photo(500))]
    for answer in answers:
        assert (answer.status_code, ">Sent<" in answer.text.replace("</span>Sent", ">Sent<")) == (200, True)
        assert "already" not in answer.text
    assert len(stage.streams.shares.waiting(stage.stream)) == 1


def row_of(answer: TestResponse) -> str:
    found = re.search(r"<li><b>.*?</li>", answer.text, re.DOTALL)
    assert found, answer.text
    return found[0]


def test_an_image_that_the_link_shows_is_named_as_a_duplicate(stage: Stage) -> None:
    """The page said "Sent", and nothing appeared under *Waiting*."""
    shown = stage.images[ImageVisibility.PUBLIC]
    body = stage.streams.images.original(shown)
    assert body is not None
    code = link(stage)
    answer = send(stage, code, body)
    assert f'<a href="/s/{code}/images/{shown.image_id}">Already here</a>' in row_of(answer)
    assert "lamp well" in row_of(answer)
    assert ">Sent" not in row_of(answer)
    assert stage.streams.shares.repeats(stage.stream) == []
    assert f"{MAX_SENT_PER_DAY} more images today" in answer.text, "nothing was sent"
    # A link to other images does not show it, so it does not tell.
    other = link(stage, image_ids=[stage.images[ImageVisibility.SUBSCRIBERS].image_id])
    assert "Already" not in send(stage, other, body).text


def test_an_owner_is_told_who_sent_an_image_that_the_stream_hides(stage: Stage) -> None:
    hidden = stage.images[ImageVisibility.PRIVATE]
    body = stage.streams.images.original(hidden)
    assert body is not None
    code = link(stage)
    send(stage, code, body)
    (repeat,) = stage.streams.shares.repeats(stage.stream)
    assert (repeat.image_id, repeat.sender, repeat.sent_at) == (hidden.image_id, "Noor", 1_790_000_000.0)
    assert "Waiting<sup>1</sup>" in stage.ask("owner", "GET", f"/streams/{SLUG}").text
    page = stage.ask("co-owner", "GET", f"/streams/{SLUG}/waiting").text
    assert ("Already in the stream" in page, "Noor" in page, f"/images/{hidden.image_id}" in page) == (True, True, True)
    # It was never for approval: nothing that the page offers shows it to others.
    for action in ("approve", "reject"):
        stage.ask("owner", "POST", f"/streams/{SLUG}/waiting", data={"action": action, "image": hidden.image_id})
    assert (
        stage.streams.queries.image(stage.streams.members.viewer("owner"), hidden.image_id)[1].visibility
        is ImageVisibility.PRIVATE
    )
    for actor in ("stranger", "other", "subscriber"):
        assert stage.ask(actor, "POST", f"/streams/{SLUG}/waiting", data={"action": "clear"}).status_code in (401, 403, 404)
    assert len(stage.streams.shares.repeats(stage.stream)) == 1
    assert stage.ask("owner", "POST", f"/streams/{SLUG}/waiting", data={"action": "clear"}).status_code == 303
    assert "Already in the stream" not in stage.ask("owner", "GET", f"/streams/{SLUG}/waiting").text
    stage.streams.delete_stream_image(SLUG, hidden.image_id)
    assert stage.streams.rows.db.rows("SELECT * FROM visitor_repeats") == []


def test_a_repeat_of_what_waits_is_no_news(stage: Stage) -> None:
    code = link(stage)
    first, second = (row_of(send(stage, code, photo(500))) for _ in range(2))
    assert first == second
    assert len(stage.streams.shares.waiting(stage.stream)) == 1
    assert stage.streams.shares.repeats(stage.stream) == []


def test_nothing_else_tells_a_visitor_of_a_hidden_image(stage: Stage, clock: FakeClock) -> None:
    """Neither what is left of the day, nor the note of an animation, nor a stream that is full."""
    animated = animation()
    stage.add(ImageVisibility.PRIVATE, body=animated)
    new, known = link(stage), link(stage)
    answers = [send(stage, code, body) for code, body in ((new, animation(9)), (known, animated))]
    rows = [row_of(answer) for answer in answers]
    assert rows[0] == rows[1]
    assert "only the first frame" in rows[0]
    for answer in answers:
        assert f"{MAX_SENT_PER_DAY - 1} more images today" in answer.text
    stage.ask("owner", "POST", f"/streams/{SLUG}/waiting", data={"action": "clear"})
    assert f"{MAX_SENT_PER_DAY - 1} more images" in stage.inside.stranger().get(f"/s/{known}/add").text, "seen, but not forgotten"
    stage.streams.uploads.limits = UploadLimits(max_images=len(stage.streams.rows.images(stage.stream.id)))
    rows = [row_of(send(stage, known, body)) for body in (photo(501), animated)]
    assert rows[0] == rows[1]
    assert "accepts no more images" in rows[0]
    stage.streams.uploads.limits = UploadLimits()
    clock.advance(DAY_S + 1)
    send(stage, known, animated)
    assert len(stage.streams.rows.db.rows("SELECT * FROM visitor_repeats")) == 1, "what was seen is forgotten after a day"


def test_what_is_no_image_is_refused_by_name_and_the_others_are_sent(stage: Stage) -> None:
    answer = send(stage, link(stage), b"no image at all", photo(500))
    assert answer.status_code == 200
    assert answer.text.count("lamp failed") == answer.text.count("lamp well") == 1
    assert len(stage.streams.shares.waiting(stage.stream)) == 1
    nothing = send(stage, link(stage))
    assert (nothing.status_code, "Choose at least one image." in nothing.text) == (400, True)


def test_a_name_with_markup_is_refused_and_nothing_is_stored(stage: Stage) -> None:
    answer = send(stage, link(stage), photo(500), name="<b>Noor</b>")
    assert (answer.status_code, "The name must not contain HTML." in answer.text) == (400, True)
    assert '<nav class="places"' not in answer.text  # an error shows no way to the rest of the house either
    assert stage.streams.shares.waiting(stage.stream) == []
