"""Covers that many nodes show: an origin of many images, and what pages name of them."""

import re
from collections.abc import Sequence

from tests.cluster.cluster import Cluster
from tests.support.origin import Origin, jpeg
from tests.support.vault import Vault

NAMED = re.compile(r"/cache/thumbnails/([0-9a-f]{64})")
PAGE = 60  # records a page


def offer(origin: Origin, count: int, *, delay_s: float = 0.05, begin: int = 0) -> list[str]:
    """Put different images on the origin; return their paths."""
    paths = [f"/cover{number}.jpg" for number in range(begin, begin + count)]
    for number, path in enumerate(paths, begin):
        origin.put(path, jpeg(400, 400, (number % 250, number // 250 * 40 % 250, 120)), delay_s=delay_s)
    return paths


def bring_in(cluster: Cluster, origin: Origin, paths: Sequence[str]) -> None:
    """Import a record for each path at the first node."""
    cluster.nodes[0].import_albums(
        [{"artist": f"A{number:04}", "title": path, "cover_url": origin.url(path)} for number, path in enumerate(paths)]
    )


def named(node: Vault, count: int) -> list[str]:
    """Look at all pages of a node's wall; return the digests of their covers."""
    pages = [node.get(f"/?page={number}", Accept="text/html").body.decode() for number in range(1, -(-count // PAGE) + 1)]
    digests = list(dict.fromkeys(digest for page in pages for digest in NAMED.findall(page)))
    assert len(digests) == count, f"{len(digests)} covers on {len(pages)} pages"
    return digests


def thumbnails(digests: Sequence[str]) -> list[str]:
    return [f"/cache/thumbnails/{digest}.webp" for digest in digests]
