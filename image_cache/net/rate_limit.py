"""How fast a service may be asked: so many calls in a moving window, counted for all threads, processes and restarts together.

The log of calls lies in `catalog.db`, so that nobody starts with an empty count. What the service says about its own count wins:
calls of other programs on this line stand in it as well.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row
from image_cache.filesystem import lock_file, make_folder
from image_cache.net.backoff import MAX_RETRY_AFTER_S
from image_cache.units import whole_number


@dataclass(frozen=True, slots=True)
class ServiceState:
    """How it stands with a service. Points in time are None while there was none; `fault` is why the last call failed.

    `fault`: `away` (no answer at all), `refused` (asking again does not help), `trouble` (answers, but not with what was asked
    for), or "" when the last call went well.
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
    """One row a service. Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def state(self, name: str) -> ServiceState:
        row = self.db.row(f"SELECT {_COLUMNS} FROM services WHERE name = ?", (name,))
        return ServiceState(**dict(row)) if row else ServiceState()

    def set(self, name: str, **values: Any) -> None:
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

    def forget(self, name: str) -> None:
        """Forget on whose behalf it was asked, and what came of it. How often it was asked stays: its limit is not ours to reset."""
        self.set(name, account="", items=None, contact_at=None, pass_at=None, failed_at=None, fault="", says="")

    @contextmanager
    def alone(self, name: str) -> Iterator[tuple[Connection, Row | None]]:
        """Yield the row inside a transaction that no other writes in, in this process or another."""
        with self.db.write() as conn:
            yield conn, conn.execute("SELECT * FROM services WHERE name = ?", (name,)).fetchone()


MAX_COUNT = 9_999_999  # that a header can state
LIMIT, REMAINING = "X-Discogs-Ratelimit", "X-Discogs-Ratelimit-Remaining"
MARGIN = (
    12  # a twelfth of what a service allows is left alone: its numbers lag, and it counts when a call arrives, not when it left
)
LAST = 1  # so few calls left: somebody else is faster than our count of them
SOON_S = 0.01
STEPS = 12  # how often a window is looked at again when others fill it


class RateLimiter:
    """The pace of one service. Any thread, several processes.

    `calls` in `window_s` seconds are never exceeded; fewer when the service says that it allows fewer, or that others ask it too.
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
        """Count a call and return 0.0; or return the seconds after which it is worth asking again, and count nothing.

        `spare` calls of a window are left to whoever is in more of a hurry.
        """
        now = self._clock()
        with self._rows.alone(self._name) as (conn, row):
            if row is not None and self._is_ahead(row, now):
                self._rows.write(conn, self._name, calls=json.dumps(self._ours(row, now)), paused_until=0.0)
                return SOON_S
            if row is not None and row["paused_until"] > now:
                return float(row["paused_until"] - now)
            ours = self._ours(row, now)
            cap = max(1, min(self._calls, (row["cap"] if row else None) or self._calls) - spare)
            over = len(ours) + self._others(row, now) - cap
            if over < 0:
                self._rows.write(conn, self._name, calls=json.dumps([*ours, now]))
                return 0.0
            step_s = self.window_s / STEPS
            return max(SOON_S, ours[int(over)] + self.window_s - now) if int(over) < len(ours) else step_s

    def update_from_headers(self, headers: Mapping[str, str]) -> None:
        """Take the word of a good answer: how many calls the service allows and counts; and note that it answered."""
        now = self._clock()
        limit, remaining = (whole_number(headers.get(name, "").strip(), 0, MAX_COUNT) for name in (LIMIT, REMAINING))
        with self._rows.alone(self._name) as (conn, row):
            said: dict[str, Any] = {"contact_at": now, "failed_at": None, "fault": "", "says": ""}
            if limit and remaining is not None:
                used = max(0, limit - remaining)
                said |= {"cap": limit - max(1, limit // MARGIN), "others_at": now}
                said["others"] = max(0, used - len(self._ours(row, now)))
                if remaining <= LAST and said["others"]:
                    said["paused_until"] = now + self.window_s / STEPS
            self._rows.write(conn, self._name, **said)

    def pause(self, seconds: float) -> None:
        """Let nobody ask for a while: the service said so. An hour at most."""
        self._rows.set(self._name, paused_until=self._clock() + min(max(seconds, 0.0), MAX_RETRY_AFTER_S))

    def failed(self, fault: str, says: str) -> None:
        """Note that a call failed, and why; see `ServiceState`."""
        self._rows.set(self._name, failed_at=self._clock(), fault=fault, says=says)

    def _ours(self, row: Row | None, now: float) -> list[float]:
        """Return our calls of the window, oldest first. One from the future was made before the clock was set back: it counts as now."""
        found: list[float] = json.loads(row["calls"]) if row else []
        return [min(at, now) for at in found if at > now - self.window_s]

    def _is_ahead(self, row: Row, now: float) -> bool:
        """Tell whether the row was written by a clock that was ahead of this one: then it is set right, or it would hold for ever."""
        calls: list[float] = json.loads(row["calls"])
        return bool(row["paused_until"] > now + MAX_RETRY_AFTER_S + 1 or (calls and calls[-1] > now + 1))

    def _others(self, row: Row | None, now: float) -> float:
        """Return how many calls of others are still in the window, by now: they leave it evenly until the next answer says better."""
        if row is None:
            return 0.0
        age: float = max(0.0, now - row["others_at"]) / self.window_s
        return float(row["others"] * max(0.0, 1.0 - age))


logger = logging.getLogger(__name__)

LONGEST_S = 3600.0  # a moment further ahead was written by a clock that was wrong; no service asks for more either


class IntervalLimiter:
    """Gives out moments. Any thread, several processes: whoever books first goes first."""

    def __init__(self, path: Path, interval_s: float, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._interval_s = interval_s
        self._clock = clock

    def reserve(self) -> float:
        """Take the next free moment; return how many seconds it is away. A disk that refuses costs a whole interval each time."""
        return self._move(lambda now, free_at: (max(now, free_at), max(now, free_at) + self._interval_s))

    def back_off(self, seconds: float) -> None:
        """Let nobody ask for so long: the service said that it was too much."""
        self._move(lambda now, free_at: (now, max(free_at, now + min(seconds, LONGEST_S))))

    def _move(self, step: Callable[[float, float], tuple[float, float]]) -> float:
        try:
            make_folder(self._path.parent)
            with lock_file(self._path) as fd:
                now = self._clock()
                free_at = _moment(os.pread(fd, 40, 0))
                mine, next_at = step(now, free_at if free_at <= now + LONGEST_S else now)
                text = f"{next_at:.3f}\n".encode()
                os.pwrite(fd, text, 0)
                os.ftruncate(fd, len(text))
        except OSError as error:
            logger.warning("turns not kept in a file path=%s reason=%s", self._path, error)
            return self._interval_s
        return max(0.0, mine - now)


def _moment(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:  # new, or cut by a power failure
        return 0.0
