"""Log of the hits that nginx served by itself: one path per line, in memory (tmpfs)."""

import fcntl
import logging
import os
from pathlib import Path

from image_cache.engine.key import Key, key_of_path

logger = logging.getLogger(__name__)

HITS = "hits.log"  # in the folder that is shared with nginx
CHUNK_BYTES = 1 << 20
MAX_LINES = 65536  # distinct lines per read: more decide no eviction, and must not fill the memory
LONGEST_LINE_BYTES = 200


class HitLog:
    """The log file, drained by any process. Thread-safe and process-safe.

    It is truncated in place, so that nginx, which appends, needs no signal and no new file. What is written between the last read
    and the truncation is lost: the recency of a few hits.
    """

    def __init__(self, path: Path, namespace: str) -> None:
        self.path = path
        self._namespace = namespace

    def drain(self) -> tuple[set[Key], int]:
        """Return the keys that were served since the last call, and the number of hits; empty the log.

        Return nothing if there is no log. If it cannot be read, log a warning: only recency is lost.
        """
        try:
            if self.path.stat().st_size == 0:
                return set(), 0
            fd = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return set(), 0
        except OSError as error:
            logger.warning("nginx hits not counted path=%s reason=%s", self.path, error.strerror)
            return set(), 0
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            lines, hits = _read(fd)
            os.ftruncate(fd, 0)
        except OSError as error:
            logger.warning("nginx hits not counted path=%s reason=%s", self.path, error.strerror)
            return set(), 0
        finally:
            os.close(fd)
        return {key for line in lines if (key := self._key(line)) is not None}, hits

    def _key(self, line: bytes) -> Key | None:
        folder, _, rest = line.decode("ascii", "replace").partition("/")
        return key_of_path(self._namespace, folder, rest.rpartition("/")[2])


def _read(fd: int) -> tuple[set[bytes], int]:
    """Read to the end, a chunk at a time. Return the distinct lines and the number of all lines."""
    seen: set[bytes] = set()
    hits, rest = 0, b""
    while chunk := os.read(fd, CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        hits += len(lines)
        if len(seen) < MAX_LINES:
            seen.update(lines)
        rest = rest[:LONGEST_LINE_BYTES]
    return seen, hits
