"""What chunks cost: an address may send so many a second, whatever they carry. Beyond that its chunked bodies rest, and others go on.

A chunk costs the main loop a microsecond even if it carries one byte. With chunks as programs send them, of kilobytes, nobody rests.
"""

import time
from collections.abc import Iterator

from image_cache.server.connection import Connection

CHUNKS_PER_S = 20_000  # of one address: two hundredths of the main loop, and 20 KB/s even in chunks of one byte
FREE_S = 0.1  # so far an address may be ahead of that
MAX_ADDRESSES = 1000


class ChunkToll:
    """Which connections rest until when. Only the main loop uses it."""

    def __init__(self) -> None:
        self._paid_until: dict[str, float] = {}
        self._resting: dict[Connection, float] = {}

    def charge(self, conn: Connection, chunks: int) -> bool:
        """Charge an address for chunks; return True if the connection rests now, and the caller stops listening to it."""
        now = time.monotonic()
        if conn.address not in self._paid_until and len(self._paid_until) >= MAX_ADDRESSES:
            self._paid_until = {address: until for address, until in self._paid_until.items() if until > now}
        until = max(now, self._paid_until.get(conn.address, 0.0)) + chunks / CHUNKS_PER_S
        self._paid_until[conn.address] = until
        if until - now > FREE_S:
            self._resting[conn] = until - FREE_S
        return conn in self._resting

    def forget(self, conn: Connection) -> bool:
        """Let a connection rest no longer; return False if it did not."""
        return self._resting.pop(conn, None) is not None

    def wait_s(self, longest_s: float) -> float:
        """Return how long the main loop may wait for events."""
        if not self._resting:
            return longest_s
        return min(longest_s, max(0.0, min(self._resting.values()) - time.monotonic()))

    def rested(self) -> Iterator[Connection]:
        """Remove and yield those whose rest is over."""
        now = time.monotonic()
        for conn in [one for one, until in self._resting.items() if until <= now]:
            del self._resting[conn]
            yield conn
