"""Streams on many nodes: `make rehearse-cluster`. What is hidden or deleted on one node is so on all, and a quota is exact."""

import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, Engines, Node
from tests.support.stage import photo
from tests.support.vault import Reply, wait_until
from tests.support.visitor import SLUG, Browser, prepared

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]

IMAGES = 200
QUOTA, BEFORE = 50, 46
ROUNDS = int(os.environ.get("ROUNDS", "20"))
SIZES = ("thumb", "detail")
_addresses = itertools.cycle(f"127.0.{high}.{low}" for high in range(1, 5) for low in range(1, 250))


@pytest.fixture
def cluster(engines: Engines, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with Cluster(engines, 2, VINYL_VAULT_MAX_STREAM_IMAGES_PER_STREAM=str(getattr(request, "param", 1000))) as running:
        yield running


def at(node: Node, browser: Browser) -> Browser:
    """Return the same session at a node, from an address of its own, because one alone would ask too often."""
    there = Browser(node)
    there.cookie, there.token, there.address = browser.cookie, browser.token, next(_addresses)
    return there


def uploaded(owner: Browser, numbers: range) -> list[str]:
    """Upload images, forty at a time; return their ids."""
    ids: list[str] = []
    for begin in range(numbers.start, numbers.stop, 40):
        stored = owner.upload(*(photo(number) for number in range(begin, min(begin + 40, numbers.stop))))
        ids += [row["image_id"] for row in stored.json()["results"]]
    return ids


def set_private(browser: Browser, image_id: str) -> None:
    body = json.dumps({"visibility": "private"}).encode()
    assert browser.ask("PATCH", f"/api/images/{image_id}", body, {"Content-Type": "application/json"}).status == 200


def test_what_is_made_private_on_one_node_is_refused_on_the_other(cluster: Cluster, figures: dict[str, Any]) -> None:
    """200 images are made private on one node, and asked for at the other at once."""
    one, other = cluster.nodes
    owner = prepared(one)
    ids = uploaded(owner, range(IMAGES))
    assert len(ids) == IMAGES
    before, after, owners = Counter[int](), Counter[int](), Counter[int]()
    shown = 0
    for image_id in ids:
        paths = [f"/streams/{SLUG}/images/{image_id}/{size}" for size in SIZES]
        visitor = at(other, Browser(other))
        before.update(visitor.get(path).status for path in paths)
        set_private(at(one, owner), image_id)
        replies = [visitor.get(path) for path in paths]
        after.update(reply.status for reply in replies)
        shown += sum(len(reply.body) for reply in replies if reply.status == 200)
        owners[at(other, owner).get(paths[0]).status] += 1
    figures.update({"before": dict(before), "after": dict(after), "bytes shown after": shown, "to the owner": dict(owners)})
    assert before == {200: IMAGES * len(SIZES)}
    assert after == {404: IMAGES * len(SIZES)}
    assert owners == {200: IMAGES}


def stream_files(node: Node) -> int:
    """Return how many files a node has of images of streams."""
    return len(node.files("cache/streams")) + len(node.files("state/stream_images", ""))


def test_a_deleted_image_leaves_every_node(cluster: Cluster, figures: dict[str, Any]) -> None:
    """200 images are deleted for good on one node; a third node is down meanwhile."""
    one, other, third = *cluster.nodes, cluster.add()
    owner = prepared(one)
    ids = uploaded(owner, range(IMAGES))
    for image_id, node in itertools.product(ids, cluster.nodes):
        assert at(node, owner).get(f"/streams/{SLUG}/images/{image_id}/thumb").status == 200
    figures["files on each node"] = [stream_files(node) for node in cluster.nodes]
    figures["objects"] = len(cluster.objects())
    third.stop()
    answers = Counter[int]()
    for image_id in ids:
        assert at(one, owner).ask("DELETE", f"/api/images/{image_id}?for_good=true", None, {}).json()["deleted"] is True
        answers[at(other, owner).get(f"/streams/{SLUG}/images/{image_id}/thumb").status] += 1
    figures["at the other node"] = dict(answers)
    began = time.monotonic()
    wait_until(lambda: stream_files(one) + stream_files(other) == 0, 10, 0.01)
    figures["the last file after s"] = time.monotonic() - began
    third.start()
    wait_until(lambda: third.get("/readyz").status == 200, 30, 0.01)
    figures["files of the third node when it is ready"] = stream_files(third)
    figures["files left"] = [stream_files(node) for node in cluster.nodes]
    figures["objects left"] = len(cluster.objects())
    assert answers == {404: IMAGES}
    assert figures["files left"] == [0, 0, 0]
    assert figures["files of the third node when it is ready"] == 0
    assert figures["the last file after s"] < 1
    assert figures["objects left"] == 0


@pytest.mark.parametrize("cluster", [QUOTA], indirect=True)
def test_a_quota_is_exact_on_two_nodes(cluster: Cluster, figures: dict[str, Any]) -> None:
    """12 uploads at once, six on each of two nodes, where four have room; two of them are the same image."""
    owner = prepared(cluster.nodes[0])
    uploaded(owner, range(BEFORE))
    counts, statuses, twins = Counter[int](), Counter[int](), 0
    for round_number in range(ROUNDS):
        first = 1000 + 100 * round_number
        bodies = [photo(first), *(photo(number) for number in range(first, first + 11))]

        def upload(pair: tuple[int, bytes]) -> tuple[int, list[str]]:
            number, body = pair
            replies: list[Reply] = []

            def is_answered() -> bool:
                replies.append(at(cluster.nodes[number % 2], owner).upload(body))
                return replies[-1].status != 503  # busy with other uploads: try again, as the page does

            wait_until(is_answered, 60)
            reply = replies[-1]
            return reply.status, [row["image_id"] for row in reply.json().get("results", []) if row.get("ok")]

        with ThreadPoolExecutor(12) as pool:
            replies = list(pool.map(upload, enumerate(bodies)))
        statuses.update(status for status, _ in replies)
        made = [image_id for _, ids in replies for image_id in ids]
        twins += len(replies[0][1]) + len(replies[1][1]) > 1
        counts[at(cluster.nodes[1], owner).get(f"/api/streams/{SLUG}/images").json()["total"]] += 1
        for image_id in made:
            at(cluster.nodes[round_number % 2], owner).ask("DELETE", f"/api/images/{image_id}?for_good=true", None, {})
    figures.update({"rounds": ROUNDS, "images afterwards": dict(counts), "answers": dict(statuses), "twins": twins})
    assert counts == {QUOTA: ROUNDS}
    assert twins == 0
    assert statuses == {201: 4 * ROUNDS, 409: 8 * ROUNDS}
