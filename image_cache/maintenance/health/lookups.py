"""Check of the look-ups: records without a cover for which MusicBrainz and the Cover Art Archive are to be asked."""

from datetime import datetime

from image_cache.db.database import DatabaseError
from image_cache.importers.artwork.search import KIND, NO_NETWORK
from image_cache.maintenance.health.check import Check
from image_cache.maintenance.readonly_vault import ReadonlyVault
from image_cache.models import TaskState
from image_cache.resources import own_command
from image_cache.tasks.table import TaskTable
from image_cache.units import counted

NAME = "Look-ups"


def lookups(vault: ReadonlyVault) -> Check:
    """Check whether records wait to be looked up, and for what."""
    if not vault.settings.FIND_COVERS:
        return Check(NAME, "well", "Searching for covers is turned off.")
    try:
        due = vault.lookups_due()
        task = TaskTable(vault.catalog).latest(KIND)
    except DatabaseError:
        return Check(NAME, "warning", "Cannot be read.")
    if not due:
        return Check(NAME, "well", "No records to search for.")
    return _by_task(task, f"{counted(due, 'record')} to search for")


def _by_task(task: TaskState | None, message: str) -> Check:
    if task is None or task.state in ("done", "cancelled"):
        return Check(NAME, "waiting", f"{message}, with the next search.")
    if task.state == "failed":
        return Check(NAME, "warning", f"{message}; the last search failed.", f"{task.message} It runs again within 6 hours.")
    if task.paused_until is None:
        return Check(NAME, "working", f"{message}.")
    until = f"{datetime.fromtimestamp(task.paused_until):%H:%M}"  # noqa: DTZ006  as the clock on the wall
    message = f"{message}. {task.message} Next retry at {until}."
    if task.message == NO_NETWORK:
        return Check(NAME, "warning", message, f"To test the connection: {own_command('probe https://musicbrainz.org')}")
    return Check(NAME, "waiting", message)
