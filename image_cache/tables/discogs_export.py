"""Discogs exports as tables: recognised by their header, and the columns of a collection. Other exports are rejected with the reason."""

import re
from collections.abc import Mapping, Sequence

from image_cache.import_models import ImportRow
from image_cache.tables.dates import DateOrders
from image_cache.tables.discogs_words import formats_of_csv, short_grade
from image_cache.tables.rows import own_field, row_from

# Their column -> our column. Other columns, such as custom fields, become lines of the notes.
_DISCOGS_COLUMNS = {
    "catalog#": "catno",
    "artist": "artist",
    "title": "title",
    "label": "label",
    "format": "formats",
    "rating": "rating",
    "released": "year",
    "release_id": "source_id",
    "date_added": "added",
    "collection_media_condition": "media_condition",
    "collection_sleeve_condition": "sleeve_condition",
    "collection_notes": "notes",
}
_IS_COLLECTION = {"catalog#", "release_id", "collectionfolder"}
# Columns of tables that are something else -> the reason of the rejection.
_TRACKS = "this is a list of tracks, not of records"
_TRACK_MARKS = (
    "track_id",
    "track_number",
    "track_no",
    "track_nr",
    "track",
    "tracknumber",
    "track_#",
    "song",
    "song_id",
    "song_title",
)
_FOREIGN = (
    ({"listing_id"}, "this is a Discogs inventory (items for sale). Export your collection instead"),
    ({"order_id"}, "this is a Discogs order list. Export your collection instead"),
    ({"catalog#", "release_id"}, "this is a Discogs wantlist. Export your collection instead"),
    ({"isbn"}, "this is a list of books"),
    ({"isbn13"}, "this is a list of books"),
    ({"imdb_rating"}, "this is a list of films"),
    ({"letterboxd_uri"}, "this is a list of films"),
    ({"track_name"}, "this is a list of tracks, not of records"),
    *(({album, mark}, _TRACKS) for album in ("album", "album_title", "album_name") for mark in _TRACK_MARKS),
    ({"spotify_uri"}, "this is a list of tracks, not of records"),
)
_TITLES = ("album", "album_title", "release", "release_title", "record", "name", "titel", "titre", "título", "titolo")
_NUMBERED = re.compile(r" \(\d{1,3}\)(?=$|[\s,;])")  # how Discogs tells artists of one name apart
_FOLDERS = ("", "all", "uncategorized")  # those of records that were put into no folder


def is_collection(header: Sequence[str]) -> bool:
    return _plain(header) >= _IS_COLLECTION


def foreign_reason(header: Sequence[str]) -> str:
    """Return the reason if a table is no list of the records of a collection, "" if it may be one."""
    names = _plain(header)
    return next((reason for columns, reason in _FOREIGN if columns <= names), "")


def likely_title(header: Sequence[str]) -> str:
    """Return the column that probably has the titles under another name, "" if there is none."""
    plain = {"_".join(name.lower().split()): name.strip() for name in header}
    return next((plain[name] for name in _TITLES if name in plain), "")


def collection_row(
    line: int, cells: Mapping[str, str], *, dates: DateOrders | None = None, losses: Sequence[str] = ()
) -> ImportRow:
    """Return the record of a row of a Discogs export. Raises `ImportRejected`. Columns of the collector's own are notes."""
    found: dict[str, str | list[str] | None] = {"source": "discogs"}
    own: dict[str, str] = {}
    for name, cell in cells.items():
        plain = "_".join(name.lower().split())
        text = cell.strip()
        if plain == "collectionfolder":
            if text.lower() not in _FOLDERS:
                own["Folder"] = text
        elif plain in _DISCOGS_COLUMNS:
            found[_DISCOGS_COLUMNS[plain]] = _converted(_DISCOGS_COLUMNS[plain], text)
        elif text:
            custom = re.sub(r"(?i)^collection ", "", name.strip())
            if (ours := own_field(custom)) and ours not in found:
                found[ours] = text
            else:
                own[custom] = text
    return row_from(line, found, counts_copies=bool(found.get("source_id")), own=own, dates=dates, losses=losses)


def _converted(name: str, text: str) -> str | list[str] | None:
    if name == "artist":
        return _NUMBERED.sub("", text)
    if name in ("label", "catno"):  # the same label twice, once for each disc
        return ", ".join(dict.fromkeys(text.split(", ")))
    if name == "formats":
        return formats_of_csv(text)
    if name == "year" and "?" in text and not re.match(r"\d{4}", text):  # "19??" is treated like no year
        return None
    if name.endswith("_condition"):
        return short_grade(text)
    return text


def _plain(header: Sequence[str]) -> set[str]:
    return {"_".join(name.lower().split()) for name in header}
