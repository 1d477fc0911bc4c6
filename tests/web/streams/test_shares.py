"""Links for visitors without an account: what they show for each visibility, how they end, and what no answer tells."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from image_cache.models import ImageVisibility
from image_cache.streams.share.shares import DAY_S, UNDO_S
from tests.support.clock import FakeClock
from tests.support.inside import Inside, form_token
from tests.support.stage import KINDS, SLUG, Stage

CODE = re.compile(r'value="http://vault\.local:5000/s/([2-9A-Z-]{19})"')
SIZES = ("thumb", "detail", "large", "thumb-blurred", "detail-blurred", "tile", "tile-blurred")
NONE = "AAAA-BBBB-CCCC-DDDD"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_790_000_000.0)


@pytest.fixture
def stage(tmp_path: Path, clock: FakeClock) -> Iterator[Stage]:
    with Inside(tmp_path / "vault", clock=clock) as inside:
        yield Stage(inside)


def create(stage: Stage, *ids: str, **fields: str) -> str:
    """Create a link as the form does, and return its code."""
    form = {"create": "1", "days": "7", "downloads": "1", "image": list(ids), **fields}
    answer = stage.ask("owner", "POST", f"/streams/{SLUG}/share", data=form)
    assert answer.status_code == 200, answer.text
    found = CODE.search(answer.text)
    assert found, answer.text
    return found[1]


def guest(stage: Stage, path: str, method: str = "GET", **named: object) -> TestResponse:
    """Ask as someone who has nothing but the link."""
    return stage.inside.stranger().open(path, method=method, **named)


def act(stage: Stage, action: str, number: int = 1) -> int:
    return stage.ask("owner", "POST", f"/streams/{SLUG}/links/{number}/{action}").status_code


def places(code: str, image_id: str) -> list[str]:
    page = f"/s/{code}/images/{image_id}"
    return [page, f"{page}/download", *(f"{page}/{size}" for size in SIZES)]


@pytest.mark.parametrize("is_selection", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.value)
def test_a_link_shows_what_subscribers_see_or_what_was_selected(stage: Stage, kind: ImageVisibility, is_selection: bool) -> None:
    image_id = stage.images[kind].image_id
    code = create(stage, *([image_id] if is_selection else []))
    others = [one.image_id for one in stage.images.values() if one.image_id != image_id]
    is_open = is_selection or kind is not ImageVisibility.PRIVATE
    for place in places(code, image_id):
        answer = guest(stage, place)
        assert answer.status_code == (200 if is_open else 404), place
        cache = answer.headers["Cache-Control"]
        assert cache in (("private, no-cache", "private, no-store") if is_open else ("no-store",)), place
        for method, headers in (("HEAD", {}), ("GET", {"If-None-Match": "*"}), ("GET", {"Range": "bytes=0-9"})):
            assert (guest(stage, place, method, headers=headers).status_code < 400) == is_open, (method, place)
    page = guest(stage, f"/s/{code}")
    assert (image_id in page.text) == is_open
    if is_selection:
        assert not any(other in page.text for other in others)
        assert "audience" not in page.text  # who else sees an image is for its owners
        assert all(guest(stage, place).status_code == 404 for other in others for place in places(code, other))
    assert guest(stage, f"/s/{code}/images/{image_id}/original").status_code == 404


def test_an_image_that_becomes_private_after_it_was_selected_is_hidden(stage: Stage) -> None:
    image = stage.images[ImageVisibility.PUBLIC]
    code = create(stage, image.image_id)
    assert guest(stage, f"/s/{code}/images/{image.image_id}/thumb").status_code == 200
    stage.streams.update_stream_image(SLUG, image.image_id, visibility="private")
    assert guest(stage, f"/s/{code}/images/{image.image_id}/thumb").status_code == 404
    assert image.image_id not in guest(stage, f"/s/{code}").text


def test_an_image_in_the_trash_is_not_shown_and_comes_back_with_its_link(stage: Stage) -> None:
    image = stage.images[ImageVisibility.PRIVATE]
    code = create(stage, image.image_id)
    place = f"/s/{code}/images/{image.image_id}/thumb"
    assert guest(stage, place).status_code == 200
    stage.streams.trash.move(stage.stream, [image.image_id])
    assert guest(stage, place).status_code == guest(stage, f"/s/{code}/images.zip").status_code == 404
    stage.streams.trash.restore(stage.stream, [image.image_id])
    assert guest(stage, place).status_code in (200, 202)
    assert len(stage.streams.shares.images(stage.streams.shares.open(code))) == 1
    stage.streams.delete_stream_image(SLUG, image.image_id)
    assert stage.streams.rows.db.rows("SELECT * FROM share_images") == []


def test_the_links_of_a_stream_end_when_it_goes_to_the_trash(stage: Stage) -> None:
    code = create(stage)
    assert stage.ask("owner", "DELETE", f"/api/streams/{SLUG}").status_code == 200
    assert guest(stage, f"/s/{code}").status_code == 404
    assert stage.ask("owner", "POST", f"/api/streams/{SLUG}/restore").status_code == 200
    assert guest(stage, f"/s/{code}").status_code == 404


def test_a_link_gives_no_right_beyond_its_pages(stage: Stage) -> None:
    hidden = stage.images[ImageVisibility.SUBSCRIBERS]
    code = create(stage)
    client = stage.inside.stranger()
    assert client.get(f"/s/{code}").status_code == 200
    assert client.get(f"/streams/{SLUG}/images/{hidden.image_id}/thumb").status_code == 404
    assert hidden.image_id not in client.get(f"/streams/{SLUG}").text
    other = stage.streams.create_stream("Another", "another", owner=stage.streams.members.viewer("owner"))
    assert (
        client.get(
            f"/s/{code}/images/{stage.streams.upload_stream_image(other.slug, photo_of(stage), 'x.jpg')}/thumb"
        ).status_code
        == 404
    )


def photo_of(stage: Stage) -> bytes:
    body = stage.streams.images.original(stage.images[ImageVisibility.PUBLIC])
    assert body is not None
    return body


@pytest.mark.parametrize("end", ["revoked", "expired", "removed", "account"])
def test_a_link_that_ended_answers_like_one_that_never_was(stage: Stage, clock: FakeClock, end: str) -> None:
    image_id = stage.images[ImageVisibility.PUBLIC].image_id
    code = create(stage, uploads="1")
    assert guest(stage, f"/s/{code}").status_code == 200
    if end == "expired":
        clock.advance(7 * DAY_S + 1)
    elif end == "account":
        stage.inside.services.accounts.remove("owner")
    else:
        assert act(stage, {"revoked": "revoke", "removed": "remove"}[end]) == 303
    wrong = places(NONE, image_id)
    for ended, never in zip(
        [f"/s/{code}", f"/s/{code}/images.zip", f"/s/{code}/add", *places(code, image_id)],
        [f"/s/{NONE}", f"/s/{NONE}/images.zip", f"/s/{NONE}/add", *wrong],
        strict=True,
    ):
        answers = [guest(stage, path, headers={"If-None-Match": "*"}) for path in (ended, never)]
        assert answers[0].status_code == 404, ended
        assert comparable(answers[0]) == comparable(answers[1]), ended
        assert "An evening" not in answers[0].text


def comparable(answer: TestResponse) -> tuple[object, ...]:
    token = re.compile(rb'name="csrf-token" content="[^"]+"')
    headers = sorted((name, value) for name, value in answer.headers.items() if name not in ("Set-Cookie", "Content-Length"))
    return answer.status_code, headers, token.sub(b"", answer.data)


def test_revoking_can_be_undone_for_ten_minutes(stage: Stage, clock: FakeClock) -> None:
    code = create(stage)
    assert act(stage, "revoke") == 303
    assert "Undo" in stage.ask("owner", "GET", f"/streams/{SLUG}/links").text
    assert act(stage, "undo") == 303
    assert guest(stage, f"/s/{code}").status_code == 200
    assert act(stage, "revoke") == 303
    clock.advance(UNDO_S + 1)
    assert act(stage, "undo") == 404
    assert guest(stage, f"/s/{code}").status_code == 404


def test_a_new_code_takes_the_place_of_the_old_one(stage: Stage) -> None:
    code = create(stage, name="Party")
    answer = stage.ask("owner", "POST", f"/streams/{SLUG}/links/1/renew")
    new = CODE.search(answer.text)
    assert new
    assert guest(stage, f"/s/{code}").status_code == 404
    assert guest(stage, f"/s/{new[1]}").status_code == 200
    assert guest(stage, f"/s/{new[1].lower().replace('-', '')}").status_code == 200  # as it is typed
    assert new[1] not in stage.ask("owner", "GET", f"/streams/{SLUG}/links").text


def test_the_code_is_stored_as_a_hash_only(stage: Stage) -> None:
    code = create(stage, password="vinyl night")
    stage.streams.rows.db.row("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in (stage.inside.folder / "state").glob("catalog.db*"):
        stored = path.read_bytes()
        assert code.encode() not in stored
        assert code.replace("-", "").encode() not in stored
        assert b"vinyl night" not in stored


def test_a_password_is_asked_for_and_wrong_ones_are_counted_like_logins(stage: Stage, clock: FakeClock) -> None:
    image_id = stage.images[ImageVisibility.PUBLIC].image_id
    code = create(stage, password="vinyl night")
    client = stage.inside.stranger()
    page = client.get(f"/s/{code}")
    assert "This link has a password" in page.text
    assert "An evening" not in page.text
    for place in (f"/s/{code}/images.zip", *places(code, image_id)):
        assert client.get(place).status_code == 404, place
    assert unlock(client, code, "vinyl night").status_code == 303
    assert client.get(f"/s/{code}/images/{image_id}/thumb").status_code == 200
    assert guest(stage, f"/s/{code}/images/{image_id}/thumb").status_code == 404  # another browser
    stranger = stage.inside.stranger()
    for left in (4, 3, 2, 1):
        answer = unlock(stranger, code, "wrong")
        assert (answer.status_code, f"You have {left} attempt" in answer.text) == (403, True)
    assert unlock(stranger, code, "wrong").status_code == 429
    answer = unlock(stranger, code, "vinyl night")
    assert (answer.status_code, "Too many failed attempts" in answer.text) == (429, True)
    clock.advance(16 * 60)
    assert unlock(stranger, code, "vinyl night").status_code == 303
    assert act(stage, "revoke") == 303
    assert client.get(f"/s/{code}/images/{image_id}/thumb").status_code == 404


def unlock(client: FlaskClient, code: str, password: str) -> TestResponse:
    form = {"password": password, "csrf_token": form_token(client, f"/s/{code}")}
    return client.post(f"/s/{code}", data=form)


def test_opens_are_counted_once_for_each_visitor_and_written_later(stage: Stage) -> None:
    code = create(stage)
    for _ in range(3):
        guest(stage, f"/s/{code}")
    guest(stage, f"/s/{code}", headers={"User-Agent": "another phone"})
    assert stage.streams.shares.shares(stage.stream)[0].opens == 0  # reads do not write
    stage.streams.shares.flush()
    assert stage.streams.shares.shares(stage.stream)[0].opens == 2
    assert "2 opens" in stage.ask("owner", "GET", f"/streams/{SLUG}/links").text


def test_a_link_without_downloads_has_none(stage: Stage) -> None:
    answer = stage.ask("owner", "POST", f"/streams/{SLUG}/share", data={"create": "1", "days": "0"})
    code = CODE.search(answer.text)[1]  # type: ignore[index]
    page = guest(stage, f"/s/{code}")
    assert "Download" not in page.text
    image_id = stage.images[ImageVisibility.PUBLIC].image_id
    assert guest(stage, f"/s/{code}/images.zip").status_code == 404
    assert guest(stage, f"/s/{code}/images/{image_id}/download").status_code == 404
    assert guest(stage, f"/s/{code}/images/{image_id}").status_code == 200


@pytest.mark.parametrize("path", ["", "/images.zip", "/add", "/images/{0}", "/images/{0}/thumb", "/images/none"])
def test_no_page_of_a_link_is_indexed_or_names_it_to_others(stage: Stage, path: str) -> None:
    code = create(stage, uploads="1")
    answer = guest(stage, f"/s/{code}" + path.format(stage.images[ImageVisibility.PUBLIC].image_id))
    assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert answer.headers.getlist("Referrer-Policy") == ["no-referrer"]
    assert answer.headers["Cache-Control"].startswith(("private", "no-store"))
    if answer.mimetype == "text/html":
        assert '<nav class="places"' not in answer.text
        assert '<nav class="bottom"' not in answer.text
        assert code not in re.search(r"<title>(.*?)</title>", answer.text)[1]  # type: ignore[index]


def test_the_code_of_a_link_is_not_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    code = create(stage, password="vinyl night")
    with caplog.at_level("DEBUG"):
        client = stage.inside.stranger()
        unlock(client, code, "wrong")
        client.post(f"/s/{code}", data={"password": "x"}, headers={"Origin": "https://evil.example"})
    assert code not in caplog.text
    assert "change refused path=/s/..." in caplog.text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"days": "3"}, "1, 7 or 30 days"),
        ({"days": "x"}, "1, 7 or 30 days"),
        ({"name": "n" * 81}, "too long"),
        ({"password": "abc"}, "4 to 1,000 characters"),
    ],
)
def test_a_bad_field_is_named_and_no_link_is_made(stage: Stage, fields: dict[str, str], message: str) -> None:
    answer = stage.ask("owner", "POST", f"/streams/{SLUG}/share", data={"create": "1", **fields})
    assert (answer.status_code, message in answer.text) == (400, True)
    assert stage.streams.shares.shares(stage.stream) == []


def test_only_editors_see_and_make_links(stage: Stage) -> None:
    create(stage)
    for actor, status in (("stranger", 401), ("other", 403), ("subscriber", 403), ("co-owner", 200), ("owner", 200)):
        for path in ("share", "links", "waiting", "links/1/renew"):
            assert stage.ask(actor, "GET", f"/streams/{SLUG}/{path}").status_code == status, (actor, path)
    for actor in ("stranger", "other", "subscriber"):
        assert stage.ask(actor, "POST", f"/streams/{SLUG}/links/1/revoke").status_code in (401, 403)
    assert stage.streams.shares.shares(stage.stream)[0].revoked_at is None


def test_the_form_says_in_numbers_what_a_link_shows(stage: Stage) -> None:
    text = stage.ask("owner", "GET", f"/streams/{SLUG}/share").text
    assert "sees 1 public and 1 subscriber images, without an account. Private images stay hidden." in text
    chosen = [one.image_id for one in stage.images.values()]
    text = stage.ask("owner", "POST", f"/streams/{SLUG}/share", data={"image": chosen}).text
    assert "sees the 3 images that you selected, without an account. 1 of them is private" in text
    assert "Create link" in text


def test_a_restored_catalogue_brings_no_link_back(stage: Stage) -> None:
    from image_cache.accounts.table import AccountTable

    code = create(stage)
    AccountTable(stage.inside.services.catalog).close_all_sessions()
    assert guest(stage, f"/s/{code}").status_code == 404
