"""View counts: once per viewer and image in half an hour, collected in memory, one transaction a minute."""

import datetime
import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping

from image_cache.engine.shared_counters import SharedCounters, WindowCounters
from image_cache.streams.table import StreamTable

COUNT_ONCE_IN_S = 30 * 60.0
MAX_PENDING = 4096  # (image, day) pairs until the next flush


class ViewCounts:
    """The views of one process, or of all workers and nodes that share `counters`. Thread-safe."""

    def __init__(
        self, rows: StreamTable, *, counters: WindowCounters | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._rows = rows
        self._clock = clock
        self.counters = counters or SharedCounters()
        salt = secrets.token_hex(8)  # viewers cannot be identified once the process has ended
        self._salt: Callable[[], str] = lambda: salt
        self._lock = threading.Lock()  # protects the two below
        self._counts: dict[tuple[str, str], int] = {}
        self._last_at: dict[str, float] = {}

    def share(self, counters: WindowCounters, salt: Callable[[], str]) -> None:
        """Recognise viewers together with the other workers of a server, or with other nodes. Call it before the first view."""
        self.counters, self._salt = counters, salt

    def record(self, image_id: str, viewer: str) -> bool:
        """Count a view unless this viewer was counted lately; `viewer` is any text that identifies one. Return True if it counts."""
        if not self.is_first(image_id, viewer):
            return False
        now = self._clock()
        day = datetime.datetime.fromtimestamp(now, datetime.UTC).date().isoformat()
        with self._lock:
            if len(self._counts) < MAX_PENDING or (image_id, day) in self._counts:
                self._counts[image_id, day] = self._counts.get((image_id, day), 0) + 1
                self._last_at[image_id] = now
        return True

    def is_first(self, what: str, viewer: str) -> bool:
        """Return True if this viewer was not asked about for the same thing in the last half an hour."""
        name = hashlib.sha256(f"{self._salt()}\n{what}\n{viewer}".encode(errors="replace")).hexdigest()
        return self.counters.add(f"view:{name}", COUNT_ONCE_IN_S) == 1

    def flush(self) -> int:
        """Write the pending views and return how many. Raises `DatabaseError`, and then they stay pending."""
        with self._lock:
            counts, self._counts = self._counts, {}
            last_at, self._last_at = self._last_at, {}
        if not counts:
            return 0
        try:
            self._rows.add_views(counts, last_at)
        except BaseException:
            self._put_back(counts, last_at)
            raise
        return sum(counts.values())

    def pending(self, image_id: str) -> int:
        """Return how many views of an image are not written yet."""
        with self._lock:
            return sum(count for (name, _), count in self._counts.items() if name == image_id)

    def _put_back(self, counts: Mapping[tuple[str, str], int], last_at: Mapping[str, float]) -> None:
        with self._lock:
            for place, count in counts.items():
                self._counts[place] = self._counts.get(place, 0) + count
            for image_id, at in last_at.items():
                self._last_at.setdefault(image_id, at)
