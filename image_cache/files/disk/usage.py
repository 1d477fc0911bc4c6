"""Uses of files and counters, in memory until the next flush: reads write nothing."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

from image_cache.db.database import DatabaseError
from image_cache.files.disk.index import FileIndex

logger = logging.getLogger(__name__)

FLUSH_S = 60.0


class UsageCounters:
    """Uses and counters in memory until the next flush: reads write nothing. Thread-safe."""

    def __init__(self, index: FileIndex, clock: Callable[[], float]) -> None:
        self._index = index
        self._clock = clock
        self._lock = threading.Lock()  # protects what is below
        self._uses: dict[str, tuple[float, int]] = {}
        self._counts: Counter[str] = Counter()
        self._flushed_at = time.monotonic()

    def use(self, digest: str) -> None:
        """Count that a file was handed out."""
        with self._lock:
            self._uses[digest] = (self._clock(), self._uses.get(digest, (0.0, 0))[1] + 1)

    def count(self, name: str, number: int = 1) -> None:
        with self._lock:
            self._counts[name] += number
        if time.monotonic() - self._flushed_at > FLUSH_S:
            self.flush()

    def counts(self) -> dict[str, int]:
        """Return the counters of all processes, including what this one has not written yet."""
        with self._lock:
            mine = Counter(self._counts)
        return dict(Counter(self._index.counts()) + mine)

    def flush(self) -> None:
        """Write uses and counters. A failure loses a minute of them, nothing else."""
        with self._lock:
            uses, self._uses = self._uses, {}
            counts, self._counts = dict(self._counts), Counter()
            self._flushed_at = time.monotonic()
        if uses or counts:
            try:
                self._index.touch(uses, counts)
            except DatabaseError as error:
                logger.warning("uses not written reason=%s", error)
