"""The turntable: what plays, when a side counts as a play, and taking a play back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.errors import FieldRejected, UnknownAlbum
from image_cache.import_models import ImportRow
from image_cache.models import Album, Track
from image_cache.records.library import Library
from image_cache.records.playing.sides import playable_sides
from image_cache.records.playing.turntable import Turntable
from tests.support.catalogs import Catalogs, catalog_at
from tests.support.clock import FakeClock

TRACKS = tuple(Track(position, position, 300) for position in ("A1", "A2", "B1"))


class Room:
    """A turntable with two records: one with times, one without tracks."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.catalog = catalog_at(folder / "catalog.db")
        self.library = Library(self.catalog, clock=self.clock)
        self.library.import_rows([ImportRow(1, "Timed", "A", tracks=TRACKS), ImportRow(2, "Bare", "B", formats=("LP",))])
        self.timed, self.bare = (album.id for album in self.library.albums())
        self.table = Turntable(self.catalog, self.library, clock=self.clock)

    def plays(self, album_id: int) -> int:
        album = self.library.album(album_id)
        assert album is not None
        return album.plays

    def sides(self) -> list[tuple[int, tuple[str, ...]]]:
        return [(play.album_id, play.sides) for play in self.table.history(10)]


@pytest.fixture
def room(catalogs: Catalogs, tmp_path: Path) -> Iterator[Room]:
    found = Room(tmp_path)
    yield found
    found.catalog.close()


def test_nothing_plays_until_a_side_is_started(room: Room) -> None:
    assert room.table.now().phase == "idle"
    room.table.start(room.timed, "")
    now = room.table.now()
    assert (now.phase, now.side and now.side.name, now.next_side and now.next_side.name) == ("playing", "Side A", "Side B")
    assert now.ends_at == room.clock() + 600


def test_a_side_counts_at_half_its_length_and_only_once(room: Room) -> None:
    room.table.start(room.timed, "Side A")
    room.clock.advance(299)
    room.table.settle()
    assert room.plays(room.timed) == 0
    room.clock.advance(1)
    for _ in range(3):
        room.table.settle()
    assert room.plays(room.timed) == 1
    assert room.sides() == [(room.timed, ("Side A",))]


def test_both_sides_of_a_record_are_one_play(room: Room) -> None:
    room.table.start(room.timed, "Side A")
    room.clock.advance(620)
    assert room.table.now().phase == "flip"
    room.table.start(room.timed, "Side B")
    room.clock.advance(150)
    room.table.settle()
    assert room.plays(room.timed) == 1
    assert room.sides() == [(room.timed, ("Side A", "Side B"))]
    room.clock.advance(151)
    assert room.table.now().phase == "over"
    room.clock.advance(600)
    assert room.table.now().phase == "idle"


def test_a_flip_counts_the_side_however_short_it_played(room: Room) -> None:
    room.table.start(room.timed, "Side A")
    room.clock.advance(10)
    room.table.start(room.timed, "Side B")
    assert room.sides() == [(room.timed, ("Side A",))]


def test_another_record_or_a_stop_before_half_counts_nothing(room: Room) -> None:
    room.table.start(room.timed, "Side A")
    room.clock.advance(10)
    room.table.start(room.bare, "")
    room.clock.advance(10)
    room.table.stop()
    assert room.table.now().phase == "idle"
    assert room.sides() == []


def test_the_same_record_on_the_next_day_is_another_play(room: Room) -> None:
    for _ in range(2):
        room.table.start(room.timed, "Side A")
        room.clock.advance(86400)
    room.table.settle()
    assert room.plays(room.timed) == 2


def test_a_side_without_times_has_no_end_and_counts_after_ten_minutes(room: Room) -> None:
    room.table.start(room.bare, "Side B")
    room.clock.advance(599)
    room.table.settle()
    assert (room.table.now().ends_at, room.plays(room.bare)) == (None, 0)
    room.clock.advance(1)
    room.table.settle()
    assert (room.table.now().phase, room.plays(room.bare)) == ("playing", 1)
    room.clock.advance(3600)
    assert room.table.now().phase == "idle"


def test_a_play_that_was_taken_back_is_not_counted_again(room: Room) -> None:
    room.table.start(room.timed, "Side A")
    room.clock.advance(400)
    room.table.settle()
    play = room.table.now().play_id
    assert play is not None
    assert room.table.undo(play) == room.timed
    assert room.table.undo(play) is None
    room.table.settle()
    assert (room.plays(room.timed), room.sides(), room.table.now().play_id) == (0, [], None)
    album = room.library.album(room.timed)
    assert album is not None
    assert album.last_played_at is None


def test_a_guest_takes_back_what_was_just_counted_and_not_the_history(room: Room) -> None:
    room.table.play(room.timed)
    old = room.table.history(1)[0].id
    room.clock.advance(3601)
    room.table.undo(old, as_guest=True)
    room.table.undo_last(room.timed, as_guest=True)
    assert room.plays(room.timed) == 1
    room.table.play(room.timed)
    room.table.undo_last(room.timed, as_guest=True)
    assert room.plays(room.timed) == 1
    room.table.undo_last(room.timed)
    assert room.plays(room.timed) == 0


def test_every_change_has_another_revision_and_looking_has_none(room: Room) -> None:
    seen = [room.table.revision()]
    room.table.start(room.timed, "Side A")
    seen.append(room.table.revision())
    room.clock.advance(400)
    room.table.now()
    room.table.settle()
    seen.append(room.table.revision())
    room.table.settle()
    room.table.now()
    assert room.table.revision() == seen[-1]
    room.table.stop()
    seen.append(room.table.revision())
    assert len(set(seen)) == len(seen)


def test_what_cannot_be_started_is_refused_and_what_plays_goes_on(room: Room) -> None:
    room.table.start(room.timed, "Side A")
    with pytest.raises(FieldRejected, match="side must be one of Side A, Side B, not 'Side C'"):
        room.table.start(room.timed, "Side C")
    for nobody in (0, 999, 2**62):
        with pytest.raises(UnknownAlbum):
            room.table.start(nobody, "")
    assert room.table.now().phase == "playing"
    room.library.remove([room.timed])
    assert room.table.now().phase == "idle"
    room.clock.advance(400)
    room.table.settle()
    assert room.sides() == []


@pytest.mark.parametrize(
    ("formats", "tracks", "names"),
    [
        (("LP",), (), ["Side A", "Side B"]),
        (("CD",), (), ["All of it"]),
        (("CD, Album",), (Track("1", "x", 60), Track("2", "y", 60)), ["All of it"]),
        (("LP",), (Track("1", "x"), Track("2", "y")), ["Side A", "Side B"]),
        (("2xLP",), (*TRACKS, Track("C1", "c"), Track("D1", "d")), ["Side A", "Side B", "Side C", "Side D"]),
        (("2xCD",), (Track("1-1", "x"), Track("2-1", "y")), ["Disc 1", "Disc 2"]),
    ],
)
def test_the_sides_of_a_record_follow_its_tracks_or_its_format(
    formats: tuple[str, ...], tracks: tuple[Track, ...], names: list[str]
) -> None:
    album = Album(1, "table", "x", "T", "A", "a", "t", formats=formats, tracks=tracks)
    assert [side.name for side in playable_sides(album)] == names
