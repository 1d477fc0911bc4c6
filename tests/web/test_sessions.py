"""Logging in, staying in, getting out; claiming a new machine; who may change what."""

import os
import re
import stat
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import create_app
from image_cache.bootstrap import secret_key
from image_cache.config import Settings
from image_cache.errors import ConfigError
from tests.support.clock import FakeClock
from tests.support.inside import LAN, NAME, PASSWORD, Inside, form_token, page_token

COOKIE = re.compile(r"(?P<name>[^=]+)=(?P<value>[^;]*);(?P<rest>.*)")


def session_cookie(answer: TestResponse) -> dict[str, str]:
    """Return name, value and attributes of the session cookie that an answer sets."""
    (line,) = [line for line in answer.headers.getlist("Set-Cookie") if "vinylvault" in line]
    found = COOKIE.match(line)
    assert found
    return found.groupdict()


def log_in(client: FlaskClient, password: str = PASSWORD, name: str = NAME, **fields: str) -> TestResponse:
    return client.post("/login", data={"name": name, "password": password, "csrf_token": form_token(client), **fields})


def test_a_session_cookie_is_hidden_from_scripts_and_other_sites(inside: Inside) -> None:
    inside.account()
    answer = log_in(inside.stranger())
    cookie = session_cookie(answer)
    assert cookie["name"] == "vinylvault"
    assert "HttpOnly" in cookie["rest"]
    assert "SameSite=Lax" in cookie["rest"]
    assert "Path=/" in cookie["rest"]
    assert "Domain" not in cookie["rest"]
    assert "Secure" not in cookie["rest"]  # over plain HTTP a browser would drop it
    assert PASSWORD not in answer.text


