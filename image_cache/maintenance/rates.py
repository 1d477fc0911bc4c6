"""Counters over time, and their rates over 10, 100 and 1000 seconds, as varnishstat shows them."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from image_cache.db.database import DatabaseError
from image_cache.engine.pool import PeriodicJob
from image_cache.maintenance.cache_figures import CacheFigures

WINDOWS_S = (10.0, 100.0, 1000.0)
SAMPLE_S = 2.0  # how often the counters are read while someone watches
MINUTE_S = 60.0
MAX_SAMPLES = 600  # 1000 seconds of them, and some more


class Rates:
    """Counters over time. When one of them goes back, all start over: the index was replaced, or the service restarted."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, dict[str, float]]] = deque(maxlen=MAX_SAMPLES)

    def add(self, at: float, counters: dict[str, float]) -> None:
        if self._samples and any(counters[name] < value for name, value in self._samples[-1][1].items()):
            self._samples.clear()
        self._samples.append((at, counters))
        while self._samples[0][0] < at - WINDOWS_S[-1] - SAMPLE_S:
            self._samples.popleft()

    def copy(self) -> "Rates":
        copied = Rates()
        copied._samples = self._samples.copy()
        return copied

    def rate(self, name: str, window_s: float) -> float | None:
        """Return how many per second over the last `window_s`; None while less than that was sampled."""
        if not self._samples:
            return None
        last_at, last = self._samples[-1]
        if last_at - self._samples[0][0] < window_s * 0.8:
            return None
        at, first = next(sample for sample in self._samples if sample[0] >= last_at - window_s)
        return (last[name] - first[name]) / (last_at - at) if last_at > at else None

    def hit_share(self, cache: str, window_s: float) -> float | None:
        """Return the share of requests that a cache answered, 0 to 1; None without requests, or while too little was sampled."""
        hits, misses = self.rate(f"{cache}.hits", window_s), self.rate(f"{cache}.misses", window_s)
        if hits is None or misses is None or hits + misses <= 0:
            return None
        return hits / (hits + misses)


class CacheRates:
    """Rates of the three caches in the service: sampled once a minute, and whenever someone looks. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects the samples
        self._rates = Rates()

    def add(self, caches: Iterable[CacheFigures]) -> Rates:
        """Add the figures of now; return the rates up to now, which do not change any more."""
        counters = {f"{cache.name}.{name}": float(getattr(cache, name)) for cache in caches for name in ("hits", "misses")}
        with self._lock:
            self._rates.add(time.monotonic(), counters)
            return self._rates.copy()

    def periodic_job(self, figures: Callable[[], Iterable[CacheFigures]]) -> PeriodicJob:
        """Sample once a minute, so that rates over 100 and 1000 seconds are known when someone comes to look."""

        def sample() -> None:
            with suppress(DatabaseError):
                self.add(figures())

        return PeriodicJob("rates", MINUTE_S, sample, first_s=MINUTE_S)
