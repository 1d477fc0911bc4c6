"""The wantlist: never part of the collection, found by any spelling, and off the list when the record comes in, by whatever way."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from image_cache.errors import FieldRejected, UnknownWant
from image_cache.import_models import ImportRow
from image_cache.models import Album, AlbumQuery
from image_cache.records.editing.editor import RecordEditor
from image_cache.records.library import Library
from image_cache.records.wants.want import Want
from image_cache.records.wants.wantlist import Wantlist
from tests.support.catalogs import Catalogs, catalog_at
from tests.support.clock import FakeClock

ROW = ImportRow(
    1,
    "Low Water",
    "Soft Tide",
    source="discogs",
    source_id="501",
    year=1979,
    label="Stern",
    catno="ST 1",
    barcode="5012345678900",
)


@pytest.fixture
def library(catalogs: Catalogs, tmp_path: Path) -> Iterator[Library]:
    catalog = catalog_at(tmp_path / "catalog.db")
    yield Library(catalog, clock=FakeClock())
    catalog.close()


@pytest.fixture
def wants(library: Library) -> Wantlist:
    return library.wants


def only(library: Library) -> Album:
    [album] = library.albums()
    return album


def test_what_is_wanted_is_in_no_count_order_or_search_of_the_collection(library: Library, wants: Wantlist) -> None:
    library.import_rows([ImportRow(2, "Half Again", "Zeno Parrish")])
    wants.add(ROW)
    assert library.count() == 1
    assert library.statistics.whole().records == 1
    assert [genre for genre, _ in library.facets().genres] == []
    assert library.page(AlbumQuery(text="low water"), 1).total == 0
    assert [want.title for want in wants.table.wanted()] == ["Low Water"]


@pytest.mark.parametrize("text", ["soft tide", "low wat", "TIDE water", "st1", "ST 1", "5 012345 678900", "stern"])
def test_a_want_is_found_by_names_and_numbers(wants: Wantlist, text: str) -> None:
    wants.add(ROW)
    assert [want.title for want in wants.search(text)] == ["Low Water"]


@pytest.mark.parametrize("text", ["", "!!!", "low fire", "99", "%", "' OR 1=1 --"])
def test_what_is_not_wanted_is_not_found(wants: Wantlist, text: str) -> None:
    wants.add(ROW)
    assert wants.search(text) == []


def test_bought_it_makes_a_record_that_keeps_the_notes(library: Library, wants: Wantlist) -> None:
    want_id = wants.add(ROW)
    wants.write_notes(want_id, "up to £25")
    album_id = wants.buy(want_id)
    album = only(library)
    assert (album.id, album.source, album.source_id, album.own_notes) == (album_id, "discogs", "501", "up to £25")
    assert (album.catno, album.barcode, album.year) == ("ST 1", "5012345678900", 1979)
    assert wants.table.wanted() == []
    assert [want.album_id for want in wants.table.bought(5)] == [album_id]
    assert wants.buy(want_id) == album_id  # pressed twice
    assert library.count() == 1
    wants.want_again(want_id)
    assert [want.notes for want in wants.table.wanted()] == ["up to £25"]


def test_a_second_copy_of_a_record_that_is_there_can_be_bought(library: Library, wants: Wantlist) -> None:
    library.import_rows([ROW])
    want_id = wants.add(ROW)
    album_id = wants.buy(want_id)
    assert library.count() == 2
    assert wants.get(want_id).album_id == album_id


HAND = {"artist": "Soft Tide", "title": "Low Water", "notes": "any pressing"}


@pytest.mark.parametrize(
    ("typed", "row", "is_bought"),
    [
        (HAND, ROW, True),
        (HAND, replace(ROW, artist="The Soft Tide", title="LOW WATER"), True),
        (HAND | {"catno": "st-1"}, ROW, True),
        (HAND | {"catno": "ST 2"}, ROW, False),
        (HAND | {"barcode": "5012345678900"}, replace(ROW, title="Low Water (Remaster)"), True),
        (HAND | {"barcode": "4000000000006"}, ROW, False),
        (HAND, replace(ROW, title="High Water"), False),
    ],
)
def test_a_want_that_was_typed_is_fulfilled_by_what_it_names(
    library: Library, wants: Wantlist, typed: dict[str, str], row: ImportRow, is_bought: bool
) -> None:
    want_id = wants.type(typed)
    library.import_rows([row])
    assert (wants.get(want_id).state == "bought", only(library).own_notes) == (is_bought, "any pressing" if is_bought else "")


def test_a_want_of_one_pressing_stays_when_another_one_comes_in(library: Library, wants: Wantlist) -> None:
    wants.add(ROW)
    library.import_rows([replace(ROW, source_id="502", barcode="", catno="ST 1-2")])
    assert [want.source_id for want in wants.table.wanted()] == ["501"]
    assert wants.other_pressings([("soft tide", "Low Water")]) == wants.table.wanted()


def test_a_sync_a_second_copy_and_a_record_that_is_typed_fulfil_it_too(library: Library, wants: Wantlist, tmp_path: Path) -> None:
    first = wants.add(ROW)
    library.sync_rows([replace(ROW, instance_id="7")])
    assert wants.get(first).album_id == only(library).id
    second = wants.type({"artist": "Ada Quill", "title": "Ebb"})
    with closing(catalog_at(tmp_path / "catalog.db")) as catalog:
        outcome = RecordEditor(catalog).add({"artist": "Ada Quill", "title": "Ebb"})
    assert wants.get(second).album_id == outcome.album_id


def test_notes_of_the_record_are_not_replaced_by_those_of_the_want(library: Library, wants: Wantlist) -> None:
    wants.write_notes(wants.add(ROW), "up to £25")
    library.import_rows([replace(ROW, own_notes="from Ann")])
    assert only(library).own_notes == "from Ann"


def test_a_record_that_is_removed_later_does_not_become_a_want_again(library: Library, wants: Wantlist) -> None:
    want_id = wants.add(ROW)
    library.remove([wants.buy(want_id)])
    assert (wants.get(want_id).state, wants.get(want_id).album_id) == ("bought", None)
    assert wants.table.wanted() == []


def synced(wants: Wantlist, *rows: ImportRow, is_whole: bool = True) -> tuple[int, int, int]:
    found = wants.sync([(row, "") for row in rows], "discogs", {row.source_id for row in rows}, is_whole=is_whole)
    return found.listed, found.new, found.removed


def test_a_source_adds_and_takes_away_but_not_what_was_decided_here(wants: Wantlist) -> None:
    others = [replace(ROW, source_id=str(n), title=f"T{n}", barcode="", catno="") for n in (1, 2, 3, 4)]
    assert synced(wants, *others) == (4, 4, 0)
    assert synced(wants, *others) == (4, 0, 0)
    ids: dict[str, int] = {want.source_id: want.id for want in wants.table.wanted()}
    wants.write_notes(ids["1"], "mine")
    wants.remove(ids["2"])
    with pytest.raises(UnknownWant):
        wants.get(ids["2"])
    wants.buy(ids["3"])
    typed = wants.type({"title": "By hand"})
    synced(wants, *others)
    assert [want.source_id for want in wants.table.wanted() if want.source == "discogs"] == ["1", "4"]
    assert synced(wants, is_whole=False) == (0, 0, 0)
    assert synced(wants) == (0, 0, 2)  # the hidden one and 4; 1 stays, because someone wrote notes on it here
    left: list[Want] = wants.table.wanted()
    assert [(want.title, want.is_listed) for want in left] == [("By hand", False), ("T1", False)]
    assert {want.id for want in left} == {typed, ids["1"]}
    assert synced(wants, others[1])[1] == 1  # it was put on the list there once more


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({}, "title"),
        ({"artist": " "}, "title"),
        ({"title": "T", "year": "soon"}, "year"),
        ({"title": "T", "notes": "x" * 2001}, "notes"),
    ],
)
def test_what_cannot_be_wanted_says_why(wants: Wantlist, typed: dict[str, str], field: str) -> None:
    with pytest.raises(FieldRejected) as refusal:
        wants.type(typed)
    assert refusal.value.field == field
    assert wants.table.wanted() == []
