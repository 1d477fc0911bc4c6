"""The log of actions of one vault: kept for 90 days, with addresses that are shortened after 7. Knows no requests."""

import ipaddress
import logging
import time
from collections.abc import Callable

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.engine.pool import PeriodicJob
from image_cache.maintenance.actions.table import ActionFilter, ActionTable, LoggedAction
from image_cache.text import cut

logger = logging.getLogger(__name__)

DAY_S = 86400.0
KEPT_DAYS, SHORT_DAYS = 90, 7
EVERY_S, FIRST_S = 6 * 3600.0, 3600.0
MERGE_S = 15 * 60.0  # equal lines within this time are one with a count: failed logins do not fill the card
MAX_CHARS = 200
# The kinds that a reader can choose, and what they are called.
KINDS = {
    "uploads": "Uploads",
    "deletions": "Deletions",
    "logins": "Logins",
    "links": "Links and invites",
    "accounts": "Accounts",
    "records": "Records and imports",
    "limits": "Limits and caches",
}


class ActionLog:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase, *, clock: Callable[[], float] = time.time) -> None:
        self._rows = ActionTable(catalog)
        self._clock = clock

    def add(self, kind: str, who: str, what: str, place: str = "", address: str = "", *, is_merged: bool = False) -> None:
        """Add a line. Never raises for a database that cannot be written: what was done was done.

        `kind` is one of `KINDS`, `what` a verb in the past with its object. With `is_merged`, the same line within a quarter of
        an hour is counted instead.
        """
        if kind not in KINDS:
            raise ValueError(f"unknown kind of action {kind!r}")
        now = self._clock()
        action = LoggedAction(
            now, kind, cut(who, MAX_CHARS), cut(what, MAX_CHARS), cut(place, MAX_CHARS), cut(address, MAX_CHARS)
        )
        try:
            self._rows.add(action, now - MERGE_S if is_merged else None)
        except DatabaseError as error:
            logger.warning("action not logged reason=%s", error)

    def find(self, chosen: ActionFilter, limit: int, offset: int = 0) -> list[LoggedAction]:
        """Return lines, newest first. Raises `DatabaseError`."""
        return self._rows.find(chosen, limit, offset)

    def count(self, chosen: ActionFilter) -> int:
        return self._rows.count(chosen)

    def names(self) -> list[str]:
        return self._rows.names()

    def since(self, days: int) -> float:
        """Return the time so many days ago."""
        return self._clock() - days * DAY_S

    def periodic_job(self) -> PeriodicJob:
        return PeriodicJob("actions", EVERY_S, self.prune, first_s=FIRST_S)

    def prune(self) -> None:
        """Delete lines of more than 90 days, shorten addresses of more than 7."""
        now = self._clock()
        try:
            self._rows.prune(now - KEPT_DAYS * DAY_S)
            self._rows.shorten_addresses(now - SHORT_DAYS * DAY_S, shortened)
        except DatabaseError as error:
            logger.warning("action log not pruned reason=%s", error)


def shortened(address: str) -> str:
    """Return the network of an address: three parts of IPv4, the first 48 bits of IPv6. Other text is dropped."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(parsed, "ipv4_mapped", None)
    if mapped is not None:
        parsed = mapped
    network = ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False)
    return str(network)
