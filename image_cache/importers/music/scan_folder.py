"""One walk of a scan through one root: what changed is read, made into albums and written down, what is not there any more is marked."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.importers.music.albums import Assembly, FoundAlbum
from image_cache.importers.music.pictures import decoded, encoded, mark_of, picture_address
from image_cache.importers.music.save import AlbumWriter, Finds, MusicFolder, MusicRoot, MusicTable
from image_cache.importers.music.tag_reader import AT_A_TIME, TagReader, TagReadRefused, Tags
from image_cache.importers.music.walk import DiscFolder, FolderWalk, Names, Unit, Unread, open_file, opened, reason_of
from image_cache.tasks.runner import Task

UNITS_A_WRITE = 50
WRITE_S = 2.0  # what was read goes in at least so often
KEPT_PROBLEMS = 40
GONE_A_WRITE = 200
COUNTS = ("new", "changed", "moved", "back", "gone", "read", "refused", "large_pictures")


@dataclass(frozen=True, slots=True)
class ScanContext:
    """What a walk works with. `remember` gets the addresses of pictures as they are found; `own_folders` are not looked into."""

    catalog: CatalogDatabase
    rows: MusicTable
    reader: TagReader
    remember: Callable[[Iterable[str | None]], object]
    max_picture_bytes: int
    own_folders: tuple[str, ...]


@dataclass(slots=True)
class ScanStats:
    """What a scan did so far. What is in `counts` and `problems` survives a stop; the rest is counted anew."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    problems: list[str] = field(default_factory=list)
    files: int = 0
    folders: int = 0
    links: int = 0
    unread: int = 0
    total: int | None = None

    def trouble(self, path: Names | str, reason: str) -> None:
        """Note a problem with a file or folder, for people."""
        where = path if isinstance(path, str) else "/".join(path) or "the folder itself"
        line = f"{where}: {reason}".encode("utf-8", "replace").decode("utf-8")[:300]
        if len(self.problems) < KEPT_PROBLEMS and line not in self.problems:
            self.problems.append(line)


@dataclass(frozen=True, slots=True)
class FileResult:
    """A folder whose files were read and not written down yet."""

    folder: MusicFolder
    albums: Finds
    newest_s: float


