"""Rendered covers over nodes, the long way: `make rehearse-cluster`."""

import hashlib
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, Engines, each_gets
from tests.cluster.collection import Collection, shown
from tests.cluster.covers import bring_in, named, offer, thumbnails
from tests.support.origin import Origin, jpeg
from tests.support.stage import multipart
from tests.support.vault import wait_until
from tests.support.visitor import Browser, prepared

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


@pytest.fixture(scope="module")
def pair_origin() -> Iterator[Origin]:
    with Origin() as running:
        yield running


@pytest.fixture(scope="module")
def pair(engines: Engines, pair_origin: Origin) -> Iterator[Cluster]:
    with Cluster(engines, 2, origins=[pair_origin]) as running:
        yield running


def test_a_changed_image_gets_a_new_name_and_the_old_one_keeps_its_bytes(pair: Cluster, pair_origin: Origin) -> None:
    cluster, nodes, origin = pair, pair.nodes, pair_origin
    covers = Collection(cluster, origin, 4)
    old = covers.digests
    before = shown(nodes, old)
    objects = {path: path.read_bytes() for path in covers.objects()}
    for path in covers.paths:
        origin.put(path, jpeg(300, 300, (9, 99, 199)))
    covers.expire()
    for node, digest in zip(itertools.cycle(nodes), old, strict=False):
        node.post("/api/cache/preload", {"urls": [digest], "priority": "visible"})
    wait_until(lambda: not set(covers.digests) & set(old))
    after = shown(nodes, covers.digests)
    assert {len(bodies) for bodies in after.values()} == {1}
    assert not set().union(*after.values()) & set().union(*before.values())
    assert {path: path.read_bytes() for path in objects} == objects
    assert shown(nodes, old) == before


def test_a_deleted_own_cover_leaves_the_store_at_once_and_when_it_was_away(pair: Cluster, pair_origin: Origin) -> None:
    cluster, nodes, origin = pair, pair.nodes, pair_origin
    one, other = nodes
    covers = Collection(cluster, origin, 1)
    prepared(one)
    owner = Browser(one, "operator")
    album_id = cluster.rows("SELECT max(id) FROM albums")[0][0]
    for mode in ("pass", "reset"):
        body = jpeg(400, 400, (len(mode) * 9, 80, 80))
        digest_of_body = hashlib.sha256(body).hexdigest()
        data, kind = multipart({}, (body,))
        data = data.replace(b'name="files"', b'name="picture"')
        assert owner.ask("POST", f"/album/{album_id}/cover/upload", data, {"Content-Type": kind}).status == 303
        found = f"SELECT encode(digest, 'hex') FROM images WHERE url = 'own:{digest_of_body}'"
        wait_until(lambda sql=found: bool(cluster.covers(sql)))  # type: ignore[misc]
        (digest,) = cluster.covers(found)[0]
        shown(nodes, [digest])

        def objects(name: str = digest) -> list[Path]:
            return [path for path in cluster.objects() if path.stem == name]

        wait_until(lambda find=objects: len(find()) == 2)  # type: ignore[misc]
        for node in nodes:
            node.links["s3"].mode = mode  # type: ignore[assignment]
        assert owner.ask("POST", f"/album/{album_id}/cover/remove", b"", {}).status == 303
        wait_until(lambda name=digest: not any(path.stem == name for node in nodes for path in node.files()), 10)  # type: ignore[misc]
        if mode == "reset":
            assert len(objects()) == 2
            for node in nodes:
                node.heal()
        wait_until(lambda find=objects: not find(), 40)  # type: ignore[misc]
        assert cluster.covers(found) == []
    assert json.loads(other.get("/readyz").body or b"{}") is not None
    assert covers.fetches() <= Counter(covers.paths)
