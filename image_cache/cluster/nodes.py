"""Nodes: the services on one catalogue. Each has a name, beats every two seconds, and is dead for the others after ten silent ones."""

import contextlib
import hashlib
import logging
import os
import threading
import time
from collections.abc import Collection
from pathlib import Path

from image_cache.cluster.clock import NOW, DatabaseClock, since_boot
from image_cache.db.database import Database, DatabaseError
from image_cache.engine.holder import holder_name, is_holder_alive
from image_cache.errors import ConfigError
from image_cache.frozen import frozen

logger = logging.getLogger(__name__)

SETTING = "VINYL_VAULT_NODE"
BEAT_S = 2.0
SILENT_S = 10.0  # after which a node counts as dead: its jobs are free then
TAKEN_S = 5.0  # how long a start waits for a beat of a node with its name: one that was killed a moment ago does not beat
POLL_S = 0.5


@frozen
class Node:
    """One row of `nodes`. `silent_s` are the seconds since its last beat, by the server's clock."""

    name: str
    boot: str
    version: str
    schema: int
    started_at: float
    silent_s: float
    deleted_seq: int


class NodeTable:
    """Rows of `nodes`, in the catalogue. Thread-safe. Each statement is a transaction of its own and waits for no writer."""

    def __init__(self, catalog: Database) -> None:
        self.database = catalog

    def all(self) -> list[Node]:
        """Return all nodes that ever served this catalogue, by name."""
        columns = f"name, boot, version, schema, started_at, {NOW} - seen_at, deleted_seq"
        return [Node(*row) for row in self.database.rows(f"SELECT {columns} FROM nodes ORDER BY name")]

    def find(self, name: str) -> Node | None:
        return next((node for node in self.all() if node.name == name), None)

    def beat(self, name: str, boot: str) -> float | None:
        """Record that a node lives; return the time of the server, None if the row belongs to another boot, or to none."""
        row = self.database.row(f"UPDATE nodes SET seen_at = {NOW} WHERE name = ? AND boot = ? RETURNING seen_at", (name, boot))
        return None if row is None else float(row[0])

    def join(self, name: str, boot: str, version: str, schema: int) -> None:
        """Write the row of a node that starts. What it has deleted already stays known."""
        self.database.rows(
            f"INSERT INTO nodes (name, boot, version, schema, started_at, seen_at) VALUES (?, ?, ?, ?, {NOW}, {NOW})"
            " ON CONFLICT (name) DO UPDATE SET boot = excluded.boot, version = excluded.version, schema = excluded.schema,"
            " started_at = excluded.started_at, seen_at = excluded.seen_at RETURNING name",
            (name, boot, version, schema),
        )

    def leave(self, name: str, boot: str) -> None:
        """Record that a node has stopped: its work is free at once, and so is its name."""
        self.database.rows("UPDATE nodes SET seen_at = 0 WHERE name = ? AND boot = ? RETURNING name", (name, boot))


