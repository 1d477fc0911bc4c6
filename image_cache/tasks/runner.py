"""Task runner: one thread per task, one task of a kind at a time across all processes and nodes, resumed after a stop or a crash.

A runner is a function of a `Task`. It saves its position with `Task.save` and continues from `Task.position` when it is called
again. It returns its outcome as a mapping for JSON, or raises a `CacheError` that says why it failed.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, DatabaseError
from image_cache.errors import CacheError, UnknownTask
from image_cache.locks import Hold, Locks
from image_cache.models import TaskState
from image_cache.tasks.table import TaskTable

logger = logging.getLogger(__name__)

WRITE_S = 1.0  # progress is written at most this often, unless something has to be saved with it
POLL_S = 1.0  # how soon a cancel or a stop ends a pause
AWAIT_POLL_S = 0.03
LOST = "another node may run it"
CANCELLED = "Cancelled. Everything saved so far stays."
NODE = "node"  # in what is wanted: the only node that can run it
AWAY_S = 15.0  # a node that has not begun a task of its own for so long, or not gone on with it, is away

Runner = Callable[["Task"], Mapping[str, Any]]


class TaskCancelled(CacheError):
    """A user cancelled the task. What it saved stays."""


class TaskStopped(CacheError):
    """The service is stopping, or lost its lock. The task continues after the next start, or on another node."""


class Task:
    """A running task, as its runner sees it. For one thread."""

    def __init__(
        self, rows: TaskTable, state: TaskState, hold: Hold, stopping: threading.Event, clock: Callable[[], float]
    ) -> None:
        self.id = state.id
        self.wanted: Mapping[str, Any] = state.wanted
        self.position: Mapping[str, Any] = state.position
        self.clock = clock
        self._rows = rows
        self._hold = hold
        self._stopping = stopping
        self._written = 0.0

    def check(self) -> None:
        """Raise `TaskCancelled` or `TaskStopped` when the task has to end. Runners call it, or `progress`, at every step."""
        if self._stopping.is_set():
            raise TaskStopped("the service is stopping")
        if not self._hold.is_held():
            raise TaskStopped(LOST)
        if self._rows.is_cancelled(self.id):
            raise TaskCancelled("cancelled")

    def progress(self, done: int, total: int | None, message: str) -> None:
        """Report progress to users; written at most once a second. Raises as `check`."""
        self.check()
        if time.monotonic() - self._written >= WRITE_S:
            self._rows.set(self.id, self.clock(), done=done, total=total, says=message)
            self._written = time.monotonic()

    def save(self, conn: Connection, position: Mapping[str, Any], done: int, total: int | None, message: str) -> None:
        """Write the position in the transaction that saves the work, so that nothing is lost or done twice.

        Raises `TaskStopped`, and so undoes the transaction, if another node runs the task by now.
        """
        if not self._hold.is_held_in(conn):
            raise TaskStopped(LOST)
        self.position = dict(position)
        self._rows.write(conn, self.id, self.clock(), position=self.position, done=done, total=total, says=message)
        self._written = time.monotonic()

    def pause(self, seconds: float, message: str) -> None:
        """Wait, and show why. Raises as `check`."""
        until = self.clock() + seconds
        self._rows.set(self.id, self.clock(), paused_until=until, says=message)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            self._stopping.wait(min(POLL_S, left))
        self.check()
        self._rows.set(self.id, self.clock(), paused_until=None)


class TaskRunner:
    """Runs tasks by kind. Importers register their runners when they are constructed. Any thread."""

    def __init__(self, catalog: CatalogDatabase, locks: Locks, *, clock: Callable[[], float] = time.time) -> None:
        self.rows = TaskTable(catalog)
        self._runners: dict[str, Runner] = {}
        self._locks = locks
        self._node = catalog.node
        self._clock = clock
        self._stopping = threading.Event()
        self._guard = threading.Lock()  # protects _threads
        self._threads: dict[str, threading.Thread] = {}
        self._is_serving = False

    def register(self, kind: str, runner: Runner) -> None:
        """Register the runner of a kind, before any task of it starts. Raises `ValueError` if the kind has one."""
        if kind in self._runners:
            raise ValueError(f"tasks of the kind {kind} have a runner")
        self._runners[kind] = runner

    # What pages and commands ask

    def start(self, kind: str, wanted: Mapping[str, Any], *, is_here: bool = False) -> int:
        """Start a task, unless one of its kind is not over yet; return the id of either. It runs soon, in a process that serves.

        With `is_here` it runs on this node only, because it needs something that only this node has.
        """
        self._runners[kind]
        if is_here and self._node:
            wanted = {**wanted, NODE: self._node}
        task_id, _ = self.rows.add(kind, wanted, self._clock())
        if self._is_serving:
            self.start_waiting()
        return task_id

    def run(
        self,
        kind: str,
        wanted: Mapping[str, Any],
        progress: Callable[[TaskState], None] | None = None,
        *,
        is_here: bool = False,
    ) -> TaskState:
        """Start a task and wait for its end, wherever it runs: for commands. `progress` gets its state now and then."""
        task_id = self.start(kind, wanted, is_here=is_here)
        self.start_waiting()
        while True:
            state = self._state(task_id)
            if progress is not None:
                progress(state)
            if state.is_over:
                return state
            with self._guard:
                thread = self._threads.get(kind)
            if thread is not None:
                thread.join(POLL_S / 2)
            if self._stopping.wait(0.0 if thread is not None else POLL_S / 2):
                return self._state(task_id)
            self.start_waiting()

    def wait(self, task_id: int, timeout_s: float) -> None:
        """Wait for the end of a task, at most `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            state = self.get(task_id)
            if state is None or state.is_over:
                return
            time.sleep(AWAIT_POLL_S)

    def cancel(self, task_id: int) -> bool:
        """End a task at its next step; return True if it was not over yet."""
        return self.rows.cancel(task_id, self._clock())

    def discard(self, task_id: int) -> None:
        """Give up what a task has prepared on another node: it counts as cancelled."""
        self.rows.set(task_id, self._clock(), state="cancelled", says="Discarded.")

    def get(self, task_id: int) -> TaskState | None:
        """Return a task, or None for an unknown id."""
        return self.rows.get(task_id)

    def latest(self, *kinds: str) -> TaskState | None:
        """Return the newest task of these kinds, or None."""
        found = [state for kind in kinds if (state := self.rows.latest(kind)) is not None]
        return max(found, key=lambda state: state.id, default=None)

    def latest_here(self, kind: str) -> TaskState | None:
        """Return the newest task of a kind that ran on this node, or None."""
        if not self._node:
            return self.rows.latest(kind)
        return next((state for state in self.rows.recent_of(kind) if self.is_here(state)), None)

    def is_here(self, state: TaskState) -> bool:
        """Return True if a task may run on this node."""
        return bool(state.wanted.get(NODE, self._node) == self._node)

    def open(self) -> list[TaskState]:
        """Return the tasks that wait or run, oldest first."""
        return self.rows.open()

    def recent(self, count: int, without: Collection[str] = ()) -> list[TaskState]:
        """Return the newest tasks, newest first, without those of some kinds."""
        return self.rows.recent(count, without)

    # What a process that serves does

    def serve(self) -> None:
        """Run tasks in this process from now on, also those that a stop or a crash left."""
        self._is_serving = True

    def start_waiting(self) -> None:
        """Run waiting tasks, and those whose process died."""
        for state in self.rows.open():
            if state.kind not in self._runners or not (self.is_here(state) or self._is_overdue(state)):
                continue
            with self._guard:  # held while the thread starts: `close` joins what it finds, and nothing may start after it
                thread = self._threads.get(state.kind)
                if self._stopping.is_set() or (thread is not None and thread.is_alive()):
                    continue
                thread = threading.Thread(target=self._run, args=(state.kind,), name=f"task-{state.kind}", daemon=True)
                thread.start()
                self._threads[state.kind] = thread

    def run_maintenance(self) -> None:
        """Start what waits. A periodic job: a catalogue that is away costs one run."""
        try:
            self.start_waiting()
        except DatabaseError as error:
            logger.warning("tasks deferred reason=%s", error)

    def close(self, timeout_s: float = 10.0) -> bool:
        """Stop all tasks of this process at their next step and join their threads; return False if one did not end in time."""
        self._stopping.set()
        deadline = time.monotonic() + timeout_s
        with self._guard:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _state(self, task_id: int) -> TaskState:
        found = self.rows.get(task_id)
        if found is None:  # so old that its row was deleted
            raise UnknownTask(task_id)
        return found

    def _run(self, kind: str) -> None:
        try:
            with self._locks.try_hold(f"task-{kind}") as hold:
                if hold is None:
                    return
                # Under the lock, so that a task that another process has just finished is not run again.
                state = next((task for task in self.rows.open() if task.kind == kind), None)
                if state is not None and self.is_here(state):
                    self._run_one(state, hold)
                elif state is not None:
                    self._note_away(state)
        except (DatabaseError, OSError) as error:
            logger.warning("task deferred kind=%s reason=%s", kind, error)

    def _is_overdue(self, state: TaskState) -> bool:
        """Return True if a task of another node has waited for so long that something has to be said, or done about a cancel."""
        message = _waits_for(state)
        return self.rows.is_cancelled(state.id) or (state.message != message and self._clock() - state.updated_at > AWAY_S)

    def _note_away(self, state: TaskState) -> None:
        """Note that the node of a task does not run it: no one holds the lock of its kind."""
        if self.rows.is_cancelled(state.id):
            self.rows.set(state.id, self._clock(), state="cancelled", says=CANCELLED, paused_until=None)
        elif self._clock() - state.updated_at > AWAY_S:
            self.rows.set(state.id, self._clock(), state="waiting", says=_waits_for(state), paused_until=None)

    def _run_one(self, state: TaskState, hold: Hold) -> None:
        self.rows.set(state.id, self._clock(), state="running", paused_until=None)
        # Read after that write: a node that had the lock before may have been saving its last step.
        task = Task(self.rows, self._state(state.id), hold, self._stopping, self._clock)
        try:
            outcome = self._runners[state.kind](task)
        except TaskStopped:
            self.rows.set(state.id, self._clock(), state="waiting", paused_until=None)
            return
        except TaskCancelled:
            ended: dict[str, Any] = {"state": "cancelled", "says": CANCELLED}
        except CacheError as error:
            logger.warning("task failed kind=%s reason=%s", state.kind, error)
            ended = {"state": "failed", "says": " ".join(_sentence(text) for text in (str(error), error.hint) if text)}
        except (DatabaseError, OSError) as error:
            if isinstance(error, DatabaseError) and not hold.renew():
                raise  # the database is away, or another node has the task: the next holder of the lock goes on
            logger.warning("task failed kind=%s reason=%s", state.kind, error)
            ended = {"state": "failed", "says": "The disk or a database failed. See the log."}
        except Exception:
            logger.exception("unexpected error in task kind=%s", state.kind)
            ended = {"state": "failed", "says": "Something went wrong. See the log."}
        else:
            ended = {"state": "done", "outcome": dict(outcome)}
        self.rows.set(state.id, self._clock(), paused_until=None, **ended)


def _waits_for(state: TaskState) -> str:
    return f"Waits for node {state.wanted.get(NODE)}, which has what it needs."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
