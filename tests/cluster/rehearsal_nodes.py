"""Nodes on one register: `make rehearse-cluster`. A clear holds everywhere, and a name belongs to one node."""

from typing import Any

import pytest

from tests.cluster.cluster import Cluster, Engines, Node
from tests.cluster.covers import bring_in, named, offer
from tests.support.origin import Origin

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]


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


def test_a_node_under_the_name_of_another_does_not_start(engines: Engines, figures: dict[str, Any]) -> None:
    """A second node has the name of the first."""
    with Cluster(engines, 1) as cluster:
        (first,) = cluster.nodes
        second = Node(cluster, 2, VINYL_VAULT_NODE=first.name)
        try:
            with pytest.raises(RuntimeError, match=r"VinylVault could not start\. VINYL_VAULT_NODE"):
                second.start()
            said = second.log.read_text(encoding="utf-8")
            figures["said"] = next((line for line in said.splitlines() if "VINYL_VAULT_NODE" in line), "")
            assert f"another node named '{first.name}' is running" in figures["said"]
            assert "Traceback" not in said
        finally:
            second.close()
        assert first.get("/").status == 200
