"""Demand for covers: what pages show and browsers request becomes jobs of the queue."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from image_cache.covers.states import KnownImages, wants_of
from image_cache.covers.store import CoverContext, chunks
from image_cache.db.database import DatabaseError
from image_cache.engine.job import LoadRequest
from image_cache.engine.jobs import VISIBLE
from image_cache.engine.registry import ImageRecord
from image_cache.errors import QueueFull

logger = logging.getLogger(__name__)

RECENT_S = 5.0  # a request is not written again within this time
MAX_RECENT = 4096


class DemandQueue:
    """Enqueues loads and wakes the workers. Thread-safe: what it remembers of recent requests is a hint and needs no lock."""

    def __init__(self, store: CoverContext, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake
        self._requested_at: dict[tuple[str, str], float] = {}  # (digest, variant) -> monotonic time

    def enqueue(self, requests: Sequence[LoadRequest], priority: int, *, batch: str = "") -> int:
        """Enqueue loads; returns how many jobs are new. Raises `QueueFull`."""
        if not requests and not batch:
            return 0
        added = self._store.jobs.put(requests, priority, batch=batch)
        self._wake()
        return added

    def enqueue_missing(self, digests: Iterable[str], priority: int, *, batch: str = "") -> int:
        """Enqueue what is missing or stale of the digests; those that are unknown or given up are left out. Raises `QueueFull`."""
        now, requests = self._store.clock(), list[LoadRequest]()
        for part in chunks(digests):
            requests += KnownImages(self._store.images(part), self._store.stored_variants(part), {}).loads(part, now)
        return self.enqueue(requests, priority, batch=batch)

    def request(self, image: ImageRecord, variant: str) -> None:
        """Enqueue an image in front of all others, unless that was done a moment ago or cannot be done now."""
        now = time.monotonic()
        if now - self._requested_at.get((image.digest, variant), -RECENT_S) < RECENT_S:
            return
        if len(self._requested_at) >= MAX_RECENT:
            self.forget_recent()
        self._requested_at[image.digest, variant] = now
        try:
            self.enqueue([LoadRequest(image.digest, image.lane, wants_of(variant))], VISIBLE)
        except (QueueFull, DatabaseError) as error:
            logger.warning("cover not queued reason=%s", error)

    def demote(self, digests: Sequence[str]) -> None:
        """Lower the priority of covers that are no longer visible. A new request for them counts at once."""
        for digest in digests:
            for variant in self._store.variants:
                self._requested_at.pop((digest, variant), None)
        self._store.jobs.demote(digests)

    def forget_recent(self) -> None:
        self._requested_at = {}
