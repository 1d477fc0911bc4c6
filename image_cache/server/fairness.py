"""What clients share: threads, of which one client never has all, and room, which is taken from the client that has most of it.

Without this, a client that sends a hundred requests at once delays everyone else by all of them, and one that opens hundreds of
connections makes us close those of others. Only the main loop uses it.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from operator import attrgetter
from typing import Any

from image_cache.frozen import frozen
from image_cache.server.connection import Connection


@frozen
class ThreadJob:
    """A request for a thread: `work` runs there, `then` afterwards in the main loop."""

    client: str
    conn: Connection
    work: Callable[[], Any]
    then: Callable[[Connection, Any], None]


class FairThreads:
    """Whole requests that wait for a thread. Clients take turns; each may have all threads but one."""

    def __init__(self, threads: int) -> None:
        self._free = threads
        self._share = max(1, threads - 1)
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[ThreadJob]] = {}  # the client whose turn it is comes first

    def __iter__(self) -> Iterator[Connection]:
        """Yield the connections that wait, those of each client in order."""
        return (job.conn for jobs in self._waiting.values() for job in jobs)

    def add(self, job: ThreadJob) -> None:
        self._waiting.setdefault(job.client, deque()).append(job)

    def next(self) -> ThreadJob | None:
        """Take the next job that may run now; None if there is none."""
        client = next((one for one in self._waiting if self._running[one] < self._share), None) if self._free else None
        if client is None:
            return None
        jobs = self._waiting.pop(client)
        job = jobs.popleft()
        if jobs:
            self._waiting[client] = jobs  # behind the others
        self._free -= 1
        self._running[client] += 1
        return job

    def end(self, job: ThreadJob) -> None:
        """Note that the thread of a job is free."""
        self._free += 1
        self._running[job.client] -= 1
        if not self._running[job.client]:
            del self._running[job.client]

    def remove(self, conn: Connection) -> None:
        """Drop a waiting connection."""
        for client, jobs in list(self._waiting.items()):
            kept = deque(job for job in jobs if job.conn is not conn)
            if kept:
                self._waiting[client] = kept
            else:
                del self._waiting[client]


Stop = Callable[[Connection], None]
_ADDRESS = attrgetter("address")


def one_to_end(
    tables: Mapping[Stop, Iterable[Connection]], weight: Callable[[Connection], int] | None = None
) -> tuple[Stop, Connection] | None:
    """Return which connection has to end to make room, and what takes it out of its table; None if none of them has any weight.

    It is the first one, in the order of the tables, of the address that has most. Without `weight`, connections are counted, which
    is fast: it is done for each one that someone opens. Behind a proxy, all are one address.
    """
    everyone = chain(*tables.values())
    if weight is None:
        held = Counter(map(_ADDRESS, everyone))
    else:
        held = Counter()
        for conn in everyone:
            held[conn.address] += weight(conn)
    heaviest = max(held, key=held.__getitem__, default="")
    for stop, table in tables.items():
        for conn in table:
            if conn.address == heaviest and (weight is None or weight(conn)):
                return stop, conn
    return None
