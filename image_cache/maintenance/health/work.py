"""Checks of the work in progress: the queue, the origins, the storage of originals."""

from collections.abc import Callable
from datetime import datetime

from image_cache.db.database import DatabaseError
from image_cache.engine.queue_flow import queue_flow
from image_cache.maintenance.health.check import Check
from image_cache.maintenance.readonly_vault import ReadonlyVault
from image_cache.resources import log_command, service_command
from image_cache.units import counted

STUCK_S = 300.0  # a job has been runnable for this long while none runs


def queue(vault: ReadonlyVault, *, is_served: bool | None = None, errors: int = 0) -> Check:
    """Check that the queue moves."""
    try:
        waiting = vault.jobs.depth()
        held = vault.jobs.held_by_dead()
        running = vault.jobs.running()
        runnable, runnable_since = vault.jobs.runnable()
    except DatabaseError:
        return Check("Queue", "warning", "It cannot be read.")
    message = f"{counted(waiting, 'cover')} in line" if waiting else "Nothing in line"
    if held:
        return Check(
            "Queue",
            "warning",
            f"{message}; {held:,} held by a process that ended in the middle of it.",
            "The service frees them within half a minute; without it: cache_monitor.py --action doctor",
        )
    if errors:
        return Check(
            "Queue",
            "warning",
            f"{message}; {counted(errors, 'unexpected error')} within the last hour, see the log.",
            "journalctl -u vinylvault | grep 'unexpected error'",
        )
    idle_s = vault.clock() - runnable_since if runnable and not running and not vault.cache.is_adopting else 0.0
    return _flow(vault, message, waiting, is_served, idle_s)


def _flow(vault: ReadonlyVault, message: str, waiting: int, is_served: bool | None, idle_s: float) -> Check:
    """Check a queue whose jobs are all free or running. `idle_s`: for how long one could have run while none did."""
    if vault.limits().paused_at is not None:
        return Check("Queue", "waiting", f"{message}; fetching is paused by an operator.", "The page /admin/cache resumes it.")
    if waiting and is_served is False:
        return Check("Queue", "waiting", f"{message}, until the service runs.")
    flow = queue_flow(vault.jobs)
    if flow.waiting and flow.until and not flow.is_moving:
        until = f"{datetime.fromtimestamp(flow.until):%H:%M}"  # noqa: DTZ006  as the clock on the wall
        return Check("Queue", "waiting", f"{message}; their sources do not answer. Next try at {until}.")
    if idle_s > STUCK_S:
        return Check(
            "Queue",
            "warning",
            f"{message}, and nothing has moved for {idle_s / 60:.0f} minutes.",
            f"{service_command('restart')}; if it stands again, {log_command()} says why.",
        )
    return Check("Queue", "working" if waiting else "well", f"{message}.")


def origins(vault: ReadonlyVault) -> Check:
    """Check whether hosts are paused. Their names are in the advice only."""
    try:
        paused = vault.jobs.paused_hosts()
        given_up = vault.covers().given_up
    except DatabaseError:
        return Check("Origins", "warning", "Unknown.")
    if paused:
        named = "; ".join(f"{lane} until {datetime.fromtimestamp(until):%H:%M} ({reason})" for lane, until, reason in paused[:5])  # noqa: DTZ006  as the clock on the wall
        return Check(
            "Origins",
            "warning",
            f"{len(paused)} paused after failures; tried again by themselves.",
            f"{named}. cache_monitor.py --action probe --url ADDRESS tries one now.",
        )
    rest = f" {counted(given_up, 'cover')} could not be had." if given_up else ""
    return Check("Origins", "well", f"No origin is in trouble.{rest}")


def originals(vault: ReadonlyVault, is_away: Callable[[], bool] | None = None) -> Check:
    """Check that the storage of originals answers. `is_away` None: only the service knows, and it was not asked."""
    if vault.settings.STORAGE == "local":
        return Check("Originals", "well", "They lie on this machine.")
    if is_away is None:
        return Check("Originals", "well", "They lie in a store, which only the service asks.")
    if is_away():
        return Check(
            "Originals",
            "warning",
            "Their storage does not answer. What is cached is shown, uploads are refused.",
            f"Look at {vault.settings.S3_ENDPOINT or 'the store'}; flask --app app storage doctor tries it.",
        )
    return Check("Originals", "well", "Their storage answers.")
