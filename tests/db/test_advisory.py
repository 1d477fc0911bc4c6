"""Locks over all nodes in PostgreSQL: one holder, given on when it dies, stops or is cut off, and never held by two."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.postgres.advisory import IDLE_S, TRUST_S
from image_cache.services import TASKS_S
from image_cache.tasks import Task, TaskRunner
from image_cache.tasks.runner import TaskStopped
from tests.support.catalogs import PostgresCatalogs, SchemaPool

pytestmark = [pytest.mark.postgres, pytest.mark.server]

ROOT = Path(__file__).resolve().parents[2]
HERE = Path("unused")


@pytest.fixture
def nodes(schema_pool: SchemaPool) -> Iterator[Callable[[], CatalogDatabase]]:
    """Opens the same catalogue again, as another node does."""
    catalogs = PostgresCatalogs(schema_pool)
    yield lambda: catalogs.open(Path("catalog"))
    catalogs.close()


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_lock_has_one_holder_over_all_nodes_and_threads(nodes: Callable[[], CatalogDatabase]) -> None:
    here, there = nodes().locks(HERE), nodes().locks(HERE)
    with here.try_hold("a") as hold:
        assert hold is not None
        assert hold.is_held()
        assert hold.renew()
        for locks in (here, there):
            with locks.try_hold("a") as second:
                assert second is None
        with there.try_hold("b") as other:
            assert other is not None
    with there.try_hold("a") as next_one:
        assert next_one is not None


def test_only_the_holder_writes(nodes: Callable[[], CatalogDatabase]) -> None:
    catalog = nodes()
    with catalog.locks(HERE).try_hold("a") as hold:
        assert hold is not None
        with catalog.write() as conn:
            assert hold.is_held_in(conn)
    with catalog.write() as conn:
        assert not hold.is_held_in(conn)


def test_a_holder_whose_connection_was_cut_knows_it(nodes: Callable[[], CatalogDatabase], schema_pool: SchemaPool) -> None:
    catalog, other = nodes(), nodes()
    with catalog.locks(HERE).try_hold("a") as hold:
        assert hold is not None
        cut(schema_pool, hold)
        with other.locks(HERE).try_hold("a") as second:
            assert second is not None
            with catalog.write() as conn:
                assert not hold.is_held_in(conn)
        until(lambda: not hold.is_held())
    with catalog.locks(HERE).try_hold("a") as again:  # on a new connection
        assert again is not None


def test_a_task_stops_at_its_next_step_when_its_lock_is_lost(
    nodes: Callable[[], CatalogDatabase], schema_pool: SchemaPool
) -> None:
    """The work of a step that ends after that is undone with its position: the next node does it again."""
    catalog = nodes()
    tasks = TaskRunner(catalog, catalog.locks(HERE))
    stopped: list[str] = []

    def work(task: Task) -> dict[str, Any]:
        if task.position:
            return {"went on at": task.position["page"]}
        save(catalog, task, 1)
        cut(schema_pool, task._hold)
        try:
            save(catalog, task, 2)
        except TaskStopped as error:
            stopped.append(str(error))
            raise
        return {"was": "not stopped"}

    tasks.register("work", work)
    ended = tasks.run("work", {})
    assert (ended.state, ended.outcome, stopped) == ("done", {"went on at": 1}, ["another node may run it"])
    assert tasks.close()


def save(catalog: CatalogDatabase, task: Task, page: int) -> None:
    with catalog.write() as conn:
        task.save(conn, {"page": page}, page, 9, f"Page {page} of 9")


def cut(schema_pool: SchemaPool, hold: Any) -> None:
    schema_pool.run(f"SELECT pg_terminate_backend({hold._session.pid}, 5000)")


@pytest.mark.slow
def test_a_holder_that_hears_nothing_from_the_server_does_not_trust_its_lock(nodes: Callable[[], CatalogDatabase]) -> None:
    locks = nodes().locks(HERE)
    with locks.try_hold("a") as hold:
        server = hold._session.pid  # type: ignore[union-attr]
        os.kill(server, signal.SIGSTOP)
        try:
            until(lambda: not hold.is_held())  # type: ignore[union-attr]
            with locks.try_hold("b") as other:  # on a new connection
                assert other is not None
        finally:
            os.kill(server, signal.SIGCONT)


NODE = """
import sys, time
from pathlib import Path
from image_cache.db.postgres.database import PgDatabase
from image_cache.db.postgres.advisory import IDLE_S, TRUST_S
from image_cache.services import TASKS_S
from image_cache.tasks import TaskRunner

catalog = PgDatabase(sys.argv[1], sys.argv[2], "the database")

def work(task):
    with catalog.write() as conn:
        task.save(conn, {"page": 5}, 5, 9, "Page 5 of 9")
    print("saved", flush=True)
    sys.stdin.readline()
    with catalog.write() as conn:
        task.save(conn, {"page": 6}, 6, 9, "Page 6 of 9")
    print("saved again", flush=True)

tasks = TaskRunner(catalog, catalog.locks(Path("unused")))
tasks.register("work", work)
tasks.rows.add("work", {}, 0.0)
tasks.start_waiting()
sys.stdin.readline()
print("ended", flush=True)
"""


@pytest.mark.parametrize("signal_name", ["SIGKILL", pytest.param("SIGSTOP", marks=pytest.mark.slow)])
def test_another_node_goes_on_within_12_seconds(
    signal_name: str, nodes: Callable[[], CatalogDatabase], schema_pool: SchemaPool
) -> None:
    """Also when a node does not die but stops; when it wakes, what it was about to save is not saved."""
    assert TRUST_S < IDLE_S < 12 - TASKS_S
    catalog = nodes()
    catalog.rows("SELECT 1")
    command = [sys.executable, "-c", NODE, schema_pool.dsn, catalog._schema]  # type: ignore[attr-defined]
    node = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert node.stdout is not None
        assert node.stdin is not None
        assert node.stdout.readline() == "saved\n"
        runs: list[int] = []
        goes_on = threading.Event()

        def work(task: Task) -> dict[str, Any]:
            runs.append(task.position["page"])
            goes_on.wait(30)
            return {}

        tasks = TaskRunner(catalog, catalog.locks(HERE))
        tasks.register("work", work)
        tasks.start_waiting()
        until(lambda: not tasks._threads["work"].is_alive())
        assert runs == []
        node.send_signal(getattr(signal, signal_name))

        def tended() -> bool:
            tasks.start_waiting()
            return bool(runs)

        until(tended)
        assert runs == [5]
        if signal_name == "SIGSTOP":
            node.send_signal(signal.SIGCONT)
            assert node.communicate("\n\n")[0] == "ended\n"
            assert tasks.rows.open()[0].position == {"page": 5}
        goes_on.set()
        until(lambda: tasks.rows.open() == [])
        assert tasks.close()
    finally:
        node.kill()
        node.communicate()
