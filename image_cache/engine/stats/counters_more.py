"""Counts of what happened since the last flush. Kept in memory: reads do not write."""

import threading
from collections import Counter


class Counters:
    """Named counts of this process. Thread-safe; `take` hands them over to the index once a minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects _counts
        self._counts: Counter[str] = Counter()

    def add(self, name: str, count: int = 1) -> None:
        with self._lock:
            self._counts[name] += count

    def take(self) -> dict[str, int]:
        """Return the counts and begin again at zero."""
        with self._lock:
            counts, self._counts = dict(self._counts), Counter()
            return counts

    def peek(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)
