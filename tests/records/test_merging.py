"""Two records that are one: chosen values, plays, notes, rating and crates go along, and a split gives each what was its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.errors import FieldRejected, UnknownAlbum
from image_cache.models import Album
from image_cache.records.batches.table import KEPT_S
from image_cache.records.crates.table import CrateTable
from tests.records.test_batches import Room, row
from tests.support.catalogs import Catalogs


@pytest.fixture
def room(catalogs: Catalogs, tmp_path: Path) -> Iterator[Room]:
    found = Room(tmp_path)
    found.take(row("Left at the Lights", year=1971, label=""), row("Left At The Lights", year=1968, label="Penstock", plays=2))
    yield found
    found.catalog.close()


def pair(room: Room) -> tuple[Album, Album]:
    first, second = room.library.albums_by_id(room.ids())
    return first, second


def merge(room: Room, **takes: bool) -> int:
    first, second = pair(room)
    merger = room.batches.merger
    batch = merger.merge(first.id, second.id, takes, merger.state(first, second))
    assert batch is not None
    return batch.id


def test_the_chosen_values_and_all_that_is_theirs_go_along_and_survive_imports(room: Room) -> None:
    first, second = pair(room)
    crates = CrateTable(room.catalog)
    crate = crates.add("Sunday", "", 1.0)
    crates.put(crate, [second.id])
    room.library.record_play(first.id)
    room.library.record_play(second.id)
    room.library.write_notes(first.id, "one")
    room.library.write_notes(second.id, "two")
    room.library.rate(second.id, 4)
    merge(room, label=True, year=False)
    (one,) = room.library.albums()
    assert (one.id, one.title, one.year, one.label) == (first.id, "Left at the Lights", 1971, "Penstock")
    assert (one.plays, one.own_notes, one.rating) == (4, "one\n\ntwo", 4)
    assert crates.ids(crate) == [first.id]
    report = room.library.import_rows([row("Left at the Lights", label="x"), row("Left At The Lights", year=1968)])
    assert (report.new, report.hidden, next(room.library.albums()).label) == (0, 1, "Penstock")
    assert room.library.hidden.records(9) == []


def test_a_split_gives_each_what_was_its_own_also_after_months(room: Room) -> None:
    first, second = pair(room)
    room.library.record_play(first.id)
    room.library.record_play(second.id)
    room.library.write_notes(second.id, "two")
    room.library.rate(second.id, 4)
    before = pair(room)
    batch = merge(room, label=True, year=True)
    room.library.record_play(first.id)
    room.clock.now += 3 * KEPT_S
    room.batches.remove([])
    assert room.batches.merger.merges(first.id)[0][0] == batch
    assert room.batches.undo(batch).outcome == "Two records again, as before the merge."
    after = pair(room)
    assert after[1] == before[1]
    assert (after[0].plays, after[0].year, after[0].label, after[0].rating, after[0].own_notes) == (2, 1971, "", None, "")
    assert room.library.unplay(second.id) == before[1].plays - 1
    assert room.batches.merger.merges(first.id) == []


def test_what_people_changed_since_the_merge_stays_and_is_said(room: Room) -> None:
    first, _ = pair(room)
    batch = merge(room, label=True, year=True)
    room.edit(first.id, year="1980")
    room.library.write_notes(first.id, "later")
    assert room.batches.undo(batch).outcome == "Two records again. Changed since, and kept: year."
    one, other = pair(room)
    assert (one.year, one.label, one.own_notes, other.year) == (1980, "", "later", 1968)


def test_a_merge_of_what_someone_has_changed_meanwhile_is_shown_again(room: Room) -> None:
    first, second = pair(room)
    merger = room.batches.merger
    state = merger.state(first, second)
    room.edit(second.id, label="Ink")
    assert merger.merge(first.id, second.id, {"label": True}, state) is None
    assert len(room.ids()) == 2
    with pytest.raises(FieldRejected):
        merger.merge(first.id, first.id, {}, state)
    with pytest.raises(UnknownAlbum):
        merger.merge(first.id, 99, {}, state)


def test_a_split_of_what_was_removed_since_says_what_to_do(room: Room) -> None:
    first, _ = pair(room)
    batch = merge(room)
    removal = room.batches.remove([first.id])
    with pytest.raises(FieldRejected, match="Put it back first"):
        room.batches.undo(batch)
    room.batches.undo(removal.id)
    assert room.batches.undo(batch).outcome.startswith("Two records again")


def images(room: Room, album_id: int) -> list[str]:
    return [
        row["address"]
        for row in room.catalog.rows("SELECT address FROM record_images WHERE album_id = ? ORDER BY place", (album_id,))
    ]


def test_further_images_are_of_both_until_a_split_and_come_back_with_a_removed_record(room: Room) -> None:
    first, second = pair(room)
    with room.catalog.write() as conn:
        conn.executemany(
            "INSERT INTO record_images (album_id, kind, address, place) VALUES (?, 'back', ?, 1)",
            [(first.id, "own:front"), (second.id, "own:back")],
        )
    batch = merge(room)
    assert images(room, first.id) == ["own:front", "own:back"]
    room.batches.undo(batch)
    assert (images(room, first.id), images(room, second.id)) == (["own:front"], ["own:back"])

    removed = room.batches.remove([second.id])
    assert images(room, second.id) == []
    assert [row["address"] for row in room.catalog.rows("SELECT address FROM removed_files")] == ["own:back"]  # so it stays
    room.batches.undo(removed.id)
    assert images(room, second.id) == ["own:back"]
