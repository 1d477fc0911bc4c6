"""What is read from the JSON of Discogs: names as on the sleeve, grades, dates, covers; nothing hostile comes through."""

import json
import random
from typing import Any

import pytest

from image_cache.errors import ImportRejected
from image_cache.import_models import ImportRow
from image_cache.importers.discogs.parse import (
    FIELDS,
    Details,
    artist_name,
    details_from,
    fields_from,
    page_from,
    row_from_item,
    usable_cover_url,
)
from image_cache.models import Track
from tests.support.discogs import item, release

SIGNED = "https://i.discogs.com/sig/rs:fit/g:sm/q:90/h:605/w:600/czM6Ly9kaXNjb2dz/LWRhdGFiYXNlLWlt/YWdlcy9SLTEuanBlZw.jpeg"


def row(**basic: Any) -> ImportRow:
    one = item(5)
    one["basic_information"] |= basic
    return row_from_item(1, one, FIELDS)


def artist(name: Any, join: Any = "", anv: Any = "") -> dict[str, Any]:
    return {"name": name, "join": join, "anv": anv, "id": 1}


@pytest.mark.parametrize(
    ("artists", "name"),
    [
        ([artist("Genesis (6)")], "Genesis"),
        ([artist("Ray Charles", anv="The Genius")], "The Genius"),
        ([artist("A", ","), artist("B", "&"), artist("C (2)")], "A, B & C"),
        ([artist("A", "Feat."), artist("B")], "A Feat. B"),
        ([artist("A", "/"), artist("B", ",")], "A / B"),
        ([artist("A"), artist("B")], "A, B"),
        ([artist("", "&"), artist("B")], "B"),
        ([artist("Blink (182) Fans")], "Blink (182) Fans"),
        ([artist("1999 (1)")], "1999"),
        ([artist("(2)")], "(2)"),
        ([], ""),
        (None, ""),
        ("A", ""),
        ([None, 7, artist(None), artist("B")], "B"),
        ([artist("x" * 500)], "x" * 200),
        ([artist("A\x00\x1b\u0085B")], "AB"),
    ],
    ids=str,
)
def test_artists_are_joined_as_on_the_sleeve_and_lose_their_numbers(artists: Any, name: str) -> None:
    assert artist_name(artists) == name


def test_a_record_of_a_listing_becomes_a_row_that_says_everything() -> None:
    one = item(7)
    one["basic_information"] |= {"cover_image": SIGNED, "thumb": "https://i.discogs.com/t.jpeg"}
    one["notes"] = [
        {"field_id": 4, "value": "B 3"},
        {"field_id": 3, "value": "Two\r\nlines"},
        {"field_id": 2, "value": "VG+"},
        {"field_id": 1, "value": "NM"},
        {"field_id": 9, "value": "kept"},
    ]
    assert row_from_item(3, one, {**FIELDS, "4": "Shelf"}) == ImportRow(
        line=3,
        title="Record 00007",
        artist="One, Two Feat. Three",
        source="discogs",
        source_id="100007",
        instance_id="700000007",
        year=1957,
        genres=("Rock",),
        styles=("Modal",),
        formats=("Vinyl", "LP", "Album"),
        label="Staithe",
        catno="ST 7",
        rating=1,
        added_at=978984000.0,
        media_condition="NM",
        sleeve_condition="VG+",
        notes="Two\nlines\nShelf: B 3\nField 9: kept",
        cover_url=SIGNED,
    )


def test_what_is_empty_there_is_said_to_be_empty() -> None:
    found = row_from_item(1, {"id": 1, "basic_information": {"id": 1, "title": "T"}}, FIELDS)
    assert (found.artist, found.label, found.catno, found.notes, found.media_condition) == ("", "", "", "", "")
    assert (found.genres, found.styles, found.formats) == ((), (), ())
    assert (found.year, found.rating, found.added_at, found.cover_url, found.instance_id) == (None, None, None, None, "")


