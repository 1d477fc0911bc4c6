"""Rendered covers over nodes, the long way: `make rehearse-cluster`."""

import itertools
import time
from collections import Counter
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, Engines, each_gets
from tests.cluster.covers import bring_in, named, offer, thumbnails
from tests.support.origin import Origin
from tests.support.vault import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]

PER_HOST = 2
AWAY_S = 30.0


def test_each_node_fetches_for_itself_without_a_second_tier(engines: Engines, origin: Origin, figures: dict[str, Any]) -> None:
    """Two nodes without a second tier are asked for 20 covers."""
    paths = offer(origin, 20)
    with Cluster(engines, 2, origins=[origin], VINYL_VAULT_SHARED_VARIANTS="0") as cluster:
        bring_in(cluster, origin, paths)
        digests = named(cluster.nodes[0], 20)
        bodies: dict[str, set[bytes]] = {}
        for _, path, body in each_gets(cluster.nodes, thumbnails(digests)):
            bodies.setdefault(path, set()).add(body)
        fetched = Counter(asked.path for asked in origin.requests)
        figures["fetches"] = sum(fetched.values())
        figures["most at once of the host"] = origin.peak()
        figures["covers that differ between nodes"] = sum(len(different) > 1 for different in bodies.values())
        figures["objects below r/"] = len(cluster.objects())
        wait_until(lambda: cluster.covers("SELECT count(*) FROM jobs") == [["0"]])
        assert set(fetched.values()) == {2}
        assert origin.peak() <= PER_HOST
        assert figures["covers that differ between nodes"] == 0
        assert figures["objects below r/"] == 0


@pytest.mark.parametrize("mode", ["reset", "blackhole"])
def test_a_store_that_is_away_for_half_a_minute(engines: Engines, origin: Origin, figures: dict[str, Any], mode: str) -> None:
    """The store is away for 30 s ({mode}) while two nodes fetch 60 covers."""
    paths = offer(origin, 60)
    with Cluster(engines, 2, origins=[origin]) as cluster:
        bring_in(cluster, origin, paths)
        for node in cluster.nodes:
            node.links["s3"].mode = mode  # type: ignore[assignment]
        began = time.monotonic()
        digests = named(cluster.nodes[0], 60)
        for node, path in zip(itertools.cycle(cluster.nodes), thumbnails(digests), strict=False):
            assert node.get(path).status in (200, 202)

        def shown() -> set[str]:
            states = [node.post("/api/cache/state", {"digests": digests}).json() for node in cluster.nodes]
            return {digest for state in states for digest in state["ready"]}

        wait_until(lambda: len(shown()) == 60, 4 * AWAY_S)
        figures["seconds until each cover was on a node"] = round(time.monotonic() - began, 1)
        put_off = "SELECT count(*) FROM jobs WHERE ready_at > extract(epoch FROM clock_timestamp()) + 1"
        figures["jobs put off"] = int(cluster.covers(put_off)[0][0])
        wait_until(lambda: time.monotonic() - began > AWAY_S, 2 * AWAY_S)
        for node in cluster.nodes:
            node.heal()
        began = time.monotonic()
        unstored = "SELECT count(*) FROM images WHERE stored_at IS NULL"
        wait_until(lambda: cluster.covers(unstored) == [["0"]], 120)
        figures["seconds until all were in the store again"] = round(time.monotonic() - began, 1)
        for _ in each_gets(cluster.nodes, thumbnails(digests)):
            pass
        fetched = Counter(asked.path for asked in origin.requests)
        figures["fetches"] = sum(fetched.values())
        assert set(fetched.values()) == {1}
        assert figures["jobs put off"] == 0
        assert len(cluster.objects()) == 120
