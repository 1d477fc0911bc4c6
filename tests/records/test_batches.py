"""What is done to many records at once: edits, removals and imports, undone as one. Real databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.errors import FieldRejected
from image_cache.import_models import ImportRow
from image_cache.models import AlbumQuery
from image_cache.records.batches.edit import FieldEdit
from image_cache.records.batches.table import KEPT_S, RecordBatch
from image_cache.records.editing.editor import RecordEditor
from image_cache.records.editing.own_values import FIELDS, text_of
from image_cache.records.library import Library
from tests.support.catalogs import Catalogs, catalog_at
from tests.support.clock import FakeClock


class Room:
    """A catalogue of records from a table."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.catalog = catalog_at(folder / "catalog.db")
        self.library = Library(self.catalog, clock=self.clock)
        self.batches = self.library.batches
        self.editor = RecordEditor(self.catalog, clock=self.clock)

    def take(self, *rows: ImportRow) -> RecordBatch:
        """Import rows as one batch, some time later, and return it."""
        self.clock.now += 60
        self.library.import_rows(rows, batch=self.library.batch("records.csv imported"))
        self.clock.now += 60
        return self.batches.imports()[0]

    def ids(self) -> list[int]:
        return [album.id for album in self.library.albums()]

    def edit(self, album_id: int, **typed: str) -> None:
        album = self.library.album(album_id)
        assert album is not None
        assert self.editor.edit(album_id, typed, {name: text_of(album, name) for name in FIELDS}).is_saved


@pytest.fixture
def room(catalogs: Catalogs, tmp_path: Path) -> Iterator[Room]:
    found = Room(tmp_path)
    yield found
    found.catalog.close()


def row(title: str, **other: object) -> ImportRow:
    return ImportRow(2, title, "Sutherland", source="table", source_id=title, **other)  # type: ignore[arg-type]


# Edits


@pytest.mark.long_on_postgres
def test_many_are_edited_survive_an_import_and_are_undone_as_one(room: Room) -> None:
    room.take(*(row(f"T{n}", genres=("Jazz",), label=f"L{n}") for n in range(450)))
    done = room.batches.edit(room.ids(), {"genres": FieldEdit("Soul", adds=True), "label": FieldEdit("Penstock")})
    assert done.words == "450 records edited: genre and label."
    assert {(album.genres, album.label) for album in room.library.albums()} == {(("Jazz", "Soul"), "Penstock")}
    room.take(*(row(f"T{n}", genres=("Funk",), label="Other") for n in range(450)))
    assert {(album.genres, album.label) for album in room.library.albums()} == {(("Jazz", "Soul"), "Penstock")}
    room.edit(room.ids()[0], label="Mine alone")
    undone = room.batches.undo(done.id)
    assert undone.outcome == "449 records as before. 1 record changed again since, or removed: those stay as they are."
    assert room.library.page(AlbumQuery(genre="Soul"), 1).total == 0
    assert [album.label for album in room.library.albums()][:2] == ["Mine alone", "L1"]
    with pytest.raises(FieldRejected, match="already undone"):
        room.batches.undo(done.id)


def test_what_is_wrong_with_one_record_is_said_and_the_others_are_edited(room: Room) -> None:
    room.take(row("Full", styles=tuple(f"S{n}" for n in range(30))), row("Plain"), row("Has it", styles=("Dub",)))
    ids = room.ids()
    done = room.batches.edit([*ids, 999], {"styles": FieldEdit("Dub", adds=True)})
    assert done.words == (
        "1 record edited: style. 1 record had that already. 1 record had been removed meanwhile."
        " 1 record not changed: Style can have up to 30 values."
    )
    with pytest.raises(FieldRejected):
        room.batches.edit(ids, {"genres": FieldEdit("x" * 5000)})
    with pytest.raises(FieldRejected, match="at least one"):
        room.batches.edit(ids, {})


def test_a_batch_can_be_undone_for_thirty_days_and_is_forgotten_then(room: Room) -> None:
    room.take(row("One"))
    done = room.batches.edit(room.ids(), {"label": FieldEdit("Pen")})
    room.clock.now += KEPT_S
    with pytest.raises(FieldRejected, match="30 days"):
        room.batches.undo(done.id)
    room.batches.edit(room.ids(), {"label": FieldEdit("Ink")})
    assert room.batches.batch(done.id) is None


# Removals


