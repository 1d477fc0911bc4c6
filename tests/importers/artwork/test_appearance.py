"""What sleeves look like: palettes, hashes, blanks; the survey that goes through the records; twins; the order by colour."""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from image_cache.covers.identity import is_dummy_address
from image_cache.errors import ImageRejected
from image_cache.imaging.color import Colour, oklab, packed, unpack_palette
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.palette import palette
from image_cache.import_models import ImportRow
from image_cache.importers.artwork.similar_covers import groups, split
from image_cache.models import Album, AlbumQuery
from image_cache.records.orders.colours import BANDS, PLACES, band_of, colour_place, palette_distance
from tests.support.clock import FakeClock
from tests.support.inside import Inside
from tests.support.origin import Origin
from tests.support.pictures import encoded, noise
from tests.support.vault import wait_until

WHITE, RED, BLUE = (250, 250, 250), (200, 30, 40), (30, 60, 190)


def sleeve(
    ground: tuple[int, int, int], ink: tuple[int, int, int], seed: int = 1, size: tuple[int, int] = (600, 600)
) -> Image.Image:
    """Draw something with shapes in it, different for each seed."""
    picture = Image.new("RGB", size, ground)
    draw, chance = ImageDraw.Draw(picture), random.Random(seed)
    for _ in range(7):
        x, y, r = (chance.random() for _ in range(3))
        box = (size[0] * (x - r / 4), size[1] * (y - r / 4), size[0] * (x + r / 4), size[1] * (y + r / 4))
        draw.ellipse(box, fill=ink)
    return picture


def put(inside: Inside, number: int, url: str | None, **facts: Any) -> int:
    values = {"title": f"Title {number}", "artist": f"Artist {number:03}", "source": "table", "source_id": str(number)}
    inside.services.library.import_rows([ImportRow(line=1, cover_url=url, **{**values, **facts})])
    return max(album.id for album in inside.services.library.albums())


@pytest.fixture
def vault(tmp_path: Path, origin: Origin) -> Iterator[Inside]:
    """A vault whose housekeeper does nothing: a test says when there is a survey."""
    with Inside(tmp_path / "vault", trusted=(origin.base,), clock=FakeClock(), settled=False) as inside:
        from image_cache.engine.maintenance import rebuild_from_files

        rebuild_from_files(inside.services.covers.cache)
        yield inside


def fetch(inside: Inside, *urls: str) -> None:
    covers = inside.services.covers
    covers.register(urls)
    covers.enqueue_missing(urls)
    while inside.services.loader.run_next():
        pass


def survey(inside: Inside) -> bool:
    inside.services.artwork.audit._not_before = 0.0
    return inside.services.artwork.audit.run()


def album(inside: Inside, album_id: int) -> Album:
    found = inside.services.library.album(album_id)
    assert found is not None
    return found


# --- one sleeve


def test_a_palette_is_the_colours_and_their_shares_and_the_same_every_time() -> None:
    picture = Image.new("RGB", (48, 48), BLUE)
    picture.paste(RED, (0, 0, 48, 12))
    found = palette(picture.tobytes())
    assert [round(one.share, 2) for one in found[:2]] == [0.75, 0.25]
    assert [(one.lightness, one.a, one.b) for one in found[:2]] == [pytest.approx(oklab(*BLUE)), pytest.approx(oklab(*RED))]
    busy = noise("RGB", 48, 48).tobytes()
    assert palette(busy) == palette(busy)
    assert sum(one.share for one in palette(busy)) == pytest.approx(1)


def test_a_packed_palette_comes_back_as_the_eye_saw_it() -> None:
    found = palette(noise("RGB", 48, 48).tobytes())
    again = unpack_palette(packed(found))
    assert len(packed(found)) == 4 * len(found)
    assert palette_distance(found, again) < 0.01


