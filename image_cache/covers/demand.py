"""Demand for covers: what pages show and browsers request becomes jobs of the queue."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from image_cache.covers.states import NODE_LANE, KnownImages, is_fetched, wants_of
from image_cache.covers.store import CoverContext, chunks
from image_cache.db.database import DatabaseError
from image_cache.engine.job import LoadRequest
from image_cache.engine.jobs import PAGE, VISIBLE
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
        self._requested_at: dict[tuple[str, str, bool], float] = {}  # (digest, variant, in the node's queue) -> monotonic time

    def enqueue(self, requests: Sequence[LoadRequest], priority: int, *, batch: str = "") -> int:
        """Enqueue loads; returns how many jobs are new. Raises `QueueFull`."""
        if not requests and not batch:
            return 0
        node_jobs, shared = self._store.node_jobs, requests
        added = 0
        if node_jobs is not None:
            shared = [request for request in requests if request.lane != NODE_LANE]
            own = [request for request in requests if request.lane == NODE_LANE]
            if own or batch:
                added += node_jobs.put(own, priority, batch=batch)
        if shared or batch:
            added += self._store.jobs.put(shared, priority, batch=batch)
        self._wake()
        return added

    def enqueue_missing(self, digests: Iterable[str], priority: int, *, batch: str = "") -> int:
        """Enqueue what is missing or stale of the digests; those that are unknown or given up are left out. Raises `QueueFull`."""
        now, requests = self._store.clock(), list[LoadRequest]()
        for part in chunks(digests):
            known = KnownImages(
                self._store.images(part), self._store.stored_variants(part), {}, are_shared=self._store.node_jobs is not None
            )
            requests += known.loads(part, now)
        return self.enqueue(requests, priority, batch=batch)

    def request(self, image: ImageRecord, variant: str) -> None:
        """Enqueue an image in front of all others, unless that was done a moment ago or cannot be done now."""
        now, is_own = time.monotonic(), self.is_own(image)
        if now - self._requested_at.get((image.digest, variant, is_own), -RECENT_S) < RECENT_S:
            return
        if len(self._requested_at) >= MAX_RECENT:
            self.forget_recent()
        self._requested_at[image.digest, variant, is_own] = now
        self._enqueue_quietly([LoadRequest(image.digest, NODE_LANE if is_own else image.lane, wants_of(variant))], VISIBLE)

    def follow(self, known: KnownImages, now: float) -> None:
        """Bring to this node what another one has fetched since a page of this one was rendered, which now asks for its state."""
        if not known.are_shared:
            return
        found = known.loads(known.images, now)
        self._enqueue_quietly([one for one in found if one.lane == NODE_LANE and one.digest not in known.running], PAGE)

    def is_own(self, image: ImageRecord) -> bool:
        """Return True if what is missing of an image concerns this node alone, because one of many has fetched it."""
        return self._store.node_jobs is not None and is_fetched(image)

    def demote(self, digests: Sequence[str]) -> None:
        """Lower the priority of covers that are no longer visible. A new request for them counts at once."""
        for digest in digests:
            for variant in self._store.variants:
                for is_own in (False, True):
                    self._requested_at.pop((digest, variant, is_own), None)
        self._store.jobs.demote(digests)
        if self._store.node_jobs is not None:
            self._store.node_jobs.demote(digests)

    def forget_recent(self) -> None:
        self._requested_at = {}

    def _enqueue_quietly(self, requests: Sequence[LoadRequest], priority: int) -> None:
        try:
            self.enqueue(requests, priority)
        except (QueueFull, DatabaseError) as error:
            logger.warning("cover not queued reason=%s", error)
