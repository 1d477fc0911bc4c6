"""Album assembly: from the tags of the files of a folder to albums with artist, title and tracks. Pure, no I/O.

Without tags, the names of folders and files decide. Memory: a few hundred bytes per track.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from image_cache.importers.music.tag_reader import TagReadRefused, Tags
from image_cache.importers.music.walk import DiscFolder, Names, Unit
from image_cache.models import ImportRow, Track
from image_cache.text import cut, fold

MAX_CHARS = 200
MAX_TRACKS = 500
MAX_UNTAGGED = 300  # files without tags in one folder: with more it is no album
MAX_ALBUMS = 5000  # in one folder
MAX_GENRES = 5
VARIOUS = "Various"
UNKNOWN = "Unknown artist"
ARTIST_SHARE = 0.6  # of the tracks an artist needs to be that of the album, if no tag names the album's artist

_VARIOUS = frozenset({"various", "various artists", "various artist", "va", "v.a.", "v/a", "diverse", "verschiedene"})
_TRUE = frozenset({"1", "true", "yes"})
_DISC_SUFFIX = re.compile(r"[\s,:-]*[\[(]?\b(?:cd|dis[ck])[\s._#-]*0*(\d{1,3})(?:\s*(?:of|/)\s*\d+)?[\])]?$", re.IGNORECASE)
_NUMBER = re.compile(r"0*(\d{1,4})(?:\D.*)?")
_SIDED = re.compile(r"([A-H])\s?0*(\d{1,2})", re.IGNORECASE)
_YEAR = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)")
_FILE_NUMBER = re.compile(r"(?:(\d)-)?(?:([A-H]?\d{1,3})(?:\s*[.)_-]+\s*|\s+))?(.+)", re.IGNORECASE)
_FEATURING = re.compile(r"\s+[\[(]?(?:feat\.?|ft\.?|featuring)\s.*", re.IGNORECASE)
_MBID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DASHES = re.compile(r"\s+[-\u2013\u2014]\s+")
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class AlbumImage:
    """An image: its file, and the mark of size and time. `is_embedded`: it is in the tag of a music file."""

    path: Names
    mark: str
    is_embedded: bool


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


@dataclass(slots=True)
class _Line:
    disc: int
    order: tuple[int, int, str]
    position: str
    title: str
    artist: str
    duration_s: int | None


@dataclass(slots=True)
class _Group:
    """The tracks with the same album tag. `words` counts the values of each field."""

    lines: list[_Line] = field(default_factory=list)
    words: dict[str, Counter[str]] = field(default_factory=dict)
    folders: list[Names] = field(default_factory=list)
    embedded: AlbumImage | None = None
    embedded_position: tuple[int, tuple[int, int, str]] = (0, (0, 0, ""))
    compilations: int = 0

    def count(self, name: str, value: str) -> None:
        if value:
            found = self.words.setdefault(name, Counter())
            if value in found or len(found) < MAX_ALBUMS:
                found[value] += 1

    def most_common(self, name: str) -> str:
        return next((value for value, _ in self.words.get(name, Counter()).most_common(1)), "")


class Assembly:
    """Collects the files of a unit one after the other, then returns its albums."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._groups: dict[str, _Group] = {}
        self._untagged: list[tuple[DiscFolder, str, Tags | None, str]] = []
        self._extra = 0  # files beyond the limits of one folder
        self.newest_ns = 0

    def add(self, part: DiscFolder, name: str, mark: str, tags: Tags | TagReadRefused) -> None:
        """Add a file. `mark` is that of its size and time."""
        self.newest_ns = max(self.newest_ns, int(mark.partition("-")[2] or "0", 16))
        album = "" if isinstance(tags, TagReadRefused) else clean(tags.album)
        if isinstance(tags, TagReadRefused) or not album:
            if len(self._untagged) <= MAX_UNTAGGED:
                self._untagged.append((part, name, None if isinstance(tags, TagReadRefused) else tags, mark))
            else:
                self._extra += 1
            return
        title, disc = _without_disc(album)
        key = fold(title)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MAX_ALBUMS:
                self._extra += 1
                return
            group = self._groups[key] = _Group()
        group.count("title", title)
        self._into(group, part, name, tags, mark=mark, disc=disc)

    def finish(self) -> tuple[list[FoundAlbum], int]:
        """Return the albums, and how many files are in no album."""
        untagged = self._untagged
        left_out = self._extra
        if untagged and len(self._groups) == 1:  # a track without tags among the tracks of one album
            self._join(next(iter(self._groups.values())), untagged)
        elif untagged and self._is_album(untagged):
            group = self._groups.setdefault("", _Group())
            artist, title, year = named_by_folder(self._unit.path)
            group.count("title", title)
            group.count("date", str(year or ""))
            self._join(group, untagged)
            if not group.most_common("artist") and not group.most_common("albumartist"):
                group.count("albumartist", artist)
        else:
            left_out += len(untagged)
        return [self._album(key, group) for key, group in self._groups.items() if group.lines], left_out

    def _is_album(self, untagged: list[tuple[DiscFolder, str, Tags | None, str]]) -> bool:
        """Return True if files without tags are an album named like their folder: not in the root, not too many, not all broken."""
        is_small = not self._extra and len(untagged) <= MAX_UNTAGGED
        return bool(self._unit.path) and is_small and any(tags for _, _, tags, _ in untagged)

    def _join(self, group: _Group, untagged: list[tuple[DiscFolder, str, Tags | None, str]]) -> None:
        for part, name, tags, mark in untagged:
            self._into(group, part, name, tags or Tags(""), mark=mark, disc=None)

    def _into(self, group: _Group, part: DiscFolder, name: str, tags: Tags, *, mark: str, disc: int | None) -> None:
        by_name = _named_by_file(name)
        position, order = _position(tags.track or by_name[1])
        number = _number(tags.disc) or disc or part.disc or _number(by_name[0]) or 1
        line = _Line(number, (*order, name), position, clean(tags.title) or by_name[2], clean(tags.artist), tags.seconds)
        for field_name in ("artist", "albumartist", "label", "catno"):
            group.count(field_name, clean(getattr(tags, field_name)))
        group.count("date", year_of(tags.date))
        group.count("barcode", "".join(char for char in tags.barcode if char in "0123456789"))
        group.count("mbid", tags.mbid.strip().lower())
        group.count("kind", tags.kind)
        for genre in genres_of(tags.genres):
            group.count("genres", genre)
        group.compilations += tags.compilation.strip().lower() in _TRUE
        if part.path not in group.folders:
            group.folders.append(part.path)
        place = (number, line.order)
        if tags.has_picture and (group.embedded is None or place < group.embedded_position):
            group.embedded, group.embedded_position = AlbumImage((*part.path, name), mark, is_embedded=True), place
        if len(group.lines) < 2 * MAX_TRACKS:
            group.lines.append(line)

    def _album(self, key: str, group: _Group) -> FoundAlbum:
        artist = _artist(group)
        barcode, mbid = group.most_common("barcode"), group.most_common("mbid")
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
            mbid=mbid if _MBID.fullmatch(mbid) else "",
            tracks=tuple(_tracks(group.lines, artist))[:MAX_TRACKS],
        )
        others = {folder for other in self._groups.values() if other is not group for folder in other.folders}
        return FoundAlbum(key, row, group.folders, group.embedded, is_alone=not others & set(group.folders))


