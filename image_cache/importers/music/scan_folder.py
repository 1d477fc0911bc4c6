"""Scan of one root: reads the folders that changed, saves their albums, marks the albums of missing folders."""

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import astuple

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.frozen import frozen
from image_cache.importers.music.albums import Assembly, FoundAlbum
from image_cache.importers.music.discs import MAX_FILES, DiscSets, FileTags, UnitRead, set_mark
from image_cache.importers.music.images import decoded, encoded, mark_of, picture_address
from image_cache.importers.music.names import Names
from image_cache.importers.music.report import ScanStats
from image_cache.importers.music.save import AlbumWriter, FolderResult
from image_cache.importers.music.table import MusicFolder, MusicRoot, MusicTable
from image_cache.importers.music.tags.reader import AT_A_TIME, TagReader, TagReadRefused, Tags
from image_cache.importers.music.walk import DiscFolder, FolderEnd, FolderWalk, Unit, Unread, opened, opened_files, reason_of
from image_cache.records.batches.imports import ImportBatch
from image_cache.tasks.runner import Task
from image_cache.text import sort_key

UNITS_PER_WRITE = 50
WRITE_S = 2.0  # folders that were read are saved at least this often
GONE_PER_WRITE = 200


@frozen
class ScanContext:
    """What a scan needs. `register` is called with cover addresses as they are found; `own_folders` are skipped."""

    catalog: CatalogDatabase
    rows: MusicTable
    reader: TagReader
    register: Callable[[Iterable[str | None]], object]
    max_picture_bytes: int
    own_folders: tuple[str, ...]


