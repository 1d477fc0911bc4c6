"""Engines that cannot be reached: `make rehearse-cluster`. What does not need the lost engine goes on, and all is well after it is back."""

import itertools
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, Engines, each_gets
from tests.cluster.covers import bring_in, named, offer, thumbnails
from tests.cluster.front import BEHIND, ClusterFront, Load
from tests.cluster.link import Mode
from tests.support.origin import Origin
from tests.support.stage import photo
from tests.support.vault import Reply, Vault, wait_until
from tests.support.visitor import SLUG, prepared

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]

COVERS = 20
AWAY_S = float(os.environ.get("AWAY_S", "30"))
BACK_S = 2.0
MODES: tuple[Mode, ...] = ("blackhole", "reset")


@pytest.fixture
def cluster(engines: Engines, origin: Origin) -> Iterator[Cluster]:
    """Two nodes with warm covers."""
    paths = offer(origin, COVERS)
    with Cluster(engines, 2, origins=[origin], **BEHIND) as running:
        bring_in(running, origin, paths)
        for node in running.nodes:
            list(each_gets([node], thumbnails(named(node, COVERS))))
        yield running


def set_mode(cluster: Cluster, engine: str, mode: Mode) -> None:
    for node in cluster.nodes:
        node.links[engine].mode = mode


class Asking:
    """Asks for paths in turn, and counts what was answered and how long it took."""

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()
        self.slowest_s = 0.0

    def get(self, node: Vault, path: str) -> Reply:
        began = time.monotonic()
        reply = node.get(path, Accept="text/html")
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        self.answers[reply.status] += 1
        return reply


def ask_while_away(cluster: Cluster, digests: list[str], pages: tuple[str, ...]) -> tuple[Asking, Asking]:
    """Ask for covers and for pages, side by side, for as long as the engine is away; return (covers, pages)."""
    until = time.monotonic() + AWAY_S
    covers, others = Asking(), Asking()

    def ask(asking: Asking, paths: Sequence[str]) -> None:
        turns = itertools.cycle(itertools.product(paths, cluster.nodes))
        while time.monotonic() < until:
            path, node = next(turns)
            asking.get(node, path)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(ask, covers, thumbnails(digests)), pool.submit(ask, others, pages)]:
            done.result()
    return covers, others


def back_after_s(cluster: Cluster, path: str) -> float:
    """Return after how many seconds all nodes answer 200 again."""
    began = time.monotonic()
    for node in cluster.nodes:
        wait_until(lambda node=node: node.get(path, Accept="text/html").status == 200, 60, 0.02)
    return time.monotonic() - began


@pytest.mark.parametrize("mode", MODES)
def test_covers_are_served_without_postgresql(cluster: Cluster, figures: dict[str, Any], mode: Mode) -> None:
    """PostgreSQL is away from both nodes ({mode})."""
    digests = named(cluster.nodes[0], COVERS)
    set_mode(cluster, "postgres", mode)
    covers, pages = ask_while_away(cluster, digests, ("/", "/about", "/search?q=a"))
    set_mode(cluster, "postgres", "pass")
    back_s = back_after_s(cluster, "/")
    figures.update({"away s": AWAY_S, "covers": dict(covers.answers), "slowest cover s": covers.slowest_s})
    figures.update({"pages": dict(pages.answers), "slowest page s": pages.slowest_s, "200 again after s": back_s})
    assert set(covers.answers) == {200}
    assert covers.slowest_s < 5
    assert pages.answers[503] > 0
    assert set(pages.answers) <= {503, 200}
    assert back_s < BACK_S


