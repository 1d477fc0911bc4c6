"""Parser of a search at Discogs: its releases are listed in another form than those of a collection. Pure functions."""

import re
from collections.abc import Mapping
from typing import Any

from image_cache.frozen import frozen
from image_cache.importers.discogs.parse import BARCODE, MAX_ID, MAX_PARTS, NUMBERED, line_from, texts_from
from image_cache.net.json_values import integer, objects


@frozen
class FoundRelease:
    """A release that a search found. `barcodes` are digits only."""

    id: str
    artist: str
    title: str
    year: str
    country: str
    label: str
    catno: str
    format: str
    genre: str
    barcodes: tuple[str, ...]
    cover: str


def releases_from(data: Any) -> list[FoundRelease] | None:
    """Return the releases of a search, None if the response is none. One without an id or a name is left out."""
    if not isinstance(data, dict) or not isinstance(data.get("results"), list):
        return None
    found = [_found(entry) for entry in objects(data["results"], MAX_PARTS)]
    return [release for release in found if release is not None]


def _found(entry: Mapping[str, Any]) -> FoundRelease | None:
    number, name = integer(entry.get("id"), 1, MAX_ID), line_from(entry.get("title"))
    if number is None or not name:
        return None
    artist, gap, title = name.partition(" - ")  # the search has both in one line
    codes = [re.sub(r"[^0-9]", "", code) for code in texts_from(entry.get("barcode"))]
    catno = line_from(entry.get("catno"))
    return FoundRelease(
        id=str(number),
        artist=NUMBERED.sub("", artist.strip().removesuffix("*")) if gap else "",
        title=title if gap else name,
        year=line_from(entry.get("year"))[:4],
        country=line_from(entry.get("country")),
        label=next((NUMBERED.sub("", label) for label in texts_from(entry.get("label"))), ""),
        catno="" if catno.lower() == "none" else catno,
        format=", ".join(texts_from(entry.get("format"))[:4]),
        genre=", ".join(texts_from(entry.get("genre"))[:4]),
        barcodes=tuple(code for code in codes if BARCODE.fullmatch(code)),
        cover=line_from(entry.get("cover_image")),
    )
