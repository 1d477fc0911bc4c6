"""Covers on many nodes: `make rehearse-cluster`. Each is fetched from its origin once, whichever nodes are asked for it."""

from collections import Counter
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, Engines, each_gets
from tests.cluster.covers import bring_in, named, offer, thumbnails
from tests.support.origin import Origin

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]

PER_HOST = 2


@pytest.mark.parametrize(("nodes", "covers"), [(1, 60), (2, 60), (4, 60), (2, 500)])
def test_each_cover_is_fetched_once(engines: Engines, origin: Origin, figures: dict[str, Any], nodes: int, covers: int) -> None:
    """{nodes} nodes are all asked for {covers} cold covers."""
    paths = offer(origin, covers)
    with Cluster(engines, nodes, origins=[origin], VINYL_VAULT_DOWNLOADS_PER_HOST=str(PER_HOST)) as cluster:
        bring_in(cluster, origin, paths)
        digests = [named(node, covers) for node in cluster.nodes]
        assert all(one == digests[0] for one in digests), "all nodes name a cover alike"
        bodies: dict[str, set[bytes]] = {}
        for _, path, body in each_gets(cluster.nodes, thumbnails(digests[0])):
            bodies.setdefault(path, set()).add(body)
        fetched = Counter(asked.path for asked in origin.requests)
        figures["fetches"] = sum(fetched.values())
        figures["fetched more than once"] = sum(count > 1 for count in fetched.values())
        figures["most at once of the host"] = origin.peak()
        figures["covers that differ between nodes"] = sum(len(different) > 1 for different in bodies.values())
        assert sum(fetched.values()) == covers
        assert set(fetched) == set(paths)
        assert origin.peak() <= PER_HOST
        assert all(len(different) == 1 for different in bodies.values())
