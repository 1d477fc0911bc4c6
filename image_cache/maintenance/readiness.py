"""Whether this process lives, and whether it can serve: for load balancers and supervisors, which ask every few seconds.

Lives: its threads run and its disk can be read; a restart may help if not. Can serve: the catalogue answers and has the schema that
this version needs; another node should get the requests if not. What they say is for everyone: no paths, no addresses.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError, WrongVersion
from image_cache.engine.pool import Pool

FRESH_S = 0.5  # an answer is used again for so long: any number of monitors cost two questions a second
LATE_S = 3.0  # a question without an answer for so long means that the database is away
Reason = Callable[[], str]  # why not, in a sentence; "" if nothing is wrong


class Readiness:
    """Any thread. `more` are further conditions of serving; each of them asks as little as it can."""

    def __init__(
        self, settings: Settings, catalog: CatalogDatabase, pool: Pool, more: Sequence[Reason] = (), *, late_s: float = LATE_S
    ) -> None:
        self._late_s = late_s
        self._folder = settings.cache_dir
        self._catalog = catalog
        self._pool = pool
        self._conditions = (self._why_unreadable, *more)
        self._asking = threading.Lock()  # held by the one who asks: a database that hangs holds up one thread, not all
        self._answer = ""
        self._answered_at = self._asked_at = float("-inf")

    def why_dead(self) -> str:
        """Return why this process should be restarted, "" if it should not. Asks no database."""
        if not self._pool.is_healthy:
            return "A thread of this process has ended."
        try:
            os.stat(self._folder)
        except OSError:
            return "The disk with the cache cannot be read."
        return ""

    def why_not_ready(self) -> str:
        """Return why no request should be sent here, "" if it can serve. Waits for the database, but not for long."""
        now = time.monotonic()
        if now - self._answered_at < FRESH_S:
            return self._answer
        if self._asking.acquire(timeout=self._late_s if self._answered_at == float("-inf") else 0):
            try:
                self._asked_at = now
                answer = next((why for condition in self._conditions if (why := condition())), "")
                self._answer, self._answered_at = answer, time.monotonic()
                return answer
            finally:
                self._asking.release()
        return "The database does not answer." if now - self._asked_at > self._late_s else self._answer

    def _why_unreadable(self) -> str:
        try:
            self._catalog.check()
        except WrongVersion as error:
            if error.version < error.known:
                return "The database has the schema of an older version. Run: vinylvault migrate"
            return "The database has the schema of a newer version. Update this node."
        except DatabaseError:
            return "The catalogue cannot be read. /health says more."
        return ""
