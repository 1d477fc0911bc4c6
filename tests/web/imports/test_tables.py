"""The pages of the import: who may use them, what they say, what is kept and for how long."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from image_cache.web.records.first_run import _has_default_route, readiness_checks
from tests.support.inside import Inside, form_token, page_token
from tests.support.vault import wait_until

SMALL = "artist,title,year\nA,One,=1970\n,,1971\nD,Four,1972\n"


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with Inside(tmp_path / "vault", MAX_IMPORT_MB=1.0) as opened:
        yield opened


@pytest.fixture
def operator(inside: Inside) -> FlaskClient:
    return inside.logged_in("operator")


def send(client: FlaskClient, content: str | bytes, name: str = "mine.csv") -> TestResponse:
    """Send the form of the page. Its body is made here: the client of the tests leaves temporary files for a large one."""
    body = content if isinstance(content, bytes) else content.encode()
    field = b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n'
    parts = [field % (b"csrf_token", b""), page_token(client).encode(), b"\r\n"]
    parts += [field % (b"table", b'; filename="' + name.encode() + b'"'), body, b"\r\n--x--\r\n"]
    return client.post("/import/table", data=b"".join(parts), content_type="multipart/form-data; boundary=x")


def looked(inside: Inside) -> int:
    """Wait until the last table was looked through, and return the number of its task."""
    return over(inside, "table-look")


def taken(inside: Inside) -> int:
    """Wait until the last table was imported: the file goes, and the records are there, before that is said."""
    return over(inside, "table")


def over(inside: Inside, kind: str) -> int:
    rows = inside.services.tasks.rows
    wait_until(lambda: (state := rows.latest(kind)) is not None and state.is_over)
    state = rows.latest(kind)
    assert state is not None
    return state.id


def uploads(inside: Inside) -> list[Path]:
    folder = inside.services.settings.intray_dir
    return list(folder.iterdir()) if folder.is_dir() else []


def act(client: FlaskClient, task_id: int, action: str) -> TestResponse:
    return client.post(f"/import/table/{task_id}/{action}", data={"csrf_token": page_token(client)})


def test_a_table_is_looked_through_first_and_taken_in_afterwards(inside: Inside, operator: FlaskClient) -> None:
    answer = send(operator, SMALL, "/home/My Records/mine.csv")
    assert (answer.status_code, answer.location) == (303, "/import/table")
    task_id = looked(inside)
    page = operator.get("/import/table").text
    for words in (
        "mine.csv",
        "nothing has been imported yet",
        "3 rows read: 2 new, 1 rejected; 1 with a value that was shortened, guessed or skipped.",
        "Show rejected rows and changed values",
        "neither artist nor title",
        "Import 2 records",
    ):
        assert words in page, words
    assert "My Records" not in page
    report = operator.get(f"/import/table/{task_id}/report.csv")
    assert report.mimetype == "text/csv"
    assert report.text.splitlines() == [
        "\ufeffrow,artist,title,what",
        "2,A,One,year '=1970' was read as 1970",
        "3,,,rejected: neither artist nor title",
    ]
    assert operator.get(f"/import/table/{task_id + 99}/report.csv").status_code == 404
    assert inside.stranger().get(f"/import/table/{task_id}/report.csv").status_code == 401
    assert inside.services.library.count() == 0
    assert len(uploads(inside)) == 1
    assert act(operator, task_id, "take").status_code == 303
    taken(inside)
    assert inside.services.library.count() == 2
    assert uploads(inside) == []
    page = operator.get("/import/table").text
    for words in ("mine.csv imported", "See all 2 records", "Show rejected rows and changed values"):
        assert words in page, words
    assert act(operator, task_id, "take").status_code == 409
    assert "1,970" not in page


def test_a_second_time_there_is_nothing_to_take_in(inside: Inside, operator: FlaskClient) -> None:
    send(operator, SMALL)
    act(operator, looked(inside), "take")
    taken(inside)
    assert uploads(inside) == []
    send(operator, SMALL)
    task_id = looked(inside)
    page = operator.get("/import/table").text
    assert "3 rows read: 0 new, 2 unchanged, 1 rejected; 1 with" in page
    assert "Import 2 records" not in page
    assert '/take"' not in page
    assert act(operator, task_id, "leave").status_code == 303
    assert uploads(inside) == []
    assert "unchanged, 1 rejected" not in operator.get("/import/table").text


def test_a_table_that_waits_stays_in_sight_and_a_cancel_is_told(inside: Inside, operator: FlaskClient) -> None:
    inside.services.pool.close()  # the housekeeper would run what is added below
    send(operator, SMALL)
    looked(inside)
    rows = inside.services.tasks.rows
    ended, _ = rows.add("table", {"path": "/elsewhere.csv", "name": "elsewhere.csv", "origin": "folder"}, time.time())
    rows.set(ended, time.time(), state="cancelled", says="Cancelled. Everything saved so far stays.")
    page = operator.get("/import/table").text
    assert "Import 2 records" in page
    assert act(operator, looked(inside), "leave").status_code == 303
    page = operator.get("/import/table").text
    assert "Import of elsewhere.csv cancelled" in page
    assert "Everything saved so far stays." in page


def test_a_new_upload_takes_the_place_of_one_that_nobody_took(inside: Inside, operator: FlaskClient) -> None:
    send(operator, SMALL)
    looked(inside)
    send(operator, "title\nOther\n", "other.csv")
    looked(inside)
    assert len(uploads(inside)) == 1
    assert "other.csv" in operator.get("/import/table").text


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("stock.csv", "listing_id,title\n1,x\n", "stock.csv: this is a Discogs inventory"),
        ("books.xlsx", b"PK\x03\x04rest", "books.xlsx: this is a spreadsheet"),
        ("x.db", b"SQLite format 3\0" + b"x" * 500, "x.db: the database is corrupt"),
        ("empty.csv", "", "empty.csv: the file is empty."),
    ],
)
def test_a_refused_file_is_named_and_not_kept(
    inside: Inside, operator: FlaskClient, name: str, content: str | bytes, says: str
) -> None:
    send(operator, content, name)
    looked(inside)
    page = operator.get("/import/table").text
    assert "Import failed" in page
    assert says in page
    assert str(inside.folder) not in page.replace(str(inside.services.settings.imports_dir), "")
    wait_until(lambda: not uploads(inside))


def test_what_is_no_table_at_all_is_refused_before_anything_is_kept(inside: Inside, operator: FlaskClient) -> None:
    for answer in (
        operator.post("/import/table", data={"csrf_token": page_token(operator)}),
        operator.post("/import/table", data={"csrf_token": page_token(operator), "table": "text"}),
        send(operator, SMALL, ""),
    ):
        assert answer.status_code == 400
        assert "Choose a file first." in answer.text
    large = send(operator, b"title\n" + b"x" * 1_300_000)
    assert large.status_code == 413
    assert "This file is too large. The limit is 1 MB." in large.text
    assert send(operator, b"x" * 2_100_000).status_code == 413
    assert uploads(inside) == []


def test_only_an_operator_brings_tables_and_takes_them_in(inside: Inside) -> None:
    inside.account("operator", "Somebody")
    owner, stranger = inside.logged_in("owner"), inside.stranger()
    page = owner.get("/import/table")
    assert page.status_code == 200
    assert "Upload and preview" not in page.text
    assert str(inside.folder) not in page.text
    paths = ("/import/table", "/import/table/1/take", "/import/demo", "/import/demo/remove")
    for client, status in ((owner, 403), (stranger, 401)):
        for path in paths:
            assert client.post(path, data={"csrf_token": page_token(client)}).status_code == status, path
    for path in ("/import/table", "/import/demo", "/import/records.csv", "/import/records.json"):
        assert stranger.get(path).status_code == 401, path
    # A body that only operators may send is cut at the usual size for all others.
    assert send(owner, b"title\n" + b"x" * 1_200_000).status_code in (403, 413)
    assert uploads(inside) == []


def test_everything_goes_out_as_a_download_and_comes_in_again(inside: Inside, operator: FlaskClient) -> None:
    send(operator, "artist,title,plays\nÖ,=One,3\n")
    act(operator, looked(inside), "take")
    taken(inside)
    assert inside.services.library.count() == 1
    for kind, mimetype in (("csv", "text/csv"), ("json", "application/json")):
        before = time.strftime("%Y-%m-%d")
        answer = operator.get(f"/import/records.{kind}")
        assert (answer.status_code, answer.mimetype) == (200, mimetype)
        days = {before, time.strftime("%Y-%m-%d")}  # it may be midnight
        assert answer.headers["Content-Disposition"] in {f'attachment; filename="vinylvault-{day}.{kind}"' for day in days}
        send(operator, answer.data, f"records.{kind}")
        looked(inside)
        assert "1 row read: 0 new, 1 unchanged." in operator.get("/import/table").text
    assert json.loads(operator.get("/import/records.json").text)[0]["plays"] == 3
    assert operator.get("/import/records.xml").status_code == 404


def test_what_a_file_says_is_text_and_nothing_else(inside: Inside, operator: FlaskClient) -> None:
    nasty = "<script>alert(1)</script>"
    send(operator, f"artist,title,year\n{nasty},{nasty},x{nasty}\n{nasty},{nasty},1970\n", f"{nasty}\u202e.csv")
    looked(inside)
    page = operator.get("/import/table").text
    assert nasty not in page
    assert "\u202e" not in page


def test_the_demo_stands_on_the_shelf_with_one_button_and_goes_with_another(inside: Inside, operator: FlaskClient) -> None:
    assert operator.post("/import/demo", data={"csrf_token": form_token(operator, "/import/demo")}).status_code == 303
    wait_until(lambda: inside.services.library.count() == 240)
    wait_until(lambda: "Remove the demo" in operator.get("/import/demo").text)
    assert "240 demo records in your collection" in operator.get("/import/demo").text
    asked = operator.get("/import/demo/remove").text
    assert "This removes 240 invented records, with the plays and notes that you gave them." in asked
    assert "account demo" not in asked
    assert operator.post("/import/demo/remove", data={"csrf_token": page_token(operator)}).status_code == 303
    assert inside.services.library.count() == 0
    assert "Add the demo records" in operator.get("/import/demo").text


def test_the_first_page_says_how_this_machine_is(inside: Inside, tmp_path: Path) -> None:
    page = inside.stranger().get("/").text
    assert page.count('<li><span class="lamp') == 4
    assert "Data folders are writable" in page
    with inside.app.app_context():
        assert [sign.lamp for sign in readiness_checks()][1:3] == ["well", "well"]
        inside.services.covers.cache.disk.floor_bytes = 1 << 60
        assert readiness_checks()[0].lamp == "warning"
    routes = tmp_path / "route"
    routes.write_text("Iface\tDestination\tGateway\neth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n")
    assert not _has_default_route(routes)
    routes.write_text("Iface\tDestination\tGateway\neth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n")
    assert _has_default_route(routes)
    six = tmp_path / "ipv6_route"
    six.write_text(f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200       lo\n")
    assert not _has_default_route(six)
    six.write_text(f"{'0' * 32} 00 {'0' * 32} 00 fe80{'0' * 28} 00000400 00000001 00000000 00000003     eth0\n")
    assert _has_default_route(six)
    assert not _has_default_route(tmp_path / "nothing")


def test_the_first_page_offers_the_way_in_that_fits_who_looks(inside: Inside) -> None:
    stranger = inside.stranger()
    assert 'action="/claim"' in stranger.get("/").text
    form = {"code": "nonsense", "name": "Vera", "password": "correct horse", "csrf_token": form_token(stranger, "/")}
    assert stranger.post("/claim", data=form).status_code == 403
    operator = inside.logged_in("operator")
    assert 'href="/login?next=/import"' in inside.stranger().get("/").text
    page = operator.get("/").text
    assert "/claim" not in page
    assert "/login" not in page


def test_every_way_in_stands_under_the_same_heading(inside: Inside, operator: FlaskClient) -> None:
    for path in ("", "/discogs", "/table", "/music", "/demo"):
        page = operator.get(f"/import{path}").text
        assert page.count("<h1") == page.count("<h1>Import</h1>") == 1, path
        assert "Import · VinylVault</title>" in page, path


def test_pages_without_a_record_lead_on_instead_of_counting_to_nothing(inside: Inside, operator: FlaskClient) -> None:
    assert "Show all 0" not in operator.get("/search?q=x").text
    assert "Every record has a cover" not in operator.get("/covers/missing").text
    assert "0 records without a cover" not in operator.get("/covers/audit").text
    inside.album()
    page = operator.get("/?genre=Nowhere").text
    assert "No records match" in page
    assert "1 to 0 of 0" not in page
    assert "data-opening" not in page
