"""What takes longer than a request: one thread a task, one task of a kind at a time over all processes, resumed after a stop.

A runner is a function of a `Task`. It saves where it is with `Task.progress` and goes on from `Task.position` when it is called
again; it returns what came of it, as a mapping for JSON, and raises a `CacheError` that says why it failed.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, DatabaseError
from image_cache.errors import CacheError, UnknownTask
from image_cache.filesystem import make_folder, try_lock_file
from image_cache.models import TaskState
from image_cache.tasks.table import TaskTable

logger = logging.getLogger(__name__)

WRITE_S = 1.0  # progress reaches the disk at most so often, unless something has to be saved with it
LOOK_S = 1.0  # how soon a cancel or a stop ends a pause

Runner = Callable[["Task"], Mapping[str, Any]]


class TaskCancelled(CacheError):
    """Somebody cancelled the task. What it saved stays."""


class TaskStopped(CacheError):
    """The program stops. The task goes on after the next start."""


class Task:
    """A task that runs, in the hands of its runner. For one thread."""

    def __init__(self, rows: TaskTable, state: TaskState, stopping: threading.Event, clock: Callable[[], float]) -> None:
        self.id = state.id
        self.wanted: Mapping[str, Any] = state.wanted
        self.position: Mapping[str, Any] = state.position
        self.clock = clock
        self._rows = rows
        self._stopping = stopping
        self._written = 0.0

    def check(self) -> None:
        """Raise `TaskCancelled` or `TaskStopped` when it is time to end. A runner calls it, or `progress`, at every step."""
        if self._stopping.is_set():
            raise TaskStopped("the program stops")
        if self._rows.is_cancelled(self.id):
            raise TaskCancelled("cancelled")

    def progress(self, done: int, total: int | None, says: str) -> None:
        """Say how far it is, for people: written at most once a second. Raises as `check`."""
        self.check()
        if time.monotonic() - self._written >= WRITE_S:
            self._rows.set(self.id, self.clock(), done=done, total=total, says=says)
            self._written = time.monotonic()

    def save(self, conn: Connection, position: Mapping[str, Any], done: int, total: int | None, says: str) -> None:
        """Write how far it is in the transaction that saves what was done, so that neither is lost or done twice."""
        self.position = dict(position)
        self._rows.write(conn, self.id, self.clock(), position=self.position, done=done, total=total, says=says)
        self._written = time.monotonic()

    def pause(self, seconds: float, says: str) -> None:
        """Wait, and say so. Raises as `check`."""
        until = self.clock() + seconds
        self._rows.set(self.id, self.clock(), paused_until=until, says=says)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            self._stopping.wait(min(LOOK_S, left))
        self.check()
        self._rows.set(self.id, self.clock(), paused_until=None)


class TaskRunner:
    """Runs tasks by their kind. Any thread; `tend` belongs to the housekeeper of a process that serves."""

    def __init__(
        self, catalog: CatalogDatabase, runners: Mapping[str, Runner], folder: Path, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.rows = TaskTable(catalog)
        self._runners = runners
        self._folder = folder
        self._clock = clock
        self._stopping = threading.Event()
        self._guard = threading.Lock()  # protects _threads
        self._threads: dict[str, threading.Thread] = {}
        self._is_serving = False

    def start(self, kind: str, wanted: Mapping[str, Any]) -> int:
        """Begin a task, or find the one of its kind that is not over yet; return its id. It runs soon, in a process that serves."""
        self._runners[kind]
        task_id, _ = self.rows.add(kind, wanted, self._clock())
        if self._is_serving:
            self.run_maintenance()
        return task_id

    def run(self, kind: str, wanted: Mapping[str, Any], progress: Callable[[TaskState], None] | None = None) -> TaskState:
        """Begin a task and stay with it to its end, wherever it runs: for commands. `progress` gets its state now and then."""
        task_id = self.start(kind, wanted)
        self.run_maintenance()
        while True:
            state = self._state(task_id)
            if progress is not None:
                progress(state)
            if state.is_over:
                return state
            with self._guard:
                thread = self._threads.get(kind)
            if thread is not None:
                thread.join(LOOK_S / 2)
            if self._stopping.wait(0.0 if thread is not None else LOOK_S / 2):
                return self._state(task_id)
            self.run_maintenance()

    def cancel(self, task_id: int) -> bool:
        """End a task at its next step; tell whether it was not over yet."""
        return self.rows.cancel(task_id, self._clock())

    def serve(self) -> None:
        """From now on this process runs tasks as they come, also those that a stop or a crash left."""
        self._is_serving = True

    def run_maintenance(self) -> None:
        """Run what waits, and what was left by a process that is gone."""
        for state in self.rows.open():
            if state.kind not in self._runners:
                continue
            with self._guard:  # also while it starts: `close` joins what it finds, and what comes later must not begin
                thread = self._threads.get(state.kind)
                if self._stopping.is_set() or (thread is not None and thread.is_alive()):
                    continue
                thread = threading.Thread(target=self._run, args=(state.kind,), name=f"task-{state.kind}", daemon=True)
                thread.start()
                self._threads[state.kind] = thread

    def close(self, timeout_s: float = 10.0) -> bool:
        """Stop all tasks of this process at their next step and join; False when one did not end in time."""
        self._stopping.set()
        deadline = time.monotonic() + timeout_s
        with self._guard:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _state(self, task_id: int) -> TaskState:
        found = self.rows.get(task_id)
        if found is None:  # so old that it was forgotten
            raise UnknownTask(task_id)
        return found

    def _run(self, kind: str) -> None:
        try:
            with self._alone(kind) as is_alone:
                # Under the lock, so that what another process ended a moment ago is not run again.
                state = next((one for one in self.rows.open() if one.kind == kind), None) if is_alone else None
                if state is not None:
                    self._run_one(state)
        except (DatabaseError, OSError) as error:
            logger.warning("task left for later kind=%s reason=%s", kind, error)

    def _run_one(self, state: TaskState) -> None:
        self.rows.set(state.id, self._clock(), state="running", paused_until=None)
        task = Task(self.rows, state, self._stopping, self._clock)
        try:
            outcome = self._runners[state.kind](task)
        except TaskStopped:
            self.rows.set(state.id, self._clock(), state="waiting", paused_until=None)
            return
        except TaskCancelled:
            ended: dict[str, Any] = {"state": "cancelled", "says": "Cancelled. What was saved stays."}
        except CacheError as error:
            logger.warning("task failed kind=%s reason=%s", state.kind, error)
            ended = {"state": "failed", "says": " ".join(_sentence(text) for text in (str(error), error.hint) if text)}
        except (DatabaseError, OSError) as error:
            logger.warning("task failed kind=%s reason=%s", state.kind, error)
            ended = {"state": "failed", "says": "The disk or a database refused. The log says why."}
        except Exception:
            logger.exception("unexpected error in task kind=%s", state.kind)
            ended = {"state": "failed", "says": "Something broke here. The log says what."}
        else:
            ended = {"state": "done", "outcome": dict(outcome)}
        self.rows.set(state.id, self._clock(), paused_until=None, **ended)

    @contextmanager
    def _alone(self, kind: str) -> Iterator[bool]:
        """Yield True if no other process runs a task of this kind."""
        make_folder(self._folder)
        with try_lock_file(self._folder / f".task-{kind}") as is_alone:
            yield is_alone


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
