"""What comes out of an archive stands apart until all of it is verified, on the disk where it will be; then it is renamed."""

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from config import Settings
from image_cache.errors import Busy, StorageError
from image_cache.filesystem import create_file, make_folder, sync_folder, try_lock
from image_cache.maintenance.backup.archive import is_archive
from image_cache.maintenance.backup.contents import ASIDE, is_secret
from image_cache.vault_lock import STAGE


@contextlib.contextmanager
def written_alone(part: Path) -> Iterator[BinaryIO]:
    """Open the file that is being written, what a killed run left of it included. Raises `Busy` when another run writes it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(part, "rb+", opener=lambda name, _: os.open(name, flags, 0o600)) as file:
        if not try_lock(file.fileno()):
            raise Busy(f"another backup is being written to {part}")
        with contextlib.suppress(OSError):  # what a killed run of somebody else left; a USB stick with FAT knows no rights
            os.fchmod(file.fileno(), 0o600)
        file.truncate(0)
        yield file


def publish(part: Path, path: Path, *, overwrite: bool) -> None:
    """Give the finished file its name. link() refuses an existing one, which rename() would replace."""
    try:
        if overwrite:
            part.rename(path)
        else:
            os.link(part, path)
    except FileExistsError:
        raise StorageError(str(path), "there is a file of this name already") from None
    except OSError:  # a file system without hard links, such as that of a USB stick
        if os.path.lexists(path):
            raise
        part.rename(path)
    part.unlink(missing_ok=True)
    sync_folder(path.parent)


Moves = list[tuple[Path, Path]]


class Staging:
    """The folders of one restore. One thread; nobody else uses the vault meanwhile."""

    def __init__(self, settings: Settings, stamp: str) -> None:
        self.settings = settings
        # A folder of its own even for two restores within a second: what is put aside never meets what was.
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
        """Remove what this restore, or one that was killed, left in the stages."""
        for path in {stage.parent for stage in self.stages.values()}:
            shutil.rmtree(path, ignore_errors=True)

    def write(self, name: str, chunks: Iterable[bytes]) -> int:
        """Write a member to its stage, never over another; returns its size. Raises `OSError`."""
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
        """Yield (name below the root, path) of what was staged."""
        stage = self.stages[root]
        for folder, folders, names in os.walk(stage):
            folders.sort()
            for name in sorted(names):
                path = Path(folder) / name
                yield str(path.relative_to(stage)), path

    def moves_in(self, root: str) -> Moves:
        """Return the renames that put a stage in place: of its uppermost names."""
        stage = self.stages[root]
        return [(path, self.homes[root] / path.name) for path in _inside(stage)]

    def moves_aside(self, root: str) -> Moves:
        """Return the renames that put aside what stands where a stage goes to. Keys stay, and so do backups."""
        aside, settings = self.aside_of(root), self.settings
        entries = [path for path in _inside(self.homes[root]) if not path.name.startswith((".", ASIDE))]
        if root == "state":
            apart = {settings.stream_images_dir, settings.cache_dir, settings.covers_dir, settings.files_dir}
            entries = [p for p in entries if p not in apart and not is_secret(settings, p) and not _holds_archives(p)]
        return [(path, aside / path.name) for path in entries]

    def aside_of(self, root: str) -> Path:
        """Return where the old of a root goes. A folder of its own may be a disk of its own, which nothing can be renamed out of."""
        home = self.homes[root]
        if root == "state":
            return self.aside
        is_near = home.exists() and home.stat().st_dev == self.settings.state_dir.stat().st_dev
        return self.aside / root if is_near else home / f".{self.aside.name}"

    def forget_aside(self) -> None:
        """Remove what an empty vault had: a catalogue without a record, an index without a cover. Anything else stays."""
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
        """Raise `StorageError` when that much does not fit beside what is there."""
        path = self.settings.state_dir
        free = shutil.disk_usage(path).free - self.settings.floor_bytes
        if free < needed_bytes:
            reason = f"{needed_bytes / 1e6:,.0f} MB are needed, {max(free, 0) / 1e6:,.0f} MB may be used"
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
