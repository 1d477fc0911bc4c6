"""The hits that a web server in front answered by itself, from the list that it keeps: one path a line, in memory (tmpfs)."""

import fcntl
import logging
import os
from pathlib import Path

from image_cache.engine.key import Key, key_of_path

logger = logging.getLogger(__name__)

HITS = "hits.log"  # the list, in the folder that is shared with the web server in front
CHUNK_BYTES = 1 << 20
KEYS_KEPT = 65536  # of one look; what would be more decides no eviction, and must not fill the memory
LONGEST_LINE_BYTES = 200


class HitLog:
    """The list in one file, taken by whichever process looks first. Thread-safe and process-safe.

    It is emptied in place, so the writer, which appends, needs no signal and no new file. What is written in the moment between
    the last read and the emptying is lost: that is recency of a few hits.
    """

    def __init__(self, path: Path, namespace: str) -> None:
        self.path = path
        self._namespace = namespace

    def drain(self) -> tuple[set[Key], int]:
        """Return the keys that were sent since the last look, and how many hits they were; the list is empty afterwards.

        Nothing when there is no list. A list that cannot be read is a warning: recency is lost, nothing else.
        """
        try:
            if self.path.stat().st_size == 0:
                return set(), 0
            fd = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return set(), 0
        except OSError as error:
            logger.warning("hits in front not counted path=%s reason=%s", self.path, error.strerror)
            return set(), 0
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            lines, hits = _read(fd)
            os.ftruncate(fd, 0)
        except OSError as error:
            logger.warning("hits in front not counted path=%s reason=%s", self.path, error.strerror)
            return set(), 0
        finally:
            os.close(fd)
        return {key for line in lines if (key := self._key(line)) is not None}, hits

    def _key(self, line: bytes) -> Key | None:
        folder, _, rest = line.decode("ascii", "replace").partition("/")
        return key_of_path(self._namespace, folder, rest.rpartition("/")[2])


def _read(fd: int) -> tuple[set[bytes], int]:
    """Read to the end, a piece at a time: thousands of hits are few different ones."""
    seen: set[bytes] = set()
    hits, rest = 0, b""
    while piece := os.read(fd, CHUNK_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        hits += len(lines)
        if len(seen) < KEYS_KEPT:
            seen.update(lines)
        rest = rest[:LONGEST_LINE_BYTES]
    return seen, hits
