"""Spin with a mood: the page that chooses one, the address that picks, and the moods that the browser keeps."""

import pytest

from image_cache.import_models import ImportRow
from image_cache.models import Track
from tests.support.inside import Inside


def filled(inside: Inside) -> None:
    tracks = (Track("A1", "One", 1200),)
    inside.services.library.import_rows(
        [
            ImportRow(1, "Short", "A", genres=("Jazz",), year=1965, formats=("LP",), tracks=tracks),
            ImportRow(2, "Other", "B", genres=("Rock",), year=1971, formats=("CD",)),
        ]
    )


def test_a_mood_is_picked_said_and_kept_as_a_link(inside: Inside) -> None:
    filled(inside)
    client = inside.stranger()
    page = client.get("/spin?genre=Jazz&minutes=25&idle=never").text
    assert "1 record fits." in page
    assert '<option value="25" selected>at most 25 min</option>' in page
    assert "Records without times of their tracks are left out." in page
    address = "/random?genre=Jazz&decade=1965&format=LP&minutes=25&idle=never"
    answer = client.get(address)
    assert answer.headers["Cache-Control"] == "no-store"
    page = client.get(answer.headers["Location"]).text
    assert "Jazz of the 1960s, LP, at most 25 min, added this week." in page
    assert "/random?genre=Jazz&amp;decade=1960&amp;format=LP&amp;minutes=25&amp;idle=never" in page  # Spin another
    client.get("/random?format=CD")
    page = client.get("/spin").text
    moods = page.partition("Your last moods")[2]
    assert moods.index(">CD<") < moods.index(">Jazz of the 1960s, LP, at most 25 min, never played<")
    assert "Your last moods" not in inside.stranger().get("/spin").text


def test_nothing_that_fits_leads_to_where_another_mood_is_chosen(inside: Inside) -> None:
    assert inside.stranger().get("/random").headers["Location"] == "/"
    filled(inside)
    client = inside.stranger()
    answer = client.get("/random?minutes=1")
    assert answer.headers["Location"] == "/spin?minutes=1"
    assert "0 records fit." in client.get("/spin?minutes=1").text


@pytest.mark.parametrize(
    "query", ["minutes=0", "minutes=x", "minutes=1e3", "idle=soon", "idle=-1", "decade=197", "minutes=99999"]
)
@pytest.mark.parametrize("path", ["/spin", "/random"])
def test_a_mood_that_is_none_is_named(inside: Inside, path: str, query: str) -> None:
    answer = inside.stranger().get(f"{path}?{query}")
    assert answer.status_code == 400
    assert "must be" in answer.text


def test_a_cookie_of_nonsense_keeps_no_page_from_opening(inside: Inside) -> None:
    filled(inside)
    client = inside.stranger()
    client.set_cookie("moods", "minutes=x|genre=Jazz|%00|a=b|", domain="vault.local")
    page = client.get("/spin").text
    assert ">Jazz<" in page.partition("Your last moods")[2]
    assert page.partition("Your last moods")[2].count("<li>") == 1
