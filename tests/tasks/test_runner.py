"""Tasks: one of a kind at a time, cancelled at the next step, resumed after a stop and after a crash."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import TableRejected, UnknownTask
from image_cache.models import TaskState
from image_cache.tasks import Task, TaskRunner
from image_cache.tasks.runner import AWAY_S
from tests.support.catalogs import Catalogs
from tests.support.clock import FakeClock

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def make(catalog: CatalogDatabase, tmp_path: Path) -> Iterator[Callable[..., TaskRunner]]:
    made: list[TaskRunner] = []

    def one(**runners: Callable[[Task], Mapping[str, Any]]) -> TaskRunner:
        tasks = runner_of(catalog, tmp_path, **runners)
        made.append(tasks)
        return tasks

    yield one
    for tasks in made:
        assert tasks.close()


def runner_of(catalog: CatalogDatabase, folder: Path, **runners: Callable[[Task], Mapping[str, Any]]) -> TaskRunner:
    tasks = TaskRunner(catalog, catalog.locks(folder))
    for kind, runner in runners.items():
        tasks.register(kind, runner)
    return tasks


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def state(tasks: TaskRunner, task_id: int) -> TaskState:
    found = tasks.rows.get(task_id)
    assert found is not None
    return found


def test_a_task_runs_to_its_end_and_says_what_came_of_it(make: Callable[..., TaskRunner]) -> None:
    tasks = make(count=lambda task: {"counted": task.wanted["to"]})
    ended = tasks.run("count", {"to": 3})
    assert (ended.state, ended.outcome) == ("done", {"counted": 3})


def test_a_kind_has_one_runner(make: Callable[..., TaskRunner]) -> None:
    tasks = make(count=lambda task: {"counted": 1})
    with pytest.raises(ValueError, match="kind count"):
        tasks.register("count", lambda task: {"counted": 2})
    assert tasks.run("count", {}).outcome == {"counted": 1}


def test_a_second_task_of_a_kind_is_the_first_one(make: Callable[..., TaskRunner]) -> None:
    go = threading.Event()

    def wait(task: Task) -> dict[str, Any]:
        go.wait(60)
        return {}

    tasks = make(wait=wait)
    tasks.serve()
    first = tasks.start("wait", {"a": 1})
    assert tasks.start("wait", {"a": 2}) == first
    go.set()
    until(lambda: state(tasks, first).is_over)
    assert tasks.start("wait", {}) != first


def test_a_cancel_ends_a_task_at_its_next_step_and_what_was_saved_stays(
    make: Callable[..., TaskRunner], catalog: CatalogDatabase
) -> None:
    def endless(task: Task) -> dict[str, Any]:
        with catalog.write() as conn:
            task.save(conn, {"page": 7}, 7, None, "Page 7")
        while True:
            task.progress(7, None, "Page 7")
            time.sleep(0.005)

    tasks = make(endless=endless)
    tasks.serve()
    task_id = tasks.start("endless", {})
    until(lambda: state(tasks, task_id).position == {"page": 7})
    assert tasks.cancel(task_id)
    until(lambda: state(tasks, task_id).is_over)
    ended = state(tasks, task_id)
    assert (ended.state, ended.position, ended.done) == ("cancelled", {"page": 7}, 7)
    assert not tasks.cancel(task_id)


@pytest.mark.slow
def test_a_cancel_ends_a_pause(make: Callable[..., TaskRunner]) -> None:
    def sleepy(task: Task) -> dict[str, Any]:
        task.pause(3600, "Rate limit reached.")
        return {}

    tasks = make(sleepy=sleepy)
    tasks.serve()
    task_id = tasks.start("sleepy", {})
    until(lambda: state(tasks, task_id).paused_until is not None)
    assert state(tasks, task_id).message == "Rate limit reached."
    tasks.cancel(task_id)
    until(lambda: state(tasks, task_id).state == "cancelled")
    assert state(tasks, task_id).paused_until is None


def test_a_task_that_waits_is_cancelled_at_once(make: Callable[..., TaskRunner]) -> None:
    tasks = make(never=lambda task: {})
    task_id = tasks.start("never", {})
    tasks.cancel(task_id)
    assert state(tasks, task_id).state == "cancelled"


def test_a_failure_is_a_sentence_and_a_bug_is_not_shown(
    make: Callable[..., TaskRunner], caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(task: Task) -> dict[str, Any]:
        raise TableRejected("x.csv", "it is a picture")

    def breaks(task: Task) -> dict[str, Any]:
        raise KeyError("secret")

    tasks = make(refuses=refuses, breaks=breaks)
    assert tasks.run("refuses", {}).message.startswith("x.csv: it is a picture")
    broken = tasks.run("breaks", {})
    assert broken.state == "failed"
    assert "secret" not in broken.message
    assert "secret" in caplog.text


def test_a_stop_leaves_the_task_for_the_next_start(catalog: CatalogDatabase, tmp_path: Path) -> None:
    def slow(task: Task) -> dict[str, Any]:
        if task.position:
            return {"went on at": task.position["page"]}
        with catalog.write() as conn:
            task.save(conn, {"page": 3}, 3, 13, "Page 3 of 13")
        task.pause(3600, "waits")
        return {}

    first = runner_of(catalog, tmp_path, slow=slow)
    first.serve()
    task_id = first.start("slow", {})
    until(lambda: state(first, task_id).paused_until is not None)
    assert first.close()
    assert state(first, task_id).state == "waiting"
    second = runner_of(catalog, tmp_path, slow=slow)
    second.start_waiting()
    until(lambda: state(second, task_id).is_over)
    assert state(second, task_id).outcome == {"went on at": 3}
    assert second.close()


CRASHES = """
import os, sys
from pathlib import Path
from image_cache.db.catalog import CatalogDatabase
from image_cache.tasks import TaskRunner

