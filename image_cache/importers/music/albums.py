"""Album assembly: from the tags of the files of a folder to albums with artist, title and tracks. Pure, no I/O.

Files with one album title are one album, unless their album artists say that they are several. Without tags, the names of folders
and files decide. Memory: a few hundred bytes per track.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from image_cache.frozen import frozen
from image_cache.import_models import ImportRow
from image_cache.importers.music.groups import (
    MAX_ALBUMS,
    VARIOUS,
    VARIOUS_NAMES,
    AlbumImage,
    TrackGroup,
    TrackLine,
    album_owner,
    albums_of,
    artist_of,
    by_release,
    is_compilation,
)
from image_cache.importers.music.names import (
    LATER,
    Names,
    genres_of,
    named_by_file,
    named_by_folder,
    number_of,
    plain,
    position_of,
    without_disc,
    year_of,
)
from image_cache.importers.music.tags.reader import TagReadRefused, Tags
from image_cache.importers.music.walk import DiscFolder, Unit
from image_cache.models import Track
from image_cache.tables.cells import MAX_CHARS, MAX_TRACKS
from image_cache.text import cut, fold, sort_key

MAX_GENRE_CHARS = 60
MAX_UNTAGGED = 300  # files without tags in one folder: with more it is no album
MAX_GENRES = 5
_LAST_DISC = 10_000  # what `LATER` sorts as, until the other discs are known

_TOTAL = re.compile(r"\s*\d+\s*(?:/|of)\s*0*(\d{1,4})\s*")


@dataclass(slots=True)
class FoundAlbum:
    """An album as its files describe it. `key` is unique in its folder; `embedded` is the first image in a tag.

    `is_alone`: no other album is in its folders, so that an image there is its cover.
    """

    key: str
    row: ImportRow
    folders: list[Names]
    embedded: AlbumImage | None
    is_alone: bool


@frozen
class DiscClaim:
    """What a folder with a single album says of it. `discs` are the numbers of its discs; `is_part`: there are others elsewhere."""

    title: str
    artist: str
    mbid: str
    discs: frozenset[int]
    is_part: bool

    def fits(self, other: "DiscClaim") -> bool:
        """Return True if both are discs of one album: the same release or the same title and artist, and none is there twice."""
        is_same = (
            self.mbid == other.mbid if self.mbid and other.mbid else (self.title, self.artist) == (other.title, other.artist)
        )
        return is_same and not self.discs & other.discs


class Assembly:
    """Collects the files of a unit one after the other, then returns its albums."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._groups: dict[str, dict[str, TrackGroup]] = {}  # by folded title and by whose it is
        self._count = 0  # of groups
        self._albums: dict[str, TrackGroup] = {}
        self._untagged: list[tuple[DiscFolder, str, Tags | None, str]] = []
        self._extra = 0  # files beyond the limits of one folder
        self.newest_ns = 0

    def add(self, part: DiscFolder, name: str, mark: str, tags: Tags | TagReadRefused) -> None:
        """Add a file. `mark` is that of its size and time."""
        self.newest_ns = max(self.newest_ns, int(mark.partition("-")[2] or "0", 16))
        album = "" if isinstance(tags, TagReadRefused) else plain(tags.album)
        if isinstance(tags, TagReadRefused) or not album:
            if len(self._untagged) <= MAX_UNTAGGED:
                self._untagged.append((part, name, None if isinstance(tags, TagReadRefused) else tags, mark))
            else:
                self._extra += 1
            return
        title, disc = without_disc(album)
        groups = self._groups.setdefault(fold(cut(title, MAX_CHARS)), {})
        whose = album_owner(tags)
        group = groups.get(whose)
        if group is None:
            if self._count >= MAX_ALBUMS:
                self._extra += 1
                return
            self._count += 1
            group = groups[whose] = TrackGroup()
        group.count("title", group.short("title", title))
        self._into(group, part, name, tags, mark=mark, disc=disc)

    def finish(self) -> tuple[list[FoundAlbum], int]:
        """Return the albums, and how many files are in no album."""
        untagged = self._untagged
        left_out = self._extra
        for title, groups in self._groups.items():
            albums = albums_of(groups)
            # The only album of a title keeps its name when another artist's comes and goes: `AlbumWriter` recognises it.
            self._albums |= {title if len(albums) == 1 else f"{title}\0{whose}": album for whose, album in albums.items()}
        self._albums = by_release(self._albums)
        if untagged and len(self._albums) == 1:  # a track without tags among the tracks of one album
            self._join(next(iter(self._albums.values())), untagged)
        elif untagged and self._is_album(untagged):
            group = self._albums.setdefault("", TrackGroup())
            artist, title, year = named_by_folder(self._unit.path)
            title, disc = without_disc(title)
            group.count("title", group.short("title", title))
            group.count("date", str(year or ""))
            group.is_part = disc is not None
            self._join(group, untagged)
            if not group.most_common("artist") and not group.most_common("albumartist"):
                group.count("albumartist", group.short("artist", artist))
        else:
            left_out += len(untagged)
        in_folder = Counter(folder for group in self._albums.values() for folder in group.folders)
        return [self._album(key, group, in_folder) for key, group in self._albums.items() if group.lines], left_out

    def claim(self) -> DiscClaim | None:
        """Return what the unit says of its album, after `finish`; None unless it has exactly one."""
        if len(self._albums) != 1 or self._extra:
            return None
        (group,) = self._albums.values()
        return DiscClaim(
            title=fold(group.most_common("title")),
            artist=sort_key(artist_of(group)),
            mbid=group.release(),
            discs=frozenset(line.disc for line in group.lines),
            is_part=group.is_part,
        )

    def _is_album(self, untagged: list[tuple[DiscFolder, str, Tags | None, str]]) -> bool:
        """Return True if files without tags are an album named like their folder: not in the root, not too many, not all broken."""
        is_small = not self._extra and len(untagged) <= MAX_UNTAGGED
        return bool(self._unit.path) and is_small and any(tags for _, _, tags, _ in untagged)

    def _join(self, group: TrackGroup, untagged: list[tuple[DiscFolder, str, Tags | None, str]]) -> None:
        for part, name, tags, mark in untagged:
            self._into(group, part, name, tags or Tags(""), mark=mark, disc=None)

    def _into(self, group: TrackGroup, part: DiscFolder, name: str, tags: Tags, *, mark: str, disc: int | None) -> None:
        by_name = named_by_file(name)
        position, order = position_of(tags.track or by_name[1])
        told = number_of(tags.disc) or disc
        number = told or (_LAST_DISC if part.disc == LATER else part.disc) or number_of(by_name[0]) or 1
        total = _TOTAL.fullmatch(tags.disc)
        group.is_part |= number > 1 or disc is not None or part.disc is not None or (total is not None and int(total[1]) > 1)
        title = group.short(f"title of track {position or name}"[:80], plain(tags.title) or by_name[2])
        line = TrackLine(number, (*order, name), position, title, group.short("artist", plain(tags.artist)), tags.seconds)
        group.count("artist", line.artist)
        for field_name, called in (("albumartist", "artist"), ("label", "label"), ("catno", "catno")):
            group.count(field_name, group.short(called, plain(getattr(tags, field_name))))
        group.count("date", year_of(tags.date))
        group.count("barcode", "".join(char for char in tags.barcode if char in "0123456789"))
        group.count("mbid", tags.mbid.strip().lower())
        group.count("kind", tags.kind)
        for genre in genres_of(tags.genres):
            group.count("genres", group.short("genre", genre, MAX_GENRE_CHARS))
        group.compilations += is_compilation(tags)
        if part.path not in group.folders:
            group.folders.append(part.path)
        place = (number, line.order)
        if tags.has_picture and (group.embedded is None or place < group.embedded_position):
            group.embedded, group.embedded_position = AlbumImage((*part.path, name), mark, is_embedded=True), place
        if len(group.lines) < 2 * MAX_TRACKS:
            group.lines.append(line)

    def _album(self, key: str, group: TrackGroup, in_folder: Counter[Names]) -> FoundAlbum:
        artist = artist_of(group)
        barcode = group.most_common("barcode")
        tracks = tuple(_tracks(group, artist))
        if len(tracks) > MAX_TRACKS:
            group.lose(f"tracks has more than {MAX_TRACKS} entries; the rest was skipped")
        row = ImportRow(
            line=0,
            title=group.most_common("title"),
            artist=artist,
            year=int(group.most_common("date") or 0) or None,
            genres=tuple(value for value, _ in group.words.get("genres", Counter()).most_common(MAX_GENRES)),
            formats=("File", *(kind for kind, _ in group.words.get("kind", Counter()).most_common(2))),
            label=group.most_common("label"),
            catno=group.most_common("catno"),
            barcode=barcode if 8 <= len(barcode) <= 14 else "",
            mbid=group.release(),
            tracks=tracks[:MAX_TRACKS],
            losses=tuple(group.losses),
        )
        is_alone = all(in_folder[folder] == 1 for folder in group.folders)
        return FoundAlbum(key, row, group.folders, group.embedded, is_alone=is_alone)


def _tracks(group: TrackGroup, artist: str) -> Iterator[Track]:
    lines = sorted(group.lines, key=lambda line: (line.disc, line.order))
    last = max((line.disc for line in lines if line.disc != _LAST_DISC), default=0)
    is_set = len({line.disc for line in lines}) > 1
    seen: set[tuple[int, str, str]] = set()
    for number, line in enumerate(lines, 1):
        same = (line.disc, line.position, fold(line.title))
        if line.position and same in seen:  # the same track in another format
            continue
        seen.add(same)
        position = line.position or ("" if is_set else str(number))
        title = line.title
        if artist == VARIOUS and line.artist and fold(line.artist) not in VARIOUS_NAMES:
            title = group.short(f"title of track {position}", f"{line.artist} \u2013 {line.title}")
        disc = last + 1 if line.disc == _LAST_DISC else line.disc
        yield Track(f"{disc}-{position}" if is_set and position.isdigit() else position, title, line.duration_s)
