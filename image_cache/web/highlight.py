"""Where the words of a search stand in a text, whatever their case and accents; for marking what was found. No I/O."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from image_cache.models import Album, Track


@dataclass(frozen=True, slots=True)
class FoundTrack:
    """A track that answers a search, and the album it is on."""

    track: Track
    album: Album


def fold(text: str) -> str:
    """Lower the case and drop accents, letter by letter: the result has as many letters as `text`, so places agree."""
    return "".join((unicodedata.normalize("NFKD", letter)[:1] or letter).lower()[:1] or letter for letter in text)


def places(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Return where `words` stand in `text` as ranges that do not overlap, in order."""
    folded = fold(text)
    found: list[tuple[int, int]] = []
    for word in {fold(word) for word in words if word}:
        at = folded.find(word)
        while at >= 0:
            found.append((at, at + len(word)))
            at = folded.find(word, at + len(word))
    kept: list[tuple[int, int]] = []
    for start, stop in sorted(found, key=lambda place: (place[0], -place[1])):
        if not kept or start >= kept[-1][1]:
            kept.append((start, stop))
    return kept


def in_tracks(albums: Sequence[Album], words: Sequence[str], most: int = 20) -> list[FoundTrack]:
    """Return the tracks of these albums whose title holds every word of the search."""
    wanted = [fold(word) for word in words]
    hits = (
        FoundTrack(track, album)
        for album in albums
        for track in album.tracks
        if all(word in fold(track.title) for word in wanted)
    )
    return [hit for hit, _ in zip(hits, range(most), strict=False)]


def in_names(album: Album, words: Sequence[str]) -> bool:
    """Say whether an album answers by what stands on its front: not only by a track."""
    front = fold(" ".join((album.artist, album.title, album.label, album.notes, album.catno)))
    return all(fold(word) in front for word in words)