class RootWalk:
    """One walk through one root."""

    def __init__(self, means: ScanContext, task: Task, root: MusicRoot, *, top: int, seen: ScanStats) -> None:
        self._means = means
        self._rows = means.rows
        self._task = task
        self._root = root
        self._top = top
        self._seen = seen
        self._found: set[int] = set()  # of every folder with music, eight bytes of its hash
        self._unread: list[str] = []
        self._waiting: list[FileResult] = []
        self._written = time.monotonic()
        self.has_met = False  # whether a folder was there that an earlier scan knew,
        self.has_found = False  # or any with music at all

    def walk(self, names: Names) -> None:
        """Look at every folder below `names`, read what changed, write it down."""
        own = frozenset(facts for folder in self._means.own_folders if (facts := _identity(folder)))
        with opened(self._top, names) as start:
            walk = FolderWalk(start, own, names)
            for unit in walk.units():
                if isinstance(unit, Unread):
                    self._skip(unit.path, unit.reason)
                    continue
                try:
                    self._look(unit)
                except OSError as error:  # it went away, or the disk broke, while we read
                    self._skip(unit.path, reason_of(error))
                if len(self._waiting) >= UNITS_A_WRITE or (self._waiting and time.monotonic() - self._written > WRITE_S):
                    self._write()
            self._seen.links += walk.links
        self._write()

    def mark_gone(self, names: Names, spared: list[Names]) -> None:
        """Mark what lay in folders that are not there any more. Nothing is judged that could not be looked into."""
        start = encoded(names)
        not_judged = [*self._unread, *map(encoded, spared)]
        gone: list[int] = []
        for folder in self._rows.folders(self._root.id):
            is_meant = not start or folder.path == start or folder.path.startswith(start + "/")
            is_spared = any(folder.path == one or folder.path.startswith(one + "/") or not one for one in not_judged)
            if is_meant and not is_spared and _hash(folder.path) not in self._found:
                gone.append(folder.id)
                if len(gone) >= GONE_A_WRITE:
                    self._forget(gone)
                    gone = []
        self._forget(gone)

    def _skip(self, path: Names, reason: str) -> None:
        self._unread.append(encoded(path))
        self._seen.unread += 1
        self._seen.trouble(path, f"cannot be looked into ({reason})")

    def _forget(self, folder_ids: list[int]) -> None:
        if not folder_ids:
            return
        self._task.check()
        counts = dict(self._seen.counts)
        with self._means.catalog.write() as conn:
            for folder_id in folder_ids:
                counts["gone"] += self._rows.mark_gone(conn, self._rows.albums_of(conn, folder_id), self._task.clock())
                self._rows.forget_folder(conn, folder_id)
            self._save(conn, counts)
        self._seen.counts = counts

    def _look(self, unit: Unit) -> None:
        path = encoded(unit.path)
        self._found.add(_hash(path))
        self.has_found = True
        known = self._rows.folder(self._root.id, path)
        self.has_met = self.has_met or known is not None
        self._seen.folders += 1
        if known is not None and known.mark == unit.mark:
            self._seen.files += unit.files
            self._progress(unit)
            return
        assembly = Assembly(unit)
        for part in unit.parts:
            for name, mark, tags in self._read(unit, part):
                assembly.add(part, name, mark, tags)
        albums, left_out = assembly.finish()
        with_covers = [(album, self._cover(unit, album)) for album in albums]
        folder = MusicFolder(0, path, unit.mark, unit.files, left_out)
        if left_out:
            self._seen.trouble(unit.path, f"{left_out:,} {'file' if left_out == 1 else 'files'} without tags left out")
        self._waiting.append(FileResult(folder, with_covers, assembly.newest_ns / 1e9))

    def _read(self, unit: Unit, part: DiscFolder) -> Iterator[tuple[str, str, Tags | TagReadRefused]]:
        """Yield (name, mark, tags) of the music files of one folder."""
        with opened(self._top, part.path) as folder:
            for at in range(0, len(part.music), AT_A_TIME):
                self._progress(unit)
                names = part.music[at : at + AT_A_TIME]
                with _opened_files(folder, names) as files:
                    readable = [(name, file) for name, file in files if isinstance(file, int)]
                    answers = dict(
                        zip((name for name, _ in readable), self._means.reader.tags([f for _, f in readable]), strict=True)
                    )
                    marks = {name: mark_of(os.fstat(file)) for name, file in readable}
                for name, file in files:
                    tags = TagReadRefused(file) if isinstance(file, str) else answers[name]
                    self._note(part, name, tags)
                    yield name, marks.get(name, ""), tags

    def _note(self, part: DiscFolder, name: str, tags: Tags | TagReadRefused) -> None:
        self._seen.files += 1
        self._seen.counts["read"] += 1
        if isinstance(tags, TagReadRefused):
            self._seen.counts["refused"] += 1
            self._seen.trouble((*part.path, name), tags.reason)
        elif tags.has_large_picture:
            self._seen.counts["large_pictures"] += 1
            self._seen.trouble((*part.path, name), "the picture in its tag is larger than 10 MB and was passed over")

    def _cover(self, unit: Unit, album: FoundAlbum) -> str | None:
        """Return the address of an album's picture: beside its files or above them, else in a tag."""
        is_one = len(album.folders) == 1
        folders = [*album.folders, unit.path] if is_one else [unit.path, *album.folders]
        beside = (address for folder in dict.fromkeys(folders) if (address := self._beside(unit, folder)))
        embedded = album.embedded
        inside = picture_address(self._root.name, embedded.path, embedded.mark, is_embedded=True) if embedded else None
        if album.is_alone:
            return next(beside, None) or inside
        return inside or next(beside, None)

    def _beside(self, unit: Unit, folder: Names) -> str | None:
        names = next((part.pictures for part in unit.parts if part.path == folder), [])
        if not names:
            return None
        with opened(self._top, folder) as inner, _opened_files(inner, names) as files:
            for name, file in files:
                if isinstance(file, str):
                    continue
                facts = os.fstat(file)
                if facts.st_size > self._means.max_picture_bytes:
                    self._seen.trouble((*folder, name), "the picture is too large and was passed over")
                elif facts.st_size:
                    return picture_address(self._root.name, (*folder, name), mark_of(facts), is_embedded=False)
        return None

    def _progress(self, unit: Unit) -> None:
        where = "/".join(unit.path[-2:]).encode("utf-8", "replace").decode("utf-8")[:80]
        self._task.progress(self._seen.files, self._total(), f"Reading {where or self._root.name}")

    def _total(self) -> int | None:
        return max(self._seen.total, self._seen.files) if self._seen.total else None

    def _write(self) -> None:
        self._written = time.monotonic()
        if not self._waiting:
            return
        counts, urls = dict(self._seen.counts), list[str | None]()
        with self._means.catalog.write() as conn:
            keeper = AlbumWriter(
                self._means.catalog, self._rows, self._root, conn=conn, now=self._task.clock(), is_there=self._is_there
            )
            for read in self._waiting:
                keeper.write(read.folder, read.albums, read.newest_s)
                urls += [cover for _, cover in read.albums]
            for name, count in keeper.counts.items():
                counts[name] += count
            self._save(conn, counts)
        self._seen.counts = counts
        self._waiting = []
        self._means.remember(url for url in urls if url)

    def _save(self, conn: Connection, counts: dict[str, int]) -> None:
        says = f"{counts['new']:,} new, {self._seen.files:,} files seen"
        position = {**counts, "problems": self._seen.problems}
        self._task.save(conn, position, self._seen.files, self._total(), says)

    def _is_there(self, root_id: int, path: str) -> bool:
        """Tell whether a folder that an earlier scan knew is still there; of another root: it is."""
        if root_id != self._root.id:
            return True
        try:
            with opened(self._top, decoded(path)):
                return True
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True


@contextmanager
def _opened_files(folder: int, names: list[str]) -> Iterator[list[tuple[str, int | str]]]:
    """Open files of a folder; instead of one that cannot be opened there is the reason."""
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


def _hash(path: str) -> int:
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest(), "big")


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        facts = os.stat(folder)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
