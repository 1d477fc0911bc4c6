"""Matches exported plays to records by artist and title or track, and makes sittings of tracks. No SQL, no files.

Tracks of one record that follow each other within three hours are one sitting. It is a play if half of the tracks of a side were
heard, or three tracks of a record without a tracklist: an evening with the radio does not play 20 records.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

from image_cache.frozen import frozen
from image_cache.importers.plays.listens import Listen
from image_cache.models import Album
from image_cache.records.playing.sides import sides
from image_cache.text import fold, sort_key

SITTING_S = 3 * 3600.0  # as the turntable has it
ENOUGH_TRACKS = 3
NO_RECORD = "no such record"
SEVERAL = "on several records"
TOO_FEW = "too few tracks for a play"
_EDITION = re.compile(
    r"\s*(?:\([^()]*\)|\[[^\[\]]*\]|[-:]\s[^-:]*\b(?:remaster|edition|version|deluxe|mono|stereo)\w*\b[^-:]*)\s*$", re.IGNORECASE
)
_GAPS = re.compile(r"[\W_]+")


@frozen
class FoundPlay:
    """A play of a record. `sides` were heard, as their names; empty if that is unknown."""

    album_id: int
    played_at: float
    sides: tuple[str, ...]


@frozen
class Unmatched:
    """Plays that no record was found for, together: how many, when the last one was, and why."""

    artist: str
    title: str
    count: int
    last_at: float
    reason: str


class RecordMatcher:
    """Knows the records of the artists that a file names; `albums` are read once."""

    def __init__(self, artists: Iterable[str], albums: Iterable[Album]) -> None:
        wanted = {sort_key(artist) for artist in artists}
        self._titles: dict[tuple[str, str], int] = {}
        self._plain: dict[tuple[str, str], int] = {}
        self._tracks: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._sides: dict[int, dict[str, tuple[str, int]]] = {}  # album -> folded track -> its side, and how many that has
        for album in albums:
            artist = sort_key(album.artist)
            if artist not in wanted:
                continue
            self._titles.setdefault((artist, _key(album.title)), album.id)
            self._plain.setdefault((artist, _key(_plain(album.title))), album.id)
            self._sides[album.id] = {}
            for side in sides(album.tracks):
                for track in side.tracks:
                    self._tracks[artist, _key(track.title)].add(album.id)
                    self._sides[album.id].setdefault(_key(track.title), (side.name, len(side.tracks)))

    def record_of(self, listen: Listen) -> int | str:
        """Return the id of the record, or the reason why there is none."""
        artist = sort_key(listen.artist)
        if listen.record:
            exact, plain = (artist, _key(listen.record)), (artist, _key(_plain(listen.record)))
            found = self._titles.get(exact) or self._plain.get(exact) or self._plain.get(plain)
            if found is not None:
                return found
        ids = self._tracks.get((artist, _key(listen.track))) or self._tracks.get((artist, _key(_plain(listen.track))))
        if not listen.track or not ids:
            return NO_RECORD
        return next(iter(ids)) if len(ids) == 1 else SEVERAL

    def play_of(self, album_id: int, sitting: list[Listen]) -> FoundPlay | None:
        """Return the play of a record that these listens are, in order; None if they are too few tracks."""
        began = sitting[0].at
        if not all(listen.track for listen in sitting):
            return FoundPlay(album_id, began, ())
        known = self._sides[album_id]
        heard: dict[str, set[str]] = {}
        sizes: dict[str, int] = {}
        for listen in sitting:
            name, size = known.get(_key(listen.track)) or known.get(_key(_plain(listen.track))) or ("", 0)
            heard.setdefault(name, set()).add(_key(listen.track))
            sizes[name] = size
        if not known:
            return FoundPlay(album_id, began, ()) if len(heard.get("", ())) >= ENOUGH_TRACKS else None
        played = tuple(name for name, tracks in heard.items() if name and 2 * len(tracks) >= sizes[name])
        if not played:
            return None
        return FoundPlay(album_id, began, () if played == ("Tracks",) else played)


def plays_from(listens: Iterable[Listen], matcher: RecordMatcher) -> tuple[list[FoundPlay], list[Unmatched]]:
    """Return the plays, and what was not matched, the most frequent first."""
    of_record: dict[int, list[Listen]] = defaultdict(list)
    missed: dict[tuple[str, str, str], tuple[int, float]] = {}

    def miss(listen: Listen, reason: str) -> None:
        key = (listen.artist, listen.record or listen.track, reason)
        count, last_at = missed.get(key, (0, 0.0))
        missed[key] = count + 1, max(last_at, listen.at)

    known: dict[tuple[str, str, str], int | str] = {}
    for listen in listens:
        what = (listen.artist, listen.record, listen.track)
        found = known.get(what) or known.setdefault(what, matcher.record_of(listen))
        if isinstance(found, str):
            miss(listen, found)
        else:
            of_record[found].append(listen)
    plays = []
    for album_id, those in of_record.items():
        for sitting in _sittings(sorted(those, key=lambda one: one.at)):
            play = matcher.play_of(album_id, sitting)
            if play is not None:
                plays.append(play)
                continue
            for listen in sitting:
                miss(listen, TOO_FEW)
    unmatched = [Unmatched(*key[:2], count, last_at, key[2]) for key, (count, last_at) in missed.items()]
    return sorted(plays, key=lambda play: play.played_at), sorted(unmatched, key=lambda one: (-one.count, one.artist, one.title))


def _sittings(listens: list[Listen]) -> Iterable[list[Listen]]:
    """Yield the listens of each sitting. A row that is a whole play of a record is one of its own."""
    sitting: list[Listen] = []
    for listen in listens:
        is_new = sitting and (listen.at - sitting[-1].at > SITTING_S or not listen.track or not sitting[-1].track)
        if is_new:
            yield sitting
            sitting = []
        sitting.append(listen)
    if sitting:
        yield sitting


def _plain(title: str) -> str:
    """Return a title without the edition that services add: (Deluxe Edition), [Remastered 2011], - 2011 Remaster."""
    return _EDITION.sub("", title) or title


def _key(text: str) -> str:
    folded = fold(text)
    return _GAPS.sub("", folded) or folded
