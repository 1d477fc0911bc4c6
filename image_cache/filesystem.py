"""Folders that only our own user may enter, and who is alone in one."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def make_folder(path: Path) -> None:
    """Create the folder and the missing ones above it, each with mode 0700 (`Path.mkdir` gives that to the last one only)."""
    try:
        path.mkdir(mode=0o700)
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError:  # on a read-only disk an existing folder is refused with another error than FileExistsError
        if not path.is_dir():
            raise


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process does this with the folder, and keep others out meanwhile. For moments only."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def inode_of(path: Path) -> int:
    """Return the number of a file, to tell it from a successor; -1 when there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return -1


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut, where the file system can do that: some of a network or a stick cannot."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(fd)
