"""Selecting many records without scripts: one form with boxes over several pages, deeds with their answer and its undo."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from image_cache.import_models import ImportRow
from image_cache.records.batches.edit import FieldEdit
from tests.support.inside import Inside, page_token
from tests.support.vault import wait_until

RECORDS = 150
BOX = re.compile(r'<input type="checkbox" form="selection" name="id" value="(\d+)"[^>]*?( checked)?>')
FIELD = re.compile(r'<input type="hidden" name="(address|kept|shown|ids|off)"(?: value="([^"]*)")?>')


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with Inside(tmp_path / "vault", settled=False) as opened:
        opened.services.library.import_rows(
            ImportRow(n, f"Title {n:03}", f"Artist {n:03}", genres=("Jazz",) if n % 2 else ("Soul",), label=f"L{n}")
            for n in range(RECORDS)
        )
        yield opened


def keeper(inside: Inside) -> FlaskClient:
    return inside.client(accept="text/html")


def boxes(page: str) -> dict[str, bool]:
    return {number: bool(checked) for number, checked in BOX.findall(page)}


def send(client: FlaskClient, page: str, deed: str, *ids: str) -> TestResponse:
    """Send the form of a page as a browser without scripts does."""
    fields: dict[str, object] = {name: value.replace("&amp;", "&") for name, value in FIELD.findall(page)}
    return client.post("/selection", data=fields | {"id": list(ids), "deed": deed, "csrf_token": page_token(client)})


def post(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    return client.post(path, data={"csrf_token": page_token(client), **fields})


def test_a_selection_goes_over_pages_and_back_without_scripts(inside: Inside) -> None:
    client = keeper(inside)
    page = client.get("/?select=1").text
    first = list(boxes(page))
    assert (len(first), any(boxes(page).values())) == (60, False)
    answer = send(client, page, "page-2", first[0], first[5])
    assert answer.status_code == 303
    second = client.get(answer.location).text
    assert "<b>2</b> selected" in second
    others = list(boxes(second))
    answer = send(client, second, "page-1", others[0])
    page = client.get(answer.location).text
    assert "<b>3</b> selected" in page
    assert [number for number, is_on in boxes(page).items() if is_on] == [first[0], first[5]]
    answer = send(client, page, "export", first[5], first[6])  # the first box is cleared, another is set
    rows = list(csv.DictReader(io.StringIO(client.get(answer.location).text.removeprefix("\ufeff"))))
    assert sorted(row["title"] for row in rows) == ["Title 005", "Title 006", "Title 060"]


def test_all_that_match_are_edited_from_a_small_page_and_undone(inside: Inside) -> None:
    client = keeper(inside)
    page = client.get("/?select=1&genre=Jazz").text
    answer = send(client, page, "all")
    assert "genre=Jazz" in answer.location
    page = client.get(answer.location).text
    assert "<b>75</b> selected" in page
    form = send(client, page, "edit", *boxes(page)).location
    shown = client.get(form).text
    assert "Edit 75 records" in shown
    assert 'placeholder="75 values"' in shown
    assert 'name="genres" value="Jazz"' in shown
    assert len(shown) < 20_000
    answer = post(client, form, genres="Jazz", was_genres="Jazz", label="Penstock", was_label="", shelf="B1", was_shelf="")
    done = client.get(answer.location).text
    assert "75 records edited: label and shelf." in done
    assert sum((album.label, album.shelf) == ("Penstock", "B1") for album in inside.services.library.albums()) == 75
    assert post(client, f"{answer.location}/undo").status_code == 303
    assert "75 records as before." in client.get(answer.location).text
    assert not any(album.label == "Penstock" for album in inside.services.library.albums())


def test_many_move_to_another_shelf(inside: Inside) -> None:
    client = keeper(inside)
    page = client.get("/?select=1").text
    form = send(client, page, "edit", *list(boxes(page))[:3]).location
    answer = post(client, form, shelf="Kallax 3", was_shelf="", price="£5", was_price="")
    assert "3 records edited: shelf and price paid." in client.get(answer.location).text
    page = client.get("/?shelf=kallax+3").text
    assert page.count('class="tile"') == 3
    assert {album.price for album in inside.services.library.albums() if album.shelf} == {"5.00 GBP"}
    assert post(client, f"{answer.location}/undo").status_code == 303
    assert not any(album.shelf or album.price for album in inside.services.library.albums())


def test_a_wrong_value_is_said_and_what_was_typed_stays(inside: Inside) -> None:
    client = keeper(inside)
    page = client.get("/?select=1").text
    form = send(client, page, "edit", *list(boxes(page))[:2]).location
    answer = post(client, form, media_condition="splendid" * 40, was_media_condition="")
    assert answer.status_code == 400
    assert "Nothing is saved yet." in answer.text
    assert 'value="splendidsplendid' in answer.text
    assert post(client, form).status_code == 400


def test_many_are_removed_hidden_and_put_back(inside: Inside) -> None:
    client = keeper(inside)
    page = client.get("/?select=1").text
    some = list(boxes(page))[:20]
    path = send(client, page, "remove", *some).location
    asked = client.get(path).text
    assert "Remove 20 records?" in asked
    assert "And 8 more." in asked
    answer = post(client, path, hide="1")
    assert "20 records removed." in client.get(answer.location).text
    assert inside.services.library.count() == RECORDS - 20
    assert client.get("/hidden").text.count("Show again") == 20
    number = client.get("/hidden").text.partition("/hidden/")[2].partition("/")[0]
    assert post(client, f"/hidden/{number}/show").status_code == 303
    assert inside.services.library.count() == RECORDS - 19
    assert post(client, f"{answer.location}/undo").status_code == 303
    assert "19 records put back." in client.get(answer.location).text
    assert "No records are hidden." in client.get("/hidden").text


def test_nothing_selected_too_many_and_an_old_selection_are_said(inside: Inside) -> None:
    client = keeper(inside)
    page = client.get("/?select=1").text
    assert "Select at least one record first." in send(client, page, "edit").text
    assert send(client, page, "burn", "1").status_code == 400
    assert client.get("/selection/99/edit").status_code == 404
    everything = ",".join(map(str, range(1, 10_002)))
    answer = post(client, "/selection", ids=everything, deed="edit")
    assert answer.status_code == 400
    assert "up to 10,000 records at once, and these are 10,001" in answer.text
    answer = post(client, "/selection", ids=everything.removesuffix(",10001"), deed="edit")
    assert "Edit 10,000 records" in client.get(answer.location).text


def test_visitors_see_no_boxes_and_owners_cannot_remove(inside: Inside) -> None:
    assert "selection" not in inside.stranger().get("/?select=1").text
    owner = inside.logged_in("owner")
    page = owner.get("/?select=1").text
    assert ('value="edit"' in page, 'value="remove"' in page) == (True, False)
    path = send(owner, page, "remove", next(iter(boxes(page)))).location
    assert owner.get(path).status_code == 403
    done = inside.services.library.batches.remove([1])
    assert post(owner, f"/batches/{done.id}/undo").status_code == 403


def test_an_import_is_listed_and_undone_on_its_page(inside: Inside) -> None:
    inside.album(title="Imported")
    client = keeper(inside)
    listed = client.get("/batches").text
    assert "Imported.csv" in listed
    path = re.findall(r'href="(/batches/\d+)"', listed)[0]
    assert "1 record added by it will be removed." in client.get(path).text
    assert post(client, f"{path}/undo").status_code == 303
    assert "1 record removed." in client.get(path).text
    assert inside.services.library.count() == RECORDS


def test_two_records_are_chosen_compared_merged_and_split(inside: Inside) -> None:
    client, library = inside.logged_in("owner"), inside.services.library
    assert "No other record matches" not in client.get("/album/1/merge").text
    assert "No other record matches" in client.get("/album/1/merge?q=nothing+of+the+kind").text
    found = client.get("/album/1/merge?q=Title+007").text
    other = re.findall(r"/album/1/merge\?with=(\d+)", found)[0]
    page = client.get(f"/album/1/merge?with={other}").text
    assert ("Merge two records?" in page, "0 + 0 = 0 plays" in page) == (True, True)
    state = page.partition('name="state" value="')[2].partition('"')[0]
    library.batches.edit([int(other)], {"label": FieldEdit("Ink")})
    late = post(client, "/album/1/merge", **{"with": other, "state": state, "label": "1"})
    assert (late.status_code, "Someone changed one of the records" in late.text, "Ink" in late.text) == (409, True, True)
    state = late.text.partition('name="state" value="')[2].partition('"')[0]
    answer = post(client, "/album/1/merge", **{"with": other, "state": state, "label": "1"})
    assert "into Artist 000, Title 000." in client.get(answer.location).text
    assert client.get(f"/album/{other}").status_code == 404
    assert "Split again" in client.get("/album/1/edit").text
    assert post(client, f"{answer.location}/undo").status_code == 303
    assert client.get(f"/album/{other}").status_code == 200


def test_more_than_a_request_has_time_for_is_a_task_whose_page_says_how_far_it_is(inside: Inside) -> None:
    services, client = inside.services, keeper(inside)
    services.library.import_rows(ImportRow(n, f"More {n:03}", "Artist") for n in range(300))
    path = send(client, client.get("/?select=1").text, "all").location
    path = send(client, client.get(path).text, "edit", *boxes(client.get(path).text)).location
    done = post(client, path, label="Pen", was_label="").location
    page = client.get(done).text
    assert ('http-equiv="refresh"' in page, "Starting." in page) == (True, True)
    busy = post(client, path, label="Ink", was_label="")
    assert (busy.status_code, "is still running" in busy.text) == (400, True)
    services.tasks.serve()
    services.tasks.start_waiting()
    wait_until(lambda: "450 records edited: label." in client.get(done).text)
    post(client, f"{done}/undo")
    wait_until(lambda: "450 records as before." in client.get(done).text)
    assert not any(album.label == "Pen" for album in services.library.albums())
