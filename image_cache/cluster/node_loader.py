"""Loader of one node: brings covers that were fetched by some node to this one. Never in a request.

Its queue is in the node's own index. In the queue of all nodes a node that has everything would end such a job, and the one that
asked would ask again for ever.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol

from image_cache.cluster.second_tier.shared_variants import SharedVariants
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
LOST_S = 10.0  # how long a node that has what the store lacks may take to store it: it looks every five seconds
ASKED_S = 2.0  # until a job looks whether the fetch that it asked for has ended
PATIENCE_S = 90.0  # how long it waits for the store and for other nodes, before this node fetches for itself
FRESH_S = 60.0  # a node that has fetched an image stores it within this time
BUSY_S = 1.0  # until a job asks again for a slot of its host
FULL_S = 300.0  # this disk takes no more
MAX_WAITING = 4096


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
        wake: Callable[[], None],
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
        self._wake = wake
        self._is_stopping = False
        # Since when an image is waited for, by digest. A hint, which needs no lock.
        self._waiting_since: dict[str, float] = {}

    def stop(self) -> None:
        """Claim no more jobs."""
        self._is_stopping = True

    def dead_keepers(self) -> set[str]:
        """Return the processes whose nodes have died with what the store does not have. Raises `DatabaseError`."""
        return set(self._queues.shared.holders.dead(self._shared.keepers()))

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
        is_stored, is_away = self._shared.is_stored(image.digest), False
        stored = self._stored(image)
        if is_stored:
            try:
                found = self._shared.get(image, stored, job.variants)
            except StorageError:
                found, is_away = {}, True
            if found and not self._shared.keep(found):
                return FULL_S
            stored |= {key.variant for key in found}
        stored = self._loader.derive(image, stored, job.variants)
        if not self._shared.missing(stored, job.variants):
            self._waiting_since.pop(image.digest, None)
            return None
        waited_s = self._waited_s(image.digest)
        if not self._shared.has_tier or waited_s >= PATIENCE_S:
            return self._fetch(job, image)
        is_away = is_away or self._shared.is_away()
        is_base = bool(
            self._shared.missing(stored, ())
        )  # otherwise a further variant, which the first node that needs it renders
        if is_base and is_stored and not is_away:
            self._shared.report_lost(image)
        delay_s = self._patience_s(image, waited_s, is_away=is_away, is_base=is_base)
        return self._ask_others(job, image) if delay_s is None else delay_s

    def _stored(self, image: ImageRecord) -> set[str]:
        return self._cache.index.variants_of([image.digest]).get(image.digest, set())

    def _waited_s(self, digest: str) -> float:
        """Return for how long this image has been waited for."""
        if len(self._waiting_since) >= MAX_WAITING:
            self._waiting_since = {}
        now = self._jobs.clock()
        since = self._waiting_since.setdefault(digest, now)
        if since > now:  # the clock was set back
            self._waiting_since[digest] = since = now
        return now - since

    def _is_fresh(self, image: ImageRecord) -> bool:
        """Return True if the node that fetched the image may still be storing it."""
        return image.fetched_at is not None and abs(self._queues.shared.clock() - image.fetched_at) < FRESH_S

    def _patience_s(self, image: ImageRecord, waited_s: float, *, is_away: bool, is_base: bool) -> float | None:
        """Return the seconds until another look whether the store has the image; None if there is nothing to wait for."""
        keeper = self._shared.keeper_of(image.digest)
        if keeper is not None and self._queues.shared.holders.dead([keeper]):  # what it has comes back with it, or never
            return None
        is_on_its_way = is_base and (waited_s < LOST_S or self._is_fresh(image))
        return AWAY_S if is_away or is_on_its_way else None

    def _ask_others(self, job: Job, image: ImageRecord) -> float:
        """Let one node fetch for all of them, and store it, what no node has; return the seconds until it is worth a look."""
        if not self._is_resting(image, self._queues.shared.clock()):
            self._queues.shared.put([LoadRequest(image.digest, image.lane, job.variants)], job.priority)
            self._wake()
        return ASKED_S

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
        self._waiting_since.pop(image.digest, None)
        after = self._registry.get(image.digest)
        if after is None:  # the origin has another image, which has another digest
            return None
        if not self._shared.missing(self._stored(image), job.variants):
            return None
        return BUSY_S if self._is_resting(after, now) else FULL_S
