"""A folder of links with readable names to the stored files, kept in step with them. Nothing outside the folder is changed."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from image_cache.errors import CacheError, StorageError
from image_cache.files.disk.index import StoredFile
from image_cache.files.disk.store import FileStore
from image_cache.files.paths import MAX_NAME_CHARS, suffix
from image_cache.filesystem import make_folder, temp_path

MARK = ".vinylvault-links"  # identity and name of each link; what else is in the folder belongs to a person
MAX_MARK_BYTES = 10_000_000
_UNSAFE = re.compile(r"[^\w.+@=-]+")


@dataclass(slots=True)
class LinkReport:
    """What changed. `taken`: names that a person's own file has, which stays."""

    made: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    total: int = 0


def update_links(store: FileStore, folder: Path, names: dict[str, str] | None = None, *, is_hard: bool = False) -> LinkReport:
    """Make one link for each stored file that may be handed out, and remove the links of files that are gone.

    `names`: digest to the name in a registry; the others have the name of their URL. `is_hard`: hard links, which need the same
    disk; such a link keeps its bytes on the disk when the file is evicted, until the next update. Raises `StorageError`, or
    `CacheError` for a folder inside the cache.
    """
    store.open()
    folder = folder.absolute()
    if folder.resolve().is_relative_to(store.root.resolve()) or store.root.resolve().is_relative_to(folder.resolve()):
        raise CacheError(f"{folder}: the folder of links must not be inside the cache or around it.")
    report = LinkReport()
    try:
        make_folder(folder)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _update(store, fd, names or {}, report, is_hard=is_hard)
        finally:
            os.close(fd)
    except OSError as error:
        raise StorageError(str(folder), error.strerror or str(error)) from error
    return report


def _update(store: FileStore, folder: int, names: dict[str, str], report: LinkReport, *, is_hard: bool) -> None:
    ours = _read_marks(folder)
    wanted = {name: store.root / stored.path for name, stored in _named(store.index.files(), names).items()}
    for name in sorted(ours.keys() - wanted.keys()):
        if _identity(name, folder) == ours[name]:
            os.unlink(name, dir_fd=folder)
            report.removed.append(name)
    marks: dict[str, str] = {}
    new: list[tuple[str, str]] = []
    for name, path in wanted.items():
        identity = _identity(name, folder)
        if identity and identity != ours.get(name):  # made or replaced by a person
            report.taken.append(name)
            continue
        if not identity or not _points_to(name, folder, path, is_hard=is_hard):
            try:
                temp = _link(path, folder, is_hard=is_hard)
            except FileNotFoundError:  # evicted a moment ago
                continue
            identity = _identity(temp, folder)
            new.append((temp, name))
            report.made.append(name)
        marks[name] = identity
        report.total += 1
    _write_marks(folder, marks)  # before the links have their names, so that a crash leaves none that is no one's
    for temp, name in new:
        os.replace(temp, name, src_dir_fd=folder, dst_dir_fd=folder)


def _named(files: list[StoredFile], names: dict[str, str]) -> dict[str, StoredFile]:
    """Return the files by a name that is safe and used once; the second of a name has the start of its digest in it."""
    found: dict[str, StoredFile] = {}
    for stored in sorted((file for file in files if not file.is_corrupt), key=lambda file: (file.stored_at, file.digest)):
        name = _UNSAFE.sub("_", names.get(stored.digest, stored.name)).lstrip(".")[:MAX_NAME_CHARS] or "file"
        if not suffix(name):
            name += suffix(stored.name)
        if name in found or name == MARK:
            ending = suffix(name)
            name = f"{name.removesuffix(ending)}-{stored.digest[:8]}{ending}"
        found[name] = stored
    return found


def _link(path: Path, folder: int, *, is_hard: bool) -> str:
    """Make a link under a temporary name and return that name."""
    temp = temp_path(path).name
    if is_hard:
        os.link(path, temp, dst_dir_fd=folder, follow_symlinks=False)
    else:
        os.symlink(path, temp, dir_fd=folder)
    return temp


def _points_to(name: str, folder: int, path: Path, *, is_hard: bool) -> bool:
    try:
        if is_hard:
            return os.path.samestat(os.stat(name, dir_fd=folder, follow_symlinks=False), path.stat(follow_symlinks=False))
        return os.readlink(name, dir_fd=folder) == str(path)
    except OSError:
        return False


def _identity(name: str, folder: int) -> str:
    """Return what tells one file of a name from the next: inode numbers are used again, so the time of change too. Empty: no file."""
    try:
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return ""
    return f"{facts.st_ino}-{facts.st_mtime_ns}"


def _read_marks(folder: int) -> dict[str, str]:
    """Return name and identity of the links that an earlier update made."""
    try:
        fd = os.open(MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return {}
    with open(fd, encoding="utf-8", errors="replace") as file:
        lines = [line.partition(" ") for line in file.read(MAX_MARK_BYTES).splitlines()]
    return {name: identity for identity, _, name in lines if name and "/" not in name and name not in (".", "..")}


def _write_marks(folder: int, marks: dict[str, str]) -> None:
    temp = temp_path(Path(MARK)).name
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    with open(fd, "w", encoding="utf-8") as file:
        file.writelines(f"{identity} {name}\n" for name, identity in sorted(marks.items()))
    os.replace(temp, MARK, src_dir_fd=folder, dst_dir_fd=folder)
