"""Sides of a record, from the positions of its tracks: what is played in one go, and how long it takes. Pure functions."""

import re
from collections.abc import Sequence
from itertools import groupby

from image_cache.frozen import frozen
from image_cache.models import Album, Track

DISC = re.compile(r"([0-9]{1,3})-[0-9]{1,3}")
SIDED = re.compile(r"([A-Z])[0-9]*[a-z]?", re.IGNORECASE)
DISCS = frozenset({"cd", "cdr", "sacd", "hdcd", "dvd", "blu-ray"})
FILES = frozenset({"file", "flac", "mp3", "aac", "alac", "wav", "ogg", "opus"})
TAPES = frozenset({"cassette", "reel-to-reel", "cartridge"})
VINYL = frozenset({"vinyl", "lp", '7"', '12"'})


@frozen
class Side:
    """One side of a record. `total_s` is None unless every track has a duration."""

    name: str
    tracks: tuple[Track, ...]
    total_s: int | None


def sides(tracks: Sequence[Track]) -> list[Side]:
    """Group tracks by the letter of their position, or by the disc (2-7); one group named Tracks if they have numbers only."""
    for name, shape in (("Side", SIDED), ("Disc", DISC)):
        positions = [shape.fullmatch(track.position.strip()) for track in tracks]
        if tracks and all(positions):
            named = zip([position[1].upper() for position in positions if position], tracks, strict=True)
            groups = groupby(named, key=lambda pair: pair[0])
            return [_side(f"{name} {mark}", [track for _, track in group]) for mark, group in groups]
    return [_side("Tracks", tracks)] if tracks else []


def playable_sides(album: Album) -> list[Side]:
    """Return the sides to play: those of the tracks, else A and B of unknown length; all of it for what has no sides."""
    found = sides(album.tracks)
    if found and found[0].name != "Tracks":
        return found
    if carrier_of(album.formats) in ("cd", "file"):
        return [Side("All of it", album.tracks, found[0].total_s if found else None)]
    return [Side("Side A", (), None), Side("Side B", (), None)]


def carrier_of(formats: Sequence[str]) -> str:
    """Return what is played: vinyl, shellac, cd, cassette or file; vinyl where the formats do not say, or name several."""
    words = {word for text in formats for word in text.lower().replace(",", " ").split()}
    if "shellac" in words or any("78 rpm" in text.lower() for text in formats):
        return "shellac"
    if words & VINYL:
        return "vinyl"
    found = (("cd", DISCS), ("cassette", TAPES), ("file", FILES))
    return next((name for name, named in found if words & named), "vinyl")


def _side(name: str, tracks: Sequence[Track]) -> Side:
    known = [track.duration_s for track in tracks if track.duration_s is not None]
    return Side(name, tuple(tracks), sum(known) if len(known) == len(tracks) else None)
