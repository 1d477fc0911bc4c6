"""The log of actions: what views write into it, what it never holds, its filters and its table; pruned by time."""

import csv
import getpass
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.import_models import ImportRow
from image_cache.maintenance.actions.log import shortened
from image_cache.maintenance.actions.table import ActionFilter, LoggedAction
from tests.support.clock import FakeClock
from tests.support.inside import LAN, NAME, PASSWORD, Inside, form_token
from tests.support.origin import jpeg
from tests.support.vault import Vault

NOW = 1_800_000_000.0
DAY_S = 86400.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def inside(tmp_path: Path, clock: FakeClock) -> Iterator[Inside]:
    with Inside(tmp_path / "vault", clock=clock, FREE_SPACE_FLOOR_MB=0) as running:
        running.services.pool.close()
        yield running


def lines(inside: Inside) -> list[LoggedAction]:
    return inside.services.actions.find(ActionFilter(), 1000)


def test_who_did_what_is_written_by_the_views(inside: Inside) -> None:
    client = inside.logged_in("operator")
    token = form_token(client, "/admin/cache")

    def post(path: str, **fields: object) -> int:
        return client.post(path, data={**fields, "csrf_token": token}).status_code

    assert post("/streams", title="Summer evening", slug="summer") == 303
    upload = {"files": (io.BytesIO(jpeg()), "IMG_2014.jpg"), "title": "A very private title"}
    assert post("/streams/summer/images", **upload) == 200
    assert post("/accounts/invite", role="member") == 200
    assert post("/admin/cache/limits", max_size_mb="256") == 303
    assert post("/admin/cache/clear") == 303
    found = lines(inside)
    assert [(one.kind, one.what, one.place) for one in reversed(found)] == [
        ("logins", "logged in", ""),
        ("uploads", "created a stream", "Summer evening"),
        ("uploads", "uploaded 1 image", "Summer evening"),
        ("links", "invited a member", ""),
        ("limits", "changed the limits", "Covers, disk 256 MB"),
        ("limits", "cleared the cover cache", ""),
    ]
    assert {(one.who, one.address, one.at) for one in found} == {(NAME, LAN, NOW)}


def test_changes_to_many_records_are_in_it(inside: Inside) -> None:
    inside.services.library.import_rows([ImportRow(line, f"Title {line}", "Staithe") for line in range(2, 6)])
    client = inside.logged_in("operator")
    token = form_token(client, "/admin/cache")

    def post(path: str, **fields: object) -> str:
        answer = client.post(path, data={**fields, "csrf_token": token})
        assert answer.status_code == 303, path
        return str(answer.location)

    post(post("/selection", ids="1,2,3", deed="edit"), shelf="B2")
    gone = post(post("/selection", ids="1,2", deed="remove"))
    post(f"{gone}/undo")
    post("/import/demo")
    assert [(one.kind, one.what) for one in reversed(lines(inside))][1:] == [
        ("records", "edited 3 records"),
        ("records", "removed 2 records"),
        ("records", "undid a removal of records"),
        ("records", "added the demo collection"),
    ]


def test_what_operators_do_with_files_is_written(inside: Inside) -> None:
    client = inside.logged_in("operator")
    token = form_token(client, "/admin/cache")

    def post(path: str, **fields: object) -> int:
        return client.post(path, data={**fields, "csrf_token": token}).status_code

    assert post("/files/speed", speed_mb_s="4", full_hours="18:00-07:00") == 303
    assert client.post("/api/files/speed", json={"mb_per_s": None}, headers={"X-CSRFToken": token}).status_code == 200
    assert post("/files/registries", name="set", lines="a https://files.example/a.bin") == 303
    assert post("/files/registries/set/remove") == 303
    assert post("/files/logins", origin="files.example", secret="very-secret") == 303
    assert post("/files/logins/remove", origin="files.example") == 303
    assert client.post("/api/cache/clear", json={}, headers={"X-CSRFToken": token}).status_code == 200
    assert post("/accounts/guests", allowed="1") == 303
    found = lines(inside)[:-1]
    assert [(one.kind, one.what, one.place) for one in reversed(found)] == [
        ("limits", "changed the speed of downloads", "4 MB/s, full speed 18:00-07:00"),
        ("limits", "changed the speed of downloads", "no limit"),
        ("limits", "added a registry of files", "set"),
        ("deletions", "removed a registry of files", "set"),
        ("limits", "saved a login for files", "files.example"),
        ("deletions", "removed a login for files", "files.example"),
        ("limits", "cleared the cover cache", ""),
        ("accounts", "let visitors count plays", ""),
    ]
    assert "very-secret" not in str(found)


def test_accounts_that_the_command_line_changes_are_written(tmp_path: Path) -> None:
    with Vault(tmp_path / "vault") as vault:
        vault.command("users", "add", "Ada", "--role", "owner", stdin=PASSWORD)
        vault.command("users", "remove", "Ada")
    with Inside(tmp_path / "vault") as inside:
        found = [(one.who, one.what, one.place) for one in reversed(lines(inside))]
    assert found == [
        (f"{getpass.getuser()} (command line)", "added the account of", "Ada, owner"),
        (f"{getpass.getuser()} (command line)", "removed the account of", "Ada"),
    ]