class ThisNode:
    """The node of this process: its heartbeat, and which holders of jobs have died. Thread-safe."""

    def __init__(
        self, table: NodeTable, name: str, boot: str, clock: DatabaseClock, *, version: str = "", schema: int = 0
    ) -> None:
        self.table, self.name, self.boot, self.clock = table, name, boot, clock
        self._version, self._schema = version, schema
        self._stop = threading.Event()
        self._steady_since: float | None = None  # since when every beat was in time; None: the last one failed
        self._beat_at = 0.0  # the last beat; both are times since the machine's start
        self.is_known = False  # whether the others have its row
        self.asking_since: float | None = None  # since when a beat waits for the server; a time since the machine's start

    def join(self) -> None:
        """Announce this node. Raises `ConfigError` if another one beats under its name, `DatabaseError`."""
        self.refuse_twin()
        self.table.join(self.name, self.boot, self._version, self._schema)
        self.is_known = True
        self.beat()

    def refuse_twin(self) -> None:
        """Raise `ConfigError` if another node beats under this name, `DatabaseError`. Writes nothing.

        A node that was killed and starts again on another machine waits until it is sure that the old one is silent.
        """
        first = self.table.find(self.name)
        if first is None or first.boot == self.boot or first.silent_s >= SILENT_S:
            return
        until, last = since_boot() + TAKEN_S, first.silent_s
        while since_boot() < until:
            self._stop.wait(POLL_S)
            found = self.table.find(self.name)
            if found is None or found.silent_s >= SILENT_S:
                return
            if found.silent_s < last:
                problem = f"another node named {self.name!r} is running on this database. Give each node a name of its own"
                raise ConfigError(SETTING, problem)
            last = found.silent_s

    def beat(self) -> bool:
        """Record that this node lives, and take over the server's clock. Return False if the server did not answer in time."""
        self.asking_since = began = since_boot()
        try:
            at = self.table.beat(self.name, self.boot)
        except DatabaseError as error:
            if self._steady_since is not None:
                logger.warning("heartbeat failed node=%s reason=%s", self.name, error)
            self._steady_since = None
            return False
        finally:
            self.asking_since = None
        ended = since_boot()
        if at is None:
            if self._steady_since is not None:
                logger.error("node name taken node=%s hint=set %s", self.name, SETTING)
            self._steady_since = None
            return False
        self.clock.set(at, began, ended)
        if self._steady_since is None or began - self._beat_at > 2 * BEAT_S:
            self._steady_since = ended
        self._beat_at = ended
        return True

    def leave(self) -> None:
        """Announce that this node stops. If the server is away the others notice by its silence."""
        self._stop.set()
        if self.is_known:
            with contextlib.suppress(DatabaseError):
                self.table.leave(self.name, self.boot)

    @property
    def is_steady(self) -> bool:
        """True if this node has beaten for so long without a gap that the silence of another one is that one's fault."""
        since = self._steady_since
        return since is not None and since_boot() - since >= SILENT_S and since_boot() - self._beat_at < 2 * BEAT_S

    def dead_nodes(self) -> set[str]:
        """Return `name/boot` of all that are silent for ten seconds, or were replaced. None as long as this node is not steady."""
        if not self.is_steady:
            return set()
        return {f"{node.name}/{node.boot}" for node in self.table.all() if node.silent_s >= SILENT_S}


class ClusterHolders:
    """Holders of jobs over all nodes, named `node/boot/pid:start`. Has the methods of `LocalHolders`."""

    def __init__(self, node: ThisNode) -> None:
        self._node = node
        self._own = f"{node.name}/"

    def name(self) -> str:
        return f"{self._node.name}/{self._node.boot}/{holder_name()}"

    def is_ours(self, holder: str) -> bool:
        """Return True for a process of this node."""
        return holder.startswith(self._own)

    def dead(self, holders: Collection[str]) -> list[str]:
        """Return those that have ended: processes of this node that do not run, and all of nodes that are dead. Raises `DatabaseError`."""
        if not holders:
            return []
        this = f"{self._node.name}/{self._node.boot}"
        others = {_node_of(holder) for holder in holders} - {this}
        gone = self._gone(others) if others else set()
        return [
            holder
            for holder in holders
            if (not is_holder_alive(holder.rpartition("/")[2]) if _node_of(holder) == this else _node_of(holder) in gone)
        ]

    def _gone(self, nodes: set[str]) -> set[str]:
        """Return those of the nodes, `name/boot`, that are dead. One that has no row is none that beats: its leases end by themselves."""
        known = {node.name: node for node in self._node.table.all()}
        found = set()
        for name, boot in (node.split("/", 1) for node in nodes):
            row = known.get(name)
            if row is not None and (row.boot != boot or (row.silent_s >= SILENT_S and self._node.is_steady)):
                found.add(f"{name}/{boot}")
        return found


def _node_of(holder: str) -> str:
    """Return `name/boot` of a holder."""
    return holder.rpartition("/")[0]


def boot_of(cache_dir: Path) -> str:
    """Return what tells two nodes of one name apart: the same for all processes of a node, another for each machine, container and folder.

    A process of the same boot can be looked up by its number.
    """
    try:
        machine = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        machine, space = str(time.time() - since_boot())[:8], 0
    facts = f"{machine}:{space}:{cache_dir.resolve()}"
    return hashlib.sha256(facts.encode()).hexdigest()[:16]
