"""Groups of tracks: which tracks with one album title are one album, and whose it is. Pure, no I/O."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import takewhile

from image_cache.frozen import frozen
from image_cache.importers.music.names import UNKNOWN, Names, plain
from image_cache.importers.music.tags.reader import Tags
from image_cache.tables.cells import MAX_CHARS, MAX_TRACKS, cut_remark
from image_cache.text import cut, fold, sort_key

MAX_ALBUMS = 5000  # in one folder
MAX_LOSSES = 50  # of one album that the report names
VARIOUS = "Various"
ARTIST_SHARE = 0.6  # of the tracks an artist needs to be that of the album, if no tag names the album's artist

VARIOUS_NAMES = frozenset({"various", "various artists", "various artist", "va", "v.a.", "v/a", "diverse", "verschiedene"})
_MBID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TRUE = frozenset({"1", "true", "yes"})
_FEATURING = re.compile(r"\s+[\[(]?(?:feat\.?|ft\.?|featuring)\s.*", re.IGNORECASE)


@frozen
class AlbumImage:
    """An image: its file, and the mark of size and time. `is_embedded`: it is in the tag of a music file."""

    path: Names
    mark: str
    is_embedded: bool


@dataclass(slots=True)
class TrackLine:
    disc: int
    order: tuple[int, int, str]
    position: str
    title: str
    artist: str
    duration_s: int | None


@dataclass(slots=True)
class TrackGroup:
    """Tracks with the same album tag. `words` counts the values of each field, `losses` are those that were cut."""

    lines: list[TrackLine] = field(default_factory=list)
    words: dict[str, Counter[str]] = field(default_factory=dict)
    folders: list[Names] = field(default_factory=list)
    losses: dict[str, None] = field(default_factory=dict)
    embedded: AlbumImage | None = None
    embedded_position: tuple[int, tuple[int, int, str]] = (0, (0, 0, ""))
    compilations: int = 0
    is_part: bool = False  # of several discs, as its tags or the name of its folder say

    def count(self, name: str, value: str) -> None:
        if value:
            found = self.words.setdefault(name, Counter())
            if value in found or len(found) < MAX_ALBUMS:
                found[value] += 1

    def most_common(self, name: str) -> str:
        return next((value for value, _ in self.words.get(name, Counter()).most_common(1)), "")

    def short(self, name: str, text: str, limit: int = MAX_CHARS) -> str:
        """Return a text cut to its limit; what was cut is in the report."""
        if len(text) > limit:
            self.lose(cut_remark(name, limit))
            text = cut(text, limit)
        return text

    def lose(self, remark: str) -> None:
        if len(self.losses) < MAX_LOSSES:
            self.losses[remark] = None

    def release(self) -> str:
        """Return the id of the release at MusicBrainz, "" if the tags have none."""
        mbid = self.most_common("mbid")
        return mbid if _MBID.fullmatch(mbid) else ""

    def numbers(self) -> set[tuple[int, str]]:
        return {(line.disc, line.position) for line in self.lines if line.position}

    def add(self, other: "TrackGroup") -> None:
        """Add the tracks of another group to this one."""
        self.lines += other.lines[: max(0, 2 * MAX_TRACKS - len(self.lines))]
        for name, values in other.words.items():
            self.words.setdefault(name, Counter()).update(values)
        self.folders += [folder for folder in other.folders if folder not in self.folders]
        for remark in other.losses:
            self.lose(remark)
        if other.embedded and (self.embedded is None or other.embedded_position < self.embedded_position):
            self.embedded, self.embedded_position = other.embedded, other.embedded_position
        self.compilations += other.compilations
        self.is_part |= other.is_part


def album_owner(tags: Tags) -> str:
    """Return whose album a file is part of: "=" and the album artist, else "~" and the artist of the track."""
    album_artist = plain(tags.albumartist)
    if fold(album_artist) in VARIOUS_NAMES or (not album_artist and is_compilation(tags)):
        return "=various"
    return f"={sort_key(album_artist)}" if album_artist else f"~{sort_key(_FEATURING.sub('', plain(tags.artist)))}"


def is_compilation(tags: Tags) -> bool:
    return tags.compilation.strip().lower() in _TRUE


def albums_of(groups: dict[str, TrackGroup]) -> dict[str, TrackGroup]:
    """Return the albums among the groups of one title, each under whose it is.

    Album artists tell albums apart, and so do artists who each have a track of the same number. All else is one album.
    """
    named = {whose: group for whose, group in groups.items() if whose[0] == "="}
    loose = {whose: group for whose, group in groups.items() if whose[0] == "~"}
    if len(named) > 2 and _is_one_listing(named.values()):  # someone wrote the artist of each track into that field
        for group in named.values():
            group.words.pop("albumartist", None)
        named, loose = {}, loose | named
    firsts: dict[str, str] = {}
    for whose, group in list(named.items()):
        first = firsts.setdefault(group.most_common("mbid") or whose, whose)
        if first != whose:
            named[first].add(named.pop(whose))
    if not named:
        if min(len(group.lines) for group in loose.values()) > 1 and set.intersection(*(g.numbers() for g in loose.values())):
            return loose
        return {"": _united(loose.values())}
    left: dict[str, TrackGroup] = {}
    for whose, group in loose.items():
        of = f"={whose[1:]}" if f"={whose[1:]}" in named else "=various" if "=various" in named else next(iter(named))
        # A second album whose tag names no artist has its own tracks under the same numbers.
        if of[1:] in (whose[1:], "various") or (
            len(named) == 1 and not (len(group.lines) > 1 and named[of].numbers() & group.numbers())
        ):
            named[of].add(group)
        else:
            left[whose] = group
    return named | left


def by_release(albums: dict[str, TrackGroup]) -> dict[str, TrackGroup]:
    """Join the discs of one release, also if each has its own title: the common part of the titles stays."""
    found: dict[str, TrackGroup] = {}
    of_release: dict[str, list[TrackGroup]] = {}
    for key, album in albums.items():
        discs = {line.disc for line in album.lines}
        known = of_release.setdefault(release, []) if (release := album.release()) else []
        first = next((other for other in known if not discs & {line.disc for line in other.lines}), None)
        if first is None:
            known.append(album)
            found[key] = album
            continue
        title = _shared_title(first.most_common("title"), album.most_common("title"))
        first.add(album)
        first.words["title"] = Counter({title: len(first.lines)})
    return found


def _shared_title(one: str, other: str) -> str:
    """Return the words that two titles begin with, or else the first title."""
    words = [first for first, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one.split(), other.split(), strict=False))]
    return " ".join(words).rstrip(" :,;-([\u2013\u2014") or one


def _is_one_listing(groups: Collection[TrackGroup]) -> bool:
    """Return True if hardly any of the groups has a second track, and no two have a track of the same number."""
    numbers = [number for group in groups for number in group.numbers()]
    lines = sum(len(group.lines) for group in groups)
    return len(set(numbers)) == len(numbers) == lines < 2 * len(groups)


def _united(groups: Iterable[TrackGroup]) -> TrackGroup:
    found = iter(groups)
    first = next(found)
    for group in found:
        first.add(group)
    return first


def artist_of(group: TrackGroup) -> str:
    album_artist = group.most_common("albumartist")
    if album_artist:
        return VARIOUS if fold(album_artist) in VARIOUS_NAMES else album_artist
    artists = group.words.get("artist", Counter())
    if group.compilations * 2 > len(group.lines):
        return VARIOUS
    mains: Counter[str] = Counter()
    spelled: dict[str, str] = {}
    for artist, count in artists.most_common():
        main = _FEATURING.sub("", artist)
        mains[fold(main)] += count
        spelled.setdefault(fold(main), main)
    if not mains:
        return UNKNOWN
    key, count = mains.most_common(1)[0]
    if len(mains) > 1 and count < ARTIST_SHARE * mains.total():
        return VARIOUS
    return VARIOUS if key in VARIOUS_NAMES else spelled[key]
