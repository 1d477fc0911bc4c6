"""The pages of adding and editing: what is typed is never lost, own values are marked, undo leads back."""

import html
import re

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.inside import Inside, page_token

FIELD = re.compile(r'name="(was_\w+)" value="([^"]*)"')


def form(client: FlaskClient, path: str) -> dict[str, str]:
    """Return the hidden fields of a form, as a browser sends them."""
    return {name: html.unescape(value) for name, value in FIELD.findall(client.get(path).text)} | {
        "csrf_token": page_token(client)
    }


def post(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    return client.post(path, data={"csrf_token": page_token(client), **fields})


def test_a_record_is_typed_edited_and_the_change_undone(inside: Inside) -> None:
    client = inside.logged_in("owner")
    answer = post(client, "/add/record", artist="Tiller", title="Lantern Tax", year="1970", tracks="A1 | Wick | 3:10")
    path = answer.headers["Location"].partition("?")[0]
    page = client.get(answer.headers["Location"]).text
    assert "Added." in page
    assert "Wick" in page
    edit = f"{path}/edit"
    answer = client.post(edit, data=form(client, edit) | {"year": "1971"})
    assert (answer.status_code, "Saved." in client.get(answer.headers["Location"]).text) == (303, True)
    page = client.get(edit).text
    assert "1970 → 1971" in page
    assert "Vera, " in page
    change = page.partition('name="change" value="')[2].partition('"')[0]
    assert post(client, f"{path}/undo", change=change).status_code == 303
    assert 'name="year" value="1970"' in client.get(edit).text
    assert post(client, f"{path}/undo", change=change).status_code == 400


def test_an_own_value_is_marked_and_the_sources_is_one_press_away(inside: Inside) -> None:
    album, client = inside.album(title="Source title"), inside.logged_in("owner")
    edit = f"/album/{album}/edit"
    client.post(edit, data=form(client, edit) | {"title": "My title"})
    inside.album(title="Source title")  # the table is imported once more
    page = client.get(edit).text
    assert "1 value is yours. Imports do not change it." in page
    assert "Yours. The table: Source title." in page
    assert post(client, f"/album/{album}/release", field="title").status_code == 303
    assert 'name="title" value="Source title"' in client.get(edit).text


def test_what_is_wrong_is_shown_beside_all_that_was_typed(inside: Inside) -> None:
    album, client = inside.album(), inside.logged_in("owner")
    edit = f"/album/{album}/edit"
    answer = client.post(edit, data=form(client, edit) | {"year": "soon", "label": "<Pen>"})
    assert answer.status_code == 400
    assert "Year must be a number" in answer.text
    assert 'value="&lt;Pen&gt;"' in answer.text
    answer = post(client, "/add/record", year="1970", label="Penstock")
    assert (answer.status_code, 'value="Penstock"' in answer.text) == (400, True)


def test_the_later_of_two_editors_sees_what_the_first_one_saved(inside: Inside) -> None:
    album, client = inside.album(), inside.logged_in("owner")
    edit = f"/album/{album}/edit"
    first, second = form(client, edit), form(client, edit)
    assert client.post(edit, data=first | {"year": "1970", "label": "Pen"}).status_code == 303
    answer = client.post(edit, data=second | {"year": "1980"})
    assert answer.status_code == 409
    assert "Saved meanwhile: 1970" in answer.text
    assert 'name="year" value="1980"' in answer.text
    again = {name: html.unescape(value) for name, value in FIELD.findall(answer.text)} | {"csrf_token": page_token(client)}
    assert client.post(edit, data=again | {"year": "1980"}).status_code == 303
    found = inside.services.library.album(album)
    assert found is not None
    assert (found.year, found.label) == (1980, "Pen")


def test_a_second_copy_is_a_record_of_its_own(inside: Inside) -> None:
    album, client = inside.album(), inside.logged_in("owner")
    answer = post(client, f"/album/{album}/copy")
    assert "A second copy is added." in client.get(answer.headers["Location"]).text
    assert inside.services.library.count() == 2
