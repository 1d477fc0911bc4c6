"""What an import row means for the catalogue: who it is, and what it changes. Pure functions, no I/O."""

import hashlib
from dataclasses import replace

from image_cache.folding import fold, sort_key
from image_cache.models import Album, AlbumRow

OWN_SOURCE = "table"  # the source of rows that name none


def identity(row: AlbumRow) -> tuple[str, str]:
    """Return (source, source id). A row without an id of its own gets one from what tells pressings apart.

    Label, rating, grades, notes, cover and plays are not part of it: they are filled in later, and the record stays the same.
    """
    source = row.source or OWN_SOURCE
    if row.source_id:
        return source, row.source_id
    parts = (row.artist, row.title, str(row.year or ""), "\n".join(row.formats or ()), row.catno or "")
    digest = hashlib.sha256()
    for part in parts:
        text = fold(" ".join(part.split())).encode()
        digest.update(len(text).to_bytes(4, "big") + text)
    return source, f"row-{digest.hexdigest()[:24]}"


def numbered(source_id: str, copy: int) -> str:
    """Return the id of the nth copy in a file: two copies on the shelf stay two."""
    return source_id if copy == 1 else f"{source_id}-{copy}"


def created(row: AlbumRow, source: str, source_id: str, now: float) -> Album:
    """Return the album that a row makes when it is not known yet; its id is given by the catalogue."""
    blank = Album(id=0, source=source, source_id=source_id, title="", artist="", artist_sort="", title_sort="", added_at=now)
    return merged(blank, row)


def merged(album: Album, row: AlbumRow) -> Album:
    """Return the album with what the row says. Silence changes nothing, and plays never go down."""
    said = {
        name: value
        for name in (
            *("year", "genres", "styles", "formats", "label", "catno", "rating", "media_condition", "sleeve_condition"),
            *("added_at", "notes", "cover_url", "tracks", "instance_id", "barcode", "mbid"),
        )
        if (value := getattr(row, name)) is not None
    }
    return replace(
        album,
        title=row.title,
        artist=row.artist,
        title_sort=sort_key(row.title),
        artist_sort=sort_key(row.artist),
        plays=max(album.plays, row.plays or 0),
        last_played_at=max(album.last_played_at or 0.0, row.last_played_at or 0.0) or None,
        **said,
    )
