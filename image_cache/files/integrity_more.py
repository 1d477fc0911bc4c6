"""Whether a file still is what was fetched: all of it read and compared with its hash."""

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from image_cache.files.index import StoredFile

if TYPE_CHECKING:
    from image_cache.files.store import FileCache

logger = logging.getLogger(__name__)

READ_BYTES = 1 << 20


def verify(cache: "FileCache", kept: StoredFile, step: Callable[[int], object] | None = None) -> bool:
    """Read a file and compare it with its hash; one that differs is never handed out again, and stays until it is replaced."""
    path = cache.root / kept.path
    try:
        found, mtime_ns = hash_file(path, step)
    except OSError as error:
        logger.warning("file not readable path=%s reason=%s", path, error)
        return False
    if found != kept.sha256:
        logger.warning("file corrupt url=%s expected=%s found=%s", kept.remote.shown, kept.sha256, found)
        cache.index.update(kept.digest, is_corrupt=1)
        cache.tally.count("corrupt")
        return False
    cache.index.update(kept.digest, mtime_ns=mtime_ns, epoch=cache.epoch, verified_at=cache.clock(), is_corrupt=0)
    return True


def hash_file(path: Path, step: Callable[[int], object] | None = None) -> tuple[str, int]:
    """Return the SHA-256 of a file and when it was changed, in nanoseconds. `step` is called with the size of each read."""
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(READ_BYTES))
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
        mtime_ns = os.fstat(file.fileno()).st_mtime_ns
        while count := file.readinto(buffer):
            sha256.update(buffer[:count])
            if step is not None:
                step(count)
    return sha256.hexdigest(), mtime_ns