@pytest.mark.parametrize(
    ("change", "most_bits"),
    [("smaller", 4), ("lighter", 8), ("worse", 5), ("cropped", 10)],
)
def test_another_scan_of_a_sleeve_hashes_alike(change: str, most_bits: int) -> None:
    first = sleeve(WHITE, BLUE, 5)
    second = {
        "smaller": lambda: first.resize((200, 200)),
        "lighter": lambda: first.point(lambda value: min(255, round(value * 1.08 + 4))),
        "worse": lambda: first,
        "cropped": lambda: first.crop((6, 6, 594, 594)),
    }[change]()
    with closing(Decoder(128 << 20)) as decoder:
        seen = decoder.analyse(encoded(first, "PNG"))
        again = decoder.analyse(encoded(second, "WEBP", quality=20 if change == "worse" else 85))
        other = decoder.analyse(encoded(sleeve(WHITE, BLUE, 6), "PNG"))
    assert seen.hash is not None
    assert again.hash is not None
    assert other.hash is not None
    assert (seen.hash ^ again.hash).bit_count() <= most_bits
    assert (seen.hash ^ other.hash).bit_count() > 12


def test_a_blank_is_one_colour_whatever_the_codec_made_of_it_and_a_white_sleeve_is_none() -> None:
    white = Image.new("RGB", (600, 600), (244, 243, 240))
    ImageDraw.Draw(white).text((380, 420), "THE LANTERNS", fill=(205, 204, 200), font_size=28)
    with closing(Decoder(128 << 20)) as decoder:
        blank = decoder.analyse(encoded(Image.new("RGB", (300, 300), (233, 233, 230)), "WEBP", quality=50))
        clear = decoder.analyse(encoded(Image.new("RGBA", (300, 300), (0, 0, 0, 0)), "PNG"))
        assert not decoder.analyse(encoded(white, "WEBP", quality=85)).is_blank
    assert blank.is_blank
    assert blank.hash is None
    assert clear.is_blank


def test_a_look_at_what_is_no_picture_is_refused() -> None:
    with closing(Decoder(128 << 20)) as decoder, pytest.raises(ImageRejected):
        decoder.analyse(b"nothing")


@pytest.mark.parametrize(
    ("url", "is_dummy"),
    [
        ("https://s.discogs.com/images/spacer.gif", True),
        ("https://st.discogs.com/abc/images/default-release-cd.png", True),
        ("https://lastfm.freetls.fastly.net/i/u/300x300/2a96cbd8b46e442fc41c2b86b821562f.png", True),
        ("https://x.example/no_cover_available.jpg?v=2", True),
        ("https://x.example/placeholder.png", True),
        ("https://i.discogs.com/x/R-1-1234567890.jpeg", False),
        ("https://x.example/blank-generation.jpg", False),
        ("https://x.example/spacer.gif/front.jpg", False),
    ],
)
def test_addresses_of_nothing_are_known(url: str, is_dummy: bool) -> None:
    assert is_dummy_address(url) is is_dummy


# --- twins


def test_hashes_that_differ_in_up_to_seven_bits_are_found_as_by_comparing_each_with_each() -> None:
    chance = random.Random(7)
    hashes = [chance.getrandbits(64) for _ in range(300)]
    for at in range(120):
        flips = chance.sample(range(64), at % 10)
        hashes.append(hashes[at] ^ sum(1 << bit for bit in flips))
    found = {tuple(group) for group in groups(hashes)}
    expected = {(at, 300 + at) for at in range(120) if at % 10 <= 7}
    assert found == expected


def test_a_thousand_records_with_one_sleeve_are_one_group() -> None:
    assert groups([5] * 1000 + [0xFFFF_0000_FFFF]) == [list(range(1000))]


def test_a_second_opinion_divides_a_group() -> None:
    assert split([1, 2, 11, 12, 30], lambda one, other: abs(one - other) < 5) == [[1, 2], [11, 12]]


