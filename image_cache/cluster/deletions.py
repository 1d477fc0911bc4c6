"""Carries out on this node what any node has deleted: every byte leaves every memory and every disk.

The catalogue has a log, written by triggers in the transaction that deletes. Each process reads on from where it was, every second and
whenever PostgreSQL hints at news, and once before it serves. `nodes.deleted_seq` tells how far a node has come.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from image_cache.db.database import Database, DatabaseError
from image_cache.db.postgres.database import PgDatabase
from image_cache.db.postgres.deletion_schema import CHANNEL
from image_cache.db.postgres.listener import Listener
from image_cache.engine.holder import holder_name, is_holder_alive
from image_cache.errors import ConfigError, StorageError

logger = logging.getLogger(__name__)

LOOK_S = 1.0
AT_A_TIME = 500
KEPT_S = 90 * 86400.0  # a node that was away for longer empties its cache of streams
SWEEP_S = 3600.0
LATE_S = 5.0  # after so long without an answer this node may have missed something
POSITION = "deleted_seq"  # in the `meta` of the node's own index; with a holder behind a colon, that of one of its processes
SWEPT = "deletions_swept"


class DeletionTable:
    """Statements about the log. Any thread."""

    def __init__(self, catalog: Database) -> None:
        self._db = catalog

    def after(self, seq: int) -> list[tuple[int, str, str]]:
        """Return (number, kind, name) of the next deletions, in order."""
        rows = self._db.rows("SELECT seq, kind, name FROM deletions WHERE seq > ? ORDER BY seq LIMIT ?", (seq, AT_A_TIME))
        return [(int(row[0]), str(row[1]), str(row[2])) for row in rows]

    def last(self) -> int:
        """Return the number of the last deletion, 0 if there was none."""
        row = self._db.row("SELECT coalesce(max(seq), 0), (SELECT value FROM cluster WHERE name = ?) FROM deletions", (SWEPT,))
        return max(int(row[0]), int(row[1] or 0)) if row else 0

    def swept(self) -> int:
        """Return the number of the last deletion that the log has forgotten."""
        row = self._db.row("SELECT value FROM cluster WHERE name = ?", (SWEPT,))
        return int(row[0]) if row else 0

    def sweep(self, before: float) -> int:
        """Forget deletions that are older, and remember up to which; return how many."""
        with self._db.write() as conn:
            rows = conn.execute("DELETE FROM deletions WHERE at < ? RETURNING seq", (before,)).fetchall()
            if rows:
                conn.execute(
                    "INSERT INTO cluster VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    (SWEPT, max(row[0] for row in rows)),
                )
            return len(rows)

    def confirm(self, node: str, seq: int) -> None:
        """Record how far a node has come."""
        self._db.rows("UPDATE nodes SET deleted_seq = ? WHERE name = ? RETURNING name", (seq, node))

    def nodes(self) -> dict[str, int]:
        """Return how far each node has come, by name; without those that empty their cache if they ever come back."""
        sql = "SELECT name, deleted_seq FROM nodes WHERE deleted_seq >= ? ORDER BY name"
        return {str(row[0]): int(row[1]) for row in self._db.rows(sql, (self.swept(),))}


class Positions:
    """How far this node has come, in its own index: as far as its slowest process, because each has a memory of its own."""

    def __init__(self, index: Database) -> None:
        self._db = index
        self._own = f"{POSITION}:{holder_name()}"

    def read(self) -> int:
        """Return it; 0 for a node that is new, or whose index was lost. Raises `DatabaseError`."""
        row = self._db.row("SELECT value FROM meta WHERE name = ?", (POSITION,))
        return int(row[0]) if row else 0

    def write(self, seq: int) -> int:
        """Record how far this process has come; return how far the node has. Raises `DatabaseError`."""
        with self._db.write() as conn:
            start = f"{POSITION}:"
            sql = "SELECT name, value FROM meta WHERE substr(name, 1, ?) = ?"
            others = {row[0]: int(row[1]) for row in conn.execute(sql, (len(start), start)) if row[0] != self._own}
            for name in [name for name in others if not is_holder_alive(name.removeprefix(start))]:
                del others[name]
                conn.execute("DELETE FROM meta WHERE name = ?", (name,))
            least = min([seq, *others.values()])
            for name, value in ((self._own, seq), (POSITION, least)):
                conn.execute(
                    "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
                )
            return least


Apply = Callable[[Sequence[str]], None]


class DeletionLog:
    """Follows the log in one process. `apply` deletes the bytes of names by kind, `empty` all that is cached of streams.

    Both may raise `StorageError`: then the deletion is not confirmed, and tried again in a second. `join` is called first, once the
    database answers.
    """

    def __init__(
        self,
        catalog: PgDatabase,
        index: Database,
        node: str,
        *,
        apply: Mapping[str, Apply],
        empty: Callable[[], None],
        join: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.table = DeletionTable(catalog)
        self.node = node
        self._catalog = catalog
        self._positions = Positions(index)
        self._apply, self._empty, self._join, self._clock = apply, empty, join, clock
        self._turn = threading.Lock()  # held while deletions are carried out; protects the next two
        self._seen: int | None = None  # the last one that this process has carried out
        self._written = -1  # the last position that the node's row has
        self._looked_at = -LATE_S  # monotonic; when the log was last read to its end
        self._swept_at = 0.0
        self._is_failing = False
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Carry out what was deleted while this node was away, then follow the log. Idempotent; after a fork, before the first request.

        While the database is away, or the disk refuses, the node starts without it and is not caught up. Raises what `join` raises.
        """
        if self._thread is not None:
            return
        self._try()
        self._listener = Listener(self._catalog, CHANNEL)
        self._thread = threading.Thread(target=self._follow, args=(self._listener,), name="deletions", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop following."""
        listener, thread = self._listener, self._thread
        if listener is not None and thread is not None:
            listener.close()
            thread.join(timeout_s)

    @property
    def is_caught_up(self) -> bool:
        """True if this process has deleted all that it should have, as far as it was told in the last seconds."""
        return time.monotonic() - self._looked_at < LATE_S

    def catch_up(self) -> int:
        """Carry out what is new; return how many deletions there were. Raises `DatabaseError` or `StorageError`."""
        with self._turn:
            if self._seen is None:
                self._seen = self._begin()
            count = 0
            while rows := self.table.after(self._seen):
                self._carry_out(rows)
                self._seen = rows[-1][0]
                count += len(rows)
            if self._seen != self._written:
                self.table.confirm(self.node, self._positions.write(self._seen))
                self._written = self._seen
            self._looked_at = time.monotonic()
            return count

    def confirmations(self) -> dict[str, bool]:
        """Carry out what is new, and return for each node whether it has done so too, by name. Raises `DatabaseError` or `StorageError`."""
        self.catch_up()
        last = self.table.last()
        return {name: seq >= last for name, seq in self.table.nodes().items()}

    def _begin(self) -> int:
        """Return the position to read on from; what the log has forgotten since may be anything, so the cache is emptied then."""
        self._join()
        position, swept = self._positions.read(), self.table.swept()
        if position >= swept:
            return position
        logger.warning("node was away too long, stream cache emptied position=%d forgotten=%d", position, swept)
        self._empty()
        return swept

    def _carry_out(self, rows: Sequence[tuple[int, str, str]]) -> None:
        names: dict[str, list[str]] = {}
        for _, kind, name in rows:
            names.setdefault(kind, []).append(name)
        refused: StorageError | None = None
        for kind, many in names.items():
            if kind in self._apply:  # a newer node may know more kinds
                refused = _applied(self._apply[kind], many) or refused
        if refused is not None:
            raise refused

    def _try(self) -> None:
        try:
            self.catch_up()
            self._sweep()
            self._is_failing = False
        except (DatabaseError, StorageError) as error:
            if not self._is_failing:
                logger.warning("deletions of other nodes not carried out reason=%s", error)
            self._is_failing = True

    def _follow(self, listener: Listener) -> None:
        while listener.wait(LOOK_S):
            try:
                self._try()
            except ConfigError:  # of `join`, after the database was away at the start: it is why this node is not ready
                continue

    def _sweep(self) -> None:
        if time.monotonic() - self._swept_at < SWEEP_S:
            return
        self._swept_at = time.monotonic()
        self.table.sweep(self._clock() - KEPT_S)


def _applied(apply: Apply, names: Sequence[str]) -> StorageError | None:
    """Delete the bytes of all names, also when a disk refuses one; return the last refusal."""
    try:
        apply(names)
    except StorageError as error:
        if len(names) == 1:
            return error
        refused = [_applied(apply, [name]) for name in names]
        return next((one for one in reversed(refused) if one is not None), None)
    return None