def test_over_tls_the_cookie_is_secure_and_bound_to_the_host(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", TRUSTED_PROXIES=1) as inside:
        inside.account()
        client = inside.client(
            accept="text/html", x_forwarded_proto="https", x_forwarded_for=LAN, x_forwarded_host="vault.example"
        )
        cookie = session_cookie(client.get("/login", base_url="https://vault.example"))
        assert cookie["name"] == "__Host-vinylvault"
        assert "Secure" in cookie["rest"]
        assert "Path=/" in cookie["rest"]
        assert "Domain" not in cookie["rest"]


def test_without_a_trusted_proxy_nobody_can_claim_to_come_over_tls(inside: Inside) -> None:
    cookie = session_cookie(inside.stranger(x_forwarded_proto="https").get("/login", follow_redirects=True))
    assert cookie["name"] == "vinylvault"


def test_logging_in_changes_the_cookie_and_the_token_and_logging_out_does_again(inside: Inside) -> None:
    inside.account()
    client = inside.stranger()
    before, before_token = session_cookie(client.get("/login"))["value"], page_token(client)
    inner = session_cookie(log_in(client))["value"]
    inner_token = page_token(client)
    assert len({before, inner}) == 2
    refused = client.post("/logout", data={"csrf_token": before_token})
    assert refused.status_code == 403
    assert client.post("/logout", data={"csrf_token": inner_token}).status_code == 303
    after_token = page_token(client)
    assert len({before_token, inner_token, after_token}) == 3


def test_a_cookie_that_was_copied_is_worth_nothing_after_the_logout(inside: Inside) -> None:
    client = inside.logged_in()
    copied = client.get_cookie("vinylvault", domain="vault.local")
    assert copied is not None
    thief = inside.stranger()
    thief.set_cookie("vinylvault", copied.value, domain="vault.local")
    assert "paused_hosts" in thief.get("/api/cache/stats").json
    client.post("/logout", data={"csrf_token": page_token(client)})
    assert "paused_hosts" not in thief.get("/api/cache/stats").json


def test_a_second_login_ends_the_first_session_of_this_browser(inside: Inside) -> None:
    client = inside.logged_in()
    first = client.get_cookie("vinylvault", domain="vault.local")
    assert first is not None
    answer = client.post("/login", data={"name": NAME, "password": PASSWORD, "csrf_token": page_token(client)})
    assert answer.status_code == 303
    thief = inside.stranger()
    thief.set_cookie("vinylvault", first.value, domain="vault.local")
    assert "paused_hosts" not in thief.get("/api/cache/stats").json
    assert "paused_hosts" in client.get("/api/cache/stats").json


def test_a_session_ends_after_twelve_idle_hours_and_lives_on_when_it_is_used(tmp_path: Path) -> None:
    clock = FakeClock()
    with Inside(tmp_path / "vault", clock=clock) as inside:
        client = inside.logged_in()
        for _ in range(3):
            clock.advance(11 * 3600)
            assert "paused_hosts" in client.get("/api/cache/stats").json
        clock.advance(12 * 3600 + 1)
        assert "paused_hosts" not in client.get("/api/cache/stats").json


def test_a_forged_or_foreign_cookie_is_nobody(inside: Inside, tmp_path: Path) -> None:
    with Inside(tmp_path / "other") as other:
        stolen = other.logged_in().get_cookie("vinylvault", domain="vault.local")
    assert stolen is not None
    for value in (stolen.value, "x", "", "a.b.c", "é" * 10, "x" * 4000):
        client = inside.stranger()
        client.set_cookie("vinylvault", value, domain="vault.local")
        answer = client.get("/api/cache/stats")
        assert answer.status_code == 200
        assert "paused_hosts" not in answer.json


def test_a_wrong_password_and_an_unknown_name_are_told_alike(inside: Inside) -> None:
    inside.account()
    answers = [log_in(inside.stranger(), password="wrong horse", name=name) for name in (NAME, "Nobody")]
    assert [answer.status_code for answer in answers] == [403, 403]
    pages = [re.sub(r'value="[^"]*"|content="[^"]*"', "", answer.text) for answer in answers]
    assert pages[0] == pages[1]
    assert "Wrong name or password." in answers[0].text


@pytest.mark.slow
def test_the_sixth_try_is_told_to_wait_even_with_the_right_password(inside: Inside) -> None:
    inside.account()
    client = inside.stranger()
    for _ in range(4):
        assert log_in(client, password="wrong horse").status_code == 403
    fifth = log_in(client, password="wrong horse")
    assert fifth.status_code == 429
    assert 0 < int(fifth.headers["Retry-After"]) <= 900
    sixth = log_in(client)
    assert sixth.status_code == 429
    assert 0 < int(sixth.headers["Retry-After"]) <= 900


@pytest.mark.slow
def test_an_address_that_tries_many_names_is_told_to_wait(inside: Inside) -> None:
    inside.account()
    client = inside.stranger()
    token = form_token(client)
    codes = [
        client.post("/login", data={"name": f"name{n}", "password": "x" * 9, "csrf_token": token}).status_code for n in range(11)
    ]
    assert codes == [403] * 10 + [429]
    other = inside.client(address="192.168.1.78", host="vault.local:5000", accept="text/html")
    assert log_in(other).status_code == 303


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/album/7", "/album/7"),
        ("/?q=a&page=2", "/?q=a&page=2"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
        ("/\t/evil.example", "/"),
        ("evil", "/"),
    ],
)
def test_after_the_login_one_is_where_one_wanted_to_be_and_never_elsewhere(inside: Inside, wanted: str, leads_to: str) -> None:
    inside.account()
    client = inside.stranger()
    page = client.get("/login", query_string={"next": wanted})
    assert ("evil" not in page.text) or leads_to == wanted
    assert log_in(client, next=wanted).headers["Location"] == leads_to
    assert client.get("/login", query_string={"next": wanted}).headers["Location"] == leads_to


def test_a_login_form_without_its_token_is_refused(inside: Inside) -> None:
    inside.account()
    client = inside.stranger()
    client.get("/login")
    for token in ("", "nonsense", form_token(inside.stranger())):
        answer = client.post("/login", data={"name": NAME, "password": PASSWORD, "csrf_token": token})
        assert answer.status_code == 403
        assert "paused_hosts" not in client.get("/api/cache/stats").json


def test_a_new_machine_is_claimed_once_with_the_code(inside: Inside) -> None:
    client = inside.stranger()
    assert client.get("/login").headers["Location"] == "/claim"
    code = inside.services.accounts.setup_code()
    assert code is not None
    fields = {"name": NAME, "password": PASSWORD, "csrf_token": form_token(client, "/claim")}
    wrong = client.post("/claim", data={**fields, "code": "AAAA-AAAA"})
    assert wrong.status_code == 403
    assert code not in wrong.text
    short = client.post("/claim", data={**fields, "code": code, "password": "short"})
    assert short.status_code == 400
    assert "8 characters" in short.text
    assert client.post("/claim", data={**fields, "code": code.lower()}).status_code == 303
    assert "paused_hosts" in client.get("/api/cache/stats").json
    late = inside.stranger()
    assert late.get("/claim").headers["Location"] == "/login"
    again = late.post("/claim", data={**fields, "code": code, "csrf_token": page_token(late)})
    assert again.status_code == 403
    assert inside.services.accounts.setup_code() is None


