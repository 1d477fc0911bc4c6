"""Where the words of a search occur in a text, whatever their case and accents, to highlight them. No I/O."""

import unicodedata
from collections.abc import Sequence

from image_cache.frozen import frozen
from image_cache.models import Album, Track


@frozen
class FoundTrack:
    """A track that matches a search, and the album it is on."""

    track: Track
    album: Album


def fold(text: str) -> str:
    """Lower the case and drop accents, letter by letter: the result has as many letters as `text`, so positions agree."""
    if text.isascii():  # most are, and a page of hits folds thousands of letters
        return text.lower()
    return "".join((unicodedata.normalize("NFKD", letter)[:1] or letter).lower()[:1] or letter for letter in text)


def places(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Return where `words` occur in `text`, as ranges that do not overlap, in order."""
    folded = fold(text)
    found: list[tuple[int, int]] = []
    for word in {fold(word) for word in words if word}:
        at = folded.find(word)
        if at < 0:
            found += _in_pieces(folded, word)
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


def _in_pieces(folded: str, word: str) -> list[tuple[int, int]]:
    """Return where the letters of a word occur with signs or spaces between them: AC/DC for acdc, R.E.M. for rem."""
    letters = [at for at, char in enumerate(folded) if char.isalnum()]
    text, wanted = "".join(folded[at] for at in letters), "".join(char for char in word if char.isalnum())
    begin = text.find(wanted) if wanted else -1
    while begin > 0 and folded[letters[begin] - 1].isalnum():  # not from the middle of a word on
        begin = text.find(wanted, begin + 1)
    return [(letters[begin], letters[begin + len(wanted) - 1] + 1)] if begin >= 0 else []
