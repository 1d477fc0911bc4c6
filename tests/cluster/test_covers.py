"""Covers of real nodes: fetched once, taken from the store by the others, shown while it is away, deleted everywhere.

Each test brings covers of its own into one cluster.
"""

import hashlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from tests.cluster.cluster import Cluster, Engines, Node
from tests.cluster.collection import Collection, ready, shown
from tests.cluster.covers import thumbnails
from tests.support.origin import Origin, jpeg
from tests.support.s3 import BUCKET, KEY, SECRET
from tests.support.vault import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]


def bucket(engines: Engines) -> S3Store:
    """The store as someone else changes it."""
    config = {"endpoint": engines.s3.endpoint, "access_key_id": KEY, "secret_access_key": SECRET, "region": "us-east-1"}
    return S3Store(BUCKET, config=config, client_options={"allow_http": True})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin() as running:
        yield running


@pytest.fixture(scope="module")
def cluster(engines: Engines, origin: Origin) -> Iterator[Cluster]:
    with Cluster(engines, 2, origins=[origin]) as running:
        yield running


@pytest.fixture
def nodes(cluster: Cluster) -> Iterator[list[Node]]:
    yield cluster.nodes
    for node in cluster.nodes:
        node.heal()


def test_a_cold_node_takes_all_covers_from_the_store_also_those_that_it_had_lost(
    engines: Engines, cluster: Cluster, nodes: list[Node], origin: Origin
) -> None:
    covers = Collection(cluster, origin, 60)
    bodies = shown(nodes, covers.digests)
    assert covers.fetches() == Counter(covers.paths)
    wait_until(lambda: covers.unstored() == 0)
    assert len(covers.objects()) == 120
    lost = set(covers.digests[:3])
    for path in covers.objects():
        if path.stem in lost:
            obstore.delete(bucket(engines), path.relative_to(engines.s3.folder / BUCKET).as_posix())
    began = time.monotonic()
    third = cluster.add()
    again = shown([third], covers.digests[3:])
    print(f"a cold node: {time.monotonic() - began:.1f} s with its start")
    again |= shown([third], covers.digests[:3])
    assert covers.fetches() == Counter(covers.paths), "a node fetched what another one had"
    assert again == bodies
    assert all(len(different) == 1 for different in bodies.values())
    assert len(covers.objects()) == 120
    assert third.stop() == 0
    cluster.nodes.remove(third)


def test_a_store_that_is_away_puts_nobody_off(cluster: Cluster, nodes: list[Node], origin: Origin) -> None:
    for node in nodes:
        node.links["s3"].mode = "reset"
    covers = Collection(cluster, origin, 20)
    one, other = nodes
    began = time.monotonic()
    for node, path in zip(itertools.cycle(nodes), thumbnails(covers.digests), strict=False):
        assert node.get(path).status in (200, 202)
    # Each is on the node that fetched it.
    wait_until(lambda: len(ready(one, covers.digests) | ready(other, covers.digests)) == 20)
    print(f"all fetched after {time.monotonic() - began:.1f} s")
    assert covers.unstored() == 20
    assert cluster.covers("SELECT count(*) FROM jobs") == [["0"]], "a job was put off"
    began = time.monotonic()
    for node in nodes:
        node.heal()
    wait_until(lambda: covers.unstored() == 0, 60)
    print(f"all stored {time.monotonic() - began:.1f} s after the return")
    assert len(covers.objects()) == 40
    assert all(len(different) == 1 for different in shown(nodes, covers.digests).values())
    assert covers.fetches() == Counter(covers.paths)


def test_an_object_of_a_node_that_died_before_it_wrote_the_row_is_swept(
    engines: Engines, cluster: Cluster, nodes: list[Node], origin: Origin
) -> None:
    covers = Collection(cluster, origin, 1)
    (path,), (digest,) = covers.paths, covers.digests
    gate, first = threading.Event(), jpeg(500, 500, (1, 2, 3))
    origin.put(path, first, gate=gate)

    def orphans() -> list[Path]:
        return [found for found in covers.objects() if found.parts[-3] == hashlib.sha256(first).hexdigest()[:32]]

    nodes[0].get(thumbnails([digest])[0])
    held = f"SELECT holder FROM jobs WHERE encode(digest, 'hex') = '{digest}' AND leased_until > 0"
    wait_until(lambda: bool(cluster.covers(held)))
    victim = next(node for node in nodes if cluster.covers(held)[0][0].startswith(f"{node.name}/"))
    wait_until(lambda: origin.active() > 0)
    origin.put(path, jpeg(500, 500, (200, 2, 3)))  # what the other node finds; the request that is open gets the first one
    victim.links["postgres"].mode = "blackhole"
    gate.set()
    wait_until(lambda: len(orphans()) == 2, 60)
    victim.kill()
    began = time.monotonic()
    other = next(node for node in nodes if node is not victim)
    shown([other], [digest])
    print(f"taken over after {time.monotonic() - began:.1f} s")
    victim.heal()
    victim.start()
    assert all(len(different) == 1 for different in shown(nodes, [digest]).values())

    def sweep(*arguments: str) -> str:
        said = other.command("storage", "sweep", *arguments).stdout
        print(said.strip())
        return said

    assert ": 0 of them, 0" in sweep("--dry-run"), "a young one may still get its row"
    for path in covers.objects():  # rclone keeps the time of an object as such a header
        name = path.relative_to(engines.s3.folder / BUCKET).as_posix()
        attributes = {"mtime": f"{time.time() - 2 * 86400:.3f}"}
        obstore.put(bucket(engines), name, path.read_bytes(), attributes=attributes)
    assert ": 2 of them" in sweep("--dry-run")
    assert len(orphans()) == 2
    assert ": 2 of them" in sweep()
    assert orphans() == []
    assert len(covers.objects()) == 2
    assert ": 0 of them" in sweep()
