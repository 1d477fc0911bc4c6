"""Nodes on one catalogue: their names and heartbeats, and whose jobs are free when one of them dies."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.cluster.clock import DatabaseClock, since_boot
from image_cache.cluster.index_schema import COVERS, SHARED_INDEX
from image_cache.cluster.nodes import SILENT_S, ClusterHolders, NodeTable, ThisNode, boot_of
from image_cache.db.database import Database
from image_cache.db.postgres.node import node_name
from image_cache.engine.holder import holder_name
from image_cache.engine.job import Job, LoadRequest
from image_cache.engine.jobs import PAGE, JobQueue
from image_cache.engine.key import digest_of
from image_cache.errors import ConfigError, LeaseLost
from tests.support.catalogs import PostgresCatalogs, SchemaPool

pytestmark = [pytest.mark.postgres, pytest.mark.server]


@pytest.fixture
def catalog(schema_pool: SchemaPool, tmp_path: Path) -> Iterator[Database]:
    catalogs = PostgresCatalogs(schema_pool)
    yield catalogs.open(tmp_path / "catalog.db")
    catalogs.close()


@pytest.fixture
def index(catalog: Database) -> Iterator[Database]:
    opened: Database = catalog.beside(COVERS, SHARED_INDEX)  # type: ignore[attr-defined]
    yield opened
    opened.close()


def node(catalog: Database, name: str, boot: str = "1") -> ThisNode:
    return ThisNode(NodeTable(catalog), name, boot, DatabaseClock())


def is_steady(this: ThisNode) -> ThisNode:
    """As after ten seconds of heartbeats."""
    assert this.beat()
    this._steady_since = since_boot() - SILENT_S  # type: ignore[assignment]
    return this


def silence(catalog: Database, name: str, seconds: float) -> None:
    """As if a node had not beaten for so long."""
    with catalog.write() as conn:
        conn.execute("UPDATE nodes SET seen_at = seen_at - ? WHERE name = ?", (seconds, name))


def queue(index: Database, this: ThisNode, *, total: int = 10, per_lane: int = 10, in_all: int = 0) -> JobQueue:
    return JobQueue(
        index, limit=100, total=total, per_lane=per_lane, in_all=in_all, clock=this.clock, holders=ClusterHolders(this)
    )


def put(jobs: JobQueue, count: int, lane: str = "host") -> None:
    jobs.put([LoadRequest(digest_of(f"{lane}{number}"), lane) for number in range(count)], PAGE)


def claimed(jobs: JobQueue) -> Job:
    job = jobs.claim()
    assert job is not None
    return job


# Names


def test_a_node_without_a_name_makes_one_and_keeps_it(tmp_path: Path) -> None:
    name = node_name("", tmp_path)
    assert name == node_name("", tmp_path) == (tmp_path / "node").read_text(encoding="utf-8").strip()
    assert node_name("", tmp_path / "other") != name
    assert node_name("north", tmp_path) == "north"


def test_a_reader_keeps_no_name(tmp_path: Path) -> None:
    assert node_name("", tmp_path / "cache", is_kept=False)
    assert list(tmp_path.iterdir()) == []


def test_processes_of_one_node_have_one_boot_and_another_folder_has_another(tmp_path: Path) -> None:
    assert boot_of(tmp_path) == boot_of(tmp_path)
    assert boot_of(tmp_path) != boot_of(tmp_path / "other")


def test_a_name_that_another_node_uses_is_refused_with_the_setting(catalog: Database) -> None:
    first, second = node(catalog, "north", "1"), node(catalog, "north", "2")
    first.join()
    import threading

    is_over = threading.Event()

    def beat() -> None:
        while not is_over.wait(0.1):
            first.beat()

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        with pytest.raises(ConfigError, match="VINYL_VAULT_NODE: another node named 'north' is running"):
            second.join()
    finally:
        is_over.set()
        heart.join()
    assert [(found.name, found.boot) for found in NodeTable(catalog).all()] == [("north", "1")]


def test_the_name_of_a_node_that_stopped_or_died_is_free(catalog: Database) -> None:
    first, second = node(catalog, "north", "1"), node(catalog, "north", "2")
    first.join()
    first.leave()
    began = time.monotonic()
    second.join()
    assert time.monotonic() - began < 3  # it did not wait for a beat
    assert not first.beat()  # the row is the other's now
    silence(catalog, "north", SILENT_S + 1)
    third = node(catalog, "north", "3")
    third.join()
    assert [(found.name, found.boot) for found in NodeTable(catalog).all()] == [("north", "3")]


# The clock


def test_all_nodes_go_by_the_clock_of_the_database(catalog: Database) -> None:
    wrong = DatabaseClock(lambda: 5.0)
    assert wrong() == 5.0  # before it was measured
    wrong.measure(catalog)
    other = DatabaseClock()
    other.measure(catalog)
    assert abs(wrong() - other()) < 1
    before = wrong()
    assert wrong() >= before > 1_700_000_000


# Dead nodes


def test_the_jobs_of_a_silent_node_are_free_and_those_of_a_living_one_are_not(catalog: Database, index: Database) -> None:
    north, south = node(catalog, "north"), node(catalog, "south")
    north.join()
    south.join()
    put(queue(index, north), 2)
    lost = claimed(queue(index, north))
    is_steady(south)
    survivor = queue(index, south)
    mine = claimed(survivor)
    assert survivor.release_dead() == 0
    assert south.dead_nodes() == set()

    silence(catalog, "north", SILENT_S)
    assert south.dead_nodes() == {"north/1"}
    assert survivor.release_dead() == 1
    assert claimed(survivor).digest == lost.digest
    with index.write() as conn:
        assert survivor.is_held(conn, mine)


def test_a_node_that_was_away_itself_takes_no_one_for_dead(catalog: Database, index: Database) -> None:
    """After the database was away all nodes have been silent: the first that is back must not take the others' work."""
    north, south = node(catalog, "north"), node(catalog, "south")
    north.join()
    south.join()
    put(queue(index, north), 1)
    claimed(queue(index, north))
    silence(catalog, "north", SILENT_S)
    assert queue(index, south).release_dead() == 0
    assert south.dead_nodes() == set()
    is_steady(south)
    assert queue(index, south).release_dead() == 1