@pytest.mark.parametrize(
    ("basic", "field", "value"),
    [
        ({"year": 0}, "year", None),
        ({"year": "1999"}, "year", None),
        ({"year": True}, "year", None),
        ({"year": 10**30}, "year", None),
        ({"labels": [{"name": "A (2)", "catno": "X 1"}, {"name": "B", "catno": "NONE"}, {"name": "A (9)"}]}, "label", "A, B"),
        ({"labels": [{"name": "A", "catno": "none"}]}, "catno", ""),
        ({"labels": [{"name": "A", "catno": "1"}, {"name": "B", "catno": "2"}]}, "catno", "1, 2"),
        ({"labels": "A"}, "label", ""),
        (
            {"formats": [{"name": "Vinyl", "descriptions": ["LP", 7, None, "LP"]}, {"name": "CD"}]},
            "formats",
            ("Vinyl", "LP", "7", "CD"),
        ),
        ({"genres": ["Jazz", ["x"], "Jazz", ""]}, "genres", ("Jazz",)),
        ({"title": "  a \n b  "}, "title", "a b"),
        ({"title": "t" * 9999}, "title", "t" * 200),
        ({"cover_image": "", "thumb": SIGNED}, "cover_url", SIGNED),
        ({"cover_image": "javascript:alert(1)", "thumb": None}, "cover_url", None),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_used_is_left_out_and_the_record_stays(basic: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(row(**basic), field) == value


@pytest.mark.parametrize(
    "address",
    [
        "",
        None,
        7,
        "https://st.discogs.com/8deafd/images/spacer.gif",
        "https://s.pixogs.com/images/default-release.png",
        "https://i.discogs.com/a/blank.png",
        "https://i.discogs.com/a/no_image.jpg",
        "https://i.discogs.com/",
        "/relative.jpg",
        "data:image/png;base64,AAAA",
        "ftp://i.discogs.com/a.jpg",
        "https://name:word@i.discogs.com/a.jpg",
        "https://i.discogs.com/a\nb.jpg",
        "https://[::1/a.jpg",
        "https://i.discogs.com/" + "a" * 2100,
    ],
    ids=lambda value: str(value)[:40],
)
def test_pictures_that_stand_for_none_and_what_is_no_address_are_no_cover(address: Any) -> None:
    assert usable_cover_url(address) is None


def test_a_sleeve_that_is_called_like_a_dummy_is_a_cover() -> None:
    for name in ("R-1-blankets.jpeg", "R-7-1500000000-1234.jpeg", "spacers.jpeg", "defaults-of-love.jpg.jpeg"):
        assert usable_cover_url(f"https://i.discogs.com/{name}"), name


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        {},
        {"basic_information": None},
        {"basic_information": {"title": "T"}},
        {"basic_information": {"id": "7", "title": "T"}},
        {"id": -1, "basic_information": {"title": "T"}},
        {"basic_information": {"id": 7, "title": " \x00 "}},
    ],
    ids=str,
)
def test_an_entry_without_release_or_title_is_refused_with_a_reason(entry: Any) -> None:
    with pytest.raises(ImportRejected) as caught:
        row_from_item(4, entry, FIELDS)
    assert caught.value.line == 4
    assert caught.value.reason


@pytest.mark.parametrize(
    "when", ["yesterday", "", None, 5, "2021-13-01T00:00:00", "0001-01-01T00:00:00+14:00", "9" * 30], ids=str
)
def test_a_date_that_is_none_is_left_out(when: Any) -> None:
    assert row_from_item(1, item(1) | {"date_added": when}, FIELDS).added_at is None


def test_fields_are_known_by_their_numbers_and_ones_own_by_their_names() -> None:
    data = {"fields": [{"id": 1, "name": "Zustand"}, {"id": 4, "name": " Shelf "}, {"id": "5", "name": "x"}, {"name": "y"}, None]}
    assert fields_from(data) == {"1": "media", "2": "sleeve", "3": "notes", "4": "shelf"}
    more = [
        {"id": 4, "name": "Location"},
        {"id": 5, "name": "shelf"},
        {"id": 6, "name": "Price paid"},
        {"id": 7, "name": "Media"},
    ]
    assert fields_from({"fields": more}) == {**FIELDS, "4": "shelf", "5": "Shelf", "6": "price", "7": "Media"}
    for nothing in (None, [], {"fields": 7}):
        assert fields_from(nothing) == dict(FIELDS)


@pytest.mark.parametrize(
    ("values", "kept", "notes"),
    [
        ({4: "B 3", 6: "12,50 €"}, ("B 3", "12.50 EUR", None), ""),
        ({6: "a fiver"}, ("", "", None), "Price paid: a fiver"),
    ],
)
def test_fields_of_the_collectors_own_are_shelf_and_price(
    values: dict[int, str], kept: tuple[str | None, ...], notes: str
) -> None:
    one = {**item(5), "notes": [{"field_id": number, "value": value} for number, value in values.items()]}
    found = row_from_item(1, one, {**FIELDS, "4": "shelf", "6": "price"})
    assert (found.shelf, found.price, found.bought) == kept  # None: the collection has no such field
    assert found.notes == notes
    assert row_from_item(1, one, FIELDS).shelf is None


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"pagination": {}, "releases": []},
        {"pagination": {"items": -1, "pages": 1}, "releases": []},
        {"pagination": {"items": "1", "pages": 1}, "releases": []},
        {"pagination": {"items": 1, "pages": 1}, "releases": {}},
        {"message": "no"},
    ],
    ids=str,
)
def test_what_is_no_page_is_none(data: Any) -> None:
    assert page_from(1, data, FIELDS) is None


