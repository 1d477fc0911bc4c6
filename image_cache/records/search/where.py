"""Where a search hit: the field of a record that has the words which its names have not. No I/O."""

import re
from collections.abc import Iterator, Sequence

from image_cache.frozen import frozen
from image_cache.models import Album
from image_cache.records.search.question import Question
from image_cache.records.search.rules import code_key, code_words, inches, indexed, name_key, plain, unspaced, year_words
from image_cache.text import cut

TRACK, NOTES = "Track", "Notes"
MAX_CHARS = 60
_TOKEN = re.compile(r"[^\W_]+")


@frozen
class HitPlace:
    """A field of a record in which a search hit, and what it says there."""

    field: str
    text: str


def where_hit(album: Album, question: Question) -> HitPlace | None:
    """Return where a record was found, None if its artist and title have the words."""
    if question.code:
        for field, text in (("Catalogue number", album.catno), ("Barcode", album.barcode), ("Release", album.release_id)):
            if code_key(plain(text)).startswith(question.code):
                return HitPlace(field, text)
    missing = _missing(question.words, f"{album.artist} {album.title}")
    names = (name_key(plain(album.artist)), name_key(plain(album.title)))
    if not missing or question.key in names[0] or question.key in names[1]:
        return None
    left = [(len(_missing(missing, says)), place) for place, says in _fields(album)]
    count, place = min(left, key=lambda found: found[0])
    return place if count < len(missing) else None


def _fields(album: Album) -> Iterator[tuple[HitPlace, str]]:
    """Yield the fields of a record, each with the text that it is found by."""
    yield HitPlace("Label", album.label), album.label
    yield HitPlace("Catalogue number", album.catno), code_words(album.catno)
    if album.year:
        yield HitPlace("Year", str(album.year)), year_words(album.year)
    for field, values in (("Genre", album.genres), ("Style", album.styles), ("Format", album.formats)):
        yield from ((HitPlace(field, value), inches(plain(value))) for value in values)
    yield HitPlace("Barcode", album.barcode), album.barcode
    yield HitPlace("Shelf", album.shelf), album.shelf
    yield from ((HitPlace(TRACK, track.title), track.title) for track in album.tracks)
    for notes in (album.own_notes, album.notes):
        yield from ((HitPlace(NOTES, cut(line, MAX_CHARS)), line) for line in notes.splitlines())


def _missing(words: Sequence[str], text: str) -> list[str]:
    """Return the words that begin no word of a text, as the index reads it."""
    tokens = " " + " ".join(_TOKEN.findall(unspaced(indexed((text,)))))
    return [word for word in words if not all(f" {part}" in tokens for part in _TOKEN.findall(unspaced(word)))]
