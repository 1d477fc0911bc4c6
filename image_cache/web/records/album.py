"""View model of the page of one record: sides, facts, spines, tint."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypedDict
from urllib.parse import urlencode

from flask import request, url_for
from markupsafe import Markup
from werkzeug.exceptions import BadRequest

from image_cache.models import Album, Cover, Track
from image_cache.web import svg as drawing

MAX_CHROMA = 40  # hundredths; no sRGB colour has more than .33 in OKLCH
HUE_STEP = 5
CHROMA_STEP = 2
MAX_GENRE_CHARS = 200
DISC = re.compile(r"([0-9]{1,3})-[0-9]{1,3}")
SIDED = re.compile(r"([A-Z])[0-9]*[a-z]?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a record. `total_s` is None unless every track has a duration."""

    name: str
    tracks: tuple[Track, ...]
    total_s: int | None


@dataclass(frozen=True, slots=True)
class Spine:
    """The spine of one record on the shelf."""

    album: Album
    back: Markup
    ink: str
    is_own: bool
    is_low: bool


def record_page() -> str:
    """Return the path of the record that the request is about."""
    return url_for("pages.album", **(request.view_args or {}))


def sides(tracks: Sequence[Track]) -> list[Side]:
    """Group tracks by the letter of their position, or by the disc (2-7); one group named Tracks if they have numbers only."""
    for name, shape in (("Side", SIDED), ("Disc", DISC)):
        positions = [shape.fullmatch(track.position.strip()) for track in tracks]
        if tracks and all(positions):
            named = zip([position[1].upper() for position in positions if position], tracks, strict=True)
            groups = groupby(named, key=lambda pair: pair[0])
            return [_side(f"{name} {mark}", [track for _, track in group]) for mark, group in groups]
    return [_side("Tracks", tracks)] if tracks else []


def _side(name: str, tracks: Sequence[Track]) -> Side:
    known = [track.duration_s for track in tracks if track.duration_s is not None]
    return Side(name, tuple(tracks), sum(known) if len(known) == len(tracks) else None)


def facts(album: Album) -> list[tuple[str, str]]:
    """Return the line below the artist: label, catalogue number, year, genres, formats; each with the path of the wall of its like."""
    parts = [
        *(("label", album.label), ("", album.catno), ("year", str(album.year or ""))),
        *(("genre", genre) for genre in album.genres[:3]),
        *(("format", form) for form in album.formats[:3]),
    ]
    return [(text, wall_path(kind, text)) for kind, text in parts if text]


def wall_path(kind: str, value: str) -> str:
    """Return the path of the wall with one filter, "" for what is none."""
    return f"/?{urlencode({kind: value})}" if kind and value else ""


class RandomFilter(TypedDict, total=False):
    """What a random pick is limited to."""

    genre: str
    decade: int


def parse_random_filter(args: Mapping[str, str]) -> RandomFilter:
    """Parse the query string of a random pick: `genre`, and `decade` like 1970. Raises `BadRequest` for an invalid decade."""
    found = RandomFilter()
    if genre := args.get("genre", "")[:MAX_GENRE_CHARS]:
        found["genre"] = genre
    if decade := args.get("decade", ""):
        if not (decade.isascii() and decade.isdigit() and len(decade) == 4):
            raise BadRequest("The decade must be a year such as 1970.")
        found["decade"] = int(decade) // 10 * 10
    return found


def reason_sentence(random_filter: RandomFilter, reason: str) -> str:
    """Return why a record was picked, as a sentence: "Jazz, never played."."""
    decade = f"{random_filter['decade']}s" if "decade" in random_filter else ""
    limits = " of the ".join(filter(None, (random_filter.get("genre", ""), decade)))
    text = f"{limits}, {reason}" if limits else reason
    return f"{text[:1].upper()}{text[1:]}."


def spin_path(random_filter: RandomFilter) -> str:
    return "/random" + (f"?{urlencode(random_filter)}" if random_filter else "")


def spines(shelf: Sequence[Album], covers: Mapping[str | None, Cover], own: Album) -> list[Spine]:
    """Draw the shelf; records differ a little in height, each always the same."""
    drawn = []
    for album in shelf:
        back, ink = drawing.spine(covers[album.picture])
        drawn.append(Spine(album, back, ink, album.id == own.id, album.id % 3 == 1))
    return drawn


def tint_name(cover: Cover) -> str:
    """Return the name of the tint stylesheet of a cover, empty before its first render: hue in steps of 5, chroma of 0.02."""
    if cover.hue is None or cover.chroma is None:
        return ""
    hue = round(cover.hue / HUE_STEP) * HUE_STEP % 360
    chroma = min(MAX_CHROMA, max(0, round(100 * cover.chroma / CHROMA_STEP) * CHROMA_STEP))
    return f"{hue:03}-{chroma:02}"
