"""The pages of the wantlist, and "Do I have it?": yes, another pressing, wanted or no, on one screen, for what each role may see."""

import io
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from image_cache.import_models import ImportRow
from tests.imaging.test_barcode import photo
from tests.support.discogs import DiscogsServer
from tests.support.inside import Inside, page_token
from tests.web.records.test_add import AT_DISCOGS, archive, discogs, vault

__all__ = ["archive", "discogs", "vault"]  # fixtures

ROW = ImportRow(
    1,
    "Low Water",
    "Soft Tide",
    source="discogs",
    source_id="501",
    catno="ST 1",
    barcode="5012345678900",
    media_condition="VG+",
    shelf="Kallax 3",
    formats=("Vinyl", "LP"),
)


def post(client: FlaskClient, path: str, **fields: object) -> TestResponse:
    return client.post(path, data={"csrf_token": page_token(client), **fields})


def test_a_want_is_typed_annotated_found_and_bought(inside: Inside) -> None:
    client = inside.logged_in("owner")
    path = post(client, "/wants", artist="Soft Tide", title="Low Water", notes="any pressing, up to £25").headers["Location"]
    want = path.partition("?")[0]
    assert "It is on the wantlist." in client.get(path).text
    page = client.get("/wants").text
    assert "<sup>1</sup>" in page
    assert "any pressing, up to £25" in page
    assert 'class="drawn' in page  # no cover: a sleeve is drawn
    assert post(client, f"{want}/notes", notes="up to £30").status_code == 303
    assert "up to £30" in client.get(want).text
    for address in ("/search?q=low+water", "/search?q=soft"):
        assert "Wantlist</h2>" in client.get(address).text or "On your wantlist</h2>" in client.get(address).text
    answer = post(client, f"{want}/bought")
    assert "Added, and off your wantlist." in client.get(answer.headers["Location"]).text
    album = next(inside.services.library.albums())
    assert album.own_notes == "up to £30"
    page = client.get("/wants").text
    assert "Nothing on the wantlist" in page
    assert f'href="/album/{album.id}"' in page
    assert post(client, f"{want}/again").status_code == 303
    assert "<sup>1</sup>" in client.get("/wants").text
    assert post(client, f"{want}/remove").status_code == 303
    assert client.get(want).status_code == 404


def test_a_record_that_is_added_says_that_it_was_wanted(inside: Inside) -> None:
    client = inside.logged_in("owner")
    post(client, "/wants", artist="Soft Tide", title="Low Water", notes="for Ann")
    answer = post(client, "/add/record", artist="Soft Tide", title="Low Water")
    page = client.get(answer.headers["Location"]).text
    assert "Added, and off your wantlist." in page
    assert "for Ann" in page
    answer = post(client, "/add/record", artist="Soft Tide", title="Low Water", copy_of="1")
    assert "off your wantlist" not in client.get(answer.headers["Location"]).text


def test_visitors_see_the_wantlist_without_its_notes(inside: Inside) -> None:
    want = inside.services.library.wants.type({"artist": "Soft Tide", "title": "Low Water", "notes": "secret sum"})
    member = inside.logged_in("member")
    for client, may_read in ((inside.stranger(), False), (member, True)):
        for path in ("/wants", f"/wants/{want}", "/search?q=low", "/have?q=low+water"):
            page = re.sub("</?mark>", "", client.get(path).text)
            assert "Low Water" in page, path
            assert ("secret sum" in page) == (may_read and not path.startswith("/search")), path
    assert "Bought it" not in member.get(f"/wants/{want}").text
    assert "<form" not in inside.stranger().get(f"/wants/{want}").text.partition("<main")[2]


def test_what_cannot_be_wanted_is_shown_again_with_the_reason(inside: Inside) -> None:
    client = inside.logged_in("member")
    answer = post(client, "/wants", label="<Pen>", year="soon")
    assert answer.status_code == 400
    assert "Year must be a number" in answer.text
    assert 'value="&lt;Pen&gt;"' in answer.text
    want = inside.services.library.wants.type({"title": "T"})
    answer = post(client, f"/wants/{want}/notes", notes="x" * 2001)
    assert (answer.status_code, "at most 2,000 characters, not 2,001" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5012345678900", "You have it."),
        ("5 012345 678900", "You have it."),
        ("ST1", "You have it."),
        ("low water", "You have it."),
        ("soft tide low water", "You have it."),
        ("Low Water Soft Tide", "You have it."),
        ("low watre", "You have it."),
        ("4000000000006", "You do not have it."),
        ("soft tide", "You do not have it under this name."),
        ("Ebb", "You do not have it. It is on your wantlist."),
        ("zzzz", "You do not have it."),
    ],
)
def test_the_answer_is_one_sentence(inside: Inside, text: str, says: str) -> None:
    inside.services.library.import_rows([ROW])
    inside.services.library.wants.type({"artist": "Ada Quill", "title": "Ebb"})
    page = inside.stranger().get("/have", query_string={"q": text}).text
    assert re.sub(r"<[^>]+>", "", page.partition('<p class="have" role="status">')[2].partition("</p>")[0]) == says
    assert ("VG+ · shelf Kallax 3" in page) == (says.startswith("You have it") or "under this name" in says)


