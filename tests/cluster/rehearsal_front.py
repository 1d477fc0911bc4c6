"""Nodes behind nginx while they come and go: `make rehearse-cluster`. Visitors notice nothing."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, Engines, each_gets
from tests.cluster.covers import bring_in, named, offer, thumbnails
from tests.cluster.front import BEHIND, ClusterFront, Load
from tests.support.origin import Origin
from tests.support.vault import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]

COVERS = 30


@pytest.fixture
def front(engines: Engines, origin: Origin) -> Iterator[ClusterFront]:
    paths = offer(origin, COVERS)
    with Cluster(engines, 2, origins=[origin], **BEHIND) as cluster:
        bring_in(cluster, origin, paths)
        for node in cluster.nodes:
            list(each_gets([node], thumbnails(named(node, COVERS))))
        with ClusterFront(cluster) as running:
            yield running


def test_a_rolling_restart_fails_no_request(front: ClusterFront, figures: dict[str, Any]) -> None:
    """All nodes are restarted one after the other, under load."""
    nodes = front.cluster.nodes
    paths = ["/", "/search?q=cover", "/about", "/album/1", *thumbnails(named(nodes[0], COVERS))[:4]]
    with Load(front, paths) as load:
        for node in [*nodes, *nodes]:
            before = load.count
            node.stop()
            wait_until(lambda before=before: load.count > before + 100, 120)
            node.start()
            before = load.count
            wait_until(lambda before=before: load.count > before + 100, 120)
    figures.update({"requests": load.count, "failed": load.failed or 0, "slowest s": load.slowest_s})
    assert load.failed == {}
    assert load.count > 800


def test_a_killed_node_is_passed_over(front: ClusterFront, figures: dict[str, Any]) -> None:
    """A node is killed under load (kill -9), and comes back."""
    node = front.cluster.nodes[0]
    paths = ["/", "/about", *thumbnails(named(node, COVERS))[:2]]
    with Load(front, paths) as load:
        for _ in range(5):
            before = load.count
            wait_until(lambda before=before: load.count > before + 50, 120)
            node.kill()
            before = load.count
            wait_until(lambda before=before: load.count > before + 50, 120)
            node.start()
    figures.update({"kills": 5, "requests": load.count, "failed": load.failed or 0, "slowest s": load.slowest_s})
    assert load.failed == {}
