"""Where the words of a search occur in a text, whatever their case and accents, to highlight them. No I/O."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from image_cache.models import Album, Track


@dataclass(frozen=True, slots=True)
class FoundTrack:
    """A track that matches a search, and the album it is on."""

    track: Track
    album: Album


def fold(text: str) -> str:
    """Lower the case and drop accents, letter by letter: the result has as many letters as `text`, so positions agree."""
    return "".join((unicodedata.normalize("NFKD", letter)[:1] or letter).lower()[:1] or letter for letter in text)


def places(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Return where `words` occur in `text`, as ranges that do not overlap, in order."""
    folded = fold(text)
    found: list[tuple[int, int]] = []
    for word in {fold(word) for word in words if word}:
        at = folded.find(word)
        while at >= 0:
            found.append((at, at + len(word)))
            at = folded.find(word, at + len(word))
    ranges: list[tuple[int, int]] = []
    for start, stop in sorted(found, key=lambda place: (place[0], -place[1])):
        if not ranges or start >= ranges[-1][1]:
            ranges.append((start, stop))
    return ranges


def in_tracks(albums: Sequence[Album], words: Sequence[str], limit: int = 20) -> list[FoundTrack]:
    """Return the tracks of these albums whose title contains every word of the search."""
    wanted = [fold(word) for word in words]
    hits = (
        FoundTrack(track, album)
        for album in albums
        for track in album.tracks
        if all(word in fold(track.title) for word in wanted)
    )
    return [hit for hit, _ in zip(hits, range(limit), strict=False)]


def in_names(album: Album, words: Sequence[str]) -> bool:
    """Return True if an album matches by artist, title, label, notes or catalogue number, not only by a track."""
    front = fold(" ".join((album.artist, album.title, album.label, album.notes, album.catno)))
    return all(fold(word) in front for word in words)
