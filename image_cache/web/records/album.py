"""View model of the page of one record: sides, facts, spines, tint."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from flask import request, url_for
from markupsafe import Markup

from image_cache.frozen import frozen
from image_cache.models import Album, Cover
from image_cache.web import svg as drawing

MAX_CHROMA = 40  # hundredths; no sRGB colour has more than .33 in OKLCH
HUE_STEP = 5
CHROMA_STEP = 2


@frozen
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
