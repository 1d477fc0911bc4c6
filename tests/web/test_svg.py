"""Colours that can be read, sleeves that are drawn, words that are found: the parts of a page that need no server."""

import itertools

import pytest
from flask import Flask, g

from image_cache.models import Album, AlbumPage, AlbumQuery, Cover, Group, Track
from image_cache.records.highlight import in_tracks, places
from image_cache.records.playing.sides import sides
from image_cache.web import svg as drawing
from image_cache.web.records import album as album_view
from image_cache.web.records.browsing import wall
from image_cache.web.svg import INITIALS_RATIO, initials_on, ink_on, is_hex, luminance

STEPS = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in itertools.product(range(0, 256, 51), repeat=3)]


def ratio(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def album(number: int = 1, **values: object) -> Album:
    known: dict[str, object] = {
        "source": "table",
        "source_id": str(number),
        "title": f"Title {number}",
        "artist": "The Gilt Edge",
    }
    known |= {"artist_sort": "gilt edge", "title_sort": f"title {number}"} | values
    return Album(id=number, **known)  # type: ignore[arg-type]


def test_text_on_any_average_colour_can_be_read() -> None:
    for colour in STEPS:
        assert ratio(ink_on(colour), colour) >= 4.5
        assert ratio(initials_on(colour), colour) >= INITIALS_RATIO


@pytest.mark.parametrize("colour", [None, "", "red", "#fff", "#12345g", "#1234567", 'url("x")', "#123456;x"])
def test_only_plain_colours_are_written_into_a_page(colour: str | None) -> None:
    assert not is_hex(colour)
    assert "fill=" not in drawing.sleeve(Cover("0" * 64, "ready", average=colour), album(artist="A B"))


def test_a_record_without_its_cover_has_a_sleeve_with_its_name() -> None:
    record = album(artist="<b>Tom & Jerry</b>", title="Mouse Trap", genres=("Jazz",))
    for state in ("waiting", "working", "failed", "none"):
        shown = drawing.sleeve(Cover("0" * 64, state, average="#102030"), record)
        assert "lettered" in shown
        assert "Mouse Trap" in shown
        assert "&lt;b&gt;Tom" in shown
        assert "<b>" not in shown
    behind = drawing.sleeve(Cover("0" * 64, "ready", average="#102030"), record)
    assert 'fill="#102030"' in behind
    assert "Mouse Trap" not in behind
    assert "inner" in drawing.sleeve(Cover("0" * 64, "waiting"), None)


@pytest.mark.parametrize(
    ("name", "letters"),
    [("The Gilt Edge", "GE"), ("Dovetail & Sons", "DS"), ("Élan", "É"), ("The", "T"), ("  ", ""), ("(mono) x", "X")],
)
def test_initials_are_those_of_the_name(name: str, letters: str) -> None:
    assert drawing.initials(name) == letters


def test_a_drawn_sleeve_escapes_what_stands_on_it() -> None:
    label = drawing.disc_label("<b>", '"&')
    assert "<b>" not in label
    assert "&lt;b&gt;" in label


def test_a_count_is_drawn_as_at_most_eleven_spines() -> None:
    assert drawing.spines(0).count("V14") == 0
    assert drawing.spines(5).count("V14") == 5
    assert drawing.spines(30, each=3).count("V14") == 10
    assert drawing.spines(400).count("V14") == drawing.MAX_SPINES


def test_sides_are_told_by_their_letters_and_numbers_make_one_list() -> None:
    sided = [Track("A1", "x", 60), Track("A2", "y", 61), Track("B1", "z", None)]
    assert [(side.name, side.total_s) for side in sides(sided)] == [("Side A", 121), ("Side B", None)]
    assert [side.name for side in sides([Track("1", "x"), Track("A2", "y")])] == ["Tracks"]
    assert sides([]) == []


@pytest.mark.parametrize(
    ("hue", "chroma", "name"),
    [(0, 0.0, "000-00"), (358, 0.081, "000-08"), (47, 0.09, "045-08"), (242, 9.0, "240-40"), (None, 0.1, "")],
)
def test_a_tint_has_one_of_few_addresses(hue: int | None, chroma: float, name: str) -> None:
    assert album_view.tint_name(Cover("0" * 64, "ready", hue=hue, chroma=chroma)) == name


def test_words_are_found_whatever_their_case_and_accents() -> None:
    assert places("Für Elise, fur coat", ["FUR"]) == [(0, 3), (11, 14)]
    assert places("ﬃ İstanbul ß", ["istanbul"]) == [(2, 10)]
    assert places("abc", ["abc", "b"]) == [(0, 3)]
    assert places("abc", ["", "x"]) == []


def test_a_word_is_found_with_signs_between_its_letters() -> None:
    assert places("by AC/DC", ["acdc"]) == [(3, 8)]
    assert places("R.E.M. and rem", ["rem"]) == [(11, 14)]
    assert places("R.E.M.", ["rem"]) == [(0, 5)]
    assert places("Deja Vu", ["javu"]) == []


def test_a_search_finds_tracks_and_names() -> None:
    record = album(tracks=(Track("A1", "Slack Water"), Track("A2", "Low Bridge")))
    assert [hit.track.position for hit in in_tracks([record], ["wat", "slack"])] == ["A1"]


def test_the_ruler_shows_every_letter_and_leads_to_its_page() -> None:
    groups = (Group("A", "a", 61, 1), Group("C", "c", 2, 2), Group("Ж", "zhe", 1, 2))
    page = AlbumPage(AlbumQuery(), (), 2, 2, 64, groups)
    cells = {cell.label: cell for cell in wall.ruler(page, wall.WallAddress(AlbumQuery(), page=2))}
    assert list(cells)[:3] == ["#", "A", "B"]
    assert list(cells)[-1] == "Ж"
    assert cells["A"].href == "/#a"
    assert cells["B"].href == ""
    assert cells["C"].href == "#c"
    assert cells["A"].message == "A, 61 records"
    assert cells["Ж"].message == "Ж, 1 record"
    assert wall.opening_group(page, 60) == "A"


def test_no_more_than_three_sleeves_blink() -> None:
    albums = [album(number) for number in range(1, 7)]
    with Flask("tiles").test_request_context():
        g.sees_everything = True
        tiles = wall.tiles(albums, {None: Cover("0" * 64, "working")})
    assert [tile.blinks for tile in tiles] == [True] * 3 + [False] * 3
    assert {tile.message for tile in tiles} == {"cover loading"}


def test_the_address_of_a_wall_leaves_out_what_goes_without_saying() -> None:
    here = wall.WallAddress(AlbumQuery(genre="R&B", sort="year"), page=3)
    assert here.url() == "/?sort=year&genre=R%26B&page=3"
    assert here.url(density="s") == "/?sort=year&genre=R%26B&page=3&density=s"
    assert here.url(sort="artist") == "/?genre=R%26B"
    assert wall.WallAddress(AlbumQuery()).url() == "/"


@pytest.mark.parametrize(
    ("formats", "says", "without"),
    [
        (("Vinyl", "LP"), ("33 1/3", "stereo"), "78"),
        (("Vinyl", "LP", "Mono"), ("33 1/3", "mono"), "stereo"),
        (("Vinyl", '7"', "45 RPM"), ("45",), "33"),
        (("Shellac", '10"', "78 RPM"), ("78", "10 inch"), "stereo"),
        (("CD", "Album"), ("compact disc",), "33"),
        (("CD", "Vinyl", "LP"), ("33 1/3",), "compact"),
    ],
)
def test_the_label_says_how_fast_a_disc_turns(formats: tuple[str, ...], says: tuple[str, ...], without: str) -> None:
    label = drawing.album_label(Album(1, "", "", "T", "A", "", "", formats=formats))
    assert all(word in label for word in says)
    assert without not in label
