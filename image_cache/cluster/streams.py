"""What several nodes need for streams: an agreement on keys and stores, and the log of deletions."""

import logging
from collections.abc import Callable, Mapping

from image_cache.bootstrap import secret_key
from image_cache.cluster.agreement import Agreement
from image_cache.cluster.build import Cluster
from image_cache.cluster.deletions import Apply, DeletionLog
from image_cache.config import Settings
from image_cache.db.database import Database, DatabaseError
from image_cache.errors import ConfigError, StorageError

logger = logging.getLogger(__name__)


class ClusterStreams:
    """One for each process. `kinds` deletes the bytes of names by kind, `empty` all that is cached of streams."""

    def __init__(
        self, settings: Settings, cluster: Cluster, index: Database, kinds: Mapping[str, Apply], empty: Callable[[], None]
    ) -> None:
        self._settings, self._cluster = settings, cluster
        self._agreement: Agreement | None = None
        self.log = DeletionLog(cluster.catalog, index, cluster.node.name, apply=kinds, empty=empty, join=self._join)

    def start(self) -> None:
        """Join the others, and carry out what they have deleted, before the first request. Idempotent.

        Raises `ConfigError` if they have another key or store. While the database is away the node starts, and is not ready.
        """
        if self._agreement is None:
            key = secret_key(self._settings.secret_key_path)
            self._agreement = Agreement(self._cluster.catalog, self._settings, key, self._cluster.node.name)
        self.log.start()

    def _join(self) -> None:
        if self._agreement is not None:
            self._agreement.join()

    def why_not_ready(self) -> str:
        """Return why this node must not serve pages, "" if it may."""
        try:
            if self._agreement is not None:
                self._agreement.check()
        except ConfigError as error:
            return f"{error}."
        except DatabaseError:
            return "The catalogue cannot be read. /health says more."
        return "" if self.log.is_caught_up else "What other nodes have deleted is not deleted here yet."

    def deletions_by_node(self) -> dict[str, bool]:
        """Return for each node whether it has removed the bytes of all that was deleted so far."""
        try:
            return self.log.confirmations()
        except (DatabaseError, StorageError) as error:
            logger.warning("deletions of other nodes not carried out reason=%s", error)
            return {self.log.node: False}

    def close(self) -> None:
        self.log.close()
