"""What the page of one record shows, worked out before the template: sides, facts, spines, tint."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypedDict
from urllib.parse import urlencode

from flask import request, url_for
from markupsafe import Markup
from werkzeug.exceptions import BadRequest

from image_cache.models import Album, AlbumQuery, Cover, Track
from image_cache.records.library import Library
from image_cache.web import svg as drawing

MOST_CHROMA = 40  # hundredths; no sRGB colour has more than .33 in OKLCH
HUE_STEP = 5
CHROMA_STEP = 2
LONGEST_GENRE = 200
DISC = re.compile(r"([0-9]{1,3})-[0-9]{1,3}")
SIDED = re.compile(r"([A-Z])[0-9]*[a-z]?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a record. `total_s` is None unless every track says how long it is."""

    name: str
    tracks: tuple[Track, ...]
    total_s: int | None


@dataclass(frozen=True, slots=True)
class Spine:
    """The back of one record on the shelf."""

    album: Album
    back: Markup
    ink: str
    is_own: bool
    is_low: bool


def record_page() -> str:
    """Return the path of the record that the request is about."""
    return url_for("pages.album", **(request.view_args or {}))


def sides(tracks: Sequence[Track]) -> list[Side]:
    """Group tracks by the letter of their position, or by the disc (2-7); one group named Tracks when they carry numbers only."""
    for name, shape in (("Side", SIDED), ("Disc", DISC)):
        found = [shape.fullmatch(track.position.strip()) for track in tracks]
        if tracks and all(found):
            named = zip([one[1].upper() for one in found if one], tracks, strict=True)
            groups = groupby(named, key=lambda pair: pair[0])
            return [_side(f"{name} {mark}", [track for _, track in group]) for mark, group in groups]
    return [_side("Tracks", tracks)] if tracks else []


def _side(name: str, tracks: Sequence[Track]) -> Side:
    known = [track.duration_s for track in tracks if track.duration_s is not None]
    return Side(name, tuple(tracks), sum(known) if len(known) == len(tracks) else None)


def facts(album: Album) -> list[str]:
    """Return the line below the artist: label, catalogue number, year, genres, formats; what is not known is left out."""
    parts = [album.label, album.catno, str(album.year or ""), *album.genres[:3], *album.formats[:3]]
    return [part for part in parts if part]


class RandomFilter(TypedDict, total=False):
    """What random was told to pick from."""

    genre: str
    decade: int


def chance(args: Mapping[str, str]) -> RandomFilter:
    """Parse what random was told: `genre`, and `decade` like 1970. Raises `BadRequest` for a decade that is none."""
    found = RandomFilter()
    if genre := args.get("genre", "")[:LONGEST_GENRE]:
        found["genre"] = genre
    if decade := args.get("decade", ""):
        if not (decade.isascii() and decade.isdigit() and len(decade) == 4):
            raise BadRequest("A decade is a year like 1970.")
        found["decade"] = int(decade) // 10 * 10
    return found


def why(told: RandomFilter, reason: str) -> str:
    """Return why a record came up, as a sentence: "Jazz, never played."."""
    of = " of the ".join(filter(None, (told.get("genre", ""), f"{told['decade']}s" if "decade" in told else "")))
    text = f"{of}, {reason}" if of else reason
    return f"{text[:1].upper()}{text[1:]}."


def spin_path(told: RandomFilter) -> str:
    return "/random" + (f"?{urlencode(told)}" if told else "")


def with_own(neighbours: Sequence[Album], own: Album) -> list[Album]:
    """Return the shelf with the record itself in its place, whether the library put it there or not."""
    shelf = [own if one.id == own.id else one for one in neighbours]
    if own not in shelf:
        shelf = sorted([*shelf, own], key=lambda one: (one.artist_sort, one.year or 0, one.title_sort, one.id))
    return shelf


def around(library: Library, text: str, most: int) -> list[Album]:
    """Return `most` records that stand where an artist called `text` would: some before, some behind."""
    behind = library.nearby(text, 1)
    if not behind:  # it would be the last one on the shelf
        whole = AlbumQuery()
        behind = list(library.page(whole, library.page(whole, 1).pages).albums[-1:])
    shelf = library.neighbours(behind[0].id, most) if behind else []
    at = next((at for at, one in enumerate(shelf) if one.id == behind[0].id), 0)
    start = max(0, min(at - most // 2, len(shelf) - most))
    return shelf[start : start + most]


def spines(shelf: Sequence[Album], covers: Sequence[Cover], own: Album) -> list[Spine]:
    """Draw the shelf; every record is a little taller or lower than the next one, always the same."""
    drawn = []
    for album, cover in zip(shelf, covers, strict=True):
        back, ink = drawing.spine(cover)
        drawn.append(Spine(album, back, ink, album.id == own.id, album.id % 3 == 1))
    return drawn


def tint(cover: Cover) -> str:
    """Return the name of the tint stylesheet of a cover, empty before its first render: hue in steps of 5, chroma of .02."""
    if cover.hue is None or cover.chroma is None:
        return ""
    hue = round(cover.hue / HUE_STEP) * HUE_STEP % 360
    chroma = min(MOST_CHROMA, max(0, round(100 * cover.chroma / CHROMA_STEP) * CHROMA_STEP))
    return f"{hue:03}-{chroma:02}"
