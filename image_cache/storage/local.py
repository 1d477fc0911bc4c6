"""Local storage: originals as files below one folder."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from image_cache.errors import StorageError
from image_cache.filesystem import TEMP_PREFIX, make_folder, replacing, sync_folder
from image_cache.storage.base import CHUNK_BYTES, Body, download_file, name_parts, upload_file
from image_cache.units import MEGABYTE

_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LocalStorage:
    """Files with mode 0600. `floor_bytes` of the disk stay free."""

    kind = "local"

    def __init__(self, root: str | Path, *, floor_bytes: int = 0) -> None:
        self.root = Path(root).absolute()
        self.floor_bytes = floor_bytes

    def put(self, name: str, body: Body) -> int:
        path = self._path(name)
        chunks = (body,) if isinstance(body, bytes) else body
        written = 0
        try:
            make_folder(path.parent)
            with replacing(path, is_durable=True) as file:
                for chunk in chunks:
                    if self._free_bytes() - len(chunk) < self.floor_bytes:
                        raise OSError(
                            errno.ENOSPC, f"not enough disk space (at least {self.floor_bytes // MEGABYTE} MB must stay free)"
                        )
                    file.write(chunk)
                    written += len(chunk)
            folder = path.parent
            while folder not in (self.root.parent, folder.parent):  # the parents may be new as well
                folder = folder.parent
                sync_folder(folder)
        except OSError as error:
            raise StorageError(str(path), error.strerror or str(error)) from error
        return written

    def get(self, name: str) -> bytes | None:
        file = self.open(name)
        if file is None:
            return None
        try:
            with file:
                return file.read()
        except OSError as error:
            raise StorageError(str(self._path(name)), error.strerror or str(error)) from error

    def copy(self, name: str, target: str) -> bool:
        file = self.open(name)
        if file is None:
            return False
        with file:
            self.put(target, iter(lambda: file.read(CHUNK_BYTES), b""))
        return True

    def read_range(self, name: str, start: int, stop: int) -> bytes | None:
        file = self.open(name)
        if file is None:
            return None
        try:
            with file:
                return os.pread(file.fileno(), stop - start, start)
        except OSError as error:
            raise StorageError(str(self._path(name)), error.strerror or str(error)) from error

    def open(self, name: str) -> BinaryIO | None:
        """Open a file for reading; None if there is none."""
        path = self._path(name)
        try:
            return os.fdopen(os.open(path, _READING), "rb")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(str(path), error.strerror or str(error)) from error

    def delete(self, name: str) -> bool:
        path = self._path(name)
        try:
            path.unlink()
            sync_folder(path.parent)  # what was deleted must not be back after a power cut
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(str(path), error.strerror or str(error)) from error
        return True

    def exists(self, name: str) -> bool:
        return self._path(name).is_file()

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        folder = self.root if not prefix.strip("/") else self._path(prefix.strip("/"))
        try:
            for path in sorted(folder.rglob("*")):
                if not path.name.startswith(TEMP_PREFIX) and path.is_file() and not path.is_symlink():
                    yield path.relative_to(self.root).as_posix(), path.stat().st_size
        except OSError as error:
            raise StorageError(str(folder), error.strerror or str(error)) from error

    def url(self, name: str, expires_s: int = 300) -> str:
        return self._path(name).as_uri()

    def upload_file(self, local_path: str | Path, remote_path: str) -> int:
        return upload_file(self, local_path, remote_path)

    def download_file(self, remote_path: str, local_path: str | Path) -> int:
        return download_file(self, remote_path, local_path)

    def sweep(self, *, older_than_s: float, now: float) -> int:
        """Remove the temporary files of processes that were killed; returns how many."""
        removed = 0
        for path in self.root.rglob(f"{TEMP_PREFIX}*"):
            with contextlib.suppress(FileNotFoundError):
                if abs(now - path.stat().st_mtime) > older_than_s:
                    path.unlink()
                    removed += 1
        return removed

    def remove_folder(self, name: str) -> None:
        """Remove a folder if it is empty."""
        with contextlib.suppress(OSError):
            self._path(name).rmdir()

    def _path(self, name: str) -> Path:
        path = self.root.joinpath(*name_parts(name))
        # A name cannot climb out of the root, but a folder that was replaced by a link would lead out all the same.
        parent = path.parent
        while parent not in (self.root, parent.parent):
            if parent.is_symlink():
                raise StorageError(str(path), "a folder of the storage is a symbolic link")
            parent = parent.parent
        return path

    def _free_bytes(self) -> int:
        state = os.statvfs(self.root if self.root.exists() else self.root.parent)
        return state.f_bavail * state.f_frsize
