"""From files in a folder to albums: who made it, what it is called, in which order the tracks are. Pure, no I/O.

Tags decide; where they say nothing, the names of folders and files do. Memory: a few hundred bytes for each track.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from image_cache.importers.music.tag_reader import TagReadRefused, Tags
from image_cache.importers.music.walk import DiscFolder, Names, Unit
from image_cache.models import AlbumRow, Track
from image_cache.text import fold

MAX_CHARS = 200
MAX_TRACKS = 500
MAX_UNTAGGED = 300  # files without tags in one folder: beyond that it is a heap, not an album
MAX_ALBUMS = 5000  # in one folder
MAX_GENRES = 5
VARIOUS = "Various"
UNKNOWN = "Unknown artist"
OWN_SHARE = 0.6  # of the tracks must be somebody's for the album to be theirs, when no tag says whose it is

_VARIOUS = frozenset({"various", "various artists", "various artist", "va", "v.a.", "v/a", "diverse", "verschiedene"})
_TRUE = frozenset({"1", "true", "yes"})
_DISC_BEHIND = re.compile(r"[\s,:-]*[\[(]?\b(?:cd|dis[ck])[\s._#-]*0*(\d{1,3})(?:\s*(?:of|/)\s*\d+)?[\])]?$", re.IGNORECASE)
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
    """Where a picture is: the file, and the mark of its size and time. `is_embedded` in the tag of a music file."""

    path: Names
    mark: str
    is_embedded: bool


@dataclass(slots=True)
class FoundAlbum:
    """An album as its files tell it. `key` tells it from others of the folder; `embedded` is the first picture in a tag."""

    key: str
    row: AlbumRow
    folders: list[Names]
    embedded: AlbumImage | None
    is_alone: bool  # whether no other album lies in its folder, so that a picture there is its own


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
    """The tracks with one album tag."""

    lines: list[_Line] = field(default_factory=list)
    words: dict[str, Counter[str]] = field(default_factory=dict)
    folders: list[Names] = field(default_factory=list)
    embedded: AlbumImage | None = None
    embedded_at: tuple[int, tuple[int, int, str]] = (0, (0, 0, ""))
    compilations: int = 0

    def note(self, name: str, value: str) -> None:
        if value:
            found = self.words.setdefault(name, Counter())
            if value in found or len(found) < MAX_ALBUMS:
                found[value] += 1

    def most(self, name: str) -> str:
        return next((value for value, _ in self.words.get(name, Counter()).most_common(1)), "")


class Assembly:
    """Takes the files of a unit one after the other, and tells which albums they are."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._groups: dict[str, _Group] = {}
        self._untagged: list[tuple[DiscFolder, str, Tags | None, str]] = []
        self._extra = 0  # beyond what one folder may have
        self.newest_ns = 0

    def add(self, part: DiscFolder, name: str, mark: str, tags: Tags | TagReadRefused) -> None:
        """Take a file in. `mark` is that of its size and time."""
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
        group.note("title", title)
        self._into(group, part, name, tags, mark=mark, disc=disc)

    def finish(self) -> tuple[list[FoundAlbum], int]:
        """Return the albums, and how many files are in none."""
        heap = self._untagged
        left_out = self._extra
        if heap and len(self._groups) == 1:  # a track whose tag is missing lies among its own
            self._join(next(iter(self._groups.values())), heap)
        elif heap and self._is_album(heap):
            group = self._groups.setdefault("", _Group())
            artist, title, year = named_by_folder(self._unit.path)
            group.note("title", title)
            group.note("date", str(year or ""))
            self._join(group, heap)
            if not group.most("artist") and not group.most("albumartist"):
                group.note("albumartist", artist)
        else:
            left_out += len(heap)
        return [self._album(key, group) for key, group in self._groups.items() if group.lines], left_out

    def _is_album(self, heap: list[tuple[DiscFolder, str, Tags | None, str]]) -> bool:
        """Tell whether files without tags can be named by their folder: not loose in the root, no heap, and not all broken."""
        return bool(self._unit.path) and not self._extra and len(heap) <= MAX_UNTAGGED and any(tags for _, _, tags, _ in heap)

    def _join(self, group: _Group, heap: list[tuple[DiscFolder, str, Tags | None, str]]) -> None:
        for part, name, tags, mark in heap:
            self._into(group, part, name, tags or Tags(""), mark=mark, disc=None)

    def _into(self, group: _Group, part: DiscFolder, name: str, tags: Tags, *, mark: str, disc: int | None) -> None:
        by_name = _named_by_file(name)
        position, order = _position(tags.track or by_name[1])
        number = _number(tags.disc) or disc or part.disc or _number(by_name[0]) or 1
        line = _Line(number, (*order, name), position, clean(tags.title) or by_name[2], clean(tags.artist), tags.seconds)
        for field_name in ("artist", "albumartist", "label", "catno"):
            group.note(field_name, clean(getattr(tags, field_name)))
        group.note("date", year_of(tags.date))
        group.note("barcode", "".join(char for char in tags.barcode if char in "0123456789"))
        group.note("mbid", tags.mbid.strip().lower())
        group.note("kind", tags.kind)
        for genre in genres_of(tags.genres):
            group.note("genres", genre)
        group.compilations += tags.compilation.strip().lower() in _TRUE
        if part.path not in group.folders:
            group.folders.append(part.path)
        at = (number, line.order)
        if tags.has_picture and (group.embedded is None or at < group.embedded_at):
            group.embedded, group.embedded_at = AlbumImage((*part.path, name), mark, is_embedded=True), at
        if len(group.lines) < 2 * MAX_TRACKS:
            group.lines.append(line)

    def _album(self, key: str, group: _Group) -> FoundAlbum:
        artist = _artist(group)
        barcode, mbid = group.most("barcode"), group.most("mbid")
        row = AlbumRow(
            line=0,
            title=group.most("title"),
            artist=artist,
            year=int(group.most("date") or 0) or None,
            genres=tuple(value for value, _ in group.words.get("genres", Counter()).most_common(MAX_GENRES)),
            formats=("File", *(kind for kind, _ in group.words.get("kind", Counter()).most_common(2))),
            label=group.most("label"),
            catno=group.most("catno"),
            barcode=barcode if 8 <= len(barcode) <= 14 else "",
            mbid=mbid if _MBID.fullmatch(mbid) else "",
            tracks=tuple(_tracks(group.lines, artist))[:MAX_TRACKS],
        )
        others = {folder for other in self._groups.values() if other is not group for folder in other.folders}
        return FoundAlbum(key, row, group.folders, group.embedded, is_alone=not others & set(group.folders))