def test_many_hashes_are_grouped_without_meeting_all() -> None:
    chance = random.Random(8)
    hashes = [chance.getrandbits(64) for _ in range(20_000)]
    hashes[1::1000] = [value ^ 0b1001 for value in hashes[0::1000]]
    assert len(groups(hashes)) >= 20


# --- the order by colour


@pytest.mark.parametrize(
    ("colour", "band"),
    [
        ((200, 30, 40), "Red"),
        ((225, 120, 30), "Orange"),
        ((120, 80, 50), "Brown"),
        ((240, 210, 40), "Yellow"),
        ((50, 150, 60), "Green"),
        ((20, 130, 130), "Teal"),
        ((30, 60, 190), "Blue"),
        ((110, 50, 170), "Violet"),
        ((235, 90, 160), "Pink"),
        ((250, 250, 248), "White"),
        ((128, 128, 128), "Grey"),
        ((12, 12, 12), "Black"),
    ],
)
def test_a_colour_stands_in_the_band_that_people_call_it(colour: tuple[int, int, int], band: str) -> None:
    assert band_of(Colour(1.0, *oklab(*colour))) == band


def test_the_wall_goes_on_where_two_bands_meet() -> None:
    """A band that goes from dark to light is followed by one that goes from light to dark."""
    dark, light = (Colour(1.0, *oklab(*colour)) for colour in ((90, 10, 20), (235, 120, 120)))
    assert colour_place([dark])[1] < colour_place([light])[1]
    dark, light = (Colour(1.0, *oklab(*colour)) for colour in ((110, 50, 5), (240, 170, 90)))
    assert (BANDS[colour_place([dark])[0]], colour_place([dark])[1] > colour_place([light])[1]) == ("Orange", True)
    assert 0 <= colour_place([dark])[1] <= PLACES


def test_records_stand_by_colour_and_those_without_a_picture_at_the_end(vault: Inside, origin: Origin) -> None:
    colours = {"blue": BLUE, "white": WHITE, "red": RED, "black": (9, 9, 9), "green": (50, 150, 60)}
    ids = {}
    for number, (name, colour) in enumerate(colours.items()):
        ink = tuple(min(255, part + 25) for part in colour) if name != "white" else (210, 210, 210)
        url = origin.put(f"/{name}.png", encoded(sleeve(colour, ink, number), "PNG"))  # type: ignore[arg-type]
        ids[put(vault, number, url)] = name
    bare = put(vault, 9, None)
    page = vault.services.library.page(AlbumQuery(sort="colour"), 1)
    assert [group.label for group in page.groups] == ["None"]
    fetch(vault, *(origin.url(f"/{name}.png") for name in colours))
    assert survey(vault)
    page = vault.services.library.page(AlbumQuery(sort="colour"), 1)
    assert [ids.get(one.id, "none") for one in page.albums] == ["red", "green", "blue", "white", "black", "none"]
    assert [group.label for group in page.groups] == ["Red", "Green", "Blue", "White", "Black", "None"]
    assert page.albums[-1].id == bare
    assert page.heads[page.albums[0].id].anchor == "red"


def test_a_record_leads_to_the_sleeves_nearest_in_colour(vault: Inside, origin: Origin) -> None:
    urls, ids = [], []
    for number in range(12):
        ground = (30 + 2 * number, 60, 190) if number < 8 else (200, 30 + number, 40)
        urls.append(origin.put(f"/{number}.png", encoded(sleeve(ground, (240, 240, 240), number), "PNG")))
        ids.append(put(vault, number, urls[-1]))
    twin = put(vault, 20, urls[0])
    assert vault.services.library.near_in_colour(ids[0]) == []
    fetch(vault, *urls)
    survey(vault)
    near = [one.id for one in vault.services.library.near_in_colour(ids[0])]
    assert len(near) == 6
    assert set(near) <= set(ids[1:8])
    assert twin not in near  # the very same image is no news
    assert vault.services.library.near_in_colour(999) == []


# --- the survey


