"""The pages of records that look the same: asked once where one is typed or imported, answered with one press."""

import io

from tests.support.inside import Inside, page_token
from tests.web.records.test_edit import post


def test_a_record_typed_twice_is_added_as_a_copy_or_not_at_all(inside: Inside) -> None:
    client = inside.logged_in("owner")
    typed = {"artist": "Tiller", "title": "Lantern Tax", "shelf": "B3"}
    first = post(client, "/add/record", **typed).headers["Location"].partition("?")[0]
    answer = post(client, "/add/record", **typed)
    assert (answer.status_code, "Nothing is added yet." in answer.text) == (409, True)
    assert f'<a href="{first}">Tiller, Lantern Tax</a>' in answer.text
    assert "Keep as two copies" in answer.text
    answer = post(client, "/add/record", **typed, copy_of=first.rpartition("/")[2])
    assert "A second copy is added." in client.get(answer.headers["Location"]).text
    assert "No two records look the same." in client.get("/alike").text
    assert "Another copy of this record" in client.get(f"{first}/edit").text


def test_the_pairs_of_an_import_are_answered_and_not_asked_again(inside: Inside) -> None:
    client = inside.logged_in("operator")
    post(client, "/add/record", artist="Tiller", title="Lantern Tax")
    table = (io.BytesIO(b"artist,title,catno\nTiller,Lantern Tax,PEN 1\nTiller,Tide,PEN 2\n"), "records.csv")
    client.post("/import/table", data={"csrf_token": page_token(client), "table": table})
    task = inside.services.tables.status().preview
    assert task is not None
    post(client, f"/import/table/{task.id}/take")
    assert "1 pair of records looks" in client.get("/import/table").text
    batch = inside.services.library.batches.imports()[0].id
    assert "1 pair looks" in client.get(f"/batches/{batch}").text
    page = client.get(f"/alike?import={batch}").text
    first, second = sorted(album.id for album in inside.services.library.albums() if album.title == "Lantern Tax")
    assert f'action="/album/{second}/copies"' in page
    answer = post(client, f"/album/{second}/copies", **{"with": str(first), "from": "alike", "import": str(batch)})
    page = client.get(answer.headers["Location"]).text
    assert "Lantern Tax: kept as two copies." in page
    assert "Nothing that this import added looks the same" in page
    assert "look the same" not in client.get(f"/batches/{batch}").text
    answer = post(client, f"/album/{second}/copies/forget", **{"from": "alike", "import": str(batch)})
    assert f'action="/album/{second}/copies"' in client.get(answer.headers["Location"]).text


def test_the_page_of_a_merge_offers_to_keep_both(inside: Inside) -> None:
    client, first, second = inside.logged_in("owner"), inside.album(title="One"), inside.album(title="Two")
    assert "Keep as two copies" in client.get(f"/album/{first}/merge?with={second}").text
    answer = post(client, f"/album/{first}/copies", **{"with": str(second)})
    assert "Kept as two copies. You are not asked again." in client.get(answer.headers["Location"]).text
    assert post(client, f"/album/{first}/copies", **{"with": str(first)}).status_code == 400
    assert post(client, f"/album/{first}/copies", **{"with": "99"}).status_code == 404
    assert client.get("/alike?import=x").status_code == 404
    assert post(client, f"/album/{first}/copies/forget").status_code == 303
    assert inside.services.copies.of(first) == []


def test_a_record_from_a_lookup_says_that_it_looks_the_same(inside: Inside) -> None:
    client = inside.logged_in("owner")
    first = post(client, "/add/record", artist="Artist", title="Tide").headers["Location"].partition("?")[0]
    second = inside.album(title="Tide")
    assert f'href="/album/{second}/merge?with={first.rpartition("/")[2]}"' in client.get(f"/album/{second}?done=added").text
