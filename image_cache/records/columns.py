"""Columns of the table of albums, and the album that a row stands for."""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from image_cache.db.database import Row
from image_cache.models import Album, Track

COLUMNS = (
    "id, source, source_id, title, artist, artist_sort, title_sort, year, genres, styles, formats, label, catno,"
    " coalesce(own_rating, rating) AS rating, media_condition, sleeve_condition, notes, cover_url, tracks, added_at,"
    " plays, last_played_at, instance_id, barcode, mbid, own_notes, own_cover, found_cover, refused_cover, seen_at, gone_at, detailed_at,"
    " source_values, shelf, price, bought, value, value_from, valued_at"
)
_FIELDS = list(Album.__dataclass_fields__)
_LISTS, _TRACKS = [_FIELDS.index(name) for name in ("genres", "styles", "formats")], _FIELDS.index("tracks")


def album_columns(*, own: bool = True) -> str:
    """Return the columns of an album for a SELECT. Without `own`, `rating` is that of the source."""
    return COLUMNS if own else COLUMNS.replace("coalesce(own_rating, rating) AS rating", "rating")


def album_from(row: Row) -> Album:
    """Return the album of a row with `album_columns`."""
    values = list(row)  # in the order of `COLUMNS`, the fields of Album. Fast, because a page makes many of them
    for at in _LISTS:
        values[at] = _tuple(values[at])
    tracks = values[_TRACKS]
    values[_TRACKS] = () if tracks == "[]" else tuple(Track(*track) for track in json.loads(tracks))
    return Album(*values)


@lru_cache(maxsize=1024)  # a collection has a few hundred different lists of genres, styles and formats
def _tuple(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(json.loads(text))


def column_values(album: Album) -> dict[str, object]:
    """Return the columns that an import may write: the owner's rating and cover are not among them."""
    return {
        "source": album.source,
        "source_id": album.source_id,
        "title": album.title,
        "artist": album.artist,
        "title_sort": album.title_sort,
        "artist_sort": album.artist_sort,
        "year": album.year,
        "genres": _json(album.genres),
        "styles": _json(album.styles),
        "formats": _json(album.formats),
        "label": album.label,
        "catno": album.catno,
        "rating": album.rating,
        "media_condition": album.media_condition,
        "sleeve_condition": album.sleeve_condition,
        "notes": album.notes,
        "own_notes": album.own_notes,
        "cover_url": album.cover_url,
        "tracks": _json([[track.position, track.title, track.duration_s] for track in album.tracks]),
        "added_at": album.added_at,
        "plays": album.plays,
        "last_played_at": album.last_played_at,
        "instance_id": album.instance_id,
        "barcode": album.barcode,
        "mbid": album.mbid,
        "refused_cover": album.refused_cover,
        "seen_at": album.seen_at,
        "gone_at": album.gone_at,
        "detailed_at": album.detailed_at,
        "source_values": album.source_values,
        "shelf": album.shelf,
        "price": album.price,
        "bought": album.bought,
    }


def from_column(name: str, value: Any) -> Any:
    """Return the value of a field of Album from that of its column."""
    if name == "tracks":
        return tuple(Track(*track) for track in json.loads(value))
    return _tuple(value) if name in ("genres", "styles", "formats") else value


def _json(values: Iterable[object]) -> str:
    return json.dumps(list(values), ensure_ascii=False, separators=(",", ":"))
