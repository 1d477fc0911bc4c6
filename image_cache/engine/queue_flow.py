"""Flow of the job queue: how many jobs run, could run, or wait for a moment that is known."""

from image_cache.engine.jobs import MAX_ASKED_PAUSE_S, JobQueue
from image_cache.frozen import frozen


@frozen
class QueueFlow:
    """Jobs by what they do. `waiting` are those of a paused host and those whose retry is due later; the first can run at `until`."""

    running: int = 0
    runnable: int = 0
    waiting: int = 0
    until: float | None = None

    @property
    def is_moving(self) -> bool:
        return self.running > 0 or self.runnable > 0


def queue_flow(jobs: JobQueue) -> QueueFlow:
    """Return what the jobs of a queue do now. Raises `DatabaseError`."""
    now = jobs.clock()
    row = jobs.database.row(
        "SELECT sum(leased_until > ?), sum(leased_until <= ? AND begins_at <= ?), sum(leased_until <= ? AND begins_at > ?),"
        " min(CASE WHEN leased_until <= ? AND begins_at > ? THEN begins_at END)"
        " FROM (SELECT leased_until, max(ready_at, coalesce(paused_until, 0)) AS begins_at"
        " FROM jobs LEFT JOIN lanes ON lanes.lane = jobs.lane AND paused_until <= ?)",
        (*[now] * 7, now + MAX_ASKED_PAUSE_S),
    )
    return QueueFlow(row[0], row[1], row[2], row[3]) if row and row[0] is not None else QueueFlow()
