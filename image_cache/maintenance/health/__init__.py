"""Is all well? One list of checks for the page `/health`, the dashboard and `cache_monitor.py`; each fails alone.

`examine(reading)` looks at the vault as it lies on the disk, whoever serves it, also when nobody does; `examine_service(services)`
is the same seen from inside the service, which knows more (its threads) and must not be slow. Knows no Flask.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError
from image_cache.maintenance.health import data as databases
from image_cache.maintenance.health import machine, work
from image_cache.maintenance.health.check import VITAL, Check, can_serve, megabytes, things, verdict
from image_cache.maintenance.readonly_vault import ReadonlyVault, reading_of

if TYPE_CHECKING:
    from image_cache.services import Services

__all__ = ["VITAL", "Check", "can_serve", "examine", "examine_service", "megabytes", "things", "verdict"]

logger = logging.getLogger(__name__)


def examine(reading: ReadonlyVault, *, is_served: bool | None = None, is_deep: bool = True) -> list[Check]:
    """Look at everything from outside; changes nothing.

    Deep: files one by one, databases page by page, the speed of a write; takes seconds on a large vault.
    `is_served`: whether the service is known to run, which decides what a queue that stands still means.
    """
    quick = [
        _guarded("Catalogue", lambda: databases.catalog(reading, is_deep=is_deep)),
        _guarded("Cache", lambda: databases.index(reading, is_deep=is_deep)),
        _guarded("Files", lambda: databases.files(reading, is_deep=is_deep)),
        _guarded("Disk", lambda: machine.space(reading)),
        _guarded("Rights", lambda: machine.rights(reading)),
        _guarded("Clock", lambda: machine.clock(reading)),
        _guarded("Queue", lambda: work.queue(reading, is_served=is_served)),
        _guarded("Origins", lambda: work.origins(reading)),
        _guarded("Originals", lambda: work.originals(reading)),
    ]
    if not is_deep:
        return quick
    return [
        *quick,
        _guarded("Pictures", lambda: databases.pictures(reading)),
        _guarded("Streams", lambda: databases.streams(reading)),
        _guarded("Writing", lambda: machine.writing(reading)),
    ]


def examine_service(services: "Services") -> list[Check]:
    """Look at the service from inside: a few reads of kept totals, no write, fast enough for a monitor's every minute."""
    reading = reading_of(services)
    return [
        _guarded("Catalogue", lambda: databases.catalog(reading)),
        _guarded("Cache", lambda: databases.index(reading, services)),
        _guarded("Files", lambda: databases.files(reading)),
        _guarded("Disk", lambda: machine.space(reading)),
        _guarded("Rights", lambda: machine.rights(reading)),
        _guarded("Clock", lambda: machine.clock(reading)),
        _guarded("Queue", lambda: work.queue(reading, is_served=True, errors=services.pool.errors)),
        _guarded("Origins", lambda: work.origins(reading)),
        _guarded("Originals", lambda: work.originals(reading, services)),
    ]


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    """Let a check that cannot look say so, and the others go on."""
    try:
        return look()
    except (DatabaseError, CacheError, OSError) as error:
        logger.debug("check not made name=%s reason=%s", name, error)
        return Check(name, "warning", "It could not be looked at.", f"The reason: {error}.")
