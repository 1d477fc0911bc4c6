"""Filters, orders and saved views on pages: in the address, without scripts, for each viewer what is theirs."""

import re
from collections.abc import Iterator
from html import unescape

import pytest
from flask.testing import FlaskClient

from image_cache.import_models import ImportRow
from tests.support.inside import PASSWORD, Inside, page_token


@pytest.fixture
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with Inside(tmp_path_factory.mktemp("filters") / "vault") as running:
        running.services.library.import_rows(
            ImportRow(
                line=n,
                artist=artist,
                title=f"{artist} {n}",
                label=label,
                year=1958 + n,
                genres=(genre,),
                formats=("LP",),
                styles=("Modal",),
                rating=n % 6,
            )
            for n, (artist, label, genre) in enumerate(
                [("Miles & Co", "Blue <Note>", "Jazz")] * 3 + [("Can", "Spoon", "Rock")] * 2 + [("Miles & Co", "Spoon", "Rock")],
                1,
            )
        )
        yield running


def titles(page: str) -> list[str]:
    return [unescape(one) for one in re.findall(r'id="r\d+"><b>.*?</b> <span>(.*?)</span>', page)]


def test_a_record_leads_to_the_walls_of_its_like(inside: Inside) -> None:
    client = inside.stranger()
    page = client.get("/album/1").text
    links = [unescape(link) for link in re.findall(r'href="(/\?[^"]+)"', page)]
    for link in ("/?artist=Miles+%26+Co", "/?label=Blue+%3CNote%3E", "/?year=1959", "/?genre=Jazz", "/?format=LP"):
        assert link in links
        assert "Miles & Co 1" in titles(client.get(link).text), link


def test_the_page_of_an_artist_has_a_heading_and_figures(inside: Inside) -> None:
    page = inside.stranger().get("/?artist=miles+%26+co").text
    assert "<h1>miles &amp; co<sup>4</sup></h1>" in page
    assert "4 records, 1959\N{EN DASH}1964" in page
    assert 'On: <a href="/?artist=miles+%26+co&amp;label=Blue+%3CNote%3E">Blue &lt;Note&gt;</a> (3)' in page
    label = inside.stranger().get("/?label=Spoon").text
    assert "<h1>Spoon<sup>3</sup></h1>" in label
    assert 'Styles: <a href="/?label=Spoon&amp;style=Modal">Modal</a> (3)' in label


def test_chosen_filters_are_said_and_each_can_be_left_out(inside: Inside) -> None:
    client = inside.stranger()
    page = client.get("/?artist=Miles+%26+Co&genre=Rock&sort=year&back=1").text
    assert titles(page) == ["Miles & Co 6"]
    without = [unescape(link) for link in re.findall(r'href="([^"]+)" aria-label="Without', page)]
    assert without == ["/?sort=year&back=1&artist=Miles+%26+Co", "/?sort=year&back=1&genre=Rock"]
    assert len(titles(client.get(without[0]).text)) == 4
    assert 'href="/?sort=year&amp;back=1">Clear all 2</a>' in page
    nothing = client.get("/?artist=Can&genre=Jazz").text
    assert "No records match" in nothing
    assert "Without Jazz" in nothing


def test_the_order_turns_round_by_a_link(inside: Inside) -> None:
    client = inside.stranger()
    forth = client.get("/?sort=year").text
    turn = unescape(re.search(r'class="turn" href="([^"]+)"', forth)[1])  # type: ignore[index]
    assert turn == "/?sort=year&back=1"
    assert titles(client.get(turn).text) == titles(forth)[::-1]
    assert 'class="turn"' not in client.get("/?sort=colour").text


def test_the_page_sort_offers_every_filter_with_what_the_others_leave(inside: Inside) -> None:
    page = inside.stranger().get("/sort?artist=Miles+%26+Co&sort=rating").text
    selects = dict(re.findall(r'<select name="(\w+)">(.*?)</select>', page))
    assert list(selects) == ["genre", "style", "decade", "label", "format", "stars", "condition", "played", "added"]
    assert '<option value="Jazz">Jazz (3)</option>' in selects["genre"]
    assert '<option value="Spoon">Spoon (1)</option>' in selects["label"]
    assert '<option value="never">never played (4)</option>' in selects["played"]
    assert '<input type="hidden" name="artist" value="Miles &amp; Co">' in page
    assert '<input type="hidden" name="sort" value="rating">' in page


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("stars=9", "9"),
        ("stars=x", "x"),
        ("condition=new", "new"),
        ("played=often", "often"),
        ("year=19", "19"),
        ("added=abcd", "abcd"),
    ],
)
def test_a_value_that_is_none_is_named(inside: Inside, query: str, named: str) -> None:
    answer = inside.stranger().get(f"/?{query}")
    assert answer.status_code == 400
    assert named in answer.text


def save(client: FlaskClient, **form: str) -> int:
    return client.post("/views", data={**form, "csrf_token": page_token(client)}).status_code


def test_a_view_is_a_name_for_a_wall(inside: Inside) -> None:
    owner, visitor = inside.logged_in("owner"), inside.stranger()
    assert "Save as a view" not in visitor.get("/?genre=Jazz").text
    page = owner.get("/?genre=Jazz&sort=year&page=1").text
    form = unescape(re.search(r'class="view save" href="([^"]+)"', page)[1])  # type: ignore[index]
    assert form == "/views/new?sort=year&genre=Jazz"
    assert 'value="sort=year&amp;genre=Jazz"' in owner.get(form).text
    assert save(owner, name="All the <jazz>", address="sort=year&genre=Jazz&page=7&evil=1") == 303
    shared = visitor.get("/").text
    assert '<a class="view" href="/?sort=year&amp;genre=Jazz">All the &lt;jazz&gt;</a>' in shared
    assert save(owner, name="Mine", address="genre=Rock", own="1") == 303
    assert "Mine" in owner.get("/").text
    assert "Mine" not in visitor.get("/").text
    other = inside.services.accounts.add("Hal", PASSWORD, "member")
    inside.services.library.views.save("Of Hal", "genre=Rock&sort=title", other.id, 1.0)
    assert "Of Hal" not in owner.get("/").text
    chosen = owner.get("/?sort=year&genre=Jazz").text
    removal = re.search(r'action="(/views/\d+/remove)"', chosen)[1]  # type: ignore[index]
    assert owner.post(removal, data={"csrf_token": page_token(owner)}).status_code == 303
    assert "All the" not in visitor.get("/").text


def test_a_view_without_a_name_is_asked_for_again(inside: Inside) -> None:
    owner = inside.logged_in("owner")
    assert save(owner, name=" ", address="genre=Jazz") == 400
    assert save(owner, name="x", address="") == 400
    assert save(owner, name="x", address="stars=99") == 400
    assert inside.services.library.views.views() == ()


def test_a_search_says_where_it_hit_and_what_it_corrected(inside: Inside) -> None:
    client = inside.stranger()
    page = client.get("/search?q=spoon").text
    assert '<span class="where">Label <mark>Spoon</mark></span>' in page
    assert 'class="where"' not in client.get("/search?q=miles").text
    assert '<a href="/?label=Spoon">Label Spoon</a>' in page
    for text, path in (("miles co", "/?artist=Miles+%26+Co"), ("jazz", "/?genre=Jazz"), ("lp", "/?format=LP")):
        assert path in unescape(client.get(f"/search?q={text}").text)
    assert "Show on the wall" not in client.get("/search?q=mil").text
    slip = client.get("/search?q=mils").text
    assert "Nothing filed under “mils”. Showing “miles”." in slip
    assert len(re.findall(r'class="row"', slip)) == 4
