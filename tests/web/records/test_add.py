"""Adding a record: by a photograph of its barcode, by number or words, by typing; services that are away or answer nonsense."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.imaging.test_barcode import photo
from tests.support.discogs import TOKEN, DiscogsServer
from tests.support.inside import Inside, page_token
from tests.support.musicbrainz import Archive

AT_DISCOGS = "5012345678900"


@pytest.fixture(scope="module")
def discogs() -> Iterator[DiscogsServer]:
    with DiscogsServer(window_s=1.0) as running:
        yield running


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(tmp_path / "archive") as running:
        yield running


@pytest.fixture
def vault(tmp_path: Path, discogs: DiscogsServer, archive: Archive) -> Iterator[Inside]:
    """A vault that asks both services, with a token of Discogs."""
    settings = archive.settings | {"FIND_COVERS": False, "DISCOGS_API_URL": discogs.base, "DISCOGS_WINDOW_S": 1.0}
    with Inside(tmp_path / "vault", trusted=(archive.base, discogs.base), **settings) as inside:
        inside.services.discogs.tokens.write(TOKEN)
        yield inside


def post(client: FlaskClient, path: str, **fields: object) -> TestResponse:
    return client.post(path, data={"csrf_token": page_token(client), **fields})


def answer_to(inside: Inside, client: FlaskClient, **fields: object) -> tuple[str, str]:
    """Look something up; return the path of the answer, and the page once the services have answered."""
    path = post(client, "/add", **fields).headers["Location"]
    inside.services.tasks.wait(int(path.rpartition("/")[2]), 30)
    return path, client.get(path).text


def test_a_photographed_barcode_offers_its_pressings_and_one_press_adds_it(vault: Inside) -> None:
    client = vault.logged_in("owner")
    path, page = answer_to(vault, client, barcode=(io.BytesIO(photo(AT_DISCOGS)), "photo.jpg"))
    assert '<h1 class="digits">5012345678900</h1>' in page
    assert "You do not have it." in page
    assert page.count(">Add</button>") == 2  # the third has another number
    assert "Stern · ST 1 · 1979 · UK · Vinyl, LP" in page
    answer = post(client, path, candidate="0")
    assert "Added." in client.get(answer.headers["Location"]).text
    album = next(vault.services.library.albums())
    assert (album.artist, album.title, album.year, album.barcode) == ("Soft Tide", "Low Water", 1979, AT_DISCOGS)
    assert (album.source, album.source_id, album.formats) == ("discogs", "501", ("Vinyl", "LP"))
    _, page = answer_to(vault, client, q="5 012345 678900")
    assert "You have it." in page
    assert "Add a second copy" in page
    again = post(client, path, candidate="0").headers["Location"]
    assert again.startswith(f"/album/{album.id}")
    assert vault.services.library.count() == 1


def test_a_catalogue_number_or_words_find_it_too(vault: Inside, archive: Archive) -> None:
    archive.add("Blue Hour", "The Lanterns", barcode="4000000000006", catno="LAN 7", label="Lantern", year="1982")
    client = vault.logged_in("owner")
    _, page = answer_to(vault, client, q="ST 1-2")
    assert page.count(">Add</button>") == 1
    assert "Germany" in page
    path, page = answer_to(vault, client, q="4000000000006")
    assert "Blue Hour" in page
    assert "MusicBrainz" in page
    post(client, path, candidate="0")
    album = next(vault.services.library.albums())
    assert (album.source, album.mbid, album.barcode) == ("musicbrainz", album.source_id, "4000000000006")


def test_a_service_that_is_away_is_named_and_the_other_one_still_offers(vault: Inside, archive: Archive) -> None:
    archive.refuse(503, 9, path="/ws/2/")
    client = vault.logged_in("owner")
    _, page = answer_to(vault, client, q=AT_DISCOGS)
    assert "MusicBrainz did not respond" in page
    assert page.count(">Add</button>") == 2
    assert "Try again" in page
    assert f"/add/record?barcode={AT_DISCOGS}" in page
    assert f'name="barcode" value="{AT_DISCOGS}"' in client.get(f"/add/record?barcode={AT_DISCOGS}").text


def test_nonsense_from_a_service_is_a_sentence(vault: Inside, archive: Archive) -> None:
    archive.answer_with('{"releases": [{"id": 7}, null, "x"]}', 1, path="/ws/2/")
    client = vault.logged_in("owner")
    _, page = answer_to(vault, client, q="9999999999994")
    assert "Nothing found under" in page
    archive.answer_with("<html>", 1, path="/ws/2/")
    _, page = answer_to(vault, client, q="9999999999994")
    assert "MusicBrainz did not respond" in page


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Type a number, an artist or a title."),
        ({"q": "  "}, "Type a number, an artist or a title."),
        ({"q": "x" * 121}, "at most 120 characters, not 121"),
        ({"barcode": (io.BytesIO(b"not a photo"), "photo.jpg")}, "ot a supported image"),
    ],
)
def test_what_cannot_be_looked_up_says_why(inside: Inside, fields: dict[str, object], said: str) -> None:
    answer = post(inside.logged_in("owner"), "/add", **fields)
    assert answer.status_code == 400
    assert said in answer.text


def test_an_unreadable_photograph_says_what_to_do(inside: Inside) -> None:
    from tests.support.origin import jpeg

    answer = post(inside.logged_in("owner"), "/add", barcode=(io.BytesIO(jpeg(900, 900)), "photo.jpg"))
    assert answer.status_code == 400
    assert "No barcode found in the photo. Move closer" in answer.text


def test_an_answer_that_does_not_exist_is_not_found(inside: Inside) -> None:
    client = inside.logged_in("owner")
    other = inside.services.tasks.rows.add("demo", {}, 1.0)[0]
    for number in (999, other):
        assert client.get(f"/add/{number}").status_code == 404
        assert post(client, f"/add/{number}", candidate="0").status_code == 404
    assert re.search("candidate must be", post(client, f"/add/{other}", candidate="x").text)
