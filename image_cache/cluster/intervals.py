"""Intervals between calls of a service that all nodes keep together: booked in `services`, where no other node can write meanwhile."""

from collections.abc import Callable
from pathlib import Path

from image_cache.net.rate_limit import MAX_PAUSE_S, IntervalLimiter, ServiceStateTable


class SharedInterval(IntervalLimiter):
    """One call per interval over all nodes. Raises `DatabaseError` while the database is away: a call without it might be one too many."""

    def __init__(self, rows: ServiceStateTable, name: str, interval_s: float, *, clock: Callable[[], float]) -> None:
        super().__init__(Path(name), interval_s, clock=clock)
        self._rows = rows
        self._name = name

    def _update(self, step: Callable[[float, float], tuple[float, float]]) -> float:
        now = self._clock()
        with self._rows.locked_row(self._name) as (conn, row):
            free_at = float(row["paused_until"]) if row is not None else 0.0
            reserved_at, next_at = step(now, free_at if free_at <= now + MAX_PAUSE_S else now)
            self._rows.write(conn, self._name, paused_until=next_at)
        return max(0.0, reserved_at - now)
