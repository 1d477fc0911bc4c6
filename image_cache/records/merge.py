"""Merging import rows into albums: which album a row is, and what it changes. Pure functions, no I/O."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from image_cache.covers.identity import identify
from image_cache.import_models import ImportRow
from image_cache.models import Album, Track
from image_cache.text import fold, sort_key

OWN_SOURCE = "table"  # the source of rows that name none


def identity_of(row: ImportRow) -> tuple[str, str]:
    """Return (source, source id). A row without an id gets one from the columns that distinguish pressings.

    Label, rating, grades, notes, cover and plays are left out: they may be filled in later for the same record.
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


def numbered_id(source_id: str, copy: int) -> str:
    """Return the id of the nth copy in a file: two copies stay two records."""
    return source_id if copy == 1 else f"{source_id}-{copy}"


def create_album(row: ImportRow, source: str, source_id: str, now: float) -> Album:
    """Return the album of a row that is not known yet; the catalogue assigns its id."""
    blank = Album(id=0, source=source, source_id=source_id, title="", artist="", artist_sort="", title_sort="", added_at=now)
    return merge_row(blank, row)


def merge_row(album: Album, row: ImportRow) -> Album:
    """Return the album with the values of the row. Missing values change nothing, plays never go down, the owner's notes stay."""
    values = {
        name: value
        for name in (
            *("year", "genres", "styles", "formats", "label", "catno", "rating", "media_condition", "sleeve_condition"),
            *("added_at", "notes", "cover_url", "tracks", "instance_id", "barcode", "mbid", "shelf", "price", "bought"),
        )
        if (value := getattr(row, name)) is not None
    }
    return replace(
        album,
        title=row.title,
        artist=row.artist,
        title_sort=sort_key(row.title),
        artist_sort=sort_key(row.artist),
        own_notes=album.own_notes or row.own_notes or "",
        plays=max(album.plays, row.plays or 0),
        last_played_at=max(album.last_played_at or 0.0, row.last_played_at or 0.0) or None,
        **values,
    )


def apply_sync(album: Album, row: ImportRow, source_id: str, now: float, failing: Collection[str] = ()) -> Album:
    """Return the album as its source shows it now; the very same object if nothing differs.

    Unlike a table, a source lists every value, so what it leaves empty is empty. Plays and the owner's rating, notes and cover
    stay, as with any import. `failing` holds new URLs of covers that cannot be fetched from the known one.
    """
    after = replace(
        merge_row(album, row),
        source_id=source_id,
        year=row.year,
        rating=row.rating,
        added_at=album.added_at if row.added_at is None else row.added_at,
        cover_url=_cover_url(album.cover_url, row.cover_url, failing),
        gone_at=None,
    )
    return album if after == album else replace(after, seen_at=now)


def add_details(album: Album, tracks: Sequence[Track], barcode: str, cover_url: str | None, now: float) -> Album:
    """Return the album with the details that its source returns for a single record; a cover only if it has none."""
    return replace(
        album,
        tracks=tuple(tracks) or album.tracks,
        barcode=barcode or album.barcode,
        cover_url=album.cover_url or cover_url,
        detailed_at=now,
    )


def match_copy(row: ImportRow, known: Album | None, copies: Sequence[Album]) -> tuple[Album | None, str]:
    """Return (the album of a copy, None for a new one; its source id).

    `known` is the album of this copy, `copies` are those of the release. An unknown copy replaces one that came from a table,
    which cannot tell copies apart, or one that left the collection and now comes back under another number.
    """
    if known is None:
        nameless = [copy for copy in copies if not copy.instance_id]
        back = [copy for copy in copies if copy.gone_at is not None] if row.instance_id else []
        known = next(iter(nameless + back), None)
    if known is not None and known in copies:
        return known, known.source_id
    taken = {copy.source_id for copy in copies}
    return known, next(name for n in range(1, len(copies) + 2) if (name := numbered_id(row.source_id, n)) not in taken)


def _cover_url(known: str | None, listed: str | None, failing: Collection[str]) -> str | None:
    """Return the URL to store: the known one while it leads to the same image at no smaller size.

    Services sign their URLs afresh for every response. Storing each of them would rewrite the collection with every sync.
    """
    if listed is None or known is None or known == listed:
        return listed or known
    old, new = identify(known), identify(listed)
    is_same = old.name == new.name and urlsplit(known).hostname == urlsplit(listed).hostname and new.edge_px <= old.edge_px
    return known if is_same and listed not in failing else listed
