"""Nodes that die, sleep or lose the database: `make rehearse-cluster`. Nothing is lost, and nothing is done by two."""

import threading
import time
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, Engines, Node
from tests.cluster.covers import bring_in, named, offer, thumbnails
from tests.support.origin import Origin, jpeg
from tests.support.vault import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]

TAKEN_OVER_S = 12.0  # after a node's death its work is another's
STEADY_S = 12.0  # a node says of no one that it is dead before it has beaten for a while itself
PARTITION_S = 30.0


def jobs(cluster: Cluster) -> list[tuple[str, str]]:
    """Return (digest, name of the node that holds it) of all jobs."""
    rows = cluster.rows(f"SELECT encode(digest, 'hex'), split_part(holder, '/', 1) FROM {cluster.name}_covers.jobs")
    return [(row[0], row[1]) for row in rows]


def held_cover(cluster: Cluster, origin: Origin) -> tuple[str, Node, Node]:
    """Let a node fetch a cover whose origin does not answer; return the cover's path, that node and another one."""
    origin.put("/slow.jpg", jpeg(400, 400), gate=threading.Event())
    bring_in(cluster, origin, ["/slow.jpg"])
    (path,) = thumbnails(named(cluster.nodes[0], 1))
    origin.wait_for(1, "/slow.jpg")
    ((_, holder),) = jobs(cluster)
    one, other = sorted(cluster.nodes, key=lambda node: node.name != holder)
    assert one.name == holder
    return path, one, other


def seconds_until_shown(node: Node, path: str) -> float:
    began = time.monotonic()
    wait_until(lambda: node.get(path).status == 200, 60)
    return time.monotonic() - began


def test_the_job_of_a_killed_node_is_taken_over(engines: Engines, origin: Origin, figures: dict[str, Any]) -> None:
    """A node is killed while it fetches a cover that another one shows."""
    with Cluster(engines, 2, origins=[origin]) as cluster:
        time.sleep(STEADY_S)
        path, one, other = held_cover(cluster, origin)
        one.kill()
        origin.put("/slow.jpg", jpeg(400, 400))
        figures["seconds to the picture"] = round(seconds_until_shown(other, path), 1)
        figures["fetches"] = origin.count("/slow.jpg")
        assert figures["seconds to the picture"] <= TAKEN_OVER_S
        assert figures["fetches"] == 2
        assert jobs(cluster) == []


def test_a_paused_holder_that_wakes_removes_nothing(engines: Engines, origin: Origin, figures: dict[str, Any]) -> None:
    """A node sleeps while it fetches a cover, until another one has its job."""
    with Cluster(engines, 2, origins=[origin]) as cluster:
        time.sleep(STEADY_S)
        path, one, other = held_cover(cluster, origin)
        one.pause()
        asleep_at = time.monotonic()
        wait_until(lambda: jobs(cluster) and jobs(cluster)[0][1] == other.name, 30)
        figures["seconds to another claim"] = round(time.monotonic() - asleep_at, 1)
        assert figures["seconds to another claim"] <= TAKEN_OVER_S + 2
        one.resume()
        time.sleep(3)
        assert [holder for _, holder in jobs(cluster)] == [other.name], "the one that woke up has not touched the job"
        origin.put("/slow.jpg", jpeg(400, 400))
        for node in cluster.nodes:
            seconds_until_shown(node, path)
        assert jobs(cluster) == []


def test_warm_covers_are_shown_while_the_database_is_cut_off(engines: Engines, origin: Origin, figures: dict[str, Any]) -> None:
    """PostgreSQL is out of reach of one node for 30 s."""
    paths = offer(origin, 20)
    with Cluster(engines, 2, origins=[origin]) as cluster:
        bring_in(cluster, origin, paths)
        one, other = cluster.nodes
        covers = thumbnails(named(one, 20))
        for cover in covers:
            wait_until(lambda cover=cover: one.get(cover).status == 200, 60)  # type: ignore[misc]
        one.links["postgres"].mode = "blackhole"
        until, asked, shown, refused = time.monotonic() + PARTITION_S, 0, 0, 0
        while time.monotonic() < until:
            asked += 1
            shown += one.get(covers[asked % 20]).status == 200
            if asked % 50 == 0:
                threading.Thread(target=one.get, args=("/",), daemon=True).start()
            time.sleep(0.02)
        refused = one.get("/").status
        assert other.get("/").status == 200
        one.links["postgres"].mode = "pass"
        healed_at = time.monotonic()
        wait_until(lambda: one.get("/").status == 200, 20)
        figures["warm covers shown"] = f"{shown} of {asked}"
        figures["page meanwhile"] = refused
        figures["seconds until pages are back"] = round(time.monotonic() - healed_at, 1)
        assert shown == asked > 100
        assert refused == 503
        assert figures["seconds until pages are back"] <= 2


def test_a_clear_on_one_node_renames_the_covers_on_all(engines: Engines, origin: Origin, figures: dict[str, Any]) -> None:
    """The covers are cleared on one of two nodes."""
    paths = offer(origin, 5)
    with Cluster(engines, 2, origins=[origin]) as cluster:
        bring_in(cluster, origin, paths)
        one, other = cluster.nodes
        before = named(other, 5)
        assert one.post("/api/cache/clear").status == 200
        after = named(other, 5)
        figures["covers with a new name"] = len(set(after) - set(before))
        assert not set(after) & set(before)
        assert named(one, 5) == after
