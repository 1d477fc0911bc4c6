"""API tokens: what each scope may, on which route; how they end; and that no session comes from them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from image_cache.accounts.tokens import DAY_S, MANAGE, READ, SCOPES, UPLOAD
from image_cache.models import ImageVisibility
from image_cache.web.access import MAX_WRONG_TOKENS
from image_cache.web.rate_limits import limiter
from tests.support.clock import FakeClock
from tests.support.inside import Inside
from tests.support.stage import SLUG, Stage, files, photo
from tests.web.test_access import methods_of, paths

TOKEN = re.compile(r'value="(vv_[A-Za-z0-9]{24})"')
# (method, route) -> the scope that a token needs; every other route of the application refuses tokens.
NEEDED = {
    ("GET", "/api/streams"): READ,
    ("POST", "/api/streams"): MANAGE,
    ("GET", "/api/streams/<slug>"): READ,
    ("PATCH", "/api/streams/<slug>"): MANAGE,
    ("DELETE", "/api/streams/<slug>"): MANAGE,
    ("GET", "/api/streams/<slug>/images"): READ,
    ("POST", "/api/streams/<slug>/images"): UPLOAD,
    ("GET", "/api/streams/<slug>/stats"): READ,
    ("GET", "/api/streams/<slug>/trash"): READ,
    ("DELETE", "/api/streams/<slug>/trash"): MANAGE,
    ("POST", "/api/streams/<slug>/trash/restore"): MANAGE,
    ("POST", "/api/streams/<slug>/restore"): MANAGE,
    ("GET", "/api/deletions"): MANAGE,
    ("GET", "/api/images/<image_id>"): READ,
    ("PATCH", "/api/images/<image_id>"): MANAGE,
    ("DELETE", "/api/images/<image_id>"): MANAGE,
    ("GET", "/api/images/<image_id>/views"): READ,
    ("GET", "/streams/<slug>/images/<image_id>/<size>"): READ,
    ("GET", "/streams/<slug>/images/<image_id>/download"): READ,
    ("GET", "/streams/<slug>/images.zip"): READ,
    ("POST", "/streams/<slug>/images.zip"): READ,
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_790_000_000.0)


@pytest.fixture
def stage(tmp_path: Path, clock: FakeClock) -> Iterator[Stage]:
    limiter.storage.reset()
    with Inside(tmp_path / "vault", clock=clock) as inside:
        yield Stage(inside)


def token(stage: Stage, *scopes: str, account: str = "owner", **fields: object) -> str:
    owner = next(one for one in stage.inside.services.accounts.accounts() if one.name == account)
    return stage.inside.services.api_tokens.create(owner, "script", scopes, **fields)[0]  # type: ignore[arg-type]


def script(stage: Stage, **named: str) -> FlaskClient:
    """Return a client without cookies on another computer, as curl is."""
    return stage.inside.client(address="192.168.1.31", host="vault.local:5000", cookies=False, **named)


def ask(stage: Stage, text: str, method: str, path: str, **named: object) -> TestResponse:
    return script(stage).open(path, method=method, headers={"Authorization": f"Bearer {text}"}, **named)


def test_each_scope_may_what_the_table_says_and_nothing_else(stage: Stage) -> None:
    """On every route of the application, for each scope alone: 403 wherever the scope is another, or tokens are not taken."""
    tokens = {scope: token(stage, scope) for scope in SCOPES}
    values = {"slug": SLUG, "size": "thumb"}
    seen = set()
    for number, (method, rule, _) in enumerate(methods_of(stage.inside.app)):
        needed = NEEDED.get((method, rule))
        for scope, text in tokens.items():
            limiter.storage.reset()
            if needed == scope:
                image = stage.add(ImageVisibility.PRIVATE)
                path = re.sub(r"<(\w+)>", lambda found, image=image: {**values, "image_id": image.image_id}[found[1]], rule)  # type: ignore[misc]
                if (method, rule) == ("DELETE", "/api/streams/<slug>"):
                    continue  # it would end the test; that it is allowed is shown below
                status = ask(stage, text, method, path, **bodies(method, path)).status_code
                assert status in (200, 201) or (rule.endswith("/restore") and status in (400, 404)), (scope, method, rule, status)
                seen.add((method, rule))
            elif needed is not None:
                path = rule.replace("<slug>", SLUG).replace("<image_id>", "x").replace("<size>", "thumb")
                answer = ask(stage, text, method, path)
                assert answer.status_code == 403, (scope, method, rule)
                assert f"does not have the scope {needed}" in answer.text
            else:
                path = paths(
                    stage.inside, rule.replace("<slug>", SLUG).replace("<image_id>", "x").replace("<size>", "thumb"), number
                )
                answer = ask(stage, text, method, path)
                assert answer.status_code == 403, (scope, method, rule)
                assert "API tokens cannot be used here" in answer.text
    assert seen == set(NEEDED) - {("DELETE", "/api/streams/<slug>")}
    assert ask(stage, tokens[MANAGE], "DELETE", f"/api/streams/{SLUG}").status_code == 200


def bodies(method: str, path: str) -> dict[str, object]:
    if path.endswith("/images") and method == "POST":
        return {"data": files((photo(4000), "a.jpg"))}
    return {"json": {"title": "Changed"}} if method in ("POST", "PATCH") and path.startswith("/api") else {}


def test_a_token_has_the_rights_of_its_account_and_no_more(stage: Stage) -> None:
    everything = token(stage, *SCOPES, account="subscriber")
    seen = ask(stage, everything, "GET", f"/api/streams/{SLUG}/images").json["images"]
    assert len(seen) == 2
    private = stage.images[ImageVisibility.PRIVATE].image_id
    assert ask(stage, everything, "GET", f"/api/images/{private}").status_code == 404
    assert ask(stage, everything, "POST", f"/api/streams/{SLUG}/images", data=files((photo(1), "a.jpg"))).status_code == 403


def test_an_upload_can_be_bound_to_one_stream(stage: Stage) -> None:
    other = stage.streams.create_stream("Another", "another", owner=stage.streams.members.viewer("owner"))
    bound = token(stage, UPLOAD, stream_id=other.id)
    body = photo(700)
    assert ask(stage, bound, "POST", f"/api/streams/{SLUG}/images", data=files((body, "a.jpg"))).status_code == 403
    answer = ask(stage, bound, "POST", "/api/streams/another/images", data=files((body, "a.jpg")))
    assert (answer.status_code, answer.json["stored"]) == (201, 1)


def test_on_the_server_itself_a_token_gives_no_more_than_elsewhere(stage: Stage) -> None:
    """curl on the server counts as its operator, but not with a token."""
    client = stage.inside.client(cookies=False)
    headers = {"Authorization": f"Bearer {token(stage, READ)}"}
    assert client.post("/api/cache/clear", headers=headers).status_code == 403
    assert client.post("/api/cache/clear", headers={"Authorization": "Bearer vv_wrong"}).status_code == 401
    assert client.get("/accounts", headers=headers).status_code == 403


@pytest.mark.parametrize("end", ["revoked", "expired", "account", "wrong", "restored"])
def test_a_token_that_ended_is_refused(stage: Stage, clock: FakeClock, end: str) -> None:
    text = token(stage, READ, days=30)
    path = f"/api/streams/{SLUG}"
    assert ask(stage, text, "GET", path).status_code == 200
    if end == "expired":
        clock.advance(30 * DAY_S + 1)
    elif end == "account":
        stage.inside.services.accounts.remove("owner")
    elif end == "restored":
        from image_cache.accounts.table import AccountTable

        AccountTable(stage.inside.services.catalog).close_all_sessions()
    elif end == "revoked":
        assert stage.ask("owner", "POST", "/account/tokens/1/revoke").status_code == 303
    answer = ask(stage, text if end != "wrong" else f"{text[:-1]}!", "GET", path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].lower().startswith("bearer")
    assert "does not work" in answer.json["error"]


def test_a_session_does_not_help_a_token_and_a_token_makes_no_session(stage: Stage) -> None:
    client = stage.client("owner")
    wrong = {"Authorization": "Bearer vv_000000000000000000000000"}
    assert client.get(f"/api/streams/{SLUG}/images", headers=wrong).status_code == 401
    read = token(stage, READ, account="subscriber")
    seen = client.get(f"/api/streams/{SLUG}/images", headers={"Authorization": f"Bearer {read}"}).json["images"]
    assert len(seen) == 2  # those of the subscriber, though the session is the owner's
    fresh = stage.inside.stranger()
    answer = fresh.get(f"/api/streams/{SLUG}/images", headers={"Authorization": f"Bearer {read}"})
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert fresh.get("/account").status_code == 401


def test_wrong_tokens_are_bounded(stage: Stage) -> None:
    statuses = [ask(stage, f"vv_{number:024}", "GET", "/api/streams").status_code for number in range(MAX_WRONG_TOKENS + 1)]
    assert statuses == [401] * MAX_WRONG_TOKENS + [429]


def test_other_bearers_and_basic_logins_of_a_proxy_change_nothing(stage: Stage) -> None:
    client = stage.client("owner")
    for header in ("Basic dmVyYTp4", "Bearer abc", "Digest x", "Bearer"):
        assert client.get("/account", headers={"Authorization": header}).status_code == 200


def test_the_page_shows_a_token_once_and_stores_its_hash(stage: Stage) -> None:
    form = {"name": "Phone shortcut", "scope": ["upload"], "stream": SLUG, "days": "30"}
    answer = stage.ask("owner", "POST", "/account/tokens", data=form)
    found = TOKEN.search(answer.text)
    assert found
    assert f"/api/streams/{SLUG}/images" in answer.text
    page = stage.ask("owner", "GET", "/account/tokens").text
    assert found[1] not in page
    assert "Upload images to An evening" in page
    for path in (stage.inside.folder / "state").glob("catalog.db*"):
        assert found[1].encode() not in path.read_bytes()
    assert ask(stage, found[1], "POST", f"/api/streams/{SLUG}/images", data=files((photo(9), "a.jpg"))).status_code == 201
    stage.inside.services.api_tokens.flush()
    assert "192.168.1.31, 1 request" in stage.ask("owner", "GET", "/account/tokens").text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "Enter a name"),
        ({"scope": []}, "at least one scope"),
        ({"scope": ["everything"]}, "at least one scope"),
        ({"days": "7"}, "30 days, 1 year"),
        ({"days": "x"}, "30 days, 1 year"),
        ({"stream": "no-such-stream"}, "one of your streams"),
    ],
)
def test_a_bad_field_is_named_and_no_token_is_made(stage: Stage, fields: dict[str, object], message: str) -> None:
    form = {"name": "script", "scope": ["read"], **fields}
    answer = stage.ask("owner", "POST", "/account/tokens", data=form)
    assert (answer.status_code, message in answer.text) == (400, True)
    assert "Revoke script" not in answer.text


def test_a_token_of_another_account_cannot_be_revoked(stage: Stage) -> None:
    text = token(stage, READ)
    assert stage.ask("other", "POST", "/account/tokens/1/revoke").status_code == 404
    assert ask(stage, text, "GET", "/api/streams").status_code == 200