def test_a_page_has_rows_and_reasons_in_its_order_and_no_more_than_it_says() -> None:
    told = {"pagination": {"items": 301, "pages": 4, "per_page": 100}, "releases": [item(0), {"x": 1}, *map(item, range(1, 500))]}
    page = page_from(2, told, FIELDS)
    assert page is not None
    assert (page.pages, page.items, len(page.rows)) == (4, 301, 100)
    refused = page.rows[1]
    assert isinstance(refused, ImportRejected)
    assert refused.line == 102


def test_a_release_tells_its_tracks_its_barcode_and_its_first_picture() -> None:
    data = release(5) | {"images": [{"type": "secondary", "uri": SIGNED + "2"}, {"type": "primary", "uri": SIGNED}]}
    assert details_from(data) == Details(
        tracks=(
            Track("A1", "Opening 5", 184),
            Track("A2a", "Ebb", 60),
            Track("A2b", "Flow", None),
            Track("B1", "Guest \N{EN DASH} Closing", 3730),
        ),
        barcode="5012345678900",
        cover_url=SIGNED,
    )


@pytest.mark.parametrize(
    ("entry", "titles"),
    [
        ({"type_": "index", "position": "A1", "title": "Suite", "sub_tracks": [{"title": "Part"}]}, ["Suite"]),
        ({"type_": "heading", "title": "Side one"}, []),
        ({"title": ""}, []),
        ({"title": "T", "duration": "3:4:5:6"}, ["T"]),
        ("T", []),
        ({"title": "T", "position": "A" * 99, "duration": 7}, ["T"]),
    ],
    ids=str,
)
def test_tracks_of_all_shapes(entry: Any, titles: list[str]) -> None:
    found = details_from({"id": 1, "tracklist": [entry]})
    assert found is not None
    assert [track.title for track in found.tracks] == titles
    assert all(len(track.position) <= 20 for track in found.tracks)


def test_a_release_that_is_none_is_none_and_an_empty_one_is_empty() -> None:
    assert details_from({"id": 1}) == Details()
    for nothing in (None, [], {}, {"id": "1"}, {"id": True}):
        assert details_from(nothing) is None
    assert details_from({"id": 1, "tracklist": [{"title": f"T{n}"} for n in range(2000)]}).tracks[-1].title == "T499"  # type: ignore[union-attr]


def test_2000_mangled_answers_never_raise_and_never_grow() -> None:
    """Every value of a real shape is swapped for something else; what comes out is a row with bounded fields, or a reason."""
    chance = random.Random(7)
    odd = (
        None,
        True,
        -1,
        10**40,
        1.5,
        "",
        "\x00" * 50,
        "\u202e" * 9999,
        "x" * 100_000,
        [],
        {},
        [[]],
        [{}],
        {"a": {"b": []}},
        "\ud800",
    )

    def mangle(value: Any) -> Any:
        if chance.random() < 0.08:
            return chance.choice(odd)
        if isinstance(value, dict):
            return {name: mangle(inner) for name, inner in value.items() if chance.random() > 0.03}
        return [mangle(inner) for inner in value] if isinstance(value, list) else value

    for number in range(1000):
        page = page_from(1, mangle({"pagination": {"items": 1, "pages": 1, "per_page": 100}, "releases": [item(number)]}), FIELDS)
        for found in page.rows if page else ():
            if isinstance(found, ImportRow):
                assert found.title
                assert len(json.dumps([str(value) for value in (found.title, found.artist, found.label, found.catno)])) < 6000
                assert len(found.notes or "") <= 2000
                for text in (found.title, found.artist, found.label or "", found.notes or ""):
                    text.encode()  # no half letters
                    assert "\x00" not in text
        details_from(mangle(release(number)))
