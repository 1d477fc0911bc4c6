"""Job queue: requested loads, kept in the index so that they survive a restart."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from image_cache.db.database import Connection, Database, parameter_marks
from image_cache.engine.holder import Holders, LocalHolders
from image_cache.engine.job import Batch, Job, LoadRequest, QueuedJob
from image_cache.errors import LeaseLost, QueueFull

VISIBLE, PAGE, WARM = 0, 1, 2  # priorities: on a screen now; on a page that was rendered; anything else
LEASE_S = 90.0  # longer than a fetch and decode may take; the lease of a dead holder ends at once
MAX_ATTEMPTS = 3  # a job that was claimed so often and never finished may be killing its worker: it counts as failed

TRIP_FAILURES = 5  # consecutive failures after which the circuit breaker of a host pauses it
PAUSE_S = 60.0  # doubled with each further failure
MAX_PAUSE_S = 900.0
MAX_ASKED_PAUSE_S = 3600.0  # that an origin can request with Retry-After

DEPTH = "SELECT entries FROM totals WHERE namespace = 'jobs'"
# A pause that ends later than any of ours can was written by a wrong clock and is ignored.
PAUSED = "SELECT lane, paused_until, reason FROM lanes WHERE paused_until > ? AND paused_until <= ?"


class JobQueue:
    """Rows of `jobs`, `batches` and `lanes`. Thread-safe and process-safe.

    `claim` limits the concurrency of all processes: at most `total` jobs run on this server and `in_all` on all that share the queue
    (0: no further limit), at most `per_lane` of one host, none of a paused host. So no thread ever waits for a slot.
    """

    def __init__(
        self,
        database: Database,
        *,
        limit: int,
        total: int,
        per_lane: int,
        in_all: int = 0,
        clock: Callable[[], float] = time.time,
        holders: Holders | None = None,
    ) -> None:
        self.database = database
        self.limit = limit
        self.total = total
        self.per_lane = per_lane
        self.in_all = in_all
        self.clock = clock
        self.holders = holders or LocalHolders()
        self.holder = self.holders.name()

    def put(self, requests: Sequence[LoadRequest], priority: int, *, batch: str = "") -> int:
        """Enqueue the requests; return how many are new. One that is queued already keeps the better priority and all variants.

        Raises `QueueFull` if they do not all fit; then none is enqueued.
        """
        now = self.clock()
        with self.database.write() as conn:
            room = self.limit - self._depth(conn)
            # A person is looking at VISIBLE ones now: they may exceed the limit by a tenth.
            if priority == VISIBLE:
                room += self.limit // 10
            if len(requests) > room:
                digests = list({request.digest for request in requests})
                if len(digests) - self._waiting(conn, digests) > room:
                    raise QueueFull(self.limit)
            before = self._depth(conn)
            conn.executemany(
                "INSERT INTO jobs (digest, wants, priority, lane, batch, ready_at) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (digest) DO UPDATE SET"
                " priority = CASE WHEN excluded.priority < jobs.priority THEN excluded.priority ELSE jobs.priority END,"
                " wants = CASE WHEN excluded.wants = '' THEN jobs.wants"
                # It has the variants already: they can be replaced in it.
                " WHEN replace(' ' || jobs.wants || ' ', ' ' || excluded.wants || ' ', '') <> ' ' || jobs.wants || ' ' THEN jobs.wants"
                " ELSE trim(jobs.wants || ' ' || excluded.wants) END",
                [(bytes.fromhex(r.digest), " ".join(r.variants), priority, r.lane, batch, now) for r in requests],
            )
            added = self._depth(conn) - before
            if batch:
                conn.execute("INSERT INTO batches (name, total, started_at) VALUES (?, ?, ?)", (batch, added, now))
        return added

    def demote(self, digests: Iterable[str]) -> None:
        """Lower the priority of covers that were scrolled out of view to WARM."""
        now = self.clock()
        with self.database.write() as conn:
            conn.executemany(
                "UPDATE jobs SET priority = ? WHERE digest = ? AND leased_until <= ?",
                [(WARM, bytes.fromhex(digest), now) for digest in digests],
            )

    def claim(self) -> Job | None:
        """Claim the next job that may run now, or return None. It is leased: no other worker gets it until the lease ends."""
        if not self.is_waiting():
            return None
        with self.database.write() as conn:
            return self.claim_in(conn)

    def claim_in(self, conn: Connection) -> Job | None:
        """Like `claim`, in a transaction of the caller: a worker that settles a job claims the next one along."""
        now = self.clock()
        closed = self._closed_lanes(conn, now)
        if closed is None:
            return None
        open_lanes = f" AND lane NOT IN ({parameter_marks(len(closed))})" if closed else ""
        row = conn.execute(
            "SELECT digest, wants, priority, lane, attempts FROM jobs WHERE leased_until <= ? AND ready_at <= ?"
            f"{open_lanes} ORDER BY priority, ready_at LIMIT 1",
            (now, now, *closed),
        ).fetchone()
        return None if row is None else self._lease(conn, row, now)

    def _closed_lanes(self, conn: Connection, now: float) -> set[str] | None:
        """Return the hosts of which no job may run now; None if no job may."""
        held = conn.execute("SELECT lane, holder FROM jobs WHERE leased_until > 0 AND leased_until > ?", (now,)).fetchall()
        if sum(self.holders.is_ours(holder) for _, holder in held) >= self.total or 0 < self.in_all <= len(held):
            return None
        active = Counter(lane for lane, _ in held)
        closed = {lane for lane, count in active.items() if count >= self.per_lane}
        closed.update(lane for lane, _, _ in conn.execute(PAUSED, (now, now + MAX_ASKED_PAUSE_S)))
        # Half open: one job at a time tests a host whose breaker has tripped.
        tripped = conn.execute("SELECT lane FROM lanes WHERE failures >= ?", (TRIP_FAILURES,))
        closed.update(lane for (lane,) in tripped if active[lane])
        return closed

    def claim_slot(self, request: LoadRequest) -> Job | None:
        """Claim a new job at once, if its host may be asked now; None otherwise. It ends like any other.

        For a fetch that one node needs for itself, under a digest that is no image's: if the node dies, the one who claims the job
        next finds nothing to do.
        """
        now, key = self.clock(), bytes.fromhex(request.digest)
        with self.database.write() as conn:
            closed = self._closed_lanes(conn, now)
            if closed is None or request.lane in closed:
                return None
            conn.execute(
                "INSERT INTO jobs (digest, wants, priority, lane, ready_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING",
                (key, " ".join(request.variants), VISIBLE, request.lane, now),
            )
            return self._lease_if_free(conn, key, now)

    def is_waiting(self) -> bool:
        """Return True if any job is due, whether or not its host is free. Without write lock: idle workers call it every few seconds."""
        now = self.clock()
        return self.database.row("SELECT 1 FROM jobs WHERE leased_until <= ? AND ready_at <= ?", (now, now)) is not None

    def claim_one(self, digest: str) -> Job | None:
        """Claim this image for a caller that loads it itself, ahead of the queue. Return None while another worker has it."""
        now, key = self.clock(), bytes.fromhex(digest)
        with self.database.write() as conn:
            conn.execute(
                "INSERT INTO jobs (digest, wants, priority, lane, ready_at) VALUES (?, '', ?, '', ?) ON CONFLICT (digest) DO NOTHING",
                (key, VISIBLE, now),
            )
            return self._lease_if_free(conn, key, now)

    def is_held(self, conn: Connection, job: Job) -> bool:
        """Return True if the claim of this job is still the latest: its lease may have ended, but no one else has claimed it."""
        sql = "SELECT 1 FROM jobs WHERE digest = ? AND holder = ? AND leased_until = ?"
        return conn.execute(sql, (bytes.fromhex(job.digest), self.holder, job.leased_until)).fetchone() is not None

    def finish(self, conn: Connection, job: Job, *, failed: bool = False) -> None:
        """Remove a job that succeeded or failed. If more variants were requested in the meantime, it is queued again.

        Raises `LeaseLost`, so that the transaction of a worker that woke up late changes nothing.
        """
        self._check_lease(conn, job)
        digest = bytes.fromhex(job.digest)
        row = conn.execute("SELECT wants, batch FROM jobs WHERE digest = ?", (digest,)).fetchone()
        if row[1]:
            conn.execute(f"UPDATE batches SET {'failed = failed' if failed else 'done = done'} + 1 WHERE name = ?", (row[1],))
        if not failed and set(row[0].split()) - set(job.variants):
            conn.execute("UPDATE jobs SET holder = '', leased_until = 0, attempts = 0, batch = '' WHERE digest = ?", (digest,))
        else:
            conn.execute("DELETE FROM jobs WHERE digest = ?", (digest,))

    def reschedule(self, conn: Connection, job: Job, ready_at: float) -> None:
        """Put a job back that could not run now; the attempt is not counted. Raises `LeaseLost`."""
        self._check_lease(conn, job)
        conn.execute(
            "UPDATE jobs SET holder = '', leased_until = 0, attempts = 0, ready_at = ? WHERE digest = ?",
            (ready_at, bytes.fromhex(job.digest)),
        )

    def _lease_if_free(self, conn: Connection, key: bytes, now: float) -> Job | None:
        free = "SELECT digest, wants, priority, lane, attempts FROM jobs WHERE digest = ? AND leased_until <= ?"
        row = conn.execute(free, (key, now)).fetchone()
        return None if row is None else self._lease(conn, row, now)

    def _lease(self, conn: Connection, row: tuple[Any, ...], now: float) -> Job:
        until = now + LEASE_S
        conn.execute(
            "UPDATE jobs SET holder = ?, leased_until = ?, attempts = attempts + 1 WHERE digest = ?", (self.holder, until, row[0])
        )
        return Job(row[0].hex(), tuple(row[1].split()), row[2], row[3], row[4] + 1, until)

    def _check_lease(self, conn: Connection, job: Job) -> None:
        if not self.is_held(conn, job):
            raise LeaseLost(job.digest)

    def record_host_failure(self, conn: Connection, lane: str, reason: str, *, pause_s: float | None = None) -> None:
        """Record a failure of a host. `pause_s` is its Retry-After; without one the breaker trips after consecutive failures."""
        now = self.clock()
        row = conn.execute("SELECT failures, paused_until FROM lanes WHERE lane = ?", (lane,)).fetchone()
        failures, until = (row[0] + 1, row[1]) if row else (1, 0.0)
        if pause_s is None:
            over = min(failures - TRIP_FAILURES, 10)  # bounded, because after weeks of failures the power would overflow
            pause_s = min(PAUSE_S * 2.0**over, MAX_PAUSE_S) if over >= 0 else 0.0
        ends_at = now + min(pause_s, MAX_ASKED_PAUSE_S)
        if until <= now + MAX_ASKED_PAUSE_S:  # a longer one was written by a wrong clock
            ends_at = max(ends_at, until)
        conn.execute(
            "INSERT INTO lanes (lane, failures, paused_until, reason) VALUES (?, ?, ?, ?) ON CONFLICT (lane) DO UPDATE"
            " SET failures = excluded.failures, paused_until = excluded.paused_until, reason = excluded.reason",
            (lane, failures, ends_at, reason),
        )

    def record_host_success(self, conn: Connection, lane: str) -> None:
        conn.execute("DELETE FROM lanes WHERE lane = ?", (lane,))

    def paused_hosts(self) -> list[tuple[str, float, str]]:
        """Return (host, until, reason) of the hosts that are paused now."""
        now = self.clock()
        return [(row[0], row[1], row[2]) for row in self.database.rows(PAUSED, (now, now + MAX_ASKED_PAUSE_S))]

    def release_dead(self) -> int:
        """Release the jobs of processes that have ended. Return how many."""
        holders = self.database.rows("SELECT DISTINCT holder FROM jobs WHERE leased_until > 0 AND holder != ''")
        dead = self.holders.dead([holder for (holder,) in holders])
        if not dead:
            return 0
        with self.database.write() as conn:
            return conn.execute(
                f"UPDATE jobs SET holder = '', leased_until = 0 WHERE holder IN ({parameter_marks(len(dead))})", dead
            ).rowcount

    def release_own(self) -> None:
        """Release the jobs of this process, which stops; the attempts are not counted."""
        with self.database.write() as conn:
            conn.execute(
                "UPDATE jobs SET holder = '', leased_until = 0, "
                "attempts = CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END WHERE holder = ?",
                (self.holder,),
            )

    def make_due(self) -> None:
        """Let every job that waits for a time run now."""
        now = self.clock()
        with self.database.write() as conn:
            conn.execute("UPDATE jobs SET ready_at = ? WHERE leased_until <= ? AND ready_at > ?", (now, now, now))

    def fix_clock_skew(self) -> int:
        """Correct times that are further ahead than any of ours: a wrong clock wrote them. Return how many."""
        now = self.clock()
        far = now + 2 * MAX_ASKED_PAUSE_S
        if not self.database.row("SELECT 1 FROM jobs WHERE ready_at > ? OR leased_until > ?", (far, far)):
            return 0
        with self.database.write() as conn:
            conn.execute("UPDATE jobs SET leased_until = 0, holder = '' WHERE leased_until > ?", (far,))
            return conn.execute("UPDATE jobs SET ready_at = ? WHERE ready_at > ?", (now, far)).rowcount

    def remove_old(self, *, older_than_s: float) -> None:
        """Remove preloads and failures of hosts that are older than this."""
        now = self.clock()
        with self.database.write() as conn:
            for table, column in (("batches", "started_at"), ("lanes", "paused_until")):
                conn.execute(f"DELETE FROM {table} WHERE {column} NOT BETWEEN ? AND ?", (now - older_than_s, now + older_than_s))

    def state_of(self, digests: Collection[str]) -> dict[str, bool]:
        """Return, for the digests that have a job, whether it is running."""
        if not digests:
            return {}
        rows = self.database.rows(
            f"SELECT digest, leased_until > ? FROM jobs WHERE digest IN ({parameter_marks(len(digests))})",
            [self.clock(), *(bytes.fromhex(d) for d in digests)],
        )
        return {digest.hex(): bool(runs) for digest, runs in rows}

    def depth(self) -> int:
        """Return the number of jobs, waiting and running, from a maintained total."""
        row = self.database.row(DEPTH)
        return row[0] if row else 0

    def find(self, digest: str) -> QueuedJob | None:
        """Return the job of an image, None when it has none."""
        row = self.database.row(
            "SELECT priority, leased_until, (SELECT count(*) FROM jobs AS other WHERE other.priority < jobs.priority"
            " OR (other.priority = jobs.priority AND other.ready_at < jobs.ready_at)) FROM jobs WHERE digest = ?",
            (bytes.fromhex(digest),),
        )
        return None if row is None else QueuedJob(*row)

    def running(self) -> int:
        row = self.database.row("SELECT count(*) FROM jobs WHERE leased_until > 0 AND leased_until > ?", (self.clock(),))
        return row[0] if row else 0

    def batch(self, name: str) -> tuple[int, int, int] | None:
        """Return (total, done, failed) of a preload, or None if there is none of that name."""
        row = self.database.row("SELECT total, done, failed FROM batches WHERE name = ?", (name,))
        return None if row is None else (row[0], row[1], row[2])

    def batches(self, limit: int = 10) -> list[Batch]:
        """Return the latest preloads, newest first."""
        rows = self.database.rows(
            "SELECT name, total, done, failed, started_at FROM batches ORDER BY started_at DESC LIMIT ?", (limit,)
        )
        return [Batch(*row) for row in rows]

    def clear(self, conn: Connection) -> None:
        conn.execute("DELETE FROM jobs")
        conn.execute("DELETE FROM batches")

    @staticmethod
    def _depth(conn: Connection) -> int:
        row = conn.execute(DEPTH).fetchone()
        return row[0] if row else 0

    @staticmethod
    def _waiting(conn: Connection, digests: Sequence[str]) -> int:
        count = 0
        for start in range(0, len(digests), 500):
            chunk = [bytes.fromhex(d) for d in digests[start : start + 500]]
            sql = f"SELECT count(*) FROM jobs WHERE digest IN ({parameter_marks(len(chunk))})"
            count += conn.execute(sql, chunk).fetchone()[0]
        return count