catalog = CatalogDatabase(Path(sys.argv[1]))

def crash(task):
    with catalog.write() as conn:
        task.save(conn, {"page": 5}, 5, 9, "Page 5 of 9")
    print("saved", flush=True)
    sys.stdin.read()

tasks = TaskRunner(catalog, catalog.locks(Path(sys.argv[1]).parent))
tasks.register("crash", crash)
tasks.run("crash", {})
"""


@pytest.mark.sqlite_only  # another process opens its file
def test_a_crash_leaves_the_task_for_whoever_is_alive_and_nobody_runs_it_twice(
    make: Callable[..., TaskRunner], catalog: CatalogDatabase, tmp_path: Path
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CRASHES, str(tmp_path / "catalog.db")], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"saved\n"
    runs: list[int] = []

    def crash(task: Task) -> dict[str, Any]:
        runs.append(task.position["page"])
        return {}

    tasks = make(crash=crash)
    for _ in range(3):
        tasks.start_waiting()
        time.sleep(0.02)
    assert runs == []
    child.kill()
    child.communicate()

    def tended() -> bool:
        tasks.start_waiting()
        return bool(runs)

    until(tended)
    until(lambda: tasks.rows.open() == [])
    assert runs == [5]


@pytest.fixture
def nodes(catalogs: Catalogs, tmp_path: Path, clock: FakeClock) -> Iterator[Callable[..., TaskRunner]]:
    """Makes the runner of a node, with the same catalogue as the others."""
    made: list[TaskRunner] = []

    def one(name: str, **runners: Callable[[Task], Mapping[str, Any]]) -> TaskRunner:
        catalog = catalogs.open(tmp_path / "catalog.db")
        catalog.node = name
        tasks = TaskRunner(catalog, catalog.locks(tmp_path), clock=clock)
        for kind, runner in runners.items():
            tasks.register(kind, runner)
        made.append(tasks)
        return tasks

    yield one
    for tasks in made:
        assert tasks.close()
        tasks.rows.db.close()


def look(tasks: TaskRunner) -> None:
    """Let a node look for tasks once, and wait for what it runs."""
    tasks.start_waiting()
    for thread in tasks._threads.values():
        thread.join()


def test_a_task_that_needs_a_node_runs_there_only(nodes: Callable[..., TaskRunner], clock: FakeClock) -> None:
    here, there = nodes("ada", read=lambda task: {"by": "ada"}), nodes("bob", read=lambda task: {"by": "bob"})
    task_id = here.start("read", {}, is_here=True)
    look(there)
    assert state(there, task_id).state == "waiting"
    assert (here.is_here(state(here, task_id)), there.is_here(state(there, task_id))) == (True, False)
    clock.advance(AWAY_S + 1)
    look(there)
    assert state(there, task_id).message == "Waits for node ada, which has what it needs."
    look(here)
    assert state(here, task_id).outcome == {"by": "ada"}
    assert there.latest_here("read") is None
    assert here.latest_here("read") == state(here, task_id)
    task_id = here.start("read", {})  # one that any node can run
    look(there)
    assert state(here, task_id).outcome == {"by": "bob"}


def test_a_task_of_a_node_that_is_gone_waits_and_can_be_cancelled(nodes: Callable[..., TaskRunner], clock: FakeClock) -> None:
    there = nodes("bob", read=lambda task: {})
    task_id = nodes("ada", read=lambda task: {}).start("read", {}, is_here=True)
    there.rows.set(task_id, clock(), state="running")  # ada was at it when it was cut off
    clock.advance(AWAY_S + 1)
    there.cancel(task_id)
    look(there)
    assert state(there, task_id).state == "cancelled"


def test_a_node_without_a_name_runs_everything(make: Callable[..., TaskRunner]) -> None:
    tasks = make(read=lambda task: dict(task.wanted))
    assert tasks.run("read", {"a": 1}, is_here=True).outcome == {"a": 1}


def test_ended_tasks_are_forgotten_after_a_while(make: Callable[..., TaskRunner]) -> None:
    tasks = make(quick=lambda task: {})
    first = tasks.start("quick", {})
    tasks.cancel(first)
    for _ in range(55):
        tasks.cancel(tasks.start("quick", {}))
    assert tasks.rows.get(first) is None
    with pytest.raises(UnknownTask):
        tasks._state(first)


def test_a_stop_while_a_task_begins_joins_it_or_keeps_it_from_beginning(make: Callable[..., TaskRunner]) -> None:
    """The stop found a thread that was not started yet, which cannot be joined: the rest of the stop was left out."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            tasks = make(quick=lambda task: {})
            tasks.rows.add("quick", {}, 0.0)
            tending = threading.Thread(target=tasks.start_waiting)
            tending.start()
            while not tasks._threads and tending.is_alive():
                pass
            assert tasks.close(30)
            tending.join()
            assert not any(thread.is_alive() for thread in tasks._threads.values())
    finally:
        sys.setswitchinterval(interval)
