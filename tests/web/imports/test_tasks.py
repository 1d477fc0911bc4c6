"""Tasks on pages and in `/api/jobs`: a lamp, a sentence, how far; who may look, who may cancel."""

import pytest

from image_cache.web.imports import tasks as task_view
from image_cache.web.imports.methods import METHODS
from image_cache.web.imports.tasks import TaskLine
from tests.support.inside import Inside, form_token, page_token


def begin(inside: Inside, kind: str = "nobody-runs-this", **values: object) -> int:
    """Put a task into the table that no runner of this vault knows, so that it stays as it is."""
    rows = inside.services.tasks.rows
    task_id, _ = rows.add(kind, {}, 1000.0)
    if values:
        rows.set(task_id, 1001.0, **values)
    return task_id


def shown(inside: Inside, task_id: int) -> TaskLine:
    state = inside.services.tasks.rows.get(task_id)
    assert state is not None
    with inside.app.test_request_context(environ_base={"REMOTE_ADDR": "127.0.0.1"}, base_url="http://localhost:5000"):
        return task_view.line(state)


@pytest.mark.parametrize(
    ("values", "lamp", "says", "share"),
    [
        ({}, "waiting", "Queued.", None),
        ({"state": "running"}, "working", "Starting.", None),
        ({"state": "running", "done": 3, "total": 12, "says": "Page 3 of 12"}, "working", "Page 3 of 12", 0.25),
        ({"state": "running", "paused_until": 9e9, "says": "A pause."}, "warning", "A pause.", None),
        ({"state": "done", "done": 12, "total": 12, "outcome": {"says": "12 records."}}, "well", "12 records.", None),
        ({"state": "done", "says": "Page 12 of 12"}, "well", "Page 12 of 12", None),
        ({"state": "failed", "says": "It broke."}, "failed", "It broke.", None),
        ({"state": "cancelled", "says": "Cancelled.", "paused_until": 9e9}, "waiting", "Cancelled.", None),
    ],
    ids=str,
)
def test_a_task_is_a_lamp_and_a_sentence(
    inside: Inside, values: dict[str, object], lamp: str, says: str, share: float | None
) -> None:
    line = shown(inside, begin(inside, **values))
    assert (line.lamp, line.message, line.share) == (lamp, says, share)
    assert line.may_cancel is not line.is_over


def test_an_operator_sees_the_task_on_the_wall_and_on_the_page_and_cancels_it(inside: Inside) -> None:
    inside.album()
    task_id = begin(inside, "nobody-runs-this", state="running", done=3, total=12, says="Three of twelve")
    client = inside.logged_in("operator")
    for path in ("/", "/import"):
        page = client.get(path).text
        assert f'data-task="{task_id}"' in page, path
        assert "Three of twelve" in page, path
        assert 'value="0.2500"' in page, path
    job = client.get(f"/api/jobs/{task_id}").json
    assert (job["says"], job["share"], job["is_over"], job["may_cancel"]) == ("Three of twelve", 0.25, False, True)
    assert [found["id"] for found in client.get("/api/jobs").json["jobs"]] == [task_id]
    answer = client.post(f"/tasks/{task_id}/cancel", data={"back": "/import", "csrf_token": form_token(client, "/import")})
    assert (answer.status_code, answer.location) == (303, "/import")
    assert inside.services.tasks.rows.is_cancelled(task_id)


def test_the_title_of_a_task_stands_before_any_message(inside: Inside) -> None:
    """Whether it was shown depended on the first word of the message."""
    inside.album()
    begin(inside, state="running", says="Nobody-runs-this rests.")
    client = inside.logged_in("operator")
    for path in ("/", "/import"):
        page = client.get(path).text
        assert "<b>Nobody-runs-this</b> <span data-task-says>Nobody-runs-this rests.</span>" in page, path


def test_a_cancel_leads_back_to_pages_of_ours_only(inside: Inside) -> None:
    client = inside.logged_in("operator")
    token = page_token(client)
    for back in ("https://evil.example/", "//evil.example/", "/\\evil.example", "", "/import\n"):
        answer = client.post(f"/tasks/{begin(inside, 'x')}/cancel", data={"back": back, "csrf_token": token})
        assert (answer.status_code, answer.location) == (303, "/import"), back
    assert client.post("/tasks/9999/cancel", data={"csrf_token": token}).status_code == 404
    assert client.get("/api/jobs/9999").status_code == 404


def test_an_owner_looks_a_guest_of_a_stream_and_a_stranger_see_nothing(inside: Inside) -> None:
    inside.album()
    task_id = begin(inside, "nobody-runs-this", state="running", says="Three of twelve")
    inside.account("operator", "Somebody")
    owner = inside.logged_in("owner")
    assert owner.get("/api/jobs").json["jobs"][0]["may_cancel"] is False
    assert "Cancel" not in owner.get("/import").text
    assert owner.post(f"/tasks/{task_id}/cancel", data={"csrf_token": page_token(owner)}).status_code == 403
    stranger = inside.stranger()
    for path in ("/api/jobs", f"/api/jobs/{task_id}", "/import"):
        assert stranger.get(path).status_code == 401, path
    assert "Three of twelve" not in stranger.get("/").text
    assert not inside.services.tasks.rows.is_cancelled(task_id)


def test_a_stranger_who_claims_the_vault_at_the_door_comes_to_the_page_he_asked_for(inside: Inside) -> None:
    stranger = inside.stranger()
    door = stranger.get("/import")
    assert door.status_code == 401
    assert 'name="next" value="/import"' in door.text
    code = inside.services.accounts.setup_code()
    form = {
        "code": code,
        "name": "Vera",
        "password": "correct horse",
        "next": "/import",
        "csrf_token": form_token(stranger, "/import"),
    }
    answer = stranger.post("/claim", data=form)
    assert (answer.status_code, answer.location) == (303, "/import")
    assert stranger.get("/import").status_code == 200


def test_a_way_is_offered_as_soon_as_its_page_is_there(inside: Inside) -> None:
    client = inside.logged_in("operator")
    page = client.get("/import").text
    for way in METHODS:
        has_page = client.get(way.path).status_code != 404
        assert (f'href="{way.path}"' in page) == has_page, way.path