def test_a_node_that_started_again_elsewhere_frees_what_it_held(catalog: Database, index: Database) -> None:
    north, south = node(catalog, "north", "1"), node(catalog, "south")
    south.join()
    north.join()
    put(queue(index, north), 1)
    claimed(queue(index, north))
    north.leave()
    node(catalog, "north", "2").join()
    assert queue(index, south).release_dead() == 1


def test_a_process_of_this_node_that_ended_is_seen_at_once(catalog: Database, index: Database) -> None:
    north = node(catalog, "north")
    north.join()
    jobs = queue(index, north)
    put(jobs, 2)
    claimed(jobs)
    held = claimed(jobs)
    with index.write() as conn:
        conn.execute("UPDATE jobs SET holder = 'north/1/4194999:123' WHERE digest = ?", (bytes.fromhex(held.digest),))
    assert jobs.holder == f"north/1/{holder_name()}"
    assert jobs.release_dead() == 1


def test_a_holder_of_a_node_that_no_one_knows_keeps_its_lease(catalog: Database, index: Database) -> None:
    """A command on a machine without the service: its node has no row."""
    put(queue(index, node(catalog, "script")), 1)
    claimed(queue(index, node(catalog, "script")))
    north = node(catalog, "north")
    north.join()
    is_steady(north)
    assert queue(index, north).release_dead() == 0


def test_a_holder_that_wakes_late_removes_nothing(catalog: Database, index: Database) -> None:
    north, south = node(catalog, "north"), node(catalog, "south")
    north.join()
    south.join()
    asleep, other = queue(index, north), queue(index, south)
    put(asleep, 1)
    old = claimed(asleep)
    silence(catalog, "north", SILENT_S)
    is_steady(south)
    assert other.release_dead() == 1
    new = claimed(other)
    assert new.digest == old.digest
    with pytest.raises(LeaseLost), index.write() as conn:
        asleep.finish(conn, old)
    assert other.depth() == 1
    with index.write() as conn:
        other.finish(conn, new)
    assert other.depth() == 0


# Limits


def test_each_node_has_downloads_of_its_own_and_a_host_has_its_limit_over_all(catalog: Database, index: Database) -> None:
    north, south = node(catalog, "north"), node(catalog, "south")
    first, second = queue(index, north, total=2, per_lane=3), queue(index, south, total=2, per_lane=3)
    put(first, 9)
    assert [first.claim() is not None for _ in range(3)] == [True, True, False]  # two downloads a node
    assert [second.claim() is not None for _ in range(3)] == [True, False, False]  # three from one host
    put(first, 2, "other host")
    assert second.claim() is not None
    assert second.claim() is None


def test_all_nodes_together_can_have_a_limit(catalog: Database, index: Database) -> None:
    first, second = (queue(index, node(catalog, name), in_all=3) for name in ("north", "south"))
    put(first, 9)
    assert [first.claim() is not None for _ in range(2)] == [True, True]
    assert [second.claim() is not None for _ in range(2)] == [True, False]