def test_a_look_follows_a_fetch_and_goes_with_its_digest(vault: Inside, origin: Origin) -> None:
    url = origin.put("/1.png", encoded(sleeve(WHITE, RED), "PNG"))
    album_id = put(vault, 1, url)
    fetch(vault, url)
    rows = vault.services.artwork.audit._looks.rows
    assert rows.unanalysed(9) == []  # it was analysed while it was decoded
    assert survey(vault)
    before = vault.services.artwork.appearances.digests([album_id])[album_id]
    assert not survey(vault)  # nothing is new
    origin.put("/1.png", encoded(sleeve(WHITE, BLUE), "PNG"))
    vault.services.covers.clock.advance(2 * 86400)  # type: ignore[attr-defined]
    fetch(vault, url)
    assert survey(vault)
    after = vault.services.artwork.appearances.digests([album_id])[album_id]
    assert before != after
    assert set(rows.get_many([before, after])) == {after}
    vault.services.covers.clear()
    assert rows.get_many([after]) == {}


def test_flaws_are_found_and_go_with_a_better_picture(vault: Inside, origin: Origin) -> None:
    pictures = {
        "small": sleeve(WHITE, RED, 1, (200, 200)),
        "oblong": sleeve(WHITE, RED, 2, (600, 400)),
        "": sleeve(WHITE, RED, 3),
    }
    ids = {}
    for number, (flaw, picture) in enumerate(pictures.items()):
        url = origin.put(f"/{number}.png", encoded(picture, "PNG"))
        ids[flaw] = put(vault, number, url)
        fetch(vault, url)
    survey(vault)
    looks = vault.services.artwork.appearances
    assert (looks.flawed("small", 0, 9), looks.flawed("oblong", 0, 9)) == ([ids["small"]], [ids["oblong"]])
    assert looks.counts() == {"small": 1, "oblong": 1, "twins": 0}
    better = origin.put("/better.png", encoded(sleeve(WHITE, RED, 1), "PNG"))
    put(vault, 0, better)
    fetch(vault, better)
    survey(vault)
    assert looks.flawed("small", 0, 9) == []


def test_the_same_sleeve_of_two_records_is_a_hint_and_two_copies_are_none(vault: Inside, origin: Origin) -> None:
    first = origin.put("/1.png", encoded(sleeve(WHITE, BLUE, 4), "PNG"))
    scan = origin.put("/2.jpg", encoded(sleeve(WHITE, BLUE, 4).resize((420, 420)), "JPEG", quality=70))
    other = origin.put("/3.png", encoded(sleeve(WHITE, RED, 4), "PNG"))  # the same shapes in another colour
    ids = [put(vault, number, url) for number, url in enumerate((first, scan, other))]
    copy = put(vault, 8, origin.put("/4.png", encoded(sleeve(RED, WHITE, 8), "PNG")), title="Copy", artist="Same")
    put(vault, 9, origin.url("/4.png"), title="Copy", artist="Same")
    fetch(vault, first, scan, other, origin.url("/4.png"))
    survey(vault)
    assert vault.services.artwork.appearances.twins(0, 9) == [ids[:2]]
    assert album(vault, copy).picture == origin.url("/4.png")
    assert {one.id for one in vault.services.library.albums()} >= set(ids)  # a hint, never a merge


BLANK = encoded(Image.new("RGB", (300, 300), (238, 238, 238)), "JPEG")


def test_a_sleeve_of_one_colour_is_shown(vault: Inside, origin: Origin) -> None:
    """Sleeves of one colour exist. That an image has only one is a guess; that the source has it for this record is not."""
    url = origin.put("/black.png", encoded(Image.new("RGB", (600, 600), (10, 10, 10)), "PNG"))
    album_id, copy = put(vault, 1, url), put(vault, 2, url, title="Title 1", artist="Artist 001")
    put(vault, 3, url, title="Title 1", artist="Artist 001")  # three copies of one record prove nothing
    fetch(vault, url)
    assert survey(vault)
    assert (album(vault, album_id).picture, album(vault, copy).picture) == (url, url)
    assert vault.services.cover_pages.count_flaws()["dummy"] == 0


