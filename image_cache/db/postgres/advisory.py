"""Locks over all nodes: session advisory locks of PostgreSQL, on a connection of its own that a process opens with the first one.

The server releases them when the connection ends: at once with its process, after `IDLE_S` when the node is stopped or cut off. A
holder that cannot say for `TRUST_S` that it is alive counts as lost, before the server gives its lock to another one.
"""

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

from image_cache.db.connection import Connection, DatabaseError, OperationalError
from image_cache.db.postgres.connection import PgConnection
from image_cache.locks import Hold

logger = logging.getLogger(__name__)

BEAT_S, TRUST_S, IDLE_S = 1.5, 4.5, 6.0  # another node goes on within 12 s: this, and the 5 s in which it looks for tasks
_HAS_IDLE_TIMEOUT = 140_000  # PostgreSQL 14; an older server notices only that the machine is off the network
_KEEPALIVE = "SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 2"
_TRY = "SELECT pg_try_advisory_lock(hashtextextended(?, 0)), hashtextextended(?, 0)"
# A key of 64 bits is shown as two halves.
_IS_MINE = (
    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid = ?"
    " AND CAST(classid AS bigint) = ? AND CAST(objid AS bigint) = ?"
)


class AdvisoryLocks:
    """The locks of one process in one schema. Any thread. `connect` opens a connection that is used for nothing else."""

    def __init__(self, connect: Callable[[], PgConnection], schema: str) -> None:
        self._connect, self._schema = connect, schema
        self._guard = threading.Lock()  # protects the next one; held while a connection is opened
        self._session: _Session | None = None
        self._led: dict[str, _SharedHold] = {}  # one thread for each name

    @contextlib.contextmanager
    def try_hold(self, name: str) -> Iterator[Hold | None]:
        session, hold = self._taken(f"{self._schema}/{name}")
        try:
            yield hold
        finally:
            if hold is not None:
                session.give_back(hold)

    @contextlib.contextmanager
    def leading(self, name: str) -> Iterator[bool]:
        hold = self._led.get(name)
        if hold is None or not hold.renew():
            self._led.pop(name, None)
            _, hold = self._taken(f"{self._schema}/{name}")
            if hold is not None:
                self._led[name] = hold
        yield hold is not None

    def close(self) -> None:
        with self._guard:
            session, self._session = self._session, None
        if session is not None:
            session.end()

    def _taken(self, name: str) -> "tuple[_Session, _SharedHold | None]":
        with self._guard:
            if self._session is not None and not self._session.is_lost():
                with contextlib.suppress(DatabaseError):  # the server has cut a connection that was kept: once more, on a new one
                    return self._session, self._session.take(name)
            if self._session is not None:
                self._session.end()
            self._session = _Session(self._connect())
            return self._session, self._session.take(name)


class _Session:
    """One connection and the locks on it. While there is one, a thread tells the server that this process is alive."""

    def __init__(self, conn: PgConnection) -> None:
        self.pid = conn.pid
        self._conn = conn
        self._asking = threading.Lock()  # protects the connection and the next two: one statement at a time
        self._held: set[str] = set()
        self._thread: threading.Thread | None = None
        self._alive_at = _now()  # a float or a bool is written at once: these two need no lock
        self._has_ended = False
        self._ended = threading.Event()
        try:
            number = conn.execute("SELECT CAST(current_setting('server_version_num') AS bigint)").fetchone()
            self._has_timeout = number is not None and number[0] >= _HAS_IDLE_TIMEOUT
            conn.tell(_KEEPALIVE)
        except BaseException:
            conn.close()
            raise

    def take(self, name: str) -> "_SharedHold | None":
        """Return None if it is held elsewhere. Raises `DatabaseError` for a connection that was cut."""
        if not self._asking.acquire(timeout=TRUST_S):
            raise OperationalError("the database does not answer")
        try:
            if name in self._held:  # by another thread: the server would give it twice to one connection
                return None
            began_at = _now()
            if self._has_timeout and not self._held:
                self._conn.tell(f"SET idle_session_timeout = '{IDLE_S:.0f}s'")
            row = self._conn.execute(_TRY, (name, name)).fetchone()
            is_taken, key = row  # type: ignore[misc]
            if not is_taken:
                self._rest()
                return None
            self._alive_at = began_at
            self._held.add(name)
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="locks", daemon=True)
                self._thread.start()
            return _SharedHold(self, name, int(key))
        finally:
            self._asking.release()

    def give_back(self, hold: "_SharedHold") -> None:
        if self.is_lost():
            self.end()  # the server releases them with the connection
            return
        try:
            with self._asking:
                self._held.discard(hold.name)
                self._conn.execute("SELECT pg_advisory_unlock(?)", (hold.key,))
                self._rest()
        except DatabaseError:
            self.end()

    def is_lost(self) -> bool:
        """Return True if the server may have ended this connection."""
        return self._has_ended or (bool(self._held) and _now() - self._alive_at > TRUST_S)

    def renew(self) -> bool:
        if self.is_lost():
            self.end()
            return False
        began_at = _now()
        try:
            with self._asking:
                self._conn.execute("SELECT 1")
        except DatabaseError as error:
            if not self._has_ended:
                logger.warning("locks lost reason=%s", error)
            self.end()
            return False
        self._alive_at = began_at
        return True

    def end(self) -> None:
        """Close the connection, also one on which another thread waits for an answer."""
        if self._has_ended:
            return
        self._has_ended = True
        self._ended.set()
        with contextlib.suppress(OSError, DatabaseError), socket.socket(fileno=os.dup(self._conn.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
        with self._asking:
            self._conn.close()

    def _rest(self) -> None:
        """Let the server keep the connection without a sign of life while it holds nothing."""
        if self._has_timeout and not self._held:
            self._conn.tell("SET idle_session_timeout = 0")

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with self._asking:
                if not self._held:
                    self._thread = None
                    return
            if not self.renew():
                return


class _SharedHold:
    def __init__(self, session: _Session, name: str, key: int) -> None:
        self.name, self.key = name, key
        self._session = session

    def is_held(self) -> bool:
        return not self._session.is_lost()

    def is_held_in(self, conn: Connection) -> bool:
        halves = (self.key >> 32) & 0xFFFF_FFFF, self.key & 0xFFFF_FFFF
        return conn.execute(_IS_MINE, (self._session.pid, *halves)).fetchone() is not None

    def renew(self) -> bool:
        return self._session.renew()


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)  # goes on while the machine sleeps
