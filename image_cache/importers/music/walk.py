"""Walk through a music folder: its music files and the images beside them. Follows no links, opens only regular files.

Every step down is an `open` in the parent folder with O_NOFOLLOW, so that no link leads out, not even one made during the walk.
Names are those of the system; bytes that are not UTF-8 are surrogates in them.
"""

import contextlib
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from image_cache.frozen import frozen
from image_cache.importers.music.names import Names, disc_of_folder, without_disc

MUSIC = (
    *(".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".m4b", ".mp4", ".wav", ".aif", ".aiff"),
    *(".wma", ".ape", ".wv", ".mpc", ".mp+", ".dsf"),
)
# Music whose tags are not read: the report of a scan names its kinds.
OTHER_MUSIC = (
    *(".aac", ".ac3", ".amr", ".au", ".caf", ".dff", ".dts", ".mid", ".midi", ".mka", ".mlp", ".mp2", ".mpa", ".ofr", ".ra"),
    *(".rm", ".shn", ".spx", ".tak", ".thd", ".tta", ".w64", ".weba"),
)
PICTURE_NAMES = ("cover", "folder", "front", "art", "album")  # the first that exists is the cover,
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp")  # in the first of these formats
SKIPPED = frozenset({"lost+found", "$RECYCLE.BIN", "System Volume Information", "@eaDir"})
MAX_DEPTH = 24

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_EDITION = "2"  # of what is read from a file: another one has all files read again


@dataclass(slots=True)
class DiscFolder:
    """A folder with music or images. `disc` is the number of a disc in its name, see `disc_of_folder`; None if there is none."""

    path: Names
    disc: int | None
    music: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Unit:
    """A folder and its disc folders: one album or several. `mark` changes if any of its files does."""

    path: Names
    parts: list[DiscFolder]
    mark: bytes

    @property
    def files(self) -> int:
        return sum(len(part.music) for part in self.parts)


@frozen
class Unread:
    """A folder that could not be read; what is below it is unknown."""

    path: Names
    reason: str


@frozen
class FolderEnd:
    """The end of a folder: all units directly below it were yielded.

    `folders` are the names of its folders, `pictures` its covers; `mark` changes with them, 0 if the folder has music itself.
    """

    path: Names
    folders: tuple[str, ...]
    pictures: tuple[str, ...]
    mark: int


@dataclass(slots=True)
class _Listing:
    folders: list[str] = field(default_factory=list)
    music: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    mark: int = 0
    links: int = 0


class FolderWalk:
    """One walk through a root. `links` counts the links that were skipped, `others` music that cannot be read, by kind. For one thread.

    `leave_out` are (device, inode) of folders that are skipped; `names` is the path from the root to where the walk starts. Memory:
    the names of one folder at a time.
    """

    def __init__(self, root: int, leave_out: frozenset[tuple[int, int]] = frozenset(), names: Names = ()) -> None:
        self.links = 0
        self.others: Counter[str] = Counter()
        self._root = root
        self._names = names
        self._leave_out = leave_out

    def units(self) -> Iterator[Unit | Unread | FolderEnd]:
        """Yield the folders with music, from the root down, by name. Raises `OSError` if the root itself cannot be read."""
        yield from self._below(self._root, self._names)

    def end(self) -> FolderEnd:
        """Return the end of the folder where the walk starts, without a walk. Raises `OSError`."""
        return _end(self._names, self._list(self._root, self._names))

    def _below(self, folder: int, path: Names) -> Iterator[Unit | Unread | FolderEnd]:
        listing = self._list(folder, path)
        parts, mark = [DiscFolder(path, _disc_of(path), listing.music, listing.pictures)], listing.mark
        others: list[Names] = []
        for name in sorted(listing.folders):
            disc = disc_of_folder(name) if path else None
            if disc is None:
                others.append((name,))
                continue
            try:
                with opened(folder, (name,)) as inner:
                    found = self._list(inner, (*path, name))
            except OSError as error:
                yield Unread((*path, name), reason_of(error))
                continue
            parts.append(DiscFolder((*path, name), disc, found.music, found.pictures))
            mark += found.mark
            others += [(name, deeper) for deeper in sorted(found.folders)]
        end = _end(path, listing)
        del listing
        if any(part.music for part in parts):
            yield Unit(path, parts, (mark % (1 << 128)).to_bytes(16, "big"))
        del parts
        for names in others:
            inner_path = (*path, *names)
            if len(inner_path) > MAX_DEPTH:
                yield Unread(inner_path, f"more than {MAX_DEPTH} folders deep")
                continue
            try:
                with opened(folder, names) as inner:
                    facts = os.fstat(inner)
                    if (facts.st_dev, facts.st_ino) not in self._leave_out:
                        yield from self._below(inner, inner_path)
            except OSError as error:
                yield Unread(inner_path, reason_of(error))
        if others:
            yield end

    def _list(self, folder: int, path: Names) -> _Listing:
        found = _Listing()
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") or name in SKIPPED:
                    continue
                if entry.is_symlink():
                    self.links += 1
                elif entry.is_dir(follow_symlinks=False):
                    found.folders.append(name)
                elif name.lower().endswith(OTHER_MUSIC):
                    self.others[name.rpartition(".")[2].upper()] += 1
                elif is_music(name) or is_cover(name):
                    with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                        facts = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(facts.st_mode):
                            (found.music if is_music(name) else found.pictures).append(name)
                            found.mark += _mark((*path, name), facts)
        found.music.sort()
        found.pictures.sort(key=_picture_rank)
        return found


@contextlib.contextmanager
def opened(folder: int, names: Sequence[str]) -> Iterator[int]:
    """Open the folder at the path `names`, step by step, following no link. Raises `OSError`."""
    inner = os.dup(folder) if not names else os.open(names[0], _FOLDER, dir_fd=folder)
    try:
        for name in names[1:]:
            deeper = os.open(name, _FOLDER, dir_fd=inner)
            os.close(inner)
            inner = deeper
        yield inner
    finally:
        os.close(inner)


@contextlib.contextmanager
def opened_root(path: Path) -> Iterator[int]:
    """Open a root by an absolute path that is free of links. Raises `OSError`, also if one of its folders became a link."""
    top = os.open("/", _FOLDER)
    try:
        with opened(top, path.parts[1:]) as root:
            yield root
    finally:
        os.close(top)


def open_file(folder: int, name: str) -> int:
    """Open a regular file in a folder; the caller closes it. Raises `OSError` for anything else, and for a link."""
    file = os.open(name, _FILE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(0, "not a file")
    return file


@contextlib.contextmanager
def opened_files(folder: int, names: list[str]) -> Iterator[list[tuple[str, int | str]]]:
    """Open files of a folder; for one that cannot be opened, yield the reason instead."""
    files: list[tuple[str, int | str]] = []
    try:
        for name in names:
            try:
                files.append((name, open_file(folder, name)))
            except OSError as error:
                files.append((name, f"cannot be opened ({reason_of(error)})"))
        yield files
    finally:
        for _, file in files:
            if isinstance(file, int):
                os.close(file)


def holds_anything(folder: int) -> bool:
    """Return True if a folder has any files or folders of its owner. Raises `OSError`."""
    with os.scandir(folder) as entries:
        return any(not entry.name.startswith(".") and entry.name not in SKIPPED for entry in entries)


def is_music(name: str) -> bool:
    return name.lower().endswith(MUSIC)


def is_cover(name: str) -> bool:
    """Return True if the name of an image is that of a cover of the music beside it."""
    stem, dot, suffix = name.lower().rpartition(".")
    return dot + suffix in PICTURE_SUFFIXES and stem in PICTURE_NAMES


def _end(path: Names, listing: _Listing) -> FolderEnd:
    mark = 0 if listing.music else listing.mark
    return FolderEnd(path, tuple(sorted(listing.folders)), tuple(listing.pictures), mark)


def _disc_of(path: Names) -> int | None:
    """Return the number in the name of a folder that is a unit by itself: `Name CD2`."""
    found = disc_of_folder(path[-1]) if path else None
    return without_disc(path[-1])[1] if path and found is None else found


def reason_of(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _mark(path: Names, facts: os.stat_result) -> int:
    """Return a number for a file in its current state. Those of a folder are added, so that their order does not matter."""
    text = b"\0".join(map(os.fsencode, path)) + f"\0{facts.st_size}\0{facts.st_mtime_ns}\0{_EDITION}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big")


def _picture_rank(name: str) -> tuple[int, int, str]:
    stem, _, suffix = name.lower().rpartition(".")
    return PICTURE_NAMES.index(stem), PICTURE_SUFFIXES.index("." + suffix), name
