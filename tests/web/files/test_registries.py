"""Registries on the page: one row for many files, their failures first, all of them paused and retried at once."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.support.inside import Inside, form_token
from tests.support.origin import Origin
from tests.support.vault import wait_until
from tests.support.volumes import serve
from tests.web.files.test_files import arrived, post


@pytest.fixture
def inside(origin: Origin, tmp_path: Path) -> Iterator[Inside]:
    with Inside(tmp_path / "vault", trusted=(origin.base,), FREE_SPACE_FLOOR_MB=0) as running:
        yield running


@pytest.fixture
def operator(inside: Inside) -> FlaskClient:
    return inside.logged_in("operator")


def lines_of(origin: Origin, count: int) -> str:
    lines = []
    for number in range(count):
        body = bytes([number]) * 2000
        url, _ = serve(origin, f"/{number}.bin", body)
        lines.append(f"part-{number} {hashlib.sha256(body).hexdigest()} {url}")
    return "\n".join(lines)


def test_a_registry_is_added_downloaded_and_removed(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    text = f"{lines_of(origin, 3)}\ngone {'0' * 64} {origin.url('/gone')}\nbroken md5:1\n"
    assert post(operator, "/files/registries", name="set.txt", lines=text) == 303
    page = operator.get("/files/registries/set.txt").text
    assert "0 of 4" in page
    assert "line 5: only SHA-256 checksums are supported: broken md5:1" in page
    assert inside.services.files.cache.index.fetches() == [], "adding a registry downloaded something"
    assert post(operator, "/files/registries/set.txt/fetch") == 303
    wait_until(lambda: [fetch.state for fetch in inside.services.files.cache.index.fetches()] == ["failed"])
    listed = operator.get("/files").text
    assert "3 of 4 files, 6.0 KB, 1 failed" in listed or "3 of 4 files, 6 KB, 1 failed" in listed
    assert "Retry the 1 failed" in listed
    assert "part-0" not in listed, "a stored file keeps its own name in the list"
    group = operator.get("/api/files").json["groups"]
    assert [(one["name"], one["state"], one["share"]) for one in group] == [("set.txt", "failed", 0.75)]
    page = operator.get("/files/registries/set.txt").text
    assert page.index("gone") < page.index("part-0")
    assert post(operator, "/files/registries/set.txt/remove") == 303
    assert "set.txt" not in operator.get("/files/registries").text
    assert inside.services.files.cache.totals()[0] == 3


def test_a_name_of_a_registry_can_be_typed_in_the_form(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    post(operator, "/files/registries", name="set", lines=lines_of(origin, 2))
    assert post(operator, "/files", url="part-1", pin="1") == 303
    wait_until(lambda: arrived(inside) and inside.services.files.cache.totals()[0] == 1)
    (stored,) = inside.services.files.cache.index.files()
    assert (stored.name, stored.is_pinned) == ("1.bin", True)


def test_bad_lines_come_back_and_the_others_are_queued(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    form = {"lines": f"{lines_of(origin, 2)}\nbroken md5:1\n", "csrf_token": form_token(operator, "/files")}
    answer = operator.post("/files", data=form)
    assert answer.status_code == 400
    assert "line 3: only SHA-256 checksums are supported" in answer.text
    assert ">broken md5:1</textarea>" in answer.text
    wait_until(lambda: arrived(inside) and inside.services.files.cache.totals()[0] == 2)


def test_a_login_is_added_on_the_page_and_never_shown(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    secret = "s3cret-Token"
    assert post(operator, "/files/logins", origin=origin.base, secret=secret) == 303
    page = operator.get("/files/logins").text
    assert origin.base in page
    assert secret not in page
    url, volume = serve(origin, "/x.bin", b"x" * 100)
    post(operator, "/files", url=url)
    wait_until(lambda: arrived(inside) and inside.services.files.cache.totals()[0] == 1)
    assert volume.asked[0].headers["authorization"] == f"Bearer {secret}"
    assert "Sent to" in operator.get(f"/files/{inside.services.files.cache.remote(url).digest}").text
    form = {"origin": "ftp://x", "secret": secret, "csrf_token": form_token(operator, "/files/logins")}
    answer = operator.post("/files/logins", data=form)
    assert answer.status_code == 400
    assert secret not in answer.text
    assert post(operator, "/files/logins/remove", origin=origin.base) == 303
    assert origin.base not in operator.get("/files/logins").text


def test_a_registry_that_cannot_be_read_comes_back_with_its_text(operator: FlaskClient) -> None:
    form = {"name": "set", "lines": "<b>no registry", "csrf_token": form_token(operator, "/files/registries")}
    answer = operator.post("/files/registries", data=form)
    assert answer.status_code == 400
    assert "&lt;b&gt;no registry</textarea>" in answer.text
    assert "set: no line is" in answer.text


def test_the_api_takes_a_name_of_a_registry(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    post(operator, "/files/registries", name="set", lines=lines_of(origin, 2))
    post(operator, "/files/registries", name="other", lines=f"part-0 {'0' * 64} {origin.url('/elsewhere.bin')}")
    headers = {"X-CSRFToken": form_token(operator, "/files")}

    def ask(**body: object) -> tuple[int, dict[str, object]]:
        answer = operator.post("/api/files", json=body, headers=headers)
        return answer.status_code, dict(answer.json)

    names = operator.get("/api/files/names").json["names"]
    assert [(one["name"], one["registry"], one["state"]) for one in names] == [
        ("part-0", "other", "absent"),
        ("part-0", "set", "absent"),
        ("part-1", "set", "absent"),
    ]
    status, found = ask(name="part-1", pin=True)
    assert (status, found["digest"]) == (202, names[2]["digest"])
    wait_until(lambda: operator.get("/api/files/names").json["names"][2]["state"] == "done")
    assert operator.get(f"/api/files/{found['digest']}").json["is_pinned"]
    assert ask(name="part-0") == (404, {"error": "'part-0' is in other and set. Choose one with --registry.", "status": 404})
    assert ask(name="part-0", registry="set")[0] == 202
    assert ask(name="never")[0] == 404
    status, refused = ask(name="part-1", sha256="0" * 64)
    assert (status, "send only registry and pin" in str(refused["error"])) == (400, True)
    assert ask(registry="set")[0] == 400
