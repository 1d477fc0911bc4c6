"""Staging: the content of an archive is written beside its destination, on the same disk, and renamed when all of it is verified."""

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from image_cache.config import Settings
from image_cache.errors import Busy, StorageError
from image_cache.filesystem import create_file, make_folder, sync_folder, try_lock
from image_cache.maintenance.backup.archive import is_archive
from image_cache.maintenance.backup.contents import ASIDE, is_secret, separate_folders
from image_cache.vault_lock import STAGE


@contextlib.contextmanager
def written_alone(part: Path) -> Iterator[BinaryIO]:
    """Open the partial file, also one that a killed run left. Raises `Busy` when another run writes it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(part, "rb+", opener=lambda name, _: os.open(name, flags, 0o600)) as file:
        if not try_lock(file.fileno()):
            raise Busy(f"another backup is already writing to {part}")
        with contextlib.suppress(OSError):  # of another user's killed run; a USB stick with FAT has no permissions
            os.fchmod(file.fileno(), 0o600)
        file.truncate(0)
        yield file


def publish(part: Path, path: Path, *, overwrite: bool) -> None:
    """Rename the finished file. link() refuses an existing name, which rename() would replace."""
    try:
        if overwrite:
            part.rename(path)
        else:
            os.link(part, path)
    except FileExistsError:
        raise StorageError(str(path), "a file with this name already exists") from None
    except OSError:  # a file system without hard links, such as that of a USB stick
        if os.path.lexists(path):
            raise
        part.rename(path)
    part.unlink(missing_ok=True)
    sync_folder(path.parent)


Moves = list[tuple[Path, Path]]


class Staging:
    """The folders of one restore. One thread, which has the vault to itself."""

    def __init__(self, settings: Settings, stamp: str) -> None:
        self.settings = settings
        # A folder for each restore, also for two within a second.
        names = (f"{ASIDE}{stamp}" + (f"-{number}" if number > 1 else "") for number in itertools.count(1))
        self.aside = next(path for path in map(settings.state_dir.joinpath, names) if not path.exists())
        self.homes = {
            "state": settings.state_dir,
            "secrets": settings.state_dir,
            "originals": settings.stream_images_dir,
            "covers": settings.covers_dir,
            "streams": settings.stream_cache_dir,
            "files": settings.files_dir,
            "index.db": settings.cache_dir,
            "covers.jsonl": settings.state_dir,
            "files.jsonl": settings.state_dir,
        }
        self.stages = {root: self._stage(root, home) for root, home in self.homes.items()}

    def clean(self) -> None:
        """Remove what this restore, or one that was killed, left in the staging folders."""
        for path in {stage.parent for stage in self.stages.values()}:
            shutil.rmtree(path, ignore_errors=True)

    def write(self, name: str, chunks: Iterable[bytes]) -> int:
        """Write a member to its staging folder, never over another; return its size. Raises `OSError`."""
        path = self.path_of(name)
        make_folder(path.parent)
        size = 0
        with create_file(path) as file:
            for chunk in chunks:
                size += file.write(chunk)
        return size

    def path_of(self, name: str) -> Path:
        root, _, rest = name.partition("/")
        return self.stages[root] / (rest or root)

    def staged(self, root: str) -> Iterator[tuple[str, Path]]:
        """Yield (name below the root, path) of each staged file."""
        stage = self.stages[root]
        for folder, folders, names in os.walk(stage):
            folders.sort()
            for name in sorted(names):
                path = Path(folder) / name
                yield str(path.relative_to(stage)), path

    def moves_in(self, root: str) -> Moves:
        """Return the renames that put a staging folder in place: of its top-level names."""
        stage = self.stages[root]
        return [(path, self.homes[root] / path.name) for path in _inside(stage)]

    def moves_aside(self, root: str) -> Moves:
        """Return the renames that clear the destination of a staging folder. Keys stay, and so do backups."""
        aside, settings = self.aside_of(root), self.settings
        entries = [path for path in _inside(self.homes[root]) if not path.name.startswith((".", ASIDE))]
        if root == "state":
            separate = separate_folders(settings)
            entries = [p for p in entries if p not in separate and not is_secret(settings, p) and not _holds_archives(p)]
        return [(path, aside / path.name) for path in entries]

    def aside_of(self, root: str) -> Path:
        """Return where the old content of a root is put. It stays on its disk: nothing can be renamed to another one."""
        home = self.homes[root]
        if root == "state":
            return self.aside
        is_near = home.exists() and home.stat().st_dev == self.settings.state_dir.stat().st_dev
        return self.aside / root if is_near else home / f".{self.aside.name}"

    def forget_aside(self) -> None:
        """Delete what an empty vault had: a catalogue without records, an index without covers. Anything else stays."""
        names = {self.settings.catalog_path.name, self.settings.index_path.name, "names.json"}
        for path in sorted(self.aside.rglob("*"), reverse=True):
            with contextlib.suppress(OSError):
                if path.is_dir():
                    path.rmdir()
                elif path.name.removesuffix("-wal").removesuffix("-shm") in names:
                    path.unlink()
        with contextlib.suppress(OSError):
            self.aside.rmdir()

    def check_room(self, needed_bytes: int) -> None:
        """Raise `StorageError` when so much does not fit beside the vault."""
        path = self.settings.state_dir
        free = shutil.disk_usage(path).free - self.settings.floor_bytes
        if free < needed_bytes:
            reason = f"not enough space: {needed_bytes / 1e6:,.0f} MB needed, {max(free, 0) / 1e6:,.0f} MB available"
            raise StorageError(str(path), reason)

    def _stage(self, root: str, home: Path) -> Path:
        state_dir = self.settings.state_dir
        with contextlib.suppress(OSError):
            make_folder(home)
        is_near = not home.exists() or home.stat().st_dev == state_dir.stat().st_dev
        return (state_dir if is_near else home) / STAGE / root


def _holds_archives(path: Path) -> bool:
    return is_archive(path) if path.is_file() else any(is_archive(below) for below in _inside(path))


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