@pytest.mark.parametrize("is_one_address", [True, False])
def test_the_same_image_of_one_colour_for_several_records_is_a_placeholder(
    vault: Inside, origin: Origin, is_one_address: bool
) -> None:
    urls = [origin.put("/none.jpg" if is_one_address else f"/none{n}.jpg", BLANK) for n in range(3)]
    ids = [put(vault, n, url) for n, url in enumerate(urls)]
    fetch(vault, *urls)
    survey(vault)
    assert [album(vault, album_id).picture for album_id in ids] == [None] * 3
    rows = vault.services.artwork.editor.rows
    assert rows.tries(ids[0]).reason == "The source has the same plain image for 3 records"
    vault.services.artwork.editor.choose(album(vault, ids[0]), urls[0])  # "It is right, show it"
    for _ in range(2):  # whatever changes, and however often it is looked at
        put(vault, 8, None, title=f"Another {_}")
        survey(vault)
        put(vault, 0, urls[0])
    assert album(vault, ids[0]).picture == urls[0]
    assert rows.rejected(0, 9) == ids[1:]
    vault.services.artwork.editor.remove(album(vault, ids[0]))
    survey(vault)
    assert album(vault, ids[0]).picture is None


def test_what_was_rejected_by_an_older_rule_is_shown_again(vault: Inside, origin: Origin) -> None:
    url = origin.put("/black.png", encoded(Image.new("RGB", (600, 600), (10, 10, 10)), "PNG"))
    album_id = put(vault, 1, url)
    fetch(vault, url)
    rows = vault.services.artwork.editor.rows
    rows.reject_urls([(album_id, url, "The source has only a blank image")])
    assert album(vault, album_id).picture is None
    survey(vault)
    assert album(vault, album_id).picture == url


def test_a_source_that_is_asked_again_is_really_asked_and_shown_until_it_has_answered(vault: Inside, origin: Origin) -> None:
    """It was undone within seconds, by what the source had answered before."""
    url = origin.put("/images/spacer.gif", encoded(sleeve(WHITE, RED), "PNG"))
    album_id = put(vault, 1, url)
    fetch(vault, url)
    survey(vault)
    assert (album(vault, album_id).picture, origin.count("/images/spacer.gif")) == (None, 1)
    vault.services.artwork.editor.retry_source(album(vault, album_id))
    for _ in range(3):
        survey(vault)
    assert album(vault, album_id).picture == url
    while vault.services.loader.run_next():
        pass
    assert origin.count("/images/spacer.gif") == 2
    survey(vault)
    assert album(vault, album_id).picture is None  # the same again: only "It is right, show it" is an answer to that


@pytest.mark.parametrize("kind", ["blank", "pixel", "address", "dead"])
def test_what_is_no_cover_counts_as_none_and_another_is_looked_for(vault: Inside, origin: Origin, kind: str) -> None:
    bodies = {
        "blank": BLANK,
        "pixel": encoded(Image.new("P", (1, 1)), "GIF"),
        "address": encoded(sleeve(WHITE, RED), "PNG"),
    }
    path = {"address": "/images/spacer.gif"}.get(kind, f"/{kind}.jpg")
    url = origin.put(path, bodies[kind]) if kind in bodies else origin.url(path)
    album_id = put(vault, 1, url)
    if kind == "blank":
        put(vault, 2, url)
        put(vault, 3, url)
    fetch(vault, url)
    survey(vault)
    if kind == "dead":  # once may be a server that starts
        assert album(vault, album_id).picture == url
        vault.services.covers.clock.advance(2 * 3600)  # type: ignore[attr-defined]
        fetch(vault, url)
        survey(vault)
    assert (album(vault, album_id).picture, album(vault, album_id).refused_cover) == (None, url)
    desk = vault.services.artwork.editor
    assert desk.rows.due(vault.services.covers.clock()) == album_id
    assert desk.rows.tries(album_id).reason
    put(vault, 1, url)  # the next sync says the same
    assert album(vault, album_id).picture is None
    put(vault, 1, origin.put("/real.png", encoded(sleeve(WHITE, RED), "PNG")))
    assert album(vault, album_id).picture == origin.url("/real.png")


