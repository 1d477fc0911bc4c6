"""Limit of chunks: an address may send 20,000 a second, whatever they carry. Beyond that its chunked bodies pause.

A chunk costs the main loop a microsecond even if it carries one byte. Programs send chunks of kilobytes, which never pause.
"""

import time
from collections.abc import Iterator

from image_cache.server.connection import Connection

CHUNKS_PER_S = 20_000  # of one address: 2% of the main loop, and still 20 KB/s in chunks of one byte
FREE_S = 0.1  # an address may be ahead of the limit by this much
MAX_ADDRESSES = 1000


class ChunkToll:
    """Which connections pause, and until when. Only the main loop uses it."""

    def __init__(self) -> None:
        self._paid_until: dict[str, float] = {}
        self._paused: dict[Connection, float] = {}

    def charge(self, conn: Connection, chunks: int) -> bool:
        """Charge an address for chunks; return True if the connection pauses now: the caller then stops listening to it."""
        now = time.monotonic()
        if conn.address not in self._paid_until and len(self._paid_until) >= MAX_ADDRESSES:
            self._paid_until = {address: until for address, until in self._paid_until.items() if until > now}
        until = max(now, self._paid_until.get(conn.address, 0.0)) + chunks / CHUNKS_PER_S
        self._paid_until[conn.address] = until
        if until - now > FREE_S:
            self._paused[conn] = until - FREE_S
        return conn in self._paused

    def forget(self, conn: Connection) -> bool:
        """End the pause of a connection; return False if it had none."""
        return self._paused.pop(conn, None) is not None

    def wait_s(self, longest_s: float) -> float:
        """Return how many seconds the main loop may wait for events."""
        if not self._paused:
            return longest_s
        return min(longest_s, max(0.0, min(self._paused.values()) - time.monotonic()))

    def over(self) -> Iterator[Connection]:
        """Remove and yield the connections whose pause is over."""
        now = time.monotonic()
        for conn in [one for one, until in self._paused.items() if until <= now]:
            del self._paused[conn]
            yield conn
