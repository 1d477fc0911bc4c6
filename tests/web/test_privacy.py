"""What visitors do not see, on any page: notes and prices; and what no one does: private addresses, paths of the music disk."""

from pathlib import Path
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from image_cache.web.privacy import public_source
from tests.support.inside import Inside, page_token

SECRETS = ("lent to Jo", "Price Paid: 25", "€ 30", "192.168.1.20", "nas.local")


def filled(inside: Inside, folder: Path) -> int:
    table = folder / "notes.csv"
    table.write_text(
        'artist,title,notes,cover_url\nA,B,"Gatefold, second press\nPrice Paid: 25\nworth € 30 now",http://192.168.1.20/x.jpg\n'
        "A,C,,http://nas.local:8080/y.jpg\n",
        encoding="utf-8",
    )
    inside.services.library.import_table(table)
    album = min(album.id for album in inside.services.library.albums())
    inside.services.library.write_notes(album, "lent to Jo")
    return album


def test_visitors_see_no_private_text_on_any_page(inside: Inside, tmp_path: Path) -> None:
    album = filled(inside, tmp_path)
    for path in ("/", f"/album/{album}", "/search?q=gatefold", "/search?q=B", f"/album/{album + 1}", "/?sort=colour"):
        text = inside.stranger().get(path).text
        assert [secret for secret in SECRETS if secret in text] == [], path
    assert "Gatefold, second press" in inside.stranger().get(f"/album/{album}").text


@pytest.mark.parametrize("role", ["member", "owner", "operator"])
def test_members_see_notes_and_prices_and_nobody_sees_addresses_of_the_home_network(
    inside: Inside, tmp_path: Path, role: str
) -> None:
    album, client = filled(inside, tmp_path), inside.logged_in(role)
    for path in ("/", f"/album/{album}", f"/album/{album + 1}", "/search?q=gatefold"):
        text = client.get(path).text
        assert [secret for secret in SECRETS[3:] if secret in text] == [], path
    text = client.get(f"/album/{album}").text
    assert [secret for secret in SECRETS[:3] if secret not in text] == []


def test_an_account_that_was_invited_to_a_stream_is_a_visitor_here(inside: Inside, tmp_path: Path) -> None:
    album = filled(inside, tmp_path)
    assert "lent to Jo" not in inside.logged_in("viewer").get(f"/album/{album}").text


def test_the_operator_may_open_the_notes(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", PUBLIC_NOTES=True, settled=False) as inside:
        album = filled(inside, tmp_path)
        text = inside.stranger().get(f"/album/{album}").text
        assert "lent to Jo" in text
        assert "192.168.1.20" not in text


@pytest.mark.parametrize("address", ["/?q={}", "/search?q={}", "/?q={}&page=1"])
def test_a_visitor_finds_no_record_by_words_that_are_hidden_from_them(inside: Inside, tmp_path: Path, address: str) -> None:
    """A search that answers yes or no tells a note word by word, also in the spelling that the index makes of it."""
    table = tmp_path / "t.csv"
    table.write_text(
        "artist,title,notes\nSøren Åberg,Straße nach Łódź,Price Paid: 4711 at Øland\nSøren Åberg,Other,\n", encoding="utf-8"
    )
    inside.services.library.import_table(table)
    album = min(album.id for album in inside.services.library.albums())
    inside.services.library.write_notes(album, "lent to Jörgen Groß")
    visitor, owner = inside.stranger(), inside.logged_in("owner")

    def found(client: FlaskClient, words: str) -> bool:
        return "Nothing filed under" not in client.get(address.format(quote(words))).text

    for hidden in ("4711", "lent", "Jörgen", "Groß", "gross", "oland", "Øland", "straße gross", "paid", "soren 47"):
        assert (found(visitor, hidden), found(owner, hidden)) == (False, True), hidden
    for shown in ("Soren", "søren", "strasse", "Straße", "lodz", "stra", "aberg łódź"):
        assert (found(visitor, shown), found(owner, shown)) == (True, True), shown


def test_no_address_without_arguments_tells_a_visitor_private_text(inside: Inside, tmp_path: Path) -> None:
    filled(inside, tmp_path)
    visitor, seen = inside.stranger(), 0
    for rule in inside.app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.arguments:
            answer = visitor.get(rule.rule)
            seen += answer.is_json
            assert [secret for secret in (*SECRETS, str(tmp_path)) if secret in answer.text] == [], rule.rule
    assert seen > 3
    urls = ["http://192.168.1.20/x.jpg", "http://nas.local:8080/z.jpg"]
    for path in ("/api/cache/state", "/api/cache/preload"):
        answer = visitor.post(path, json={"urls": urls}, headers={"X-CSRF-Token": page_token(visitor)})
        assert [secret for secret in (*SECRETS[:3], str(tmp_path)) if secret in answer.text] == [], path


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://i.discogs.com/a/b.jpg?sig=x", "https://i.discogs.com/a/b.jpg"),
        ("http://10.0.0.1/a.jpg", ""),
        ("http://[fd00::1]/a.jpg", ""),
        ("http://127.0.0.1:5077/a.jpg", ""),
        ("http://nas/a.jpg", ""),
        ("http://nas.local/a.jpg", ""),
        ("music:home/Artist/Album/01.flac?12-ab&embedded", ""),
        ("/srv/music/a.jpg", ""),
        ("http://user:word@example.org/a.jpg", ""),
        (None, ""),
    ],
)
def test_a_page_names_sources_of_the_public_internet_only(url: str | None, shown: str) -> None:
    assert public_source(url) == shown


