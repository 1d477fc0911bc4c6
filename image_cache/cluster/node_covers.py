"""Threads of one node that bring it the covers which any node has fetched, and the store what it lacks."""

import logging

from image_cache.cluster.node_loader import NodeLoader
from image_cache.cluster.second_tier.shared_variants import SharedVariants
from image_cache.db.database import DatabaseError
from image_cache.engine.jobs import JobQueue
from image_cache.engine.pool import PeriodicJob, Pool

logger = logging.getLogger(__name__)

AT_ONCE = 4
STORE_S = 5.0  # how soon the store has what it did not take
KEEPERS_S = 1.0  # how soon this node asks for what a dead node alone had
REPAIR_S = 10.0
DAY_S = 86400.0


class NodeCovers:
    """Start it in the process that serves."""

    def __init__(self, loader: NodeLoader, jobs: JobQueue, shared: SharedVariants) -> None:
        self._loader = loader
        self._jobs = jobs
        self._shared = shared
        self._dead: set[str] = set()  # the keepers that the last look found dead
        periodic = [
            PeriodicJob("store-covers", STORE_S, self._store_later, first_s=STORE_S),
            PeriodicJob("node-keepers", KEEPERS_S, self._look_for_dead, first_s=KEEPERS_S),
            PeriodicJob("node-jobs", REPAIR_S, self._repair),
            PeriodicJob("node-sweep", DAY_S, self._sweep, first_s=DAY_S),
        ]
        self._pool = Pool(loader.run_due, periodic, workers=AT_ONCE, name="node-covers")

    def start(self) -> None:
        self._pool.start()

    def wake(self) -> None:
        self._pool.wake()

    def stop(self) -> None:
        """Claim no more jobs."""
        self._loader.stop()

    def close(self, timeout_s: float = 5.0) -> bool:
        """Stop the threads and release what they hold. Return False if one did not end in time."""
        was_running = self._pool.is_running
        has_ended = self._pool.close(timeout_s)
        if was_running:
            try:
                self._jobs.release_own()
            except DatabaseError as error:
                logger.warning("jobs not released reason=%s", error)
        return has_ended

    def _store_later(self) -> None:
        try:
            self._shared.delete_later()
            self._shared.store_later()
        except DatabaseError as error:
            logger.warning("covers not stored in the second tier reason=%s", error)

    def _look_for_dead(self) -> None:
        """Let the jobs that wait for a node run, once it has died."""
        try:
            if self._jobs.depth() == 0:
                return
            dead = self._loader.dead_keepers()
            if not dead <= self._dead:
                self._jobs.make_due()
                self._pool.wake()
            self._dead = dead
        except DatabaseError as error:
            logger.debug("dead nodes not looked for reason=%s", error)

    def _repair(self) -> None:
        try:
            if self._jobs.release_dead() or self._jobs.fix_clock_skew():
                self._pool.wake()
        except DatabaseError as error:
            logger.warning("jobs of this node not repaired reason=%s", error)

    def _sweep(self) -> None:
        try:
            self._jobs.remove_old(older_than_s=DAY_S)
        except DatabaseError as error:
            logger.warning("jobs of this node not swept reason=%s", error)
