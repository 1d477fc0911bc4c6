"""Crates: filled from a record and from a selection, in an order by hand; visitors see only what an operator has opened."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from image_cache.import_models import ImportRow
from tests.support.inside import Inside, page_token

TITLE = re.compile(r'class="cap" id="r\d+"><b>[^<]*</b> <span>([^<]*)</span>')


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with Inside(tmp_path / "vault", settled=False) as opened:
        opened.services.library.import_rows(ImportRow(n, f"Title {n}", f"Artist {n}") for n in range(1, 5))
        yield opened


def post(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    return client.post(path, data={"csrf_token": page_token(client), **fields})


def test_a_crate_is_made_filled_ordered_renamed_and_deleted(inside: Inside) -> None:
    member = inside.logged_in("member")
    assert "A crate is a list of records" in member.get("/crates").text
    path = post(member, "/crates", name="  Sunday  ").location
    assert "A crate is a list of records" not in member.get("/crates").text
    assert "Nothing in this crate yet." in member.get(path).text
    for album in ("1", "2", "3", "2"):
        assert post(member, f"{path}/records", album=album, action="put").status_code == 303
    assert TITLE.findall(member.get(path).text) == ["Title 1", "Title 2", "Title 3"]
    post(member, f"{path}/records", album="3", action="move", place="1")
    assert TITLE.findall(member.get(path).text) == ["Title 3", "Title 1", "Title 2"]
    post(member, f"{path}/records", album="3", action="move", place="99")
    post(member, f"{path}/records", album="1", action="take")
    assert TITLE.findall(member.get(path).text) == ["Title 2", "Title 3"]
    assert post(member, f"{path}/edit", name="Lent to Ann", note="since May").status_code == 303
    assert "In <a" in member.get("/album/2").text
    assert "(since May)" in member.get("/album/2").text
    assert "2 records" in member.get("/crates").text
    assert post(member, f"{path}/delete").status_code == 303
    assert member.get(path).status_code == 404
    assert inside.services.library.count() == 4


def test_from_a_record_and_from_a_selection(inside: Inside) -> None:
    client = inside.client(accept="text/html")
    assert post(client, "/crates", name="To sell", album="4").location == "/album/4/crates?done=added"
    assert "Take it out of To sell" in client.get("/album/4/crates").text
    chosen = post(client, "/selection", ids="1,2,999", deed="crate").location
    assert "Put 3 records in a crate" in client.get(chosen).text
    path = post(client, chosen, crate="1").location
    assert TITLE.findall(client.get(path).text) == ["Title 4", "Title 1", "Title 2"]
    answer = post(client, chosen, name="to SELL")
    assert (answer.status_code, "There is a crate called to SELL already." in answer.text) == (400, True)
    assert post(client, chosen, crate="77").status_code == 404
    removed = inside.services.library.batches.remove([1])
    assert TITLE.findall(client.get(path).text) == ["Title 4", "Title 2"]
    inside.services.library.batches.undo(removed.id)
    assert TITLE.findall(client.get(path).text) == ["Title 4", "Title 1", "Title 2"]


def test_visitors_see_a_crate_when_an_operator_has_opened_it_and_never_its_note(inside: Inside) -> None:
    member, operator, visitor = inside.logged_in("member"), inside.client(accept="text/html"), inside.stranger()
    path = post(member, "/crates", name="Sunday", note="for Ann").location
    assert (visitor.get(path).status_code, "Sunday" in visitor.get("/crates").text) == (404, False)
    post(member, f"{path}/edit", name="Sunday", note="for Ann", public="1")
    assert visitor.get(path).status_code == 404
    post(operator, f"{path}/edit", name="Sunday", note="for Ann", public="1")
    shown = visitor.get(path)
    assert (shown.status_code, "for Ann" in shown.text, "Edit crate" in shown.text) == (200, False, False)
    assert ("Sunday" in visitor.get("/crates").text, "for Ann" in visitor.get("/crates").text) == (True, False)
    post(member, f"{path}/edit", name="Sunday morning", note="for Ann")
    assert visitor.get(path).status_code == 200


def test_what_is_wrong_is_said(inside: Inside) -> None:
    client = inside.client(accept="text/html")
    assert "Enter a name of 1 to 60 characters." in post(client, "/crates", name=" ").text
    assert "Enter a name" in post(client, "/crates", name="x" * 61).text
    path = post(client, "/crates", name="A").location
    assert post(client, f"{path}/records", album="1", action="burn").status_code == 400
    assert post(client, f"{path}/records", album="1", action="move").status_code == 400
    assert "up to 500 characters" in post(client, f"{path}/edit", name="A", note="x" * 501).text
    assert client.get(f"{path}?page=2").status_code == 404


def test_a_step_up_or_down_and_a_place_on_another_page(inside: Inside) -> None:
    client = inside.logged_in("member")
    inside.services.library.import_rows(ImportRow(n, f"Title {n}", f"Artist {n}") for n in range(5, 66))
    path = post(client, "/crates", name="Sunday").location
    inside.services.crates.put(1, range(1, 66))
    page = client.get(f"{path}?order=1").text
    assert "Move Title 1 up" not in page
    assert "Move Title 1 down" in page
    for action, order in (("down", [2, 1, 3]), ("up", [1, 2, 3]), ("up", [1, 2, 3])):
        assert post(client, f"{path}/records", album="1", action=action).location == f"{path}?order=1&moved=1#r1"
        assert inside.services.crates.ids(1, 3) == order
    answer = post(client, f"{path}/records", album="1", action="move", place="61", page="1")
    assert answer.location == f"{path}?order=1&page=2&moved=1#r1"
    page = client.get(answer.location.partition("#")[0]).text
    assert "Title 1 is moved." in page
    assert page.index('id="r1"') < page.index('id="r62"')
    assert "Move Title 65 down" not in page
    answer = post(client, f"{path}/records", album="1", action="take", page="2")
    assert answer.location == f"{path}?order=1&page=2"
    assert post(client, f"{path}/records", album="1", action="up").status_code == 404


def test_a_script_that_moves_a_record_gets_its_place(inside: Inside) -> None:
    client = inside.logged_in("member")
    path = post(client, "/crates", name="Sunday").location
    inside.services.crates.put(1, range(1, 5))
    fields = {"csrf_token": page_token(client), "action": "move", "album": "1"}
    wanted = {"Accept": "application/json"}
    answer = client.post(f"{path}/records", data=fields | {"place": "99"}, headers=wanted)
    assert (answer.get_json(), inside.services.crates.ids(1)) == ({"place": 4}, [2, 3, 4, 1])
    assert client.post(f"{path}/records", data=fields | {"album": "77", "place": "1"}, headers=wanted).status_code == 404
