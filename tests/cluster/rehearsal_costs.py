"""What many nodes cost: `make rehearse-cluster`. Statements that PostgreSQL gets for a page, and the memory of an idle node."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measure import pss_mb
from tests.cluster.cluster import Cluster, Engines, Node, each_gets
from tests.cluster.covers import bring_in, named, offer, thumbnails
from tests.support.origin import Origin
from tests.support.stage import photo
from tests.support.vault import Vault, compiled_in
from tests.support.visitor import SLUG, prepared

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]

COVERS = 60
TIMES = 40
MOST_OF_A_WALL = 12
STATEMENT = re.compile(r"(?:statement|execute [^:]*): ")


class Statements:
    """Counts what the server of PostgreSQL is asked."""

    def __init__(self, engines: Engines) -> None:
        self._log = engines.postgres.folder / "log"
        engines.postgres.script("ALTER SYSTEM SET log_statement = 'all'; SELECT pg_reload_conf();")

    def count(self) -> int:
        return len(STATEMENT.findall(self._log.read_text(encoding="utf-8", errors="replace")))

    def of(self, node: Node, path: str) -> float:
        """Return how many there are for one request, less what the nodes ask by themselves in that time."""
        assert node.get(path, Accept="text/html").status == 200, path
        began, before = time.monotonic(), self.count()
        for _ in range(TIMES):
            assert node.get(path, Accept="text/html").status == 200
        took, asked = time.monotonic() - began, self.count() - before
        before = self.count()
        time.sleep(took)  # as long without requests
        return (asked - (self.count() - before)) / TIMES


def test_a_page_asks_few_statements(engines: Engines, origin: Origin, figures: dict[str, Any]) -> None:
    """Statements of one request, on a node with warm covers."""
    with Cluster(engines, 1, origins=[origin]) as cluster:
        node = cluster.nodes[0]
        bring_in(cluster, origin, offer(origin, COVERS))
        paths = thumbnails(named(node, COVERS))
        list(each_gets([node], paths))
        owner = prepared(node)
        image_id = owner.upload(photo(1)).json()["results"][0]["image_id"]
        statements = Statements(engines)
        asked = {
            "the wall": "/",
            "a search": "/?q=cover",
            "a record": "/album/1",
            "a stream": f"/streams/{SLUG}",
            "an image of a stream": f"/streams/{SLUG}/images/{image_id}/thumb",
            "a cover": paths[0],
        }
        figures.update({what: statements.of(node, path) for what, path in asked.items()})
        began, before = time.monotonic(), statements.count()
        time.sleep(20)
        figures["an idle node per s"] = (statements.count() - before) / (time.monotonic() - began)
        assert figures["a cover"] < 0.2
        assert figures["the wall"] <= MOST_OF_A_WALL


def test_an_idle_node_is_small(engines: Engines, tmp_path: Path, figures: dict[str, Any]) -> None:
    """Memory after one page, proportional set size in MB."""
    env = compiled_in(tmp_path / "compiled")
    with Vault(tmp_path / "warm", **env) as alone:
        alone.get("/", Accept="text/html")
    with Vault(tmp_path / "alone", **env) as alone:
        alone.get("/", Accept="text/html")
        figures["a single machine"] = pss_mb(*alone.workers())
    for _ in range(2):  # the first one compiles
        with Cluster(engines, 1, **env) as cluster:
            node = cluster.nodes[0]
            node.get("/", Accept="text/html")
            figures["a node with PostgreSQL, Valkey and S3"] = pss_mb(*node.workers())
