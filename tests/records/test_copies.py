"""Records that look the same: which pairs are offered, and that two copies are never offered again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.import_models import ImportRow
from image_cache.records.copies_table import CopiesTable
from tests.records.test_batches import Room, row
from tests.support.catalogs import Catalogs


class CopyRoom(Room):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.copies = CopiesTable(self.catalog)

    def synced(self, title: str, release: str = "7", **other: object) -> None:
        made = ImportRow(1, title, "Sutherland", source="discogs", source_id=release, **other)  # type: ignore[arg-type]
        self.library.sync_rows([made])


@pytest.fixture
def room(catalogs: Catalogs, tmp_path: Path) -> Iterator[CopyRoom]:
    found = CopyRoom(tmp_path)
    yield found
    found.catalog.close()


def test_an_import_that_meets_a_record_of_another_source_is_offered_once(room: CopyRoom) -> None:
    room.synced("Left at the Lights", catno="PEN 2117", year=1971)
    first = room.take(row("Left At The Lights!", catno="pen-2117"), row("Tide"))
    assert room.copies.pairs() == [(1, 2)]
    assert room.copies.pairs(first.id) == [(1, 2)]
    second = room.take(row("Ebb"))
    assert room.copies.pairs(second.id) == []
    room.copies.keep_all([(1, 2)])
    assert (room.copies.pairs(), room.copies.of(1), room.copies.of(2)) == ([], [2], [1])
    room.take(row("Left At The Lights!", catno="pen-2117", label="Penstock"))
    assert room.copies.pairs() == []
    room.copies.forget(2)
    assert room.copies.pairs() == [(1, 2)]


@pytest.mark.parametrize(
    ("first", "second", "is_alike"),
    [
        ({}, {}, True),
        ({"year": 1971}, {"year": 1977}, False),
        ({"year": 1971}, {}, True),
        ({"catno": "PEN 2117"}, {"catno": "PEN 2118"}, False),
        ({"catno": "PEN 2117"}, {"catno": "pen2117"}, True),
        ({"barcode": "4711111222229", "year": 1971}, {"barcode": "04711111222229", "year": 1972}, True),
        ({"barcode": "4711111222229"}, {"barcode": "4006381333931"}, False),
        ({"formats": ("LP", "Album")}, {"formats": ("Vinyl",)}, True),
        ({"formats": ("LP", "Album")}, {"formats": ("CD",)}, False),
    ],
)
def test_what_tells_two_pressings_apart(
    room: CopyRoom, first: dict[str, object], second: dict[str, object], is_alike: bool
) -> None:
    room.synced("Tide", **first)
    room.take(row("Tide", **second))
    assert bool(room.copies.pairs()) is is_alike


def test_copies_that_discogs_numbers_are_not_offered(room: CopyRoom) -> None:
    room.synced("Tide", instance_id="1")
    room.synced("Tide", instance_id="2")
    assert (len(room.ids()), room.copies.pairs()) == (2, [])


def test_a_third_copy_is_one_of_both(room: CopyRoom) -> None:
    room.synced("Tide")
    second, third = room.editor.copy(1), room.editor.copy(1)
    assert room.copies.pairs() == []
    assert room.copies.of(second) == [1, third]
    room.take(row("Tide"), row("Ebb"))
    other = max(room.ids())
    room.copies.keep_all([(other - 1, other)])  # two pairs become one set of copies
    room.copies.keep_all([(1, other)])
    assert room.copies.of(other) == [1, second, third, other - 1]


def test_a_record_typed_again_waits_for_an_answer(room: CopyRoom) -> None:
    room.synced("Tide", year=1971)
    typed = {"artist": "sutherland", "title": "The Tide"}
    outcome = room.editor.add(typed)
    assert (outcome.is_saved, outcome.alike, room.ids()) == (False, (1,), [1])
    made = room.editor.add(typed, copy_of=[1]).album_id
    assert (room.copies.of(made), room.copies.pairs()) == ([1], [])
    assert room.editor.add(typed, copy_of=[1]).alike == (1, made)
    assert room.editor.add(typed | {"year": "1977"}, copy_of=[]).alike == (made,)


def test_a_record_that_was_removed_and_put_back_is_still_a_copy(room: CopyRoom) -> None:
    room.synced("Tide")
    made = room.editor.copy(1)
    batch = room.batches.remove([made])
    assert room.copies.of(1) == []
    room.batches.undo(batch.id)
    assert (room.copies.of(1), room.copies.pairs()) == ([made], [])


def test_many_records_without_a_name_are_no_copies(room: CopyRoom) -> None:
    room.take(*(ImportRow(1, "Untitled", "", source="table", source_id=str(n)) for n in range(30)))
    assert (room.copies.pairs(), room.copies.like(next(room.library.albums()))) == ([], [])
