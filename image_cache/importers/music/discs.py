"""Discs in folders of their own: which folders beside each other are one album, as their tags say. Reads what it needs by callbacks.

A folder whose only album is one of several discs is held until all folders beside it are known. Folders that are one album share one
mark, so that a later scan knows them without reading a file.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from image_cache.importers.music.albums import DiscClaim, FoundAlbum
from image_cache.importers.music.images import decoded, encoded
from image_cache.importers.music.names import Names
from image_cache.importers.music.table import MusicTable
from image_cache.importers.music.tags.reader import TagReadRefused, Tags
from image_cache.importers.music.walk import DiscFolder, FolderEnd, Unit
from image_cache.text import sort_key

MAX_FILES = 1000  # of a folder that can be a disc

FileTags = tuple[DiscFolder, str, str, Tags | TagReadRefused]  # its folder, its name, the mark of its size and time, its tags


@dataclass(slots=True)
class UnitRead:
    """A unit whose files were read, and its albums. `files` and `claim` are there only if it can be a disc."""

    unit: Unit
    albums: list[FoundAlbum]
    left_out: int
    newest_ns: int
    claim: DiscClaim | None
    files: list[FileTags]

    @property
    def is_part(self) -> bool:
        return self.claim is not None and self.claim.is_part and bool(self.unit.path)


class DiscSets:
    """The folders of one root that may be discs. For one thread.

    `read` returns None for a unit that cannot be read now, `unit_at` None for one that is gone (it may raise
    `OSError`). `save` gets the units of one album,
    the first disc first, `skip` a unit that is as it was; `settle` saves what was read below a folder
    under one of these artists and titles, and is not saved yet.
    """

    def __init__(
        self,
        rows: MusicTable,
        root_id: int,
        *,
        read: Callable[[Unit], UnitRead | None],
        unit_at: Callable[[Names], Unit | None],
        save: Callable[[Sequence[UnitRead], FolderEnd], None],
        skip: Callable[[Unit], None],
        settle: Callable[[Names, Collection[tuple[str, str]]], None],
    ) -> None:
        self._rows = rows
        self._root_id = root_id
        self._read = read
        self._unit_at = unit_at
        self._save = save
        self._skip = skip
        self._settle = settle
        self._stored = rows.discs(root_id)  # of the scan before, by mark
        self._known: dict[Names, dict[str, tuple[Unit, bytes]]] = {}  # unread, with the mark that their album had; by parent
        self._claims: dict[Names, dict[str, UnitRead]] = {}

    def hold_known(self, unit: Unit, mark: bytes) -> bool:
        """Hold an unread unit if it was a disc of an album of several folders, with this mark; return whether it was."""
        if mark not in self._stored:
            return False
        self._known.setdefault(unit.path[:-1], {})[encoded(unit.path)] = (unit, mark)
        return True

    def hold(self, read: UnitRead) -> None:
        """Hold a unit that says it is one of several discs."""
        self._claims.setdefault(read.unit.path[:-1], {})[encoded(read.unit.path)] = read

    def open_parents(self) -> list[Names]:
        """Return the folders whose end was not seen: the walk began below them."""
        return list({*self._known, *self._claims})

    def finish(self, end: FolderEnd) -> None:
        """Save the albums whose discs lie directly below a folder."""
        known, reads = self._known.pop(end.path, {}), self._claims.pop(end.path, {})
        if not known and not reads:
            return
        resting: dict[str, Unit] = {}
        for mark in dict.fromkeys(mark for _, mark in known.values()):
            paths = self._stored[mark]
            units = {path: known[path][0] for path in paths if path in known}
            if len(units) == len(paths) and set_mark(units.values(), end) == mark:
                resting |= units
            else:
                self._read_all(reads, paths, units)
        claiming = [read for read in reads.values() if read.is_part]
        if claiming:
            self._settle(end.path, {_names(read) for read in claiming})
        for read in claiming:
            for path in self._beside(read, end.path):
                if path not in reads and (stored := self._rows.folder(self._root_id, path)):
                    paths = self._stored.get(stored.mark) or [path]
                    self._read_all(reads, paths, {path: resting.pop(path) for path in paths if path in resting})
        for unit in resting.values():
            self._skip(unit)
        for album in albums_of_discs(reads.values()):
            self._save(album, end)

    def _read_all(self, reads: dict[str, UnitRead], paths: Iterable[str], units: dict[str, Unit]) -> None:
        """Read the folders of an album. If one cannot be read now, none of them changes."""
        found: dict[str, UnitRead] = {}
        for path in paths:
            if path in reads:
                continue
            try:
                unit = units.get(path) or self._unit_at(decoded(path))
            except OSError:
                return
            if unit is None:
                continue
            read = self._read(unit)
            if read is None:
                return
            found[path] = read
        reads |= found

    def _beside(self, read: UnitRead, parent: Names) -> list[str]:
        """Return the folders beside a disc that have an album of its name."""
        paths = self._rows.folders_with(self._root_id, *_names(read))
        return [path for path in paths if decoded(path)[:-1] == parent and path]


def _names(read: UnitRead) -> tuple[str, str]:
    row = read.albums[0].row
    return sort_key(row.artist), sort_key(row.title)


def albums_of_discs(reads: Iterable[UnitRead]) -> list[list[UnitRead]]:
    """Return which units are one album each. What claims to be part of a set goes first, so that a copy on one disc stays alone."""
    albums: list[list[UnitRead]] = []
    for read in sorted(reads, key=lambda read: (not read.is_part, read.unit.path)):
        claim = read.claim
        fitting = (
            album
            for album in albums
            if claim and album[0].is_part and all(other.claim and claim.fits(other.claim) for other in album)
        )
        if (album := next(fitting, None)) is not None:
            album.append(read)
        else:
            albums.append([read])
    for album in albums:
        album.sort(key=lambda read: (min(read.claim.discs, default=0) if read.claim else 0, read.unit.path))
    return albums


def set_mark(units: Iterable[Unit], end: FolderEnd) -> bytes:
    """Return the mark of several folders that are one album, and of the images beside them."""
    return ((sum(int.from_bytes(unit.mark, "big") for unit in units) + end.mark) % (1 << 128)).to_bytes(16, "big")
