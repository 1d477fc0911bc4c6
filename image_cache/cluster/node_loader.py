"""Loader of one node: brings covers that were fetched by some node to this one. Never in a request.

Its queue is in the node's own index. In the queue of all nodes a node that has everything would end such a job, and the one that
asked would ask again for ever.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol

from image_cache.cluster.shared_variants import SharedVariants
from image_cache.db.database import DatabaseError
from image_cache.engine.cache import Cache
from image_cache.engine.job import Job, LoadRequest
from image_cache.engine.jobs import MAX_ATTEMPTS, JobQueue
from image_cache.engine.key import digest_of
from image_cache.engine.registry import ImageRecord, ImageRegistry
from image_cache.errors import CacheError, LeaseLost, StorageError
from image_cache.frozen import frozen

logger = logging.getLogger(__name__)

AWAY_S = 5.0  # until a job looks again whether the store answers, or another node has stored the image
SHARE_WAIT_S = 60.0  # how long another node has to store what it fetched, before this one fetches for itself
LOST_WAIT_S = 20.0  # the same for an object that the store has lost: nodes that have it notice within seconds
BUSY_S = 1.0  # until a job asks again for a slot of its host
FULL_S = 300.0  # this disk takes no more


class FetchingLoader(Protocol):
    """What this loader needs of the one that fetches, which is `CoverLoader`."""

    def run_for(self, job: Job, image: ImageRecord) -> None: ...

    def derive(self, image: ImageRecord, stored: set[str], wants: Collection[str]) -> set[str]: ...


@frozen
class NodeQueues:
    """The queue of this node, and that of all nodes, which knows the hosts."""

    own: JobQueue
    shared: JobQueue


class NodeLoader:
    """Runs the jobs of this node. Any number of threads may call `run_due`."""

    def __init__(
        self,
        node: str,
        queues: NodeQueues,
        *,
        registry: ImageRegistry,
        cache: Cache,
        shared: SharedVariants,
        loader: FetchingLoader,
        is_resting: Callable[[ImageRecord, float], bool],
        is_paused: Callable[[], bool],
    ) -> None:
        self._node = node
        self._queues = queues
        self._jobs = queues.own
        self._registry = registry
        self._cache = cache
        self._shared = shared
        self._loader = loader
        self._is_resting = is_resting
        self._is_paused = is_paused
        self._is_stopping = False

    def stop(self) -> None:
        """Claim no more jobs."""
        self._is_stopping = True

    def run_due(self) -> bool:
        """Run jobs one after the other; return False if there was none."""
        count = 0
        try:
            while not (self._is_stopping or self._cache.is_adopting) and (job := self._jobs.claim()) is not None:
                count += 1
                self._run(job)
        except DatabaseError as error:  # of this node's index: the job returns when its lease ends
            logger.warning("cover not brought reason=%s", error)
            return False
        return count > 0

    def _run(self, job: Job) -> None:
        try:
            delay_s = self._bring(job)
        except (DatabaseError, CacheError) as error:  # the register is away, or the decoder died
            logger.warning("cover not brought reason=%s", error)
            delay_s = AWAY_S
        try:
            with self._jobs.database.write() as conn:
                if delay_s is None:
                    self._jobs.finish(conn, job)
                else:
                    self._jobs.reschedule(conn, job, self._jobs.clock() + delay_s)
        except LeaseLost:
            logger.info("job claimed by another worker digest=%s", job.digest)

    def _bring(self, job: Job) -> float | None:
        """Bring an image to this node; return None when the job has ended, otherwise the seconds until it is worth another try."""
        image = self._registry.get(job.digest)
        if image is None or image.fetched_at is None or job.attempts > MAX_ATTEMPTS:
            return None
        is_stored = self._shared.is_stored(image.digest)
        stored = self._stored(image)
        if is_stored:
            try:
                found = self._shared.get(image, stored, job.variants)
            except StorageError:
                return AWAY_S
            if found and not self._shared.keep(found):
                return FULL_S
            stored |= {key.variant for key in found}
        stored = self._loader.derive(image, stored, job.variants)
        if not self._shared.missing(stored, job.variants):
            return None
        # A further variant is rendered by the first node that needs it; the base ones must come from the node that fetched.
        wait_s = self._wait_s(image, is_stored=is_stored) if self._shared.missing(stored, ()) else 0.0
        return wait_s if wait_s > 0 else self._fetch(job, image)

    def _stored(self, image: ImageRecord) -> set[str]:
        return self._cache.index.variants_of([image.digest]).get(image.digest, set())

    def _wait_s(self, image: ImageRecord, *, is_stored: bool) -> float:
        """Return how long to wait for another node to store what the tier lacks; 0 if that takes too long already."""
        if is_stored:
            self._shared.report_lost(image)
            return LOST_WAIT_S
        if not self._shared.has_tier or image.fetched_at is None:
            return 0.0
        wait_s = image.fetched_at + SHARE_WAIT_S - self._queues.shared.clock()
        return min(wait_s, AWAY_S) if wait_s <= 2 * SHARE_WAIT_S else 0.0  # a fetch in the future was written by a wrong clock

    def _fetch(self, job: Job, image: ImageRecord) -> float | None:
        """Fetch for this node alone, in a slot of the host: at most so many at a time over all nodes."""
        now = self._queues.shared.clock()
        if self._is_resting(image, now):
            return None if image.is_final else image.retry_at - now
        if self._is_paused():
            return AWAY_S
        request = LoadRequest(digest_of("slot", self._node, image.digest), image.lane, job.variants)
        slot = self._queues.shared.claim_slot(request)
        if slot is None:
            return BUSY_S
        self._loader.run_for(replace(slot, attempts=1), image)
        after = self._registry.get(image.digest)
        if after is None:  # the origin has another image, which has another digest
            return None
        if not self._shared.missing(self._stored(image), job.variants):
            return None
        return BUSY_S if self._is_resting(after, now) else FULL_S
