"""Which tracks of a side were heard, and when each began. Pure functions.

A track counts by the rule of both services: half of it was heard, or four minutes. A track of unknown length gets what the side
leaves for it, so that the start of the tracks after it is a guess.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Self

from image_cache.frozen import frozen
from image_cache.models import Album, Track
from image_cache.records.playing.sides import playable_sides

COUNTS_S = 240  # a track counts after this long, however long it is
UNKNOWN_SIDE_S = 20 * 60  # as the turntable has it
LONGEST_TRACK_S = 10 * 60  # of unknown length: a record that was not taken off did not play for hours
SHORTEST_S = 30  # a track of unknown length that got less than this was not played
VARIOUS = frozenset({"various", "various artists", "va", "v/a", "diverse"})


@frozen
class HeardTrack:
    """A track as it is sent. `listened_at`: its start, Unix seconds. `duration_s` None if unknown."""

    listened_at: int
    artist: str
    title: str
    release: str
    position: str = ""
    duration_s: int | None = None
    label: str = ""

    def as_json(self) -> str:
        """Return it as it is stored: equal tracks give equal bytes."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))


def heard_tracks(album: Album, side: str, started_at: float, ended_at: float | None) -> list[HeardTrack]:
    """Return the tracks of a side that were heard, "" for the whole record. `ended_at` None: it played to its end.

    A record without tracks gives none; neither does one by various artists, whose names are not known here.
    """
    tracks = _tracks_of(album, side)
    if not tracks or not album.artist.strip() or album.artist.strip().casefold() in VARIOUS:
        return []
    lengths = _lengths(tracks, None if ended_at is None else ended_at - started_at)
    heard, begins = [], 0.0
    for track, length_s in zip(tracks, lengths, strict=True):
        played_s = length_s if ended_at is None else min(length_s, ended_at - started_at - begins)
        needed_s = min(length_s / 2, COUNTS_S) if track.duration_s else SHORTEST_S
        if track.title.strip() and played_s >= needed_s:
            heard.append(_heard(album, track, int(started_at + begins)))
        begins += length_s
    return heard


def _heard(album: Album, track: Track, listened_at: int) -> HeardTrack:
    names = (album.artist.strip(), track.title.strip(), album.title.strip())
    return HeardTrack(listened_at, *names, track.position, track.duration_s or None, album.label)


def _tracks_of(album: Album, side: str) -> tuple[Track, ...]:
    if not side:
        return album.tracks
    return next((one.tracks for one in playable_sides(album) if one.name == side), ())


def _lengths(tracks: Sequence[Track], heard_s: float | None) -> list[float]:
    """Return how long each track plays, in seconds; those of unknown length share what the side leaves."""
    known = sum(track.duration_s or 0 for track in tracks)
    unknown = sum(not track.duration_s for track in tracks)
    left_s = max(0.0, (UNKNOWN_SIDE_S if heard_s is None else heard_s) - known)
    share = min(left_s / unknown, LONGEST_TRACK_S) if unknown else 0.0
    return [float(track.duration_s or share) for track in tracks]
