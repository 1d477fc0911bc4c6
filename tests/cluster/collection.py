"""Some covers that one test brings into a cluster, and what became of them."""

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.cluster import Cluster, Node, each_gets
from tests.cluster.covers import bring_in, offer, thumbnails
from tests.support.origin import Origin
from tests.support.vault import wait_until

numbers = itertools.count(0, 100)


class Collection:
    """Some covers that one test brings in."""

    def __init__(self, cluster: Cluster, origin: Origin, count: int) -> None:
        self.cluster, self.origin = cluster, origin
        self.paths = offer(origin, count, begin=next(numbers))
        bring_in(cluster, origin, self.paths)
        wait_until(lambda: len(self.digests) == count)

    @property
    def digests(self) -> list[str]:
        return [
            row[0] for row in self.cluster.covers(f"SELECT encode(digest, 'hex') FROM images WHERE {self._ours} ORDER BY url")
        ]

    @property
    def _ours(self) -> str:
        return f"url IN ({', '.join(repr(self.origin.url(path)) for path in self.paths)})"

    def count(self, condition: str) -> int:
        return int(self.cluster.covers(f"SELECT count(*) FROM images WHERE {self._ours} AND {condition}")[0][0])

    def unstored(self) -> int:
        return self.count("fetched_at IS NOT NULL AND stored_at IS NULL")

    def expire(self) -> None:
        self.cluster.covers(f"UPDATE images SET fresh_until = NULL WHERE {self._ours}")

    def fetches(self) -> Counter[str]:
        return Counter(asked.path for asked in self.origin.requests if asked.path in self.paths)

    def objects(self) -> list[Path]:
        known = set(self.digests)
        return [path for path in self.cluster.objects() if path.stem in known]


def shown(nodes: Sequence[Node], digests: Sequence[str]) -> dict[str, set[bytes]]:
    """Wait until every node shows every cover; return the different bytes of each."""
    bodies: dict[str, set[bytes]] = {}
    for _, path, body in each_gets(nodes, thumbnails(digests)):
        bodies.setdefault(path, set()).add(body)
    return bodies


def ready(node: Node, digests: Sequence[str]) -> set[str]:
    """Return those of the covers that the node has ready."""
    return set(node.post("/api/cache/state", {"digests": list(digests)}).json()["ready"])