def clean(text: str) -> str:
    """Return a tag for a page: composed (NFC), without control characters or repeated spaces, cut to the longest length at a word."""
    return cut(" ".join(_NOT_TEXT.sub(" ", unicodedata.normalize("NFC", text)).split()), MAX_CHARS)


def year_of(text: str) -> str:
    """Return the first year in a text, "" if there is none."""
    found = _YEAR.search(text)
    return found[1] if found else ""


def genres_of(values: tuple[str, ...]) -> Iterator[str]:
    """Yield single genres; not split at commas, which are part of some names (Folk, World, & Country)."""
    for value in values:
        for part in re.split(r"[;|\0]|\s/\s", value):
            if genre := clean(part)[:60]:
                yield genre


def named_by_folder(path: Names) -> tuple[str, str, int | None]:
    """Return (artist, title, year) by the names of an album's folder and its parent."""
    name = _plain(path[-1])
    parts = [part for part in _DASHES.split(name) if part]
    year = next((part for part in parts[:2] if len(parts) > 1 and re.fullmatch(r"[\[(]?\d{4}[\])]?", part) and year_of(part)), "")
    if year:
        parts.remove(year)
    title = parts[-1] if len(parts) < 3 else " - ".join(parts[1:])
    bracketed = re.search(r"\s*[\[(](\d{4})[\])]\s*", title)
    if bracketed and year_of(bracketed[1]) and bracketed[0].strip() != title.strip():
        year, title = year or bracketed[1], (title[: bracketed.start()] + " " + title[bracketed.end() :]).strip()
    artist = parts[0] if len(parts) > 1 else _plain(path[-2]) if len(path) > 1 else UNKNOWN
    return artist or UNKNOWN, title or name, int(year_of(year) or 0) or None


