"""Editing by hand: own values survive every import, each change is undone, a clash of two editors loses nothing."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from image_cache.errors import FieldRejected, UnknownAlbum
from image_cache.import_models import ImportRow
from image_cache.models import Album, AlbumQuery, Track
from image_cache.records.editing.editor import RecordEditor
from image_cache.records.editing.own_values import FIELDS, parse, text_of
from image_cache.records.library import Library
from tests.support.catalogs import Catalogs, catalog_at
from tests.support.clock import FakeClock

ROW = ImportRow(
    1,
    "Left At The Lights (Mono)",
    "Sutherland",
    source="discogs",
    source_id="100117",
    year=1971,
    label="Penstock",
    genres=("Jazz",),
    instance_id="7",
    tracks=(Track("A1", "Where", 316),),
)


class Desk:
    """A catalogue with one record of Discogs, and its editor."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.catalog = catalog_at(folder / "catalog.db")
        self.library = Library(self.catalog, clock=self.clock)
        self.editor = RecordEditor(self.catalog, clock=self.clock)
        self.sync()
        self.record = next(self.library.albums()).id

    def sync(self, **changes: object) -> Counter[str]:
        return self.library.sync_rows([replace(ROW, **changes)])  # type: ignore[arg-type]

    def album(self) -> Album:
        found = self.library.album(self.record)
        assert found is not None
        return found

    def edit(self, **typed: str) -> None:
        album = self.album()
        assert self.editor.edit(self.record, typed, {name: text_of(album, name) for name in FIELDS}).is_saved


@pytest.fixture
def desk(catalogs: Catalogs, tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path)
    yield found
    found.catalog.close()


def test_own_values_survive_a_sync_that_changes_the_source_and_say_what_it_says(desk: Desk) -> None:
    desk.edit(title="Left at the Lights", year="1968")
    assert desk.sync() == Counter(same=1)
    assert desk.sync(title="Left At The Lights (Remaster)", year=1999, label="Penstock Records") == Counter(changed=1)
    album = desk.album()
    assert (album.title, album.title_sort, album.year, album.label) == (
        "Left at the Lights",
        "left at the lights",
        1968,
        "Penstock Records",
    )
    assert desk.editor.own(album) == {"title": "Left At The Lights (Remaster)", "year": "1999"}
    assert desk.sync(title="Left At The Lights (Remaster)", year=1999, label="Penstock Records") == Counter(same=1)


def test_own_values_survive_a_table_and_the_details_of_a_source(desk: Desk) -> None:
    desk.edit(genres="Soul Jazz; Post Bop", tracks="A1 | Where the Bass Sat | 5:16\nA2 | Slow Change")
    desk.library.import_rows([replace(ROW, genres=("Funk",), catno="PEN 2117")])
    desk.library.detail(desk.record, (Track("A1", "From Discogs", 1),), "12345678", None)
    album = desk.album()
    assert album.genres == ("Soul Jazz", "Post Bop")
    assert album.tracks == (Track("A1", "Where the Bass Sat", 316), Track("A2", "Slow Change"))
    assert (album.catno, album.barcode) == ("PEN 2117", "12345678")
    assert desk.editor.own(album) == {"genres": "Funk", "tracks": "A1 | From Discogs | 0:01"}


def test_an_own_value_is_found_and_filtered_like_any_other(desk: Desk) -> None:
    desk.edit(title="Ferryman", genres="Polka")
    assert [a.id for a in desk.library.page(AlbumQuery(text="ferryman"), 1).albums] == [desk.record]
    assert [a.id for a in desk.library.page(AlbumQuery(genre="Polka"), 1).albums] == [desk.record]
    desk.sync(title="Other", genres=("Jazz", "Blues"))
    assert [a.id for a in desk.library.page(AlbumQuery(text="ferryman"), 1).albums] == [desk.record]
    assert desk.library.page(AlbumQuery(genre="Blues"), 1).total == 0


def test_the_value_of_the_source_comes_back_as_it_is_today(desk: Desk) -> None:
    desk.edit(year="1968")
    desk.sync(year=1972)
    desk.editor.release(desk.record, "year")
    assert (desk.album().year, desk.editor.own(desk.album())) == (1972, {})
    desk.sync(year=1973)
    assert desk.album().year == 1973
    with pytest.raises(FieldRejected, match="Year is not a value of yours"):
        desk.editor.release(desk.record, "year")


def test_typing_what_the_source_says_is_no_own_value(desk: Desk) -> None:
    desk.edit(year="1968")
    desk.edit(year="1971")
    assert desk.editor.own(desk.album()) == {}