def priced(inside: Inside, folder: Path) -> int:
    table = folder / "priced.csv"
    table.write_text("artist,title,shelf,price,bought\nA,B,Attic,4711 EUR,2019-07-31\nA,C,Attic,3,\n", encoding="utf-8")
    inside.services.library.import_table(table)
    return min(album.id for album in inside.services.library.albums())


def test_visitors_see_neither_prices_nor_what_tells_them(inside: Inside, tmp_path: Path) -> None:
    album, visitor, member = priced(inside, tmp_path), inside.stranger(), inside.logged_in("member")
    page = visitor.get(f"/album/{album}").text
    assert "Attic" in page
    assert [word for word in ("4,711", "4711", "July 2019", "Price paid") if word in page] == []
    assert [
        word for word in ("€4,711.00", "31 July 2019", "Members only") if word not in member.get(f"/album/{album}").text
    ] == []
    for address in ("/?sort=price", "/?price=500", "/sort?price=500", "/?q=B&price=500", "/search?q=B&sort=price"):
        assert (visitor.get(address).status_code, member.get(address).status_code) == (400, 200), address
        assert "Log in to sort or filter by price or value." in visitor.get(address).text
    assert ("Price paid" in visitor.get("/sort").text, "Price paid" in member.get("/sort").text) == (False, True)


def test_the_operator_may_open_the_prices_with_the_notes(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", PUBLIC_NOTES=True, settled=False) as inside:
        page = inside.stranger().get(f"/album/{priced(inside, tmp_path)}").text
        assert "€4,711.00" in page
        assert "Members only" not in page
        assert inside.stranger().get("/?sort=price").status_code == 200
        with inside.services.catalog.write() as conn:
            conn.execute("UPDATE albums SET value = '8.15 EUR', value_from = 'lowest offer', valued_at = 1")
        assert "8.15" not in inside.stranger().get("/album/1").text  # what Discogs says is for members whatever is opened
        assert "8.15" in inside.logged_in("member").get("/album/1").text
        for address in ("/?sort=value", "/?value=5"):
            assert inside.stranger().get(address).status_code == 400


@pytest.mark.parametrize("value", ["7", "-1", "dear", "1e3"])
def test_a_price_to_filter_by_is_one_of_those_offered(inside: Inside, tmp_path: Path, value: str) -> None:
    priced(inside, tmp_path)
    answer = inside.logged_in("member").get(f"/?price={value}")
    assert answer.status_code == 400
    assert f"“{value}” is not one of 0, 5, 10, 20, 50, 100, 500, none." in answer.text