def test_nobody_guesses_the_code(inside: Inside) -> None:
    client = inside.stranger()
    token = form_token(client, "/claim")
    codes = [
        client.post("/claim", data={"code": f"AAAA-AAA{n}", "name": NAME, "password": PASSWORD, "csrf_token": token}).status_code
        for n in range(7)
    ]
    assert codes == [403] * 4 + [429] * 3


def test_a_play_needs_an_account_or_the_machine_itself(inside: Inside) -> None:
    record = inside.album()

    def plays() -> int:
        album = inside.services.library.album(record)
        assert album is not None
        return album.plays

    stranger = inside.stranger()
    inside.account("operator", "Someone Else")
    form = {"csrf_token": page_token(stranger)}
    asked = stranger.post(f"/album/{record}/played", data=form)
    assert asked.status_code == 401
    assert f'name="next" value="/album/{record}"' in asked.text
    assert 'action="/login"' in asked.text
    script = stranger.post(f"/album/{record}/unplayed", data=form, headers={"Accept": "application/json"})
    assert script.status_code == 401
    assert script.json == {"error": "Log in to do this.", "status": 401}
    assert plays() == 0
    owner = inside.logged_in("owner")
    assert owner.post(f"/album/{record}/played", data={"csrf_token": page_token(owner)}).status_code == 303
    assert plays() == 1
    assert owner.post(f"/album/{record}/played").status_code == 403
    assert plays() == 1
    kiosk = inside.client(accept="text/html")  # the touch screen of the machine: a browser on it, without a login
    assert kiosk.post(f"/album/{record}/played", data={"csrf_token": page_token(kiosk)}).status_code == 303
    assert plays() == 2
    assert kiosk.post(f"/album/{record}/unplayed", data={"csrf_token": page_token(kiosk)}).status_code == 303
    assert plays() == 1


def test_on_a_machine_without_operator_a_play_leads_to_the_claim(inside: Inside) -> None:
    record = inside.album()
    client = inside.stranger()
    asked = client.post(f"/album/{record}/played", data={"csrf_token": page_token(client)})
    assert asked.status_code == 401
    assert 'action="/claim"' in asked.text


def test_an_owner_is_no_operator(inside: Inside) -> None:
    client = inside.logged_in("owner")
    answer = client.post("/api/cache/clear", json={}, headers={"X-CSRFToken": page_token(client)})
    assert answer.status_code == 403
    assert "paused_hosts" not in client.get("/api/cache/stats").json


def test_what_a_logged_in_browser_gets_is_kept_by_nobody(inside: Inside) -> None:
    client = inside.logged_in()
    assert client.get("/api/cache/stats").headers["Cache-Control"] == "no-store"
    assert "public" not in client.get("/about").headers["Cache-Control"]
    assert "Cookie" in client.get("/about").headers["Vary"]


@pytest.mark.parametrize("key", [b"brief", b"x" * 64, b"01" * 32])
def test_a_weak_key_stops_the_start_and_names_the_setting(tmp_path: Path, key: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(key)
    with pytest.raises(ConfigError, match="VINYL_VAULT_SECRET_KEY_FILE") as caught:
        create_app(Settings(DATA_DIR=tmp_path / "vault", SECRET_KEY_FILE=path))
    assert key.decode() not in str(caught.value)


def test_the_key_is_on_the_disk_with_its_name_before_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, rename = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (done.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"), sync(fd))
    )
    monkeypatch.setattr(Path, "replace", lambda path, target: (done.append("rename"), rename(path, target))[1])
    secret_key(tmp_path / "key")
    assert done == ["file", "rename", "folder"]


def test_a_first_start_that_was_cut_short_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "vault/state"
    state.mkdir(parents=True)
    (state / "catalog.db").touch()
    create_app(Settings(DATA_DIR=tmp_path / "vault")).extensions["vinylvault"].close()
    assert (state / "catalog.db").stat().st_size


def test_the_key_is_made_once_random_and_for_us_alone(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    keys = [secret_key(path) for path in (*paths, *paths)]
    assert keys[:2] == keys[2:]
    assert keys[0] != keys[1]
    assert len(keys[0]) >= 32
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
