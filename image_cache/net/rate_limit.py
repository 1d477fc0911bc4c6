"""Rate limits of services that we call: calls per moving window, and intervals, shared by all threads and processes.

The log of calls is stored in `catalog.db`, so that a restart does not reset the count. A service's own count overrides it, because
that includes the calls of other programs.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row
from image_cache.filesystem import lock_file, make_folder
from image_cache.frozen import frozen
from image_cache.net.backoff import MAX_RETRY_AFTER_S
from image_cache.units import whole_number

logger = logging.getLogger(__name__)

LIMIT, REMAINING = "X-Discogs-Ratelimit", "X-Discogs-Ratelimit-Remaining"
MAX_COUNT = 9_999_999  # in a header
MARGIN = 12  # a twelfth of a limit is not used: its count is late, because it is of when a call arrives, not of when it was sent
LAST = 1  # if so few calls are left, another program is faster than our count of its calls
SOON_S = 0.01
STEPS = 12  # how often a window that other programs fill is checked again
MAX_PAUSE_S = 3600.0  # of an interval; a time further ahead was written by a wrong clock


@frozen
class ServiceState:
    """State of a service. Points in time are None until there was one; `fault` is why the last call failed.

    `fault`: `away` (no response), `refused` (a retry does not help), `trouble` (an invalid response), or "" if the last call
    succeeded. The names are those of the columns.
    """

    account: str = ""
    items: int | None = None
    contact_at: float | None = None
    pass_at: float | None = None
    failed_at: float | None = None
    fault: str = ""
    says: str = ""
    paused_until: float = 0.0


_COLUMNS = ", ".join(ServiceState.__dataclass_fields__)


class ServiceStateTable:
    """Rows of `services`, one per service. Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def state(self, name: str) -> ServiceState:
        row = self.db.row(f"SELECT {_COLUMNS} FROM services WHERE name = ?", (name,))
        return ServiceState(**dict(row)) if row else ServiceState()

    def set(self, name: str, **values: Any) -> None:
        """Write columns."""
        with self.db.write() as conn:
            self.write(conn, name, **values)

    def write(self, conn: Connection, name: str, **values: Any) -> None:
        """Write columns in a transaction of the caller."""
        columns = ", ".join(values)
        marks = ", ".join("?" * len(values))
        updates = ", ".join(f"{column} = excluded.{column}" for column in values)
        conn.execute(
            f"INSERT INTO services (name, {columns}) VALUES (?, {marks}) ON CONFLICT (name) DO UPDATE SET {updates}",
            (name, *values.values()),
        )

    def reset(self, name: str) -> None:
        """Clear the account and the results of calls. The log of calls stays, because the rate limit of the service does."""
        self.set(name, account="", items=None, contact_at=None, pass_at=None, failed_at=None, fault="", says="")

    @contextmanager
    def locked_row(self, name: str) -> Iterator[tuple[Connection, Row | None]]:
        """Yield the row in a transaction; no other thread or process writes until the block ends."""
        with self.db.write() as conn:
            yield conn, conn.execute("SELECT * FROM services WHERE name = ?", (name,)).fetchone()