@pytest.mark.parametrize("mode", MODES)
def test_pages_and_limits_hold_without_valkey(cluster: Cluster, figures: dict[str, Any], mode: Mode) -> None:
    """Valkey is away from both nodes ({mode}): pages are served, and each node holds the limits for itself."""
    limit, path = 120, "/api/cache/stats"
    counted = Counter[int]()
    for number in range(limit + 60):  # exact while it is there
        counted[cluster.nodes[number % 2].get(path, X_Forwarded_For="192.0.2.1").status] += 1
    figures["with it"] = dict(counted)
    set_mode(cluster, "valkey", mode)
    alone = Counter[int]()
    for number in range(2 * limit + 60):
        alone[cluster.nodes[number % 2].get(path, X_Forwarded_For="192.0.2.2").status] += 1
    figures["without"] = dict(alone)
    covers, pages = ask_while_away(cluster, named(cluster.nodes[0], COVERS), ("/", "/about"))
    set_mode(cluster, "valkey", "pass")
    figures.update({"away s": AWAY_S, "covers": dict(covers.answers), "pages": dict(pages.answers), "slowest s": pages.slowest_s})
    assert counted == {200: limit, 429: 60}
    assert alone[200] <= 2 * limit
    assert set(alone) == {200, 429}
    assert set(covers.answers) == set(pages.answers) == {200}
    assert pages.slowest_s < 5


@pytest.mark.parametrize("mode", MODES)
def test_what_is_cached_is_served_without_the_store(cluster: Cluster, figures: dict[str, Any], mode: Mode) -> None:
    """The S3 store is away from both nodes ({mode}): covers and pages are served, an upload is refused in words."""
    owner = prepared(cluster.nodes[0])
    assert owner.upload(photo(1)).status == 201
    digests = named(cluster.nodes[0], COVERS)
    set_mode(cluster, "s3", mode)
    began = time.monotonic()
    refused = owner.upload(photo(2))
    figures["an upload"] = f"{refused.status} after {time.monotonic() - began:.1f} s"
    covers, pages = ask_while_away(cluster, digests, ("/", "/about", f"/streams/{SLUG}"))
    set_mode(cluster, "s3", "pass")
    began = time.monotonic()
    wait_until(lambda: owner.upload(photo(3)).status in (201, 409), 60)
    figures.update({"away s": AWAY_S, "covers": dict(covers.answers), "pages": dict(pages.answers)})
    figures.update({"slowest s": pages.slowest_s, "an upload again after s": time.monotonic() - began})
    assert refused.status == 503
    assert set(covers.answers) == set(pages.answers) == {200}
    assert pages.slowest_s < 10


def test_a_cover_that_is_fetched_while_the_store_is_away_is_shared_later(
    cluster: Cluster, origin: Origin, figures: dict[str, Any]
) -> None:
    """The S3 store is away from both nodes while ten new covers are fetched: the other node shows them once it is back."""
    before = set(named(cluster.nodes[0], COVERS))
    new = offer(origin, 10, begin=1000)
    set_mode(cluster, "s3", "reset")
    bring_in(cluster, origin, [*(f"/cover{number}.jpg" for number in range(COVERS)), *new])
    paths = thumbnails([digest for digest in named(cluster.nodes[0], COVERS + 10) if digest not in before])

    def shown() -> list[set[str]]:
        return [{path for path in paths if node.get(path).status == 200} for node in cluster.nodes]

    wait_until(lambda: set.union(*shown()) == set(paths), 60)
    figures["shown while it is away"] = [len(paths) for paths in shown()]
    set_mode(cluster, "s3", "pass")
    began = time.monotonic()
    wait_until(lambda: all(found == set(paths) for found in shown()), 120)
    figures["shown by both after s"] = time.monotonic() - began
    figures["fetches"] = sum(origin.count(path) for path in new)
    assert figures["fetches"] == len(new)


@pytest.mark.parametrize("mode", MODES)
def test_a_node_without_postgresql_is_passed_over(cluster: Cluster, figures: dict[str, Any], mode: Mode) -> None:
    """PostgreSQL is away from one of two nodes behind nginx ({mode})."""
    digests = named(cluster.nodes[0], COVERS)
    with ClusterFront(cluster) as front, Load(front, ["/", "/about", *thumbnails(digests)[:2]]) as load:
        wait_until(lambda: load.count > 50, 60)
        cluster.nodes[1].links["postgres"].mode = mode
        until = time.monotonic() + AWAY_S
        wait_until(lambda: time.monotonic() > until, AWAY_S + 60)
        cluster.nodes[1].links["postgres"].mode = "pass"
        before = load.count
        wait_until(lambda: load.count > before + 50, 60)
    figures.update({"away s": AWAY_S, "requests": load.count, "failed": load.failed or 0, "slowest s": load.slowest_s})
    assert load.failed == {}