def clean(text: str) -> str:
    """Return a tag as it may stand on a page: composed, without control characters, spaces in single file, not too long."""
    return " ".join(_NOT_TEXT.sub(" ", unicodedata.normalize("NFC", text)).split())[:MAX_CHARS].strip()


def year_of(text: str) -> str:
    """Return the first year in a text, "" when there is none."""
    found = _YEAR.search(text)
    return found[1] if found else ""


def genres_of(values: tuple[str, ...]) -> Iterator[str]:
    """Yield single genres; not split at commas, which are part of names (Folk, World, & Country)."""
    for value in values:
        for part in re.split(r"[;|\0]|\s/\s", value):
            if genre := clean(part)[:60]:
                yield genre


def named_by_folder(path: Names) -> tuple[str, str, int | None]:
    """Return (artist, title, year) as the names of an album's folder and the one above it say."""
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
    """Return (disc, number, title) as the name of a file says."""
    stem = _plain(name.rpartition(".")[0])
    found = _FILE_NUMBER.fullmatch(stem)
    if found is None or not found[3]:
        return "", "", stem
    return found[1] or "", found[2] or "", found[3].strip() or stem


def _without_disc(album: str) -> tuple[str, int | None]:
    """Take "(Disc 2)" off the end of an album's name."""
    found = _DISC_BEHIND.search(album)
    if found is None or not (title := album[: found.start()].strip()):
        return album, None
    return title, int(found[1])


def _number(text: str) -> int:
    found = _NUMBER.fullmatch(text.strip())
    return min(int(found[1]), 9999) if found else 0


def _position(text: str) -> tuple[str, tuple[int, int]]:
    """Return a track's place as it is printed, and a key to sort by: A1 before A2 before B1, 2 before 10."""
    sided = _SIDED.fullmatch(text.strip())
    if sided:
        return f"{sided[1].upper()}{int(sided[2])}", (ord(sided[1].upper()) - 64, int(sided[2]))
    number = _number(text)
    return (str(number) if number else ""), (0, number or 9999)


def _artist(group: _Group) -> str:
    said = group.most("albumartist")
    if said:
        return VARIOUS if fold(said) in _VARIOUS else said
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
    if len(mains) > 1 and count < OWN_SHARE * mains.total():
        return VARIOUS
    return VARIOUS if key in _VARIOUS else spelled[key]


def _tracks(lines: list[_Line], artist: str) -> Iterator[Track]:
    lines = sorted(lines, key=lambda line: (line.disc, line.order))
    is_set = len({line.disc for line in lines}) > 1
    seen: set[tuple[int, str, str]] = set()
    for at, line in enumerate(lines, 1):
        same = (line.disc, line.position, fold(line.title))
        if line.position and same in seen:  # the same track once more, coded in another way
            continue
        seen.add(same)
        position = line.position or ("" if is_set else str(at))
        title = line.title
        if artist == VARIOUS and line.artist and fold(line.artist) not in _VARIOUS:
            title = f"{line.artist} \u2013 {line.title}"
        yield Track(f"{line.disc}-{position}" if is_set and position.isdigit() else position, title[:MAX_CHARS], line.duration_s)
