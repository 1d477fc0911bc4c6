"""Hosts that covers are fetched from: what this server has measured, and which of them are in trouble."""

from image_cache.db.database import Database
from image_cache.engine.stats.counters import Latencies
from image_cache.engine.stats.history import DAY_S
from image_cache.frozen import frozen


@frozen
class HostFigures:
    """Fetches from one host since the index was created. `median_ms` is mostly of the last thousand fetches."""

    lane: str
    fetches: int
    failures: int
    fetched_bytes: int
    median_ms: float | None
    used_at: float
    failures_in_row: int = 0
    paused_until: float = 0.0  # 0 if the host is not paused
    reason: str = ""


def hosts(database: Database, now: float, limit: int = 50, *, lanes: Database | None = None) -> list[HostFigures]:
    """Return the hosts that were fetched from, the last used first, and all hosts with failures.

    `lanes` is the database of hosts in trouble, if that is another one.
    """
    troubled = {row[0]: row[1:] for row in (lanes or database).rows("SELECT lane, failures, paused_until, reason FROM lanes")}
    rows = [
        (*row, *troubled.pop(row[0], (None, None, None)))
        for row in database.rows("SELECT lane, fetches, failures, fetched_bytes, latency, used_at FROM hosts")
    ]
    rows += [(lane, 0, 0, 0, "", until, in_row, until, reason) for lane, (in_row, until, reason) in troubled.items()]
    rows.sort(key=lambda row: row[5], reverse=True)
    found = []
    for lane, fetches, failures, fetched_bytes, text, used_at, in_row, until, reason in rows[:limit]:
        is_paused = until is not None and now < until <= now + DAY_S  # a later time was written by a wrong clock
        median_ms = Latencies(text).quantile_ms(0.5)
        figures = HostFigures(lane, fetches, failures, fetched_bytes, median_ms, used_at, in_row or 0)
        if is_paused or in_row:
            figures = HostFigures(
                lane, fetches, failures, fetched_bytes, median_ms, used_at, in_row, until if is_paused else 0.0, reason
            )
        found.append(figures)
    return found
