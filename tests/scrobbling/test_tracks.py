"""Which tracks of a side were heard, and when each began."""

import pytest

from image_cache.models import Album, Track
from image_cache.scrobbling.tracks import HeardTrack, heard_tracks

START = 1_764_440_000.0


def album(*lengths: int | None, artist: str = "Ada Quill", position: str = "A", formats: tuple[str, ...] = ("LP",)) -> Album:
    tracks = tuple(Track(f"{position}{number}", f"Song {number}", length) for number, length in enumerate(lengths, 1))
    return Album(1, "", "", "Title", artist, "", "", tracks=tracks, formats=formats, label="Staithe")


def starts(found: list[HeardTrack]) -> list[tuple[str, int]]:
    return [(track.position, round(track.listened_at - START)) for track in found]


def test_the_tracks_of_a_side_that_played_to_its_end_begin_one_after_the_other() -> None:
    found = heard_tracks(album(200, 300, 100), "Side A", START, None)
    assert starts(found) == [("A1", 0), ("A2", 200), ("A3", 500)]
    assert found[1] == HeardTrack(int(START) + 200, "Ada Quill", "Song 2", "Title", "A2", 300, "Staithe")
    assert HeardTrack.from_json(found[1].as_json()) == found[1]


@pytest.mark.parametrize(
    ("ended_s", "heard"),
    [(99, []), (100, ["A1"]), (200, ["A1"]), (439, ["A1"]), (440, ["A1", "A2"]), (799, ["A1", "A2"]), (850, ["A1", "A2", "A3"])],
)
def test_a_track_counts_at_half_of_it_or_at_four_minutes(ended_s: float, heard: list[str]) -> None:
    """The second one lasts ten minutes: four of them are enough."""
    found = heard_tracks(album(200, 600, 100), "Side A", START, START + ended_s)
    assert [track.position for track in found] == heard


def test_tracks_of_unknown_length_share_what_the_side_leaves() -> None:
    found = heard_tracks(album(300, None, None), "Side A", START, None)
    assert starts(found) == [("A1", 0), ("A2", 300), ("A3", 750)]
    assert [track.duration_s for track in found] == [300, None, None]
    flipped = heard_tracks(album(300, None, None), "Side A", START, START + 900)
    assert starts(flipped) == [("A1", 0), ("A2", 300), ("A3", 600)]
    assert all(track.listened_at < START + 900 for track in flipped)


def test_a_side_that_was_turned_over_at_once_was_not_heard() -> None:
    assert heard_tracks(album(None, None, None), "Side A", START, START + 20) == []


def test_a_record_that_was_left_on_for_hours_did_not_play_for_hours() -> None:
    assert starts(heard_tracks(album(None, None), "Side A", START, START + 7200)) == [("A1", 0), ("A2", 600)]


def test_a_whole_record_and_one_without_sides() -> None:
    both = Album(1, "", "", "T", "A", "", "", tracks=(Track("A1", "One", 100), Track("B1", "Two", None)))
    assert starts(heard_tracks(both, "", START, START + 340)) == [("A1", 0), ("B1", 100)]
    assert starts(heard_tracks(both, "Side B", START, None)) == [("B1", 0)]
    disc = album(60, 60, position="", formats=("CD",))
    assert starts(heard_tracks(disc, "All of it", START, None)) == [("1", 0), ("2", 60)]


@pytest.mark.parametrize("artist", ["Various", "various artists", " ", ""])
def test_a_record_whose_artists_are_unknown_gives_no_tracks(artist: str) -> None:
    assert heard_tracks(album(100, artist=artist), "Side A", START, None) == []
    assert heard_tracks(album(), "Side A", START, None) == []
