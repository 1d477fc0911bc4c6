"""Sleeves that are drawn: the same in every process, whole whatever stands on them, and different from each other."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter

import pytest

from image_cache.demo.records import entries
from image_cache.sleeves.draw import BY_GENRE, PALETTES, drawn_sleeve, family_of
from image_cache.sleeves.families import FAMILIES
from image_cache.sleeves.lettering import Box, advance, block, clusters, printable
from image_cache.web.svg import luminance

AWKWARD = [
    ("", ""),
    ("!!!", "???"),
    ("<script>alert(1)</script>", "</text></svg><script>alert(1)</script>"),
    ('"><img src=x onerror=alert(1)>', "Robert'); DROP TABLE &amp; <b>"),
    ("Donaudampfschifffahrtsgesellschaftskapitän", "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz"),
    ("Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch Male Voice Choir", "Hymns"),
    ("فيروز", "معرفتي فيك"),
    ("أم كلثوم", "إنت عمري"),
    ("חוה אלברשטיין", "מגדל של שמחה"),
    ("坂本龍一", "千のナイフ"),
    ("高橋幸宏", "音楽殺人" * 12),
    ("조용필", "창밖의 여자"),
    ("Кино", "Группа крови на рукаве, широкая щедрая жизнь ШЩЖЮМ"),
    ("Σωκράτης Μάλαμας", "Ένα"),
    ("लता मंगेशकर", "ज़िंदगी की तलाश में हम मौत के कितने पास आ गए"),
    ("คาราบาว", "เมดอินไทยแลนด์เมดอินไทยแลนด์"),
    ("👩‍👩‍👧‍👦👩🏽‍🎤", "🎷🎺🥁🎹🎸🎻🪕🎤🎧📻" * 3),
    ("Nat\u202egnik", "A\u0000B\nC\u200f"),
    ("W" * 400, "M" * 400),
    ("i" * 400, "l l l l l l l l " * 30),
    ("Z̸̢͝a̵͢l̷g̶o̴" * 4, "e\u0301" * 60),
]


def text_of(svg: str) -> list[str]:
    return ["".join(one.itertext()) for one in ET.fromstring(svg).iter("text")]


def drawn_by(family: str, artist: str, title: str) -> str:
    numbers = bytes(range(7, 31))
    who, what = printable(artist) or "Unknown artist", printable(title) or "Untitled"
    return f'<svg viewBox="0 0 150 150">{FAMILIES[family](who, what, PALETTES[0], numbers)}</svg>'


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("artist", "title"), AWKWARD)
def test_whatever_was_typed_is_one_element_that_is_well_formed(family: str, artist: str, title: str) -> None:
    svg = drawn_by(family, artist, title)
    names = {one.tag for one in ET.fromstring(svg).iter()}
    assert names <= {"svg", "g", "path", "circle", "text", "tspan"}
    assert len(svg.encode()) < 4000
    assert "\u202e" not in svg


def test_no_line_is_wider_than_its_box() -> None:
    for _, title in AWKWARD:
        lines = ET.fromstring(block(printable(title), Box(9, 8, 132, 34), (21, 13), "#000000").svg)
        size = int(lines.attrib["font-size"])
        for line in lines:
            assert advance("".join(line.itertext())) * size <= 132.01


def test_a_name_is_as_large_as_it_can_be_and_cut_when_it_cannot() -> None:
    def sizes(text: str) -> tuple[str, int]:
        lines = ET.fromstring(block(text, Box(9, 8, 132, 46), (21, 13), "#000000").svg)
        return lines.attrib["font-size"], len(lines)

    assert sizes("Kiln") == ("21", 1)
    assert sizes("Lift Your Skinny Fists Like Antennas")[0] < "21"
    long = block("one two three " * 20, Box(9, 8, 132, 46), (21, 13), "#000000").svg
    assert long.count("<tspan") == 3
    assert "…</tspan></text>" in long


def test_letters_of_several_parts_are_not_torn() -> None:
    assert list(clusters("e\u0301👩‍👩‍👧x👍🏽")) == ["e\u0301", "👩‍👩‍👧", "x", "👍🏽"]


def test_script_that_runs_to_the_left_starts_at_the_right() -> None:
    assert 'direction="rtl"><tspan x="141"' in block("فيروز", Box(9, 8, 132, 46), (21, 13), "#000000").svg


def test_a_record_has_the_same_sleeve_in_every_process_and_whatever_its_case() -> None:
    code = "from image_cache.sleeves.draw import drawn_sleeve; print(drawn_sleeve('Ada Quartet', 'Weather', 'Jazz'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert drawn_sleeve("Ada Quartet", "Weather", "Jazz") == other
    assert family_of("ADA QUARTET ", "weather", "jazz") == family_of("Ada Quartet", "Weather", "Jazz")


def test_a_collection_shows_every_family_and_a_genre_only_its_own() -> None:
    demo = entries()
    assert len({drawn_sleeve(one.artist, one.title) for one in demo}) == len(demo)
    found = Counter(family_of(one.artist, one.title) for one in demo)
    assert set(found) == set(FAMILIES)
    assert max(found.values()) < len(demo) / 5
    assert {family_of(one.artist, one.title, "Jazz, Funk / Soul") for one in demo} == set(BY_GENRE["jazz"])
    assert family_of("山下達郎", "千のナイフ", "Rock") != "slab"


def test_words_can_be_read_on_their_ground() -> None:
    def contrast(one: str, other: str) -> float:
        light, dark = sorted((luminance(one), luminance(other)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    for ground, ink, first, second in PALETTES:
        assert contrast(ground, ink) >= 9
        assert min(contrast(ground, first), contrast(ground, second)) >= 1.6


def test_a_sleeve_is_small() -> None:
    sizes = sorted(len(drawn_sleeve(one.artist, one.title)) for one in entries())
    assert sizes[len(sizes) // 2] < 800
    assert sizes[-1] < 1400
