"""History of statistics in `index.db`: samples of a day and a month, hosts, the latest failures, bytes written.

`HistoryRecorder` collects in memory and writes with the flush once a minute, never for a hit. The functions only read: the command
line calls them without a running service.
"""

import datetime
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from image_cache.db.database import Connection, Database, DatabaseError
from image_cache.engine.stats.counters import Latencies
from image_cache.frozen import frozen

SHORT_S, LONG_S, DAY_S = 300, 3600, 86400
KEPT_S = {SHORT_S: DAY_S + LONG_S, LONG_S: 31 * DAY_S}  # a little more than is shown, so that the first hour is complete
TICK_S = 50.0  # between two rows: the flush runs once a minute, and more often under eviction pressure
HEARTBEAT_S = 3600.0  # between two rows of an idle service, which show that it was running
NOTABLE_BYTES = 1_000_000  # written without a hit or a fetch, as by an import: these get a row before the heartbeat
CLOCK_SET_AT = 1_735_689_600  # the first second of 2025: an earlier time means that the clock is not set yet
MAX_HOSTS, MAX_ERRORS = 200, 100
MAX_LATENCIES = 1000  # of a host, before they are halved
MIN_WHOLE_DAYS = 3  # before a mean per day is shown
MEAN_DAYS = 7

COUNTS = ("hits", "misses", "evictions", "fetches", "failures", "fetched_bytes", "written_bytes")
LEVELS = ("entries", "size_bytes", "queued")


@frozen
class Sample:
    """Statistics of one span of time. Counts are of the span, `entries` and `size_bytes` as of its end, `queued` is the maximum."""

    at: int  # Unix seconds at which the span begins
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    fetches: int = 0
    failures: int = 0
    fetched_bytes: int = 0
    written_bytes: int = 0
    entries: int = 0
    size_bytes: int = 0
    queued: int = 0
    latency: Latencies = field(default_factory=Latencies)  # of the fetches; read-only

    @property
    def median_ms(self) -> float | None:
        """The median duration of a fetch; None if there was none."""
        return self.latency.quantile_ms(0.5)

    @property
    def p95_ms(self) -> float | None:
        return self.latency.quantile_ms(0.95)

    @property
    def hit_ratio(self) -> float | None:
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


@frozen
class Failure:
    """A failure of a cover. `retry_at` is 0 if there is no automatic retry."""

    at: float
    lane: str
    what: str
    reason: str
    retry_at: float


@frozen
class WriteBudget:
    """Bytes that this service wrote, by local day, the last one being today. Not those of other programs, nor write amplification."""

    days: tuple[tuple[str, int], ...]  # ("2026-11-20", bytes), without gaps, at most 31
    today_bytes: int
    budget_bytes: int  # per day
    per_day_bytes: float | None  # mean of the last whole days, at most seven; None before there are three
    endurance_bytes: int | None  # that the card is rated for; None if not set
    years: float | None  # until the endurance is reached at this mean; None if either is unknown

    @property
    def is_over(self) -> bool:
        return self.today_bytes > self.budget_bytes or (self.per_day_bytes or 0) > self.budget_bytes


@dataclass(slots=True)
class _Host:
    fetches: int = 0
    failures: int = 0
    fetched_bytes: int = 0
    latency: Latencies = field(default_factory=Latencies)


