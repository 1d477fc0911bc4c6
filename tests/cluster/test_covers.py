"""Covers of real nodes: fetched once, taken from the store by the others, and shown while the store is away."""

import time
from collections import Counter

import pytest

from tests.cluster.cluster import Cluster, Engines, Node, each_gets
from tests.cluster.covers import bring_in, named, offer, thumbnails
from tests.support.origin import Origin
from tests.support.vault import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]


def shown(nodes: list[Node], digests: list[str]) -> dict[str, set[bytes]]:
    """Wait until every node shows every cover; return the different bytes of each."""
    bodies: dict[str, set[bytes]] = {}
    for _, path, body in each_gets(nodes, thumbnails(digests)):
        bodies.setdefault(path, set()).add(body)
    return bodies


def unstored(cluster: Cluster) -> int:
    return int(cluster.covers("SELECT count(*) FROM images WHERE fetched_at IS NOT NULL AND stored_at IS NULL")[0][0])


def test_a_cold_node_takes_all_covers_from_the_store(engines: Engines, origin: Origin) -> None:
    paths = offer(origin, 60)
    with Cluster(engines, 2, origins=[origin]) as cluster:
        bring_in(cluster, origin, paths)
        digests = named(cluster.nodes[0], 60)
        bodies = shown(cluster.nodes, digests)
        assert Counter(asked.path for asked in origin.requests) == Counter(paths)
        wait_until(lambda: unstored(cluster) == 0)
        asked = origin.count()
        began = time.monotonic()
        third = cluster.add()
        again = shown([third], named(third, 60))
        print(f"a cold node: {time.monotonic() - began:.1f} s")
        assert origin.count() == asked, "a cold node fetched from the origin"
        assert again == bodies
        assert all(len(different) == 1 for different in bodies.values())


@pytest.mark.parametrize("mode", ["reset", "blackhole"])
def test_a_store_that_is_away_puts_nobody_off(engines: Engines, origin: Origin, mode: str) -> None:
    paths = offer(origin, 20)
    with Cluster(engines, 2, origins=[origin]) as cluster:
        one, other = cluster.nodes
        for node in cluster.nodes:
            node.links["s3"].mode = mode  # type: ignore[assignment]
        bring_in(cluster, origin, paths)
        digests = named(one, 20)
        began = time.monotonic()
        # Each cover is on one of the two nodes: both claim jobs.
        wait_until(lambda: len(ready(one, digests) | ready(other, digests)) == 20)
        took_s = time.monotonic() - began
        print(f"{mode}: all fetched after {took_s:.1f} s, {unstored(cluster)} not stored")
        assert unstored(cluster) == 20
        assert cluster.covers("SELECT count(*) FROM jobs")[0][0] == "0", "a job was put off"
        assert Counter(asked.path for asked in origin.requests) == Counter(paths)
        began = time.monotonic()
        for node in cluster.nodes:
            node.heal()
        wait_until(lambda: unstored(cluster) == 0, 60)
        print(f"{mode}: all stored {time.monotonic() - began:.1f} s after the return")
        assert len(cluster.objects()) == 40
        assert all(len(different) == 1 for different in shown(cluster.nodes, digests).values())
        assert origin.count() == 20


def ready(node: Node, digests: list[str]) -> set[str]:
    """Which covers a page of the node is told to show."""
    return set(node.post("/api/cache/state", {"digests": digests}).json()["ready"])
