"""Where originals lie: a folder on this machine, or a bucket that speaks S3. Names are relative paths with slashes.

A name is given once and never written over with other bytes, so that no store has to promise conditional writes.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from image_cache.errors import StorageError
from image_cache.filesystem import TEMP_PREFIX, make_folder, replacing, sync_folder
from image_cache.units import MEGABYTE

CHUNK_BYTES = 1 << 20
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_SCHEME = re.compile(r"[a-z0-9]+://[^/]+/")
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Body = bytes | Iterable[bytes]


class Storage(Protocol):
    """What every store does. All methods do I/O, may be called by any thread, and raise `StorageError`."""

    kind: str

    def put(self, name: str, body: Body) -> int:
        """Store the bytes whole or not at all, and only return when they would survive a power cut; returns how many."""
        ...

    def get(self, name: str) -> bytes | None:
        """Return the bytes, None when there are none under this name."""
        ...

    def delete(self, name: str) -> bool:
        """Remove the bytes; False when there were none."""
        ...

    def exists(self, name: str) -> bool: ...

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield the names below a folder (all without one) in order, each with its size in bytes."""
        ...

    def url(self, name: str, expires_s: int = 300) -> str:
        """Return an address under which whoever runs the machine can read the bytes for so long."""
        ...

    def upload_file(self, local_path: str | Path, remote_path: str) -> int:
        """Store a file; returns its size in bytes."""
        ...

    def download_file(self, remote_path: str, local_path: str | Path) -> int:
        """Write the bytes to a file, whole or not at all; returns how many. Raises `StorageError` when there are none."""
        ...


class StorageFactory:
    """Makes stores by name."""

    @staticmethod
    def create_backend(kind: str, **options: Any) -> Storage:
        """Return a store: `local` (with `root`), or `s3` with `bucket_name`, `aws_access_key`, `aws_secret_key` and more.

        See `LocalStorage` and `S3Storage` for all options. Raises `ValueError` for another kind, `StorageError` when the
        library for it is not installed. Nothing is asked of the store yet.
        """
        if kind == "local":
            if "root" not in options:
                from config import STREAM_IMAGES_DIR

                options["root"] = STREAM_IMAGES_DIR
            return LocalStorage(**options)
        if kind == "s3":
            from image_cache.storage.s3 import S3Storage

            return S3Storage(**options)
        raise ValueError(f"{kind!r} is none of local, s3")


class LocalStorage:
    """Files below one folder, mode 0600. `floor_bytes` of the disk stay free."""

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
                        raise OSError(errno.ENOSPC, f"less than {self.floor_bytes // MEGABYTE} MB would be free")
                    file.write(chunk)
                    written += len(chunk)
            folder = path.parent
            while folder not in (self.root.parent, folder.parent):  # those above may be new as well
                folder = folder.parent
                sync_folder(folder)
        except OSError as error:
            raise StorageError(str(path), error.strerror or str(error)) from error
        return written

    def get(self, name: str) -> bytes | None:
        path = self._path(name)
        try:
            with os.fdopen(os.open(path, _READING), "rb") as file:
                return file.read()
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
        """Remove what a killed writer left; returns how many files."""
        removed = 0
        for path in self.root.rglob(f"{TEMP_PREFIX}*"):
            with contextlib.suppress(FileNotFoundError):
                if abs(now - path.stat().st_mtime) > older_than_s:
                    path.unlink()
                    removed += 1
        return removed

    def remove_folder(self, name: str) -> None:
        """Remove a folder that is empty by now; one that is not stays."""
        with contextlib.suppress(OSError):
            self._path(name).rmdir()

    def _path(self, name: str) -> Path:
        path = self.root.joinpath(*parts_of(name))
        # Names hold no dots that climb; a folder that somebody replaced by a link would lead out all the same.
        parent = path.parent
        while parent not in (self.root, parent.parent):
            if parent.is_symlink():
                raise StorageError(str(path), "a folder of the storage is a symbolic link")
            parent = parent.parent
        return path

    def _free_bytes(self) -> int:
        state = os.statvfs(self.root if self.root.exists() else self.root.parent)
        return state.f_bavail * state.f_frsize


def parts_of(name: str) -> list[str]:
    """Take a name apart. An address like `s3://bucket/a/b` counts as `a/b`. Raises `StorageError` for one that is not ours."""
    parts = _SCHEME.sub("", name, count=1).split("/")
    if not all(_PART.fullmatch(part) for part in parts):
        raise StorageError(repr(name[:200]), "not a name of the storage")
    return parts


def upload_file(storage: Storage, local_path: str | Path, remote_path: str) -> int:
    try:
        with Path(local_path).open("rb") as file:
            return storage.put(remote_path, iter(lambda: file.read(CHUNK_BYTES), b""))
    except OSError as error:
        raise StorageError(str(local_path), error.strerror or str(error)) from error


def download_file(storage: Storage, remote_path: str, local_path: str | Path) -> int:
    body = storage.get(remote_path)
    if body is None:
        raise StorageError(remote_path, "there is nothing under this name")
    goal = Path(local_path).absolute()
    return LocalStorage(goal.parent).put(goal.name, body)
