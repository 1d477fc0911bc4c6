"""Rate limits of requests. All workers of a server share the counters, which start no thread."""

import time
from typing import cast

from flask import Flask, request
from flask_limiter import Limiter
from limits.storage import Storage

from image_cache.engine.shared_counters import SharedCounters, WindowCounters
from image_cache.net.url import client_network

SCHEME = "windows"


class SharedCounterStorage(Storage):
    """Storage of flask-limiter in `SharedCounters`, private to the process until `share` is called."""

    STORAGE_SCHEME = [SCHEME]

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: float | str | bool) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        self._counters: WindowCounters = SharedCounters()

    def share(self, counters: WindowCounters) -> None:
        """Count in this table from now on: one created before the fork, for all workers, or one of all nodes."""
        self._counters = counters

    @property
    def base_exceptions(self) -> type[Exception]:
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self._counters.add(key, expiry, amount)

    def get(self, key: str) -> int:
        return self._counters.peek(key)[0]

    def get_expiry(self, key: str) -> float:
        return time.time() + self._counters.peek(key)[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        self._counters.clear()
        return None

    def clear(self, key: str) -> None:
        self._counters.reset(key)


def limit_key() -> str:
    """Return the client whose requests are counted together."""
    return client_network(request.remote_addr or "unknown")


limiter = Limiter(limit_key, storage_uri=f"{SCHEME}://", strategy="fixed-window")


def register_limits(app: Flask) -> None:
    limiter.init_app(app)


def share_limits(counters: WindowCounters) -> None:
    """Share the counters between all workers, or all nodes. Called in each of them after the fork, before the first request."""
    cast(SharedCounterStorage, limiter.storage).share(counters)


def seconds_to_wait() -> int:
    """Return how long the limit that refused this request still lasts."""
    current = limiter.current_limit
    return max(1, int(current.reset_at - time.time())) if current else 60
