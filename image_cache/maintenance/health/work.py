"""Checks of the work in progress: the queue, the origins, the storage of originals."""

from collections.abc import Callable
from datetime import datetime

from image_cache.db.database import DatabaseError
from image_cache.engine.queue_flow import held_by_dead, queue_flow, runnable_jobs
from image_cache.maintenance.health.check import Check
from image_cache.maintenance.readonly_vault import ReadonlyVault
from image_cache.resources import log_command, own_command, service_command
from image_cache.units import counted

STUCK_S = 300.0  # a job has been runnable for this long while none runs


def queue(vault: ReadonlyVault, *, is_served: bool | None = None, errors: int = 0) -> Check:
    """Check that the queue moves."""
    try:
        waiting = vault.jobs.depth()
        held = held_by_dead(vault.jobs)
        running = vault.jobs.running()
        runnable, runnable_since = runnable_jobs(vault.jobs)
    except DatabaseError:
        return Check("Queue", "warning", "Cannot be read.")
    message = f"{counted(waiting, 'cover')} queued" if waiting else "Queue is empty"
    if held:
        return Check(
            "Queue",
            "warning",
            f"{message}; {held:,} still claimed by a process that died.",
            f"The service releases them within 30 seconds. If it is not running: {own_command('repair')}",
        )
    if errors:
        return Check(
            "Queue",
            "warning",
            f"{message}; {counted(errors, 'unexpected error')} in the last hour. See the log.",
            "sudo journalctl -u vinylvault | grep 'unexpected error'",
        )
    idle_s = vault.clock() - runnable_since if runnable and not running and not vault.cache.is_adopting else 0.0
    return _flow(vault, message, waiting, is_served, idle_s)


def _flow(vault: ReadonlyVault, message: str, waiting: int, is_served: bool | None, idle_s: float) -> Check:
    """Check a queue whose jobs are all free or running. `idle_s`: for how long one could have run while none did."""
    if vault.limits().paused_at is not None:
        return Check("Queue", "waiting", f"{message}; fetching was paused by an operator.", "Resume it at /admin/cache.")
    if waiting and is_served is False:
        return Check("Queue", "waiting", f"{message}; the service is not running.")
    flow = queue_flow(vault.jobs)
    if flow.waiting and flow.until and not flow.is_moving:
        until = f"{datetime.fromtimestamp(flow.until):%H:%M}"  # noqa: DTZ006  as the clock on the wall
        return Check("Queue", "waiting", f"{message}; their sources are not responding. Next retry at {until}.")
    if idle_s > STUCK_S:
        return Check(
            "Queue",
            "warning",
            f"{message}; no progress for {idle_s / 60:.0f} minutes.",
            f"Restart the service: {service_command('restart')}. If it gets stuck again, check {log_command()}.",
        )
    return Check("Queue", "working" if waiting else "well", f"{message}.")


def origins(vault: ReadonlyVault) -> Check:
    """Check whether hosts are paused. Their names are in the advice only."""
    try:
        paused = vault.jobs.paused_hosts()
        given_up = vault.covers().given_up
    except DatabaseError:
        return Check("Origins", "warning", "Cannot be read.")
    if paused:
        named = "; ".join(f"{lane} until {datetime.fromtimestamp(until):%H:%M} ({reason})" for lane, until, reason in paused[:5])  # noqa: DTZ006  as the clock on the wall
        return Check(
            "Origins",
            "warning",
            f"{len(paused)} paused after failures. They are retried automatically.",
            f"{named}. To test one now: {own_command('probe URL')}",
        )
    rest = f" {counted(given_up, 'cover')} unavailable." if given_up else ""
    return Check("Origins", "well", f"All origins OK.{rest}")


def originals(vault: ReadonlyVault, is_away: Callable[[], bool] | None = None) -> Check:
    """Check that the storage of originals answers. `is_away` None: only the service knows, and it was not asked."""
    if vault.settings.STORAGE == "local":
        return Check("Originals", "well", "Stored on this server.")
    if is_away is None:
        return Check("Originals", "well", "Stored in S3; checked only by the running service.")
    if is_away():
        return Check(
            "Originals",
            "warning",
            "The S3 storage is not responding. Cached images are still shown, but uploads fail.",
            f"Check {vault.settings.S3_ENDPOINT or 'the S3 storage'}. To test it: vinylvault storage doctor",
        )
    return Check("Originals", "well", "The S3 storage is OK.")