def test_no_title_of_an_image_no_link_and_no_password_is_in_it(inside: Inside) -> None:
    client = inside.logged_in("operator")
    token = form_token(client, "/admin/cache")
    client.post("/streams", data={"title": "Summer", "slug": "summer", "csrf_token": token})
    upload = {"files": (io.BytesIO(jpeg()), "IMG_2014.jpg"), "title": "A very private title", "csrf_token": token}
    answer = client.post("/streams/summer/images", data=upload)
    image_id = re.search(r"/streams/summer/images/([\w-]+)", answer.text)
    assert image_id
    client.post(f"/streams/summer/images/{image_id[1]}/delete", data={"csrf_token": token})
    link = re.search(r"/join/([\w-]+)", client.post("/accounts/invite", data={"role": "member", "csrf_token": token}).text)
    assert link
    stranger = inside.stranger()
    stranger.post("/login", data={"name": "my-password-by-mistake", "password": "x", "csrf_token": form_token(stranger)})
    text = repr(lines(inside))
    assert [word for word in ("private title", "IMG_2014", link[1], PASSWORD, "by-mistake") if word in text] == []
    assert "uploaded 1 image" in text


def test_failed_logins_are_one_line_with_a_count(inside: Inside, clock: FakeClock) -> None:
    inside.account("owner")
    stranger = inside.stranger()
    for name in (NAME, NAME.upper(), "Nobody"):
        for _ in range(2):
            stranger.post("/login", data={"name": name, "password": "wrong", "csrf_token": form_token(stranger)})
    found = {(one.who, one.what, one.count) for one in lines(inside)}
    assert found == {(NAME, "failed to log in", 4), ("unknown name", "failed to log in", 2)}
    clock.advance(16 * 60)
    stranger.post("/login", data={"name": NAME, "password": "wrong", "csrf_token": form_token(stranger)})
    assert [one.count for one in lines(inside) if one.who == NAME] == [1, 4]


def test_the_page_filters_and_its_table_is_guarded(inside: Inside, clock: FakeClock) -> None:
    log = inside.services.actions
    log.add("uploads", "Ada", "uploaded 2 images", "Summer", "192.168.1.20")
    clock.advance(10 * DAY_S)
    log.add("deletions", "=cmd()", "deleted 1 image", "+Winter <b>", "192.168.1.21")
    client = inside.client()
    page = client.get("/admin/log").text
    assert "deleted 1 image" in page
    assert "+Winter &lt;b&gt;" in page
    assert "uploaded 2 images" not in page, "only 7 days unless more are asked for"
    for query, has_upload, has_deletion in (
        ("days=30", True, True),
        ("days=30&kind=uploads", True, False),
        ("days=30&who=Ada", True, False),
        ("days=30&q=winter", False, True),
        ("days=30&q=1.20", True, False),
        ("days=30&q=%25", False, False),
        ("days=x&page=999999999999", False, True),
    ):
        text = client.get(f"/admin/log?{query}").text
        assert (("uploaded 2 images" in text), ("deleted 1 image" in text)) == (has_upload, has_deletion), query
    rows = list(csv.reader(io.StringIO(client.get("/admin/log.csv?days=90").text)))
    assert rows[0] == ["when", "who", "what", "where", "from"]
    assert [row[1:] for row in rows[1:]] == [
        ["'=cmd()", "deleted 1 image", "'+Winter <b>", "192.168.1.21"],
        ["Ada", "uploaded 2 images", "Summer", "192.168.1.20"],
    ]


def test_addresses_are_shortened_after_a_week_and_lines_deleted_after_90_days(inside: Inside, clock: FakeClock) -> None:
    log = inside.services.actions
    log.add("uploads", "Ada", "uploaded 1 image", "Summer", "192.168.1.20")
    log.add("uploads", "Ben", "uploaded 1 image", "Summer", "2001:db8:1:2::9")
    clock.advance(6 * DAY_S)
    log.add("uploads", "Cay", "uploaded 1 image", "Summer", "192.168.1.22")
    clock.advance(1.5 * DAY_S)
    log.prune()
    assert [one.address for one in lines(inside)] == ["192.168.1.22", "2001:db8:1::/48", "192.168.1.0/24"]
    log.prune()
    clock.advance(83 * DAY_S)
    log.prune()
    assert [(one.who, one.address) for one in lines(inside)] == [("Cay", "192.168.1.0/24")]


@pytest.mark.parametrize(
    ("address", "left"),
    [
        ("10.1.2.3", "10.1.2.0/24"),
        ("::ffff:10.1.2.3", "10.1.2.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("no address", ""),
        ("", ""),
    ],
)
def test_a_shortened_address_is_its_network(address: str, left: str) -> None:
    assert shortened(address) == left


def test_reading_writes_nothing(inside: Inside) -> None:
    client = inside.logged_in("operator")
    before = lines(inside)
    for path in ("/", "/streams", "/admin/cache", "/admin/log", "/admin/alerts", "/accounts", "/admin/log.csv"):
        assert client.get(path).status_code == 200
    assert lines(inside) == before
