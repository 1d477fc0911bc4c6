"""Folders and files that only our own user can read: made, locked, replaced whole, synced to the disk."""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

TEMP_PREFIX = ".part-"  # of every temporary file; the process that writes it follows


def make_folder(path: Path) -> None:
    """Create the folder and its missing parents, each with mode 0700 (`Path.mkdir` gives that to the last one only)."""
    try:
        path.mkdir(mode=0o700)
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError:  # on a read-only disk an existing folder is refused with another error than FileExistsError
        if not path.is_dir():
            raise


def create_file(path: Path) -> BinaryIO:
    """Create a file with mode 0600 and open it for writing. Raises `FileExistsError`, also for a symbolic link of that name."""
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def temp_path(path: Path) -> Path:
    """Return an unused name in the folder of `path`. It tells which process writes there, so that a sweep can remove leftovers."""
    return path.with_name(f"{TEMP_PREFIX}{os.getpid()}-{secrets.token_hex(6)}")


@contextlib.contextmanager
def replacing(path: Path, *, is_durable: bool = False, temp: Path | None = None) -> Iterator[BinaryIO]:
    """Open a temporary file that takes the place of `path` at the end of the block. If the block raises, `path` stays as it is.

    If `is_durable`, the new contents and their name survive a power cut. `temp` is for a caller that holds a lock: a fixed name,
    under which the leftover of a killed process is overwritten. Raises `OSError`.
    """
    if temp is not None:
        temp.unlink(missing_ok=True)
    else:
        temp = temp_path(path)
    try:
        with create_file(temp) as file:
            yield file
            if is_durable:
                file.flush()
                os.fsync(file.fileno())
        temp.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temp.unlink(missing_ok=True)
        raise
    if is_durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut. Does nothing where that is impossible: some network and FAT file systems."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # a folder that we can write but not read
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(fd)


def inode_of(path: Path) -> int:
    """Return the inode number of a file, to tell it from a successor; -1 if there is no such file."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return -1


# All locks below belong to an open file: the kernel releases them when the process ends, so there are no stale ones.


def try_lock(fd: int, operation: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file without waiting. Return False if another process or descriptor holds a lock that conflicts."""
    try:
        fcntl.flock(fd, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def try_lock_file(path: Path) -> Iterator[bool]:
    """Yield True while this block holds the lock file, False if it is held elsewhere. Never waits. Raises `OSError`."""
    fd = open_lock_file(path)
    try:
        yield try_lock(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def lock_file(path: Path) -> Iterator[int]:
    """Wait for the lock file, hold it for the block, and yield its descriptor. For short work only. Raises `OSError`."""
    fd = open_lock_file(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Wait for the lock of a folder and hold it for the block. For short work only. Raises `OSError`."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def is_locked(path: Path) -> bool:
    """Return True if another process or thread holds the exclusive lock of this file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not try_lock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def open_lock_file(path: Path) -> int:
    """Open a lock file for `try_lock`, made when missing. The lock is held until the descriptor is closed. Raises `OSError`."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
