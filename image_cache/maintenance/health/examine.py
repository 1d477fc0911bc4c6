"""The list of checks: for the page `/health`, the dashboard and the command line. Knows no Flask.

`examine` looks at the vault on the disk, whether it is being served or not. `examine_service` is the same from inside the
service, which knows more (its threads, its storage) and must not be slow.
"""

import logging
from collections.abc import Callable

from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError
from image_cache.maintenance.health import data, machine, work
from image_cache.maintenance.health.check import Check
from image_cache.maintenance.health.lookups import NAME, lookups
from image_cache.maintenance.readonly_vault import ReadonlyVault

logger = logging.getLogger(__name__)


def examine(vault: ReadonlyVault, *, is_served: bool | None = None, is_deep: bool = True) -> list[Check]:
    """Check everything from outside; changes nothing.

    Deep: files one by one, databases page by page, the speed of a write; takes seconds on a large vault.
    `is_served`: whether the service is known to run, which decides what a queue that does not move means.
    """
    quick = [
        _guarded("Catalogue", lambda: data.catalog(vault, is_deep=is_deep)),
        _guarded("Cache", lambda: data.index(vault, is_deep=is_deep)),
        _guarded("Images", lambda: data.images(vault)),
        _guarded("Files", lambda: data.files(vault, is_deep=is_deep)),
        _guarded("Disk", lambda: machine.space(vault)),
        _guarded("Rights", lambda: machine.rights(vault)),
        _guarded("Clock", lambda: machine.clock(vault)),
        _guarded("Queue", lambda: work.queue(vault, is_served=is_served)),
        _guarded("Origins", lambda: work.origins(vault)),
        _guarded(NAME, lambda: lookups(vault)),
        _guarded("Originals", lambda: work.originals(vault)),
        *_of_cluster(vault, is_inside=False),
    ]
    if not is_deep:
        return quick
    return [
        *quick,
        _guarded("Covers", lambda: data.pictures(vault)),
        _guarded("Streams", lambda: data.streams(vault)),
        _guarded("Writing", lambda: machine.writing(vault)),
    ]


def examine_service(vault: ReadonlyVault, *, errors: int, are_originals_away: Callable[[], bool]) -> list[Check]:
    """Check the service from inside: a few reads of kept totals, no write, fast enough for a monitor that asks every minute.

    `errors` counts the unexpected ones of its threads within the last hour.
    """
    return [
        _guarded("Catalogue", lambda: data.catalog(vault)),
        _guarded("Cache", lambda: data.index(vault, is_inside=True)),
        _guarded("Images", lambda: data.images(vault)),
        _guarded("Files", lambda: data.files(vault)),
        _guarded("Disk", lambda: machine.space(vault)),
        _guarded("Rights", lambda: machine.rights(vault)),
        _guarded("Clock", lambda: machine.clock(vault)),
        _guarded("Queue", lambda: work.queue(vault, is_served=True, errors=errors)),
        _guarded("Origins", lambda: work.origins(vault)),
        _guarded(NAME, lambda: lookups(vault)),
        _guarded("Originals", lambda: work.originals(vault, are_originals_away)),
        *_of_cluster(vault, is_inside=True),
    ]


def _of_cluster(vault: ReadonlyVault, *, is_inside: bool) -> list[Check]:
    """Check what only a catalogue in PostgreSQL has. Inside the service the messages are for visitors too."""
    if not vault.settings.DATABASE:
        return []
    from image_cache.maintenance.health import cluster

    found = [_guarded("Nodes", lambda: cluster.nodes(vault, has_names=not is_inside))]
    return found if is_inside else [_guarded("Database", lambda: cluster.database(vault)), *found]


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    """Turn a check that cannot be made into a warning, so that the others continue."""
    try:
        return check()
    except (DatabaseError, CacheError, OSError) as error:
        logger.debug("check failed name=%s reason=%s", name, error)
        return Check(name, "warning", "This check could not run.", f"Reason: {error}.")
