"""Checks of what is under way: the queue, the origins, the storage of originals."""

from datetime import datetime
from typing import TYPE_CHECKING

from image_cache.db.database import DatabaseError
from image_cache.engine.jobs import MAX_ASKED_PAUSE_S, holder_lives
from image_cache.maintenance.health.check import Check, things
from image_cache.maintenance.readonly_vault import ReadonlyVault

if TYPE_CHECKING:
    from image_cache.services import Services

STUCK_S = 300.0  # a job that could run for so long while none runs
READY = (
    "SELECT count(*), min(ready_at) FROM jobs WHERE leased_until <= ? AND ready_at <= ?"
    " AND lane NOT IN (SELECT lane FROM lanes WHERE paused_until > ? AND paused_until <= ?)"
)
HOLDERS = "SELECT holder, count(*) FROM jobs WHERE leased_until > ? AND holder != '' GROUP BY holder"


def queue(reading: ReadonlyVault, *, is_served: bool | None = None, errors: int = 0) -> Check:
    """Say what waits, and whether it moves."""
    try:
        waiting = reading.jobs.depth()
        now = reading.clock()
        dead = [(holder, count) for holder, count in reading.index.database.rows(HOLDERS, (now,)) if not holder_lives(holder)]
        running = reading.jobs.running()
        ready = reading.index.database.rows(READY, (now, now, now, now + MAX_ASKED_PAUSE_S))[0]
    except DatabaseError:
        return Check("Queue", "warning", "It cannot be read.")
    said = f"{things(waiting, 'cover')} in line" if waiting else "Nothing in line"
    if dead:
        held = sum(count for _, count in dead)
        return Check(
            "Queue",
            "warning",
            f"{said}; {held:,} held by a process that ended in the middle of it.",
            "The service frees them within half a minute; without it: cache_monitor.py --action doctor",
        )
    if errors:
        return Check(
            "Queue",
            "warning",
            f"{said}; {things(errors, 'unexpected error')} since the start, see the log.",
            "journalctl -u vinylvault | grep 'unexpected error'",
        )
    idle_s = now - ready[1] if ready[0] and not running and not reading.cache.is_adopting else 0.0
    return _flow(reading, said, waiting, is_served, idle_s)


def _flow(reading: ReadonlyVault, said: str, waiting: int, is_served: bool | None, idle_s: float) -> Check:
    """Judge a queue whose jobs are all free or at work; `idle_s`: how long one could have run while none did."""
    if reading.limits().paused_at is not None:
        return Check("Queue", "waiting", f"{said}; fetching is paused by an operator.", "The page /admin/cache resumes it.")
    if waiting and is_served is False:
        return Check("Queue", "waiting", f"{said}, until the service runs.")
    if idle_s > STUCK_S:
        return Check(
            "Queue",
            "warning",
            f"{said}, and nothing has moved for {idle_s / 60:.0f} minutes.",
            "sudo systemctl restart vinylvault; if it stands again, journalctl -u vinylvault says why.",
        )
    return Check("Queue", "working" if waiting else "well", f"{said}.")


def origins(reading: ReadonlyVault) -> Check:
    """Say how many hosts are paused; which ones they are stands in the advice."""
    try:
        paused = reading.jobs.paused_hosts()
        _, _, given_up = reading.register.summary(reading.cache.namespace)
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
    rest = f" {things(given_up, 'cover')} could not be had." if given_up else ""
    return Check("Origins", "well", f"No origin is in trouble.{rest}")


def originals(reading: ReadonlyVault, services: "Services | None" = None) -> Check:
    """Say whether the originals of streams can be reached."""
    if reading.settings.STORAGE == "local":
        return Check("Originals", "well", "They lie on this machine.")
    if services is None:
        return Check("Originals", "well", "They lie in a store, which only the service asks.")
    if services.streams.images.is_offline():
        return Check(
            "Originals",
            "warning",
            "Their storage does not answer. What is cached is shown, uploads are refused.",
            f"Look at {reading.settings.S3_ENDPOINT or 'the store'}; flask --app app storage doctor tries it.",
        )
    return Check("Originals", "well", "Their storage answers.")
