"""Builds what a node shares with the others, from the settings."""

import logging
from collections.abc import Callable

from image_cache.cluster.clock import DatabaseClock, since_boot
from image_cache.cluster.index_schema import COVERS, SHARED_INDEX
from image_cache.cluster.nodes import BEAT_S, ClusterHolders, NodeTable, ThisNode, boot_of
from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.database import DatabaseError
from image_cache.db.postgres.database import PgDatabase
from image_cache.db.postgres.server import open_postgres
from image_cache.engine.jobs import JobQueue
from image_cache.engine.pool import PeriodicJob, Pool
from image_cache.errors import ConfigError
from image_cache.resources import version

logger = logging.getLogger(__name__)

LOOK_S = 0.5  # how soon the work of a node is taken over once it counts as dead
STOP_S = 3.0  # of each of its threads
ANSWER_S = 4.0  # a beat without an answer for so long means that the server is cut off: no thread should wait for it


class Cluster:
    """This node, and what it shares with the others: the catalogue, an index, a clock. `start` lets the others know of it."""

    def __init__(self, settings: Settings, catalog: PgDatabase, *, is_reader: bool = False) -> None:
        self.catalog = catalog
        self.index = catalog.beside(COVERS, SHARED_INDEX)  # the shared half: register, jobs, hosts in trouble
        self.clock = DatabaseClock()
        self.node = ThisNode(
            NodeTable(catalog), catalog.node, boot_of(settings.cache_dir), self.clock, version=version(), schema=len(MIGRATIONS)
        )
        self.holders = ClusterHolders(self.node)
        self.clock.measure(self.index)
        self._pools: list[Pool] = []
        self._is_only_process = settings.WORKERS == 1  # else the others go on, and their jobs must not look free
        self._is_away = False

    @property
    def name(self) -> str:
        return self.node.name

    def start(self, jobs: JobQueue, wake: Callable[[], None]) -> None:
        """Announce this node and let its heart beat; idempotent. The jobs of dead nodes are released, and then `wake` is called.

        Raises `ConfigError` if another node runs under this name. While the database is away the node starts without it.
        """
        if self._pools:
            return
        try:
            self.node.join()
        except DatabaseError as error:
            logger.warning("node not announced yet node=%s reason=%s", self.node.name, error)
        jobs_of_nodes = PeriodicJob("take-over", LOOK_S, lambda: self._look(jobs, wake), first_s=LOOK_S)
        # A thread each: one that waits for the server must not delay a beat, or the one that notices it.
        for periodic in (
            PeriodicJob("heartbeat", BEAT_S, self._beat, first_s=BEAT_S),
            jobs_of_nodes,
            PeriodicJob("watch", LOOK_S, self._cut),
        ):
            pool = Pool(lambda: False, [periodic], workers=0, name=periodic.name)
            pool.start()
            self._pools.append(pool)

    def close(self) -> None:
        """Stop the heartbeat and announce that this node has stopped."""
        for pool in self._pools:
            pool.close(STOP_S)
        if self._pools and self._is_only_process:
            self.node.leave()
        self.index.close()

    def _beat(self) -> None:
        with self.catalog.patience():
            if not self.node.is_known:  # the database was away at the start
                try:
                    self.node.join()
                except (DatabaseError, ConfigError) as error:
                    logger.warning("node not announced yet node=%s reason=%s", self.node.name, error)
                    return
            self.node.beat()

    def _cut(self) -> None:
        """Break the connections to a server that does not answer, before they keep all threads of requests waiting."""
        since = self.node.asking_since
        if since is not None and since_boot() - since > ANSWER_S:
            for database in (self.catalog, self.index):
                database.cut(ANSWER_S)

    def _look(self, jobs: JobQueue, wake: Callable[[], None]) -> None:
        try:
            with self.index.patience():
                is_any_free = jobs.release_dead() > 0
            if is_any_free:
                wake()
        except DatabaseError as error:
            if not self._is_away:
                logger.warning("work of dead nodes not looked for reason=%s", error)
            self._is_away = True
            return
        self._is_away = False


def open_cluster(settings: Settings, catalog: CatalogDatabase | None = None, *, is_reader: bool = False) -> Cluster:
    """Return the cluster that the settings name; with `catalog` on one that is open already. A reader writes nothing."""
    if not isinstance(catalog, PgDatabase):
        catalog = open_postgres(settings, is_reader=is_reader)
    return Cluster(settings, catalog, is_reader=is_reader)