class RateLimiter:
    """Rate limit of one service: never more than `calls` in `window_s` seconds. Any thread, several processes.

    Fewer if the service states a lower limit, or counts calls that are not ours.
    """

    def __init__(
        self, rows: ServiceStateTable, name: str, *, calls: int, window_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self.window_s = window_s
        self._rows = rows
        self._name = name
        self._calls = calls
        self._clock = clock

    def acquire(self, spare: int = 0) -> float:
        """Count a call and return 0.0; or count nothing and return the seconds to wait before the next attempt.

        `spare` calls per window are reserved for more urgent callers.
        """
        now = self._clock()
        with self._rows.locked_row(self._name) as (conn, row):
            if row is not None and self._is_ahead(row, now):
                self._rows.write(conn, self._name, calls=json.dumps(self._recent_calls(row, now)), paused_until=0.0)
                return SOON_S
            if row is not None and row["paused_until"] > now:
                return float(row["paused_until"] - now)
            calls = self._recent_calls(row, now)
            cap = max(1, min(self._calls, (row["cap"] if row else None) or self._calls) - spare)
            over = len(calls) + self._foreign_calls(row, now) - cap
            if over < 0:
                self._rows.write(conn, self._name, calls=json.dumps([*calls, now]))
                return 0.0
            step_s = self.window_s / STEPS
            return max(SOON_S, calls[int(over)] + self.window_s - now) if int(over) < len(calls) else step_s

    def update_from_headers(self, headers: Mapping[str, str]) -> None:
        """Record a successful call, and the limit and count that the service states in its headers."""
        now = self._clock()
        limit, remaining = (whole_number(headers.get(name, "").strip(), 0, MAX_COUNT) for name in (LIMIT, REMAINING))
        with self._rows.locked_row(self._name) as (conn, row):
            values: dict[str, Any] = {"contact_at": now, "failed_at": None, "fault": "", "says": ""}
            if limit and remaining is not None:
                used = max(0, limit - remaining)
                values |= {"cap": limit - max(1, limit // MARGIN), "others_at": now}
                values["others"] = max(0, used - len(self._recent_calls(row, now)))
                if remaining <= LAST and values["others"]:
                    values["paused_until"] = now + self.window_s / STEPS
            self._rows.write(conn, self._name, **values)

    def pause(self, seconds: float) -> None:
        """Allow no calls for a while, because the service asked for a pause. At most an hour."""
        self._rows.set(self._name, paused_until=self._clock() + min(max(seconds, 0.0), MAX_RETRY_AFTER_S))

    def record_failure(self, fault: str, message: str) -> None:
        """Record a failed call; see `ServiceState`."""
        self._rows.set(self._name, failed_at=self._clock(), fault=fault, says=message)

    def _recent_calls(self, row: Row | None, now: float) -> list[float]:
        """Return our calls of the window, oldest first. One in the future was made before the clock was set back: it counts as now."""
        found: list[float] = json.loads(row["calls"]) if row else []
        return [min(at, now) for at in found if at > now - self.window_s]

    def _is_ahead(self, row: Row, now: float) -> bool:
        """Return True if the row was written by a clock that was ahead, and would otherwise block calls for too long."""
        calls: list[float] = json.loads(row["calls"])
        return bool(row["paused_until"] > now + MAX_RETRY_AFTER_S + 1 or (calls and calls[-1] > now + 1))

    def _foreign_calls(self, row: Row | None, now: float) -> float:
        """Estimate how many calls of other programs are still in the window: they leave it evenly until the next count."""
        if row is None:
            return 0.0
        age: float = max(0.0, now - row["others_at"]) / self.window_s
        return float(row["others"] * max(0.0, 1.0 - age))


class IntervalLimiter:
    """Rate limit of one call per interval, kept in a small file. Any thread, several processes: first come, first served."""

    def __init__(self, path: Path, interval_s: float, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._interval_s = interval_s
        self._clock = clock

    def reserve(self) -> float:
        """Reserve the next free time; return the seconds until then. If the file cannot be written, every call waits an interval."""
        return self._update(lambda now, free_at: (max(now, free_at), max(now, free_at) + self._interval_s))

    def back_off(self, seconds: float) -> None:
        """Allow no calls for so long, because the service asked for a pause."""
        self._update(lambda now, free_at: (now, max(free_at, now + min(seconds, MAX_PAUSE_S))))

    def _update(self, step: Callable[[float, float], tuple[float, float]]) -> float:
        """Apply `step` to (now, next free time): it returns (reserved time, new next free time). Return the seconds until the former."""
        try:
            make_folder(self._path.parent)
            with lock_file(self._path) as fd:
                now = self._clock()
                free_at = _parse_time(os.pread(fd, 40, 0))
                reserved_at, next_at = step(now, free_at if free_at <= now + MAX_PAUSE_S else now)
                text = f"{next_at:.3f}\n".encode()
                os.pwrite(fd, text, 0)
                os.ftruncate(fd, len(text))
        except OSError as error:
            logger.warning("rate limit not shared between processes path=%s reason=%s", self._path, error)
            return self._interval_s
        return max(0.0, reserved_at - now)


def _parse_time(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:  # a new file, or one cut short by a power failure
        return 0.0