def test_what_somebody_chose_is_never_refused(vault: Inside, origin: Origin) -> None:
    url = origin.put("/blank.png", encoded(Image.new("RGB", (400, 400), (12, 12, 12)), "PNG"))
    album_id = put(vault, 1, url)
    vault.services.artwork.editor.choose(album(vault, album_id), url)
    fetch(vault, url)
    survey(vault)
    assert album(vault, album_id).picture == url


def test_a_found_cover_that_turns_out_blank_is_not_found_again(vault: Inside, origin: Origin) -> None:
    from image_cache.importers.artwork.table import CoverOffer, CoverTries

    url = origin.put("/found.png", encoded(Image.new("RGB", (400, 400), (90, 90, 90)), "PNG"))
    album_id = put(vault, 1, None)
    rows = vault.services.artwork.editor.rows
    rows.record(album_id, CoverTries(1.0, 9e9, "names", "", (CoverOffer(url, "Front", "names"),)), url)
    fetch(vault, url)
    survey(vault)
    assert album(vault, album_id).picture is None
    assert rows.tries(album_id).rejected == (url,)
    assert rows.tries(album_id).next_at == 0


def test_the_rows_of_records_that_are_gone_go(vault: Inside, origin: Origin) -> None:
    urls = [origin.put(f"/{n}.png", encoded(sleeve(WHITE, RED, n), "PNG")) for n in range(3)]
    ids = [put(vault, number, url) for number, url in enumerate(urls)]
    fetch(vault, *urls)
    survey(vault)
    with vault.services.catalog.write() as conn:
        conn.execute("DELETE FROM albums WHERE id = ?", (ids[1],))
    survey(vault)
    assert sorted(vault.services.artwork.appearances.digests(ids)) == [ids[0], ids[2]]
    with vault.services.catalog.write() as conn:
        conn.execute("DELETE FROM albums")
    survey(vault)
    assert vault.services.artwork.appearances.digests(ids) == {}


@pytest.mark.slow
def test_a_lost_index_is_looked_at_anew(tmp_path: Path, origin: Origin) -> None:
    url = origin.put("/1.png", encoded(sleeve(WHITE, RED), "PNG"))
    with Inside(tmp_path / "vault", trusted=(origin.base,)) as inside:
        put(inside, 1, url)
        inside.services.covers.register([url])
        inside.services.covers.enqueue_missing([url])
        wait_until(lambda: list(inside.services.artwork.appearances.order()) != [] or bool(survey(inside) and False))
    for path in (tmp_path / "vault/cache").glob("index.db*"):
        path.unlink()
    with Inside(tmp_path / "vault", trusted=(origin.base,)) as inside:
        inside.services.covers.enqueue_missing([url])
        wait_until(lambda: list(inside.services.artwork.appearances.order()) != [] or bool(survey(inside) and False))


@pytest.mark.slow
def test_the_housekeeper_makes_the_survey(tmp_path: Path, origin: Origin) -> None:
    url = origin.put("/1.png", encoded(sleeve(WHITE, RED), "PNG"))
    with Inside(tmp_path / "vault", trusted=(origin.base,)) as inside:
        album_id = put(inside, 1, url)
        client = inside.client()
        client.get("/")
        wait_until(lambda: list(inside.services.artwork.appearances.order()) != [])
        assert 'id="red"' in client.get("/?sort=colour").text or 'id="white"' in client.get("/?sort=colour").text
        assert client.get(f"/album/{album_id}").status_code == 200
