"""The file that is being written: beside its place, by one process at a time, and only under its name when it is whole."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from image_cache.errors import Busy, StorageError
from image_cache.filesystem import sync_folder


@contextlib.contextmanager
def written_alone(part: Path) -> Iterator[BinaryIO]:
    """Open the file that is being written, what a killed run left of it included. Raises `Busy` when another run writes it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(part, "rb+", opener=lambda name, _: os.open(name, flags, 0o600)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"another backup is being written to {part}") from None
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