class RootScan:
    """One scan of one root; `top` is its open folder. `has_known`: a folder of an earlier scan was found; `has_music`: any with music."""

    def __init__(self, context: ScanContext, task: Task, root: MusicRoot, *, top: int, stats: ScanStats) -> None:
        self.has_known = False
        self.has_music = False
        self._context = context
        self._rows = context.rows
        self._task = task
        self._root = root
        self._top = top
        self._stats = stats
        self._found: set[int] = set()  # eight bytes of the hash of each folder with music
        self._unread: list[str] = []
        self._waiting: list[FolderResult] = []
        self._batch = ImportBatch(context.catalog, "Music folders scanned", now=task.clock(), task_id=task.id)
        self._written = time.monotonic()
        self._discs = DiscSets(
            context.rows,
            root.id,
            read=self._read_or_skip,
            unit_at=self._unit_at,
            save=self._keep,
            skip=self._pass,
            settle=self._settle,
        )

    def walk(self, names: Names) -> None:
        """Scan every folder below `names` and save what changed."""
        own = frozenset(facts for folder in self._context.own_folders if (facts := _identity(folder)))
        with opened(self._top, names) as start:
            walk = FolderWalk(start, own, names)
            for found in walk.units():
                if isinstance(found, Unread):
                    self._skip(found.path, found.reason)
                elif isinstance(found, FolderEnd):
                    self._discs.finish(found)
                else:
                    self._scan_unit(found)
                if len(self._waiting) >= UNITS_PER_WRITE or (self._waiting and time.monotonic() - self._written > WRITE_S):
                    self._write()
            self._stats.links += walk.links
            self._stats.others += walk.others
        for parent in self._discs.open_parents():
            try:
                with opened(self._top, parent) as folder:
                    end = FolderWalk(folder, names=parent).end()
            except OSError as error:  # removed during the scan: the next one sees what is left
                self._skip(parent, reason_of(error))
            else:
                self._discs.finish(end)
        self._write()

    def mark_gone(self, names: Names, spared: list[Names]) -> None:
        """Mark the albums of folders that no longer exist; not those of folders that could not be read, nor below `spared`."""
        start = encoded(names)
        skipped = [*self._unread, *map(encoded, spared)]
        gone: list[int] = []
        for folder in self._rows.folders(self._root.id):
            is_below = not start or folder.path == start or folder.path.startswith(start + "/")
            is_spared = any(folder.path == path or folder.path.startswith(path + "/") or not path for path in skipped)
            if is_below and not is_spared and _hash(folder.path) not in self._found:
                gone.append(folder.id)
                if len(gone) >= GONE_PER_WRITE:
                    self._mark_gone(gone)
                    gone = []
        self._mark_gone(gone)

    def _skip(self, path: Names, reason: str) -> None:
        self._unread.append(encoded(path))
        self._stats.unread += 1
        self._stats.add_problem(path, f"cannot be read ({reason})")

    def _mark_gone(self, folder_ids: list[int]) -> None:
        if not folder_ids:
            return
        self._task.check()
        counts = dict(self._stats.counts)
        with self._context.catalog.write() as conn:
            for folder_id in folder_ids:
                counts["gone"] += self._rows.mark_gone(conn, self._rows.albums_of(conn, folder_id), self._task.clock())
                self._rows.delete_folder(conn, folder_id)
            self._save(conn, counts)
        self._stats.counts = counts

    def _scan_unit(self, unit: Unit) -> None:
        path = encoded(unit.path)
        self._found.add(_hash(path))
        self.has_music = True
        known = self._rows.folder(self._root.id, path)
        self.has_known = self.has_known or known is not None
        self._stats.folders += 1
        if known is not None and known.mark == unit.mark:
            self._pass(unit)
        elif known is None or not self._discs.hold_known(unit, known.mark):
            read = self._read_or_skip(unit)
            if read is not None and read.is_part:
                self._discs.hold(read)
            elif read is not None:
                self._keep([read])

    def _pass(self, unit: Unit) -> None:
        self._stats.files += unit.files
        self._progress(unit)

    def _unit_at(self, path: Names) -> Unit | None:
        try:
            with opened(self._top, path) as folder:
                first = next(FolderWalk(folder, names=path).units(), None)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not isinstance(first, Unit) or first.path != path:
            return None
        if _hash(encoded(path)) in self._found:  # its files were counted when the walk came to it
            self._stats.files -= first.files
        return first

    def _settle(self, parent: Names, wanted: Collection[tuple[str, str]]) -> None:
        beside = (result for result in self._waiting if decoded(result.folder.path)[:-1] == parent)
        rows = (album.row for result in beside for album, _ in result.albums)
        if any((sort_key(row.artist), sort_key(row.title)) in wanted for row in rows):
            self._write()

    def _read_or_skip(self, unit: Unit) -> UnitRead | None:
        try:
            return self._read_unit(unit)
        except OSError as error:  # it was removed, or the disk failed, while it was read
            self._skip(unit.path, reason_of(error))
            return None

    def _read_unit(self, unit: Unit) -> UnitRead:
        assembly, files = Assembly(unit), list[FileTags]()
        can_be_disc = unit.files <= MAX_FILES
        for part in unit.parts:
            for name, mark, tags in self._read(unit, part):
                assembly.add(part, name, mark, tags)
                if can_be_disc:
                    files.append((part, name, mark, tags))
        albums, left_out = assembly.finish()
        claim = assembly.claim() if can_be_disc else None
        return UnitRead(unit, albums, left_out, assembly.newest_ns, claim, files)

    def _keep(self, discs: Sequence[UnitRead], end: FolderEnd | None = None) -> None:
        """Keep what was read of a unit, or of the discs of one album, until it is saved."""
        first, others = discs[0], discs[1:]
        unit, albums, left_out, newest_ns = first.unit, first.albums, first.left_out, first.newest_ns
        if others and end is not None:
            unit = Unit(unit.path, [part for disc in discs for part in disc.unit.parts], set_mark([d.unit for d in discs], end))
            if end.path and {disc.unit.path[-1] for disc in discs} == set(end.folders):  # nothing else can have this cover
                unit.parts.append(DiscFolder(end.path, None, pictures=list(end.pictures)))
            assembly = Assembly(unit)
            for disc in discs:
                for file in disc.files:
                    assembly.add(*file)
            albums, left_out = assembly.finish()
            newest_ns = assembly.newest_ns
        folder = MusicFolder(0, encoded(unit.path), unit.mark, first.unit.files, left_out)
        if left_out:
            self._stats.add_problem(unit.path, f"skipped {left_out:,} {'file' if left_out == 1 else 'files'} without tags")
        own = {disc.unit.path for disc in discs}
        self._waiting.append(
            FolderResult(
                folder,
                [(album, self._cover(unit, album, end)) for album in albums],
                newest_ns / 1e9,
                discs=[MusicFolder(0, encoded(disc.unit.path), unit.mark, disc.unit.files) for disc in others],
                parts=[encoded(part.path) for part in unit.parts if part.path not in own and part.music],
            )
        )
        for album in albums:
            self._stats.add_losses(unit.path, album.row)

    def _read(self, unit: Unit, part: DiscFolder) -> Iterator[tuple[str, str, Tags | TagReadRefused]]:
        """Yield (name, mark, tags) of the music files of a folder."""
        with opened(self._top, part.path) as folder:
            for start in range(0, len(part.music), AT_A_TIME):
                self._progress(unit)
                names = part.music[start : start + AT_A_TIME]
                with opened_files(folder, names) as files:
                    readable = [(name, file) for name, file in files if isinstance(file, int)]
                    answers = dict(
                        zip(
                            (name for name, _ in readable), self._context.reader.tags([file for _, file in readable]), strict=True
                        )
                    )
                    marks = {name: mark_of(os.fstat(file)) for name, file in readable}
                for name, file in files:
                    tags = TagReadRefused(file) if isinstance(file, str) else answers[name]
                    self._count(part, name, tags)
                    yield name, marks.get(name, ""), tags

    def _count(self, part: DiscFolder, name: str, tags: Tags | TagReadRefused) -> None:
        self._stats.files += 1
        self._stats.counts["read"] += 1
        if isinstance(tags, TagReadRefused):
            self._stats.counts["refused"] += 1
            self._stats.add_problem((*part.path, name), tags.reason)
        elif tags.has_large_picture:
            self._stats.counts["large_pictures"] += 1
            self._stats.add_problem((*part.path, name), "skipped the embedded cover: larger than 10 MB")

    def _cover(self, unit: Unit, album: FoundAlbum, end: FolderEnd | None) -> str | None:
        """Return the address of an album's cover: an image beside its files or above them, else in a tag."""
        is_single = len(album.folders) == 1
        above = [end.path] if end is not None else []
        folders = [*album.folders, unit.path] if is_single else [*above, unit.path, *album.folders]
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
        with opened(self._top, folder) as inner, opened_files(inner, names) as files:
            for name, file in files:
                if isinstance(file, str):
                    continue
                facts = os.fstat(file)
                if facts.st_size > self._context.max_picture_bytes:
                    self._stats.add_problem((*folder, name), "skipped the cover image: too large")
                elif facts.st_size:
                    return picture_address(self._root.name, (*folder, name), mark_of(facts), is_embedded=False)
        return None

    def _progress(self, unit: Unit) -> None:
        where = "/".join(unit.path[-2:]).encode("utf-8", "replace").decode("utf-8")[:80]
        self._task.progress(self._stats.files, self._total(), f"Reading {where or self._root.name}")

    def _total(self) -> int | None:
        return max(self._stats.total, self._stats.files) if self._stats.total else None

    def _write(self) -> None:
        self._written = time.monotonic()
        if not self._waiting:
            return
        counts, urls = dict(self._stats.counts), list[str | None]()
        with self._context.catalog.write() as conn:
            writer = AlbumWriter(
                self._context.catalog,
                self._rows,
                self._root,
                conn=conn,
                now=self._task.clock(),
                folder_exists=self._folder_exists,
                batch=self._batch,
            )
            for result in self._waiting:
                writer.write(result)
                urls += [cover for _, cover in result.albums]
            self._batch.save(conn)
            for name, count in writer.counts.items():
                counts[name] += count
            self._save(conn, counts)
        self._stats.counts = counts
        self._waiting = []
        self._context.register(url for url in urls if url)

    def _save(self, conn: Connection, counts: dict[str, int]) -> None:
        message = f"{counts['new']:,} new records, {self._stats.files:,} files scanned"
        position = {**counts, "problems": self._stats.problems, "report": list(map(astuple, self._stats.losses))}
        self._task.save(conn, position, self._stats.files, self._total(), message)

    def _folder_exists(self, root_id: int, path: str) -> bool:
        """Return True if a folder of an earlier scan still exists; always for one of another root."""
        if root_id != self._root.id:
            return True
        try:
            with opened(self._top, decoded(path)):
                return True
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True


def _hash(path: str) -> int:
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest(), "big")


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        facts = os.stat(folder)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