def test_removed_records_come_back_under_their_address_with_all_that_was_theirs(room: Room) -> None:
    room.take(*(row(f"T{n}", genres=("Jazz",)) for n in range(5)))
    ids = room.ids()
    room.library.record_play(ids[1])
    room.library.rate(ids[1], 5)
    room.library.write_notes(ids[1], "zugzwang")
    room.edit(ids[1], year="1971")
    before = room.library.album(ids[1])
    done = room.batches.remove(ids[1:4])
    assert (done.words, done.changed, room.ids()) == ("3 records removed.", 3, [ids[0], ids[4]])
    assert room.library.page(AlbumQuery(text="zugzwang"), 1).total == 0
    assert room.batches.undo(done.id).outcome == "3 records put back."
    assert room.library.album(ids[1]) == before
    assert room.library.page(AlbumQuery(text="zugzwang"), 1).albums == (before,)
    assert room.library.page(AlbumQuery(genre="Jazz"), 1).total == 5
    assert [change.field for change in room.editor.changes(ids[1])] == ["year"]
    assert room.library.unplay(ids[1]) == 0


def test_what_its_source_brought_back_meanwhile_is_there_once(room: Room) -> None:
    room.take(row("Plain"), row("Played"))
    ids = room.ids()
    room.library.record_play(ids[0])
    done = room.batches.remove(ids)
    room.take(row("Plain"), row("Played"))
    room.library.record_play(max(room.ids()))
    outcome = room.batches.undo(done.id).outcome
    assert outcome == "1 record put back. 1 record not: the source has brought it back already."
    assert sorted((album.title, album.plays) for album in room.library.albums()) == [("Plain", 1), ("Played", 1)]
    assert ids[0] in room.ids()


# Hidden for good


def test_a_hidden_record_does_not_come_back_until_it_is_shown_again(room: Room) -> None:
    room.take(row("Hidden"), row("Other"))
    one = room.ids()[0]
    room.library.hidden.hide([one], room.clock())
    room.batches.remove([one])
    report = room.library.import_rows([row("Hidden"), row("Other"), row("New")])
    assert (report.new, report.same, report.hidden, report.rejected_count) == (1, 1, 1, 0)
    hidden = room.library.hidden.records(9)
    assert [(record.title, record.source) for record in hidden] == [("Hidden", "table")]
    room.library.hidden.show(hidden[0].id)
    assert room.library.import_rows([row("Hidden")]).new == 1


def test_another_copy_of_a_hidden_release_comes_in(room: Room) -> None:
    def copy(instance: str) -> ImportRow:
        return ImportRow(1, "Twice", "S", source="discogs", source_id="100", instance_id=instance)

    room.library.sync_rows([copy("7")])
    one = room.ids()[0]
    room.library.hidden.hide([one], room.clock())
    done = room.batches.remove([one])
    assert room.library.sync_rows([copy("7"), copy("8")]) == {"hidden": 1, "new": 1}
    assert [album.instance_id for album in room.library.albums()] == ["8"]
    assert room.batches.undo(done.id).outcome == "1 record put back."
    assert sorted((album.instance_id, album.source_id) for album in room.library.albums()) == [("7", "100-2"), ("8", "100")]
    assert room.library.sync_rows([copy("7"), copy("8")]) == {"same": 2}


# Imports


@pytest.mark.long_on_postgres
def test_an_import_is_undone_as_a_whole_and_what_people_touched_stays(room: Room) -> None:
    first = room.take(*(row(f"Old {n}", year=1970, label="L") for n in range(3)))
    old = room.ids()
    room.edit(old[1], year="1999")
    second = room.take(
        *(row(f"Old {n}", year=1980, label="M") for n in range(3)), *(row(f"New {n}", plays=3) for n in range(250))
    )
    new = room.ids()[3:]
    assert (second.added, second.changed, first.added) == (250, 3, 3)
    room.library.record_play(new[0])
    room.library.rate(new[1], 4)
    room.edit(new[2], label="Typed")
    will = room.batches.import_undo(second)
    assert (will.goes, will.stays, will.changed) == (247, 3, 3)
    outcome = room.batches.undo(second.id).outcome
    assert "247 records removed." in outcome
    assert "3 records kept: played, rated, edited or put in a crate since." in outcome
    assert "3 records with the values from before." in outcome
    assert "1 record with values of yours, which stay." in outcome
    assert room.ids() == [*old, *new[:3]]
    assert [(album.year, album.label) for album in room.library.albums()][:3] == [(1970, "L"), (1999, "L"), (1970, "L")]
    removal = room.batches.recent()[0]
    assert room.batches.undo(removal.id).outcome == "247 records put back."
    assert len(room.ids()) == 253


def test_what_a_later_import_changed_is_left_to_it(room: Room) -> None:
    room.take(row("One", year=1970))
    second = room.take(row("One", year=1980))
    room.take(row("One", year=1990))
    assert "changed by a later import" in room.batches.undo(second.id).outcome
    assert next(room.library.albums()).year == 1990


@pytest.mark.long_on_postgres
def test_an_import_that_changes_nothing_leaves_no_batch_and_one_row_a_batch(room: Room) -> None:
    room.take(*(row(f"T{n}") for n in range(300)))
    room.take(*(row(f"T{n}") for n in range(300)))
    assert len(room.batches.imports()) == 1
    assert room.catalog.rows("SELECT count(*) FROM batch_changes")[0][0] == 0
