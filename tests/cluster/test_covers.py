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