def _plain(name: str) -> str:
    text = clean(name.encode("utf-8", "replace").decode("utf-8"))
    return clean(text.replace("_", " ")) if " " not in text else text


def _named_by_file(name: str) -> tuple[str, str, str]:
    """Return (disc, number, title) by the name of a file."""
    stem = _plain(name.rpartition(".")[0])
    found = _FILE_NUMBER.fullmatch(stem)
    if found is None or not found[3]:
        return "", "", stem
    return found[1] or "", found[2] or "", found[3].strip() or stem


def _without_disc(album: str) -> tuple[str, int | None]:
    """Split "(Disc 2)" from the end of an album's title."""
    found = _DISC_SUFFIX.search(album)
    if found is None or not (title := album[: found.start()].strip()):
        return album, None
    return title, int(found[1])


def _number(text: str) -> int:
    found = _NUMBER.fullmatch(text.strip())
    return min(int(found[1]), 9999) if found else 0


def _position(text: str) -> tuple[str, tuple[int, int]]:
    """Return a track's position as printed, and its sort key: A1 before A2 before B1, 2 before 10."""
    sided = _SIDED.fullmatch(text.strip())
    if sided:
        return f"{sided[1].upper()}{int(sided[2])}", (ord(sided[1].upper()) - 64, int(sided[2]))
    number = _number(text)
    return (str(number) if number else ""), (0, number or 9999)


def _artist(group: _Group) -> str:
    album_artist = group.most_common("albumartist")
    if album_artist:
        return VARIOUS if fold(album_artist) in _VARIOUS else album_artist
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
    return VARIOUS if key in _VARIOUS else spelled[key]


def _tracks(lines: list[_Line], artist: str) -> Iterator[Track]:
    lines = sorted(lines, key=lambda line: (line.disc, line.order))
    is_set = len({line.disc for line in lines}) > 1
    seen: set[tuple[int, str, str]] = set()
    for number, line in enumerate(lines, 1):
        same = (line.disc, line.position, fold(line.title))
        if line.position and same in seen:  # the same track in another format
            continue
        seen.add(same)
        position = line.position or ("" if is_set else str(number))
        title = line.title
        if artist == VARIOUS and line.artist and fold(line.artist) not in _VARIOUS:
            title = f"{line.artist} \u2013 {line.title}"
        yield Track(
            f"{line.disc}-{position}" if is_set and position.isdigit() else position, cut(title, MAX_CHARS), line.duration_s
        )