def test_an_emptied_field_stays_empty(desk: Desk) -> None:
    desk.edit(label="", year="")
    desk.sync()
    assert (desk.album().label, desk.album().year) == ("", None)
    assert desk.editor.own(desk.album()) == {"label": "Penstock", "year": "1971"}


def test_each_change_is_undone_the_newest_of_a_field_first(desk: Desk) -> None:
    desk.edit(year="1968")
    desk.edit(year="1969", label="Pen")
    newest = {change.field: change for change in reversed(desk.editor.changes(desk.record))}
    oldest = desk.editor.changes(desk.record)[-1]
    with pytest.raises(FieldRejected, match="Year was changed again since"):
        desk.editor.undo(oldest.id)
    assert desk.editor.undo(newest["year"].id).before == "1968"
    assert (desk.album().year, desk.album().label) == (1968, "Pen")
    desk.editor.undo(oldest.id)
    assert (desk.album().year, desk.editor.own(desk.album())) == (1971, {"label": "Penstock"})
    with pytest.raises(FieldRejected, match="already undone"):
        desk.editor.undo(oldest.id)
    for nobody in (0, 2**70):
        with pytest.raises(FieldRejected):
            desk.editor.undo(nobody)


def test_two_editors_of_one_field_clash_and_of_two_fields_do_not(desk: Desk) -> None:
    was = {name: text_of(desk.album(), name) for name in FIELDS}
    assert desk.editor.edit(desk.record, {"year": "1970"}, was).changed == ("year",)
    assert desk.editor.edit(desk.record, {"label": "Pen"}, was).changed == ("label",)
    outcome = desk.editor.edit(desk.record, {"year": "1969", "catno": "X 1"}, was)
    assert (outcome.is_saved, outcome.clashes, desk.album().year, desk.album().catno) == (False, {"year": "1970"}, 1970, "")
    assert desk.editor.edit(desk.record, {"year": "1970"}, was).is_saved  # both typed the same


def test_wrong_fields_are_named_all_at_once_and_nothing_is_saved(desk: Desk) -> None:
    was = {name: text_of(desk.album(), name) for name in FIELDS}
    typed = {"year": "next year", "barcode": "12", "tracks": "A1 | | 3:00", "label": "x" * 300, "catno": "fine"}
    outcome = desk.editor.edit(desk.record, typed, was)
    assert outcome.wrong is not None
    assert outcome.wrong["year"].startswith("Year must be a number, not 'next year'")
    assert set(outcome.wrong) == {"year", "barcode", "tracks", "label"}
    assert desk.album().catno == ""
    empty = desk.editor.edit(desk.record, {"artist": "", "title": ""}, was)
    assert empty.wrong == {"title": "A record must have an artist or a title."}
    with pytest.raises(UnknownAlbum):
        desk.editor.edit(999, {"year": "1970"}, {})


def test_a_typed_record_needs_one_name_and_belongs_to_no_source(desk: Desk) -> None:
    assert desk.editor.add({"year": "1970"}).wrong == {"title": "A record must have an artist or a title."}
    made = desk.editor.add({"artist": "Ambrose Tiller", "year": "1970", "formats": "LP; Album"}).album_id
    album = desk.library.album(made)
    assert album is not None
    assert (album.title, album.artist, album.year, album.formats) == ("Untitled", "Ambrose Tiller", 1970, ("LP", "Album"))
    assert desk.editor.edit(made, {"title": "Lantern Tax"}, {"title": "Untitled"}).is_saved
    changed = desk.library.album(made)
    assert changed is not None
    assert desk.editor.own(changed) == {}
    assert desk.editor.changes(made)[0].after == "Lantern Tax"
    assert desk.library.page(AlbumQuery(text="lantern"), 1).total == 1


def test_a_second_copy_has_the_same_names_and_nothing_of_the_first_ones_life(desk: Desk) -> None:
    desk.edit(year="1968")
    desk.library.record_play(desk.record)
    copy = desk.library.album(desk.editor.copy(desk.record))
    assert copy is not None
    assert (copy.title, copy.year, copy.tracks, copy.plays, copy.last_played_at) == (ROW.title, 1968, ROW.tracks, 0, None)
    assert desk.sync() == Counter(same=1)
    assert desk.library.count() == 2


@pytest.mark.parametrize(
    ("text", "tracks"),
    [
        ("Only a title", (Track("", "Only a title"),)),
        ("A1 | Title", (Track("A1", "Title"),)),
        ("Title | 3:05", (Track("", "Title", 185),)),
        ("B2 | One | Two | 1:02:03", (Track("B2", "One | Two", 3723),)),
        ("\n A1 | x | 0:59 \r\n\n", (Track("A1", "x", 59),)),
    ],
)
def test_tracks_are_typed_one_a_line(text: str, tracks: tuple[Track, ...]) -> None:
    assert parse("tracks", text) == tracks
