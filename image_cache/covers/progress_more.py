"""How far a collection has filled, and how long the rest will take at the pace of the last minute."""

import time

from image_cache.covers.digests import NAMESPACE
from image_cache.engine.jobs import JobQueue
from image_cache.engine.registry import ImageRegistry
from image_cache.models import Progress

WINDOW_S = 60.0
SAMPLES = 200


class ProgressEstimator:
    """Remembers what was done when. Thread-safe: its values are replaced, never changed."""

    def __init__(self, register: ImageRegistry, jobs: JobQueue) -> None:
        self._register = register
        self._jobs = jobs
        self._samples: list[tuple[float, int]] = []  # (monotonic time, covers done)

    def progress(self) -> Progress | None:
        if not self._jobs.depth():
            self._samples = []
            return None
        total, fetched, given_up = self._register.summary(NAMESPACE)
        done = fetched + given_up
        if done >= total:
            return None
        now = time.monotonic()
        samples = self._samples = [*[(t, n) for t, n in self._samples if now - t < WINDOW_S][-SAMPLES:], (now, done)]
        first_at, first_done = samples[0]
        eta_s = (total - done) * (now - first_at) / (done - first_done) if done > first_done and now - first_at > 1 else None
        return Progress(total, done, self._jobs.running(), given_up, eta_s)
