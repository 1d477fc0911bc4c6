"""Disk tier: one file per key, in two-character shards, written atomically and never overwritten."""

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from image_cache.engine.key import Key, key_of_path
from image_cache.errors import StorageError
from image_cache.filesystem import create_file, make_folder, temp_path
from image_cache.units import MEGABYTE

MIN_FREE_INODES = 0.02  # share of the file system's; a card without free inodes stops the whole server
SHARD = re.compile(r"[0-9a-f]{2}")
# With O_NONBLOCK opening a planted pipe does not wait forever; for files it makes no difference.
READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class DiskTier:
    """Files of one namespace below `root`. Thread-safe and process-safe: a file appears with all of its bytes.

    Nothing is fsynced: after a power cut a file may be truncated or empty, so readers compare the size and SHA-256 in the index.
    """

    def __init__(self, namespace: str, root: Path, floor_bytes: int = 0) -> None:
        self.namespace = namespace
        self.root = root
        self.floor_bytes = floor_bytes

    def get(self, key: Key) -> bytes | None:
        """Return the file's bytes, or None if there is no such file. A symbolic link is not followed but removed.

        Raises `StorageError` if the disk fails.
        """
        path = self.root / key.path
        try:
            return _read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:  # planted: we create no links
                self.delete(key)
                return None
            raise StorageError(str(path), error.strerror or str(error)) from error

    def put(self, key: Key, body: bytes) -> None:
        """Store the bytes. Raises `StorageError` if the disk fails, is full, or would have less free than the floor."""
        path = self.root / key.path
        temp = temp_path(path)
        try:
            if self.get(key) == body and _touch(path):  # stored without a row, or by another process
                return
            make_folder(path.parent)
            self._check_room(len(body))
            # Buffered, because a bare write() to a full disk may store only a part, and reports that only in its result.
            with create_file(temp) as file:
                file.write(body)
            path.unlink(missing_ok=True)  # other bytes, truncated by a power cut before their row was written
            _publish(temp, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temp.unlink()
            raise StorageError(str(path), error.strerror or str(error)) from error

    def delete(self, key: Key) -> None:
        """Remove the key's file, if there is one. Raises `StorageError` if it cannot be removed."""
        path = self.root / key.path
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(str(path), error.strerror or str(error)) from error

    def discard(self, key: Key, is_intact: Callable[[bytes], bool]) -> bytes | None:
        """Remove the key's file unless it is intact; return its bytes if it stays. Raises `StorageError`.

        It is moved aside before it is checked, so that a file that another process stores in the meantime is not touched.
        """
        path = self.root / key.path
        aside = temp_path(path)
        try:
            path.rename(aside)
            body = _read(aside)
            if is_intact(body):
                _publish(aside, path)
                return body
            aside.unlink()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(str(path), error.strerror or str(error)) from error
        return None

    def free_bytes(self) -> int:
        """Return the free bytes of this file system."""
        state = self._state()
        return state.f_bavail * state.f_frsize

    def inodes(self) -> tuple[int, int]:
        """Return the free inodes of this file system, and all of them; (0, 0) if it has no such limit."""
        state = self._state()
        return state.f_favail, state.f_files

    def _state(self) -> os.statvfs_result:
        return os.statvfs(self.root if self.root.exists() else self.root.parent)

    def _check_room(self, size_bytes: int) -> None:
        state = self._state()
        if state.f_bavail * state.f_frsize - size_bytes < self.floor_bytes:
            raise OSError(errno.ENOSPC, f"not enough disk space (at least {self.floor_bytes // MEGABYTE} MB must stay free)")
        if state.f_files and state.f_favail < state.f_files * MIN_FREE_INODES:
            raise OSError(errno.ENOSPC, f"not enough free inodes (at least {MIN_FREE_INODES:.0%} must stay free)")

    def shards(self) -> Iterator[tuple[str, str, Path]]:
        """Yield (variant folder, shard, path) of every shard; foreign folders are skipped.

        Raises `StorageError` if the disk fails.
        """
        for folder in sorted(_scan(self.root), key=lambda entry: entry.name):
            if folder.is_dir(follow_symlinks=False):
                for shard in sorted(_scan(Path(folder.path)), key=lambda entry: entry.name):
                    if SHARD.fullmatch(shard.name) and shard.is_dir(follow_symlinks=False):
                        yield folder.name, shard.name, Path(shard.path)

    def files(self, folder: str, shard: Path) -> Iterator[tuple[Key | None, Path, os.stat_result]]:
        """Yield the files of one shard with their keys; the key is None for temporary and foreign files."""
        for entry in _scan(shard):
            with contextlib.suppress(FileNotFoundError):
                if not entry.is_dir(follow_symlinks=False):
                    yield key_of_path(self.namespace, folder, entry.name), Path(entry.path), entry.stat(follow_symlinks=False)


def _touch(path: Path) -> bool:
    """Update the file's time, so that no sweep removes it before its row is written. Return False if it is gone."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _publish(temp: Path, path: Path) -> None:
    # link() fails if the name exists, rename() would replace it (and make ext4 flush).
    try:
        os.link(temp, path)
    except FileExistsError:  # stored by another process, with the same bytes
        pass
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        temp.rename(path)  # a file system without hard links, such as exFAT
        return
    temp.unlink()


def _read(path: Path) -> bytes:
    fd = os.open(path, READING)
    try:
        return _read_all(fd)
    finally:
        os.close(fd)


def _read_all(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    body = os.read(fd, size)
    while len(body) < size and (chunk := os.read(fd, size - len(body))):  # read() may return less than requested
        body += chunk
    return body


def _scan(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(str(path), error.strerror or str(error)) from error