def test_an_artist_of_whom_something_else_is_wanted_is_no_record_on_the_wantlist(inside: Inside) -> None:
    inside.services.library.import_rows([ROW])
    inside.services.library.wants.type({"artist": "Soft Tide", "title": "Ebb"})
    page = inside.stranger().get("/have?q=soft+tide").text
    assert "You do not have it under this name." in page
    assert "On your wantlist</h2>" in page
    assert "You do not have it. It is on your wantlist." in inside.stranger().get("/have?q=soft+tide+ebb").text


def test_what_is_on_the_wantlist_is_not_offered_for_it_again(inside: Inside) -> None:
    inside.services.library.wants.type({"artist": "Ada Quill", "title": "Ebb"})
    member = inside.logged_in("member")
    assert ">Want it</a>" not in member.get("/have?q=Ebb").text
    assert ">Want it</a>" in member.get("/have?q=zzzz").text


def test_copies_and_other_pressings_stand_below(inside: Inside) -> None:
    other = ImportRow(2, "Low Water", "The Soft Tide", source="discogs", source_id="502", catno="ST 1-2", year=1980)
    inside.services.library.import_rows([ROW, other])
    page = inside.stranger().get("/have?q=5012345678900").text
    assert "You have it." in page
    assert "Other pressings that you have" in page
    assert "ST 1-2" in page
    inside.services.editor.copy(1)
    assert "You have 2 copies." in inside.stranger().get("/have?q=5012345678900").text


def test_words_in_notes_answer_members_only(inside: Inside) -> None:
    inside.services.library.import_rows([ImportRow(2, "T", "A", own_notes="quicksilver")])
    assert "Nearest in your collection" in inside.logged_in("member").get("/have?q=quicksilver").text
    assert "Nearest in your collection" not in inside.stranger().get("/have?q=quicksilver").text


def asked(vault: Inside, client: FlaskClient, **fields: object) -> tuple[str, str]:
    path = post(client, "/have", **fields).headers["Location"]
    if re.fullmatch(r"/have/\d+", path):
        vault.services.tasks.wait(int(path.rpartition("/")[2]), 30)
    return path, client.get(path).text


def test_a_photograph_of_what_is_there_is_answered_without_asking_a_service(vault: Inside, discogs: DiscogsServer) -> None:
    vault.services.library.import_rows([ROW])
    discogs.control(forget=True)
    path, page = asked(vault, vault.logged_in("member"), barcode=(io.BytesIO(photo(AT_DISCOGS)), "photo.jpg"))
    assert path == f"/have?q={AT_DISCOGS}"
    assert "You have it." in page
    assert discogs.paths() == []


def test_a_barcode_that_is_not_there_finds_another_pressing_and_offers_to_want_it(vault: Inside) -> None:
    vault.services.library.import_rows([ImportRow(2, "Low Water", "Soft Tide", catno="OLD 7")])
    client = vault.logged_in("member")
    path, page = asked(vault, client, barcode=(io.BytesIO(photo(AT_DISCOGS)), "photo.jpg"))
    assert "You have another pressing." in page
    assert "OLD 7" in page
    assert page.count(">Want it</button>") == 2
    assert ">Add it</button>" not in page
    answer = post(client, "/wants", task=path.rpartition("/")[2], candidate="0")
    assert "It is on the wantlist." in client.get(answer.headers["Location"]).text
    [want] = vault.services.library.wants.table.wanted()
    assert (want.source, want.source_id, want.barcode, want.year) == ("discogs", "501", AT_DISCOGS, 1979)
    _, page = asked(vault, client, q=AT_DISCOGS)
    assert "You have another pressing." in page
    assert "On your wantlist</h2>" in page
    owner = vault.client(accept="text/html")
    _, page = asked(vault, owner, q="ST 1-2")
    assert ">Add it</button>" in page
    assert post(owner, "/wants", task="x", candidate="0").status_code == 400


def test_what_cannot_be_asked_says_why(inside: Inside, tmp_path: Path) -> None:
    client = inside.logged_in("member")
    assert "Type a number, an artist or a title." in post(client, "/have").text
    answer = post(client, "/have", barcode=(io.BytesIO(b"not a photo"), "photo.jpg"))
    assert (answer.status_code, "ot a supported image" in answer.text) == (400, True)
    assert client.get("/have").status_code == 200