class HistoryRecorder:
    """Statistics of this process since its last row. Thread-safe; `write` runs in the transaction of the flush."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        io: Path = Path("/proc/self/io"),
        shared: Database | None = None,
    ) -> None:
        """`shared` is the database of the queue of jobs if that is not the index."""
        self._clock = clock
        self._shared = shared
        self._io = io
        self._lock = threading.Lock()  # protects _counts and _hosts
        self._counts: Counter[str] = Counter()
        self._hosts: dict[str, _Host] = {}
        self._pid, self._written_bytes = os.getpid(), written_bytes(io)
        self._wrote_at, self._trimmed_at = 0.0, 0.0
        self._waiting = 0

    def record_fetch(self, lane: str, seconds: float, size_bytes: int) -> None:
        """Record a response of an origin."""
        with self._lock:
            host = self._hosts.setdefault(lane, _Host())
            host.fetches += 1
            host.fetched_bytes += size_bytes
            host.latency.add(seconds * 1000)

    def record_failure(self, lane: str) -> None:
        """Record a failed fetch."""
        with self._lock:
            self._hosts.setdefault(lane, _Host()).failures += 1

    def add(self, counts: Mapping[str, int]) -> None:
        """Add the counters of the cache."""
        with self._lock:
            for name, count in counts.items():
                self._counts["hits" if name.endswith("_hits") else name] += count

    def is_due(self, *, is_last: bool = False) -> bool:
        """Return True if there is something to write and it is due."""
        now = self._clock()
        if now < CLOCK_SET_AT or (abs(now - self._wrote_at) < TICK_S and not is_last):
            return False
        return (
            bool(self._counts or self._hosts) or now - self._wrote_at >= HEARTBEAT_S or self._unrecorded_bytes() >= NOTABLE_BYTES
        )

    def look(self) -> None:
        """Count the jobs outside the index, before its transaction: their database may be away. Then the last count is the best."""
        if self._shared is not None:
            with suppress(DatabaseError):
                row = self._shared.row("SELECT entries FROM totals WHERE namespace = 'jobs'")
                self._waiting = int(row[0]) if row else 0

    def write(self, conn: Connection) -> None:
        """Add the statistics to the current rows, and remove old rows."""
        now = int(self._clock())
        unrecorded = self._unrecorded_bytes()
        with self._lock:
            counts, self._counts = self._counts, Counter()
            hosts, self._hosts = self._hosts, {}
        self._written_bytes += unrecorded
        counts["written_bytes"] = unrecorded
        latency = Latencies()
        for host in hosts.values():
            latency.merge(host.latency)
        for span_s in KEPT_S:
            _add_sample(conn, (span_s, now - now % span_s), counts, latency, self._waiting)
        for lane, host in hosts.items():
            _add_host(conn, lane, host, now)
        if now - self._trimmed_at >= LONG_S or now < self._trimmed_at:
            self._trimmed_at = now
            _trim(conn, now)
        self._wrote_at = now

    def _unrecorded_bytes(self) -> int:
        if self._pid != os.getpid():  # the counter of a forked process starts at zero
            self._pid, self._written_bytes = os.getpid(), 0
        return max(0, written_bytes(self._io) - self._written_bytes)


def written_bytes(io: Path = Path("/proc/self/io")) -> int:
    """Return the bytes that this process caused to be written to storage since it started; 0 if the system does not provide it.

    Without those of its children. Source: proc_pid_io(5).
    """
    try:
        lines = io.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), 0)


def samples(database: Database, now: float, *, span_s: int = SHORT_S, back_s: float = DAY_S) -> list[Sample]:
    """Return the samples of the last `back_s` seconds in order, in spans of `SHORT_S` (kept for a day) or `LONG_S` (a month).

    Spans in which nothing happened have no sample.
    """
    first = int(now - back_s) // span_s * span_s
    rows = database.rows(
        f"SELECT at, {', '.join(COUNTS + LEVELS)}, latency FROM samples WHERE span_s = ? AND at BETWEEN ? AND ? ORDER BY at",
        (span_s, first, int(now)),
    )
    found = []
    names = ("at", *COUNTS, *LEVELS)
    for *figures, text in rows:
        found.append(Sample(**dict(zip(names, figures, strict=True)), latency=Latencies(text)))
    return found


def add_samples(database: Database, span_s: int, added: Iterable[Sample]) -> None:
    """Add samples that were recorded elsewhere, in spans of `SHORT_S` or `LONG_S`. A span that has a sample keeps it."""
    names = ("at", *COUNTS, *LEVELS)
    with database.write() as conn:
        conn.executemany(
            f"INSERT OR IGNORE INTO samples (span_s, {', '.join(names)}, latency) VALUES ({', '.join('?' * (len(names) + 2))})",
            ((span_s, *(getattr(sample, name) for name in names), str(sample.latency)) for sample in added),
        )


def remove_samples(database: Database, before: float) -> int:
    """Remove the samples of the spans that began before a time; return how many."""
    with database.write() as conn:
        return conn.execute("DELETE FROM samples WHERE at < ?", (int(before),)).rowcount


def store_failure(conn: Connection, failure: Failure) -> None:
    """Add the failure to the latest hundred."""
    (number,) = conn.execute(
        "INSERT INTO errors (at, lane, what, reason, retry_at) VALUES (?, ?, ?, ?, ?) RETURNING id",
        (failure.at, failure.lane, failure.what[:200], failure.reason[:200], failure.retry_at),
    ).fetchone()
    conn.execute("DELETE FROM errors WHERE id <= ?", (number - MAX_ERRORS,))


def recent_failures(database: Database, limit: int = 20) -> list[Failure]:
    """Return the latest failures, newest first."""
    rows = database.rows("SELECT at, lane, what, reason, retry_at FROM errors ORDER BY id DESC LIMIT ?", (limit,))
    return [Failure(*row) for row in rows]


def sd_wear(database: Database, now: float, *, budget_bytes: int, endurance_bytes: int | None = None) -> WriteBudget:
    """Return the bytes written by day, and how long a card of this endurance lasts at the mean of the last whole days."""
    by_day: Counter[str] = Counter()
    for sample in samples(database, now, span_s=LONG_S, back_s=30 * DAY_S):
        by_day[_day(sample.at)] += sample.written_bytes
    today = datetime.date.fromisoformat(_day(now))
    first = datetime.date.fromisoformat(min(by_day)) if by_day else today
    names = [(today - datetime.timedelta(days=back)).isoformat() for back in range((today - first).days, -1, -1)]
    days = tuple((name, by_day[name]) for name in names)
    whole = [count for _, count in days[1:-1]][-MEAN_DAYS:]  # without the first, which is incomplete
    per_day = sum(whole) / len(whole) if len(whole) >= MIN_WHOLE_DAYS else None
    years = endurance_bytes / (per_day * 365.25) if endurance_bytes and per_day else None
    return WriteBudget(days, by_day[today.isoformat()], budget_bytes, per_day, endurance_bytes, years)


def _day(at: float) -> str:
    return datetime.datetime.fromtimestamp(at).astimezone().date().isoformat()


def _add_sample(conn: Connection, key: tuple[int, int], counts: Mapping[str, int], latency: Latencies, queued: int) -> None:
    row = conn.execute("SELECT latency FROM samples WHERE span_s = ? AND at = ?", key).fetchone()
    merged = Latencies(row[0] if row else "")
    merged.merge(latency)
    adding = ", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTS)
    conn.execute(
        f"INSERT INTO samples (span_s, at, {', '.join(COUNTS)}, entries, size_bytes, queued, latency)"
        f" SELECT ?, ?, {', '.join('?' * len(COUNTS))},"
        " coalesce((SELECT sum(entries) FROM totals WHERE namespace != 'jobs'), 0),"
        " coalesce((SELECT sum(bytes) FROM totals WHERE namespace != 'jobs'), 0),"
        " coalesce((SELECT entries FROM totals WHERE namespace = 'jobs'), 0) + ?, ?"
        f" WHERE true ON CONFLICT (span_s, at) DO UPDATE SET {adding}, entries = excluded.entries, size_bytes = excluded.size_bytes,"
        " queued = max(queued, excluded.queued), latency = excluded.latency",
        (*key, *(counts.get(name, 0) for name in COUNTS), queued, str(merged)),
    )


def _add_host(conn: Connection, lane: str, host: _Host, now: int) -> None:
    row = conn.execute("SELECT latency FROM hosts WHERE lane = ?", (lane,)).fetchone()
    latency = Latencies(row[0] if row else "")
    latency.merge(host.latency)
    if len(latency) > MAX_LATENCIES:
        latency.halve()
    conn.execute(
        "INSERT INTO hosts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (lane) DO UPDATE SET fetches = fetches + excluded.fetches,"
        " failures = failures + excluded.failures, fetched_bytes = fetched_bytes + excluded.fetched_bytes,"
        " latency = excluded.latency, used_at = excluded.used_at",
        (lane, host.fetches, host.failures, host.fetched_bytes, str(latency), now),
    )


def _trim(conn: Connection, now: int) -> None:
    for span_s, kept_s in KEPT_S.items():
        # Rows more than a day ahead were written by a wrong clock. Not those an hour ahead: a Pi without a battery starts with
        # the time of its last shutdown.
        conn.execute("DELETE FROM samples WHERE span_s = ? AND at NOT BETWEEN ? AND ?", (span_s, now - kept_s, now + DAY_S))
    conn.execute("DELETE FROM hosts WHERE lane NOT IN (SELECT lane FROM hosts ORDER BY used_at DESC LIMIT ?)", (MAX_HOSTS,))
