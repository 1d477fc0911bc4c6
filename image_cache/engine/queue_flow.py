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
        "SELECT count(*) FILTER (WHERE leased_until > ?), count(*) FILTER (WHERE leased_until <= ? AND begins_at <= ?),"
        " count(*) FILTER (WHERE leased_until <= ? AND begins_at > ?),"
        " min(CASE WHEN leased_until <= ? AND begins_at > ? THEN begins_at END)"
        " FROM (SELECT leased_until, CASE WHEN paused_until > ready_at THEN paused_until ELSE ready_at END AS begins_at"
        " FROM jobs LEFT JOIN lanes ON lanes.lane = jobs.lane AND paused_until <= ?) AS queued",
        (*[now] * 7, now + MAX_ASKED_PAUSE_S),
    )
    return QueueFlow(row[0], row[1], row[2], row[3]) if row else QueueFlow()


def runnable_jobs(jobs: JobQueue) -> tuple[int, float]:
    """Return how many jobs could be claimed now, and since when the oldest of them could (now when there is none)."""
    now = jobs.clock()
    row = jobs.database.row(
        "SELECT count(*), coalesce(min(ready_at), ?) FROM jobs WHERE leased_until <= ? AND ready_at <= ?"
        " AND lane NOT IN (SELECT lane FROM lanes WHERE paused_until > ? AND paused_until <= ?)",
        (now, now, now, now, now + MAX_ASKED_PAUSE_S),
    )
    return (0, now) if row is None else (row[0], row[1])


def held_by_dead(jobs: JobQueue) -> int:
    """Return how many jobs are leased to processes that have ended."""
    sql = "SELECT holder, count(*) FROM jobs WHERE leased_until > ? AND holder != '' GROUP BY holder"
    counts = {str(holder): int(count) for holder, count in jobs.database.rows(sql, (jobs.clock(),))}
    return sum(counts[holder] for holder in jobs.holders.dead(list(counts)))
