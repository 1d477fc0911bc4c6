"""Covers of several nodes in one process, each with its own folder: on PostgreSQL, a real S3 store and a real origin."""

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from image_cache.cluster.node_loader import LOST_S, PATIENCE_S
from image_cache.covers.own_covers import forget_rendered
from image_cache.db.database import Database
from tests.cluster.link import Link
from tests.support.catalogs import PostgresCatalogs, SchemaPool
from tests.support.clock import FakeClock
from tests.support.covers import Covers, Shared
from tests.support.origin import Origin, jpeg
from tests.support.s3 import BUCKET, S3Server
from tests.support.vault import wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.server, pytest.mark.decoder]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@dataclass
class Nodes:
    """Makes nodes on one register, each with a link of its own to the store."""

    folder: Path
    origin: Origin
    clock: FakeClock
    index: Database
    s3: S3Server

    def __post_init__(self) -> None:
        self.made: list[Covers] = []
        self.links: list[Link] = []

    def add(self, **settings: Any) -> Covers:
        link, name = Link(self.s3.port), f"node{len(self.made)}"
        known = {
            **self.s3.settings(self.folder / "secret"),
            "S3_ENDPOINT": f"http://127.0.0.1:{link.port}",
            "S3_PREFIX": self.folder.name,
            "SHARED_VARIANTS": True,
            **settings,
        }
        shared = Shared(self.index, self.clock)
        shared.name = name
        self.links.append(link)
        self.made.append(Covers(self.folder / name, self.origin, self.clock, shared=shared, **known))
        return self.made[-1]

    def objects(self) -> list[Path]:
        return [path for path in (self.s3.folder / BUCKET / self.folder.name).rglob("*.webp") if path.is_file()]

    def lose_objects(self) -> None:
        for found in self.made[0].cache.shared._tier.objects():  # type: ignore[union-attr]
            self.made[0].cache.shared._tier.delete(found.name)  # type: ignore[union-attr]

    def close(self) -> None:
        for node in self.made:
            node.parts.loader.stop()
            node.parts.decoder.close()
            node.cache.cache.index.close()
        for link in self.links:
            link.close()


@pytest.fixture
def nodes(schema_pool: SchemaPool, tmp_path: Path, origin: Origin, clock: FakeClock, s3: S3Server) -> Iterator[Nodes]:
    catalogs = PostgresCatalogs(schema_pool)
    made = Nodes(tmp_path, origin, clock, catalogs.open_index(tmp_path), s3)
    yield made
    made.close()
    catalogs.close()


def look(node: Covers, url: str) -> bytes | None:
    """Do what a page does, then what the workers do; return what the page shows then."""
    node.cache.for_page([url])
    node.run()
    return node.cache.get(node.digests(url)[0], "detail")


def test_a_node_takes_what_another_one_has_fetched(nodes: Nodes, origin: Origin) -> None:
    one, other = nodes.add(), nodes.add()
    url = origin.put("/a.jpg", jpeg(900, 600))
    body = look(one, url)
    assert body is not None
    other.cache.for_page([url])
    assert one.run() == 0, "a job of one node is in the queue of all"
    assert look(other, url) == body
    assert origin.count() == 1
    assert len(nodes.objects()) == 2
    # Smaller ones are made from what it took.
    digest = other.digests(url)[0]
    other.cache.request(digest, "thumbnails")
    other.run()
    assert other.cache.get(digest, "thumbnails") is not None
    assert (origin.count(), len(nodes.objects())) == (1, 2)


def test_a_page_that_waits_gets_what_another_node_fetches(nodes: Nodes, origin: Origin) -> None:
    """It only asks for the state of its covers: the job for this node has to come from there."""
    one, other = nodes.add(), nodes.add()
    url = origin.put("/a.jpg", jpeg())
    other.cache.for_page([url])
    (digest,) = other.digests(url)
    assert one.run() > 0
    assert [cover.state for cover in other.cache.states([digest])] == ["waiting"]
    other.run()
    assert [cover.state for cover in other.cache.states([digest])] == ["ready"]
    assert origin.count() == 1


def test_a_larger_size_is_rendered_by_one_node(nodes: Nodes, origin: Origin) -> None:
    one, other = nodes.add(), nodes.add()
    url = origin.put("/a.jpg", jpeg(1500, 1500))
    look(one, url)
    look(other, url)
    (digest,) = one.digests(url)
    for node in (other, one):
        node.cache.request(digest, "detail-2x")
        node.run()
        nodes.clock.advance(5)
        node.run()
    found = {node.cache.get(digest, "detail-2x") for node in (one, other)}
    assert len(found) == 1
    assert None not in found
    assert origin.count() == 2  # once for the size that no node had
    assert len(nodes.objects()) == 3


def test_a_holder_that_wakes_late_keeps_no_bytes_under_a_name_that_means_others(nodes: Nodes, origin: Origin) -> None:
    one, other = nodes.add(), nodes.add()
    gate = threading.Event()
    url = origin.put("/a.jpg", jpeg(400, 400, (250, 0, 0)), gate=gate)
    one.cache.for_page([url])
    sleeper = threading.Thread(target=one.parts.loader.run_next)
    sleeper.start()
    wait_until(lambda: origin.active() == 1)
    origin.put("/a.jpg", jpeg(400, 400, (0, 0, 250)))
    with nodes.index.write() as conn:  # as when its node was silent
        conn.execute("UPDATE jobs SET holder = '', leased_until = 0")
    body = look(other, url)
    assert body is not None
    gate.set()
    sleeper.join(60)
    (digest,) = one.digests(url)
    assert one.cache.cache.index.variants_of([digest]) == {}
    assert [path for path in (nodes.folder / "node0").rglob("*.webp") if digest in path.name] == []
    assert look(one, url) == body
    assert origin.count() == 2


def test_a_full_disk_of_one_node_is_no_matter_of_the_others(nodes: Nodes, origin: Origin) -> None:
    full, other = nodes.add(FREE_SPACE_FLOOR_MB=4_000_000), nodes.add()
    url = origin.put("/a.jpg", jpeg())
    assert look(full, url) is None
    assert other.cache.jobs.depth() == 0, "the job was put off for everyone"
    assert look(other, url) is not None
    assert origin.count() == 1


def test_what_the_store_and_all_nodes_have_lost_is_fetched_once(nodes: Nodes, origin: Origin) -> None:
    one, second, third = nodes.add(), nodes.add(), nodes.add()
    url = origin.put("/a.jpg", jpeg())
    body = look(one, url)
    nodes.lose_objects()
    one.cache.clear("detail")
    one.cache.clear("thumbnails-2x")
    nodes.clock.advance(3600)
    for node in (second, third):
        assert look(node, url) is None
    assert origin.count() == 1, "a node that has it may store it again"
    for _ in range(3):
        nodes.clock.advance(LOST_S)
        for node in (second, third, one):
            node.run()
    assert look(second, url) == look(third, url) == look(one, url) == body
    assert origin.count() == 2
    assert len(nodes.objects()) == 2
    assert [node.cache.jobs.depth() for node in nodes.made] == [0, 0, 0]


def test_what_the_store_has_lost_is_stored_again_by_the_node_that_has_it(nodes: Nodes, origin: Origin) -> None:
    one, other = nodes.add(), nodes.add()
    url = origin.put("/a.jpg", jpeg())
    body = look(one, url)
    nodes.lose_objects()
    assert look(other, url) is None
    assert one.cache.shared is not None
    assert one.cache.shared.store_later() == 1
    assert one.cache.shared.store_later() == 0
    nodes.clock.advance(LOST_S)
    assert look(other, url) == body
    assert origin.count() == 1


def test_a_node_whose_store_stays_away_fetches_for_itself(nodes: Nodes, origin: Origin) -> None:
    one, other = nodes.add(), nodes.add()
    url = origin.put("/a.jpg", jpeg())
    body = look(one, url)
    nodes.links[1].mode = "reset"
    assert look(other, url) is None
    nodes.clock.advance(PATIENCE_S / 2)
    assert look(other, url) is None
    assert origin.count() == 1
    nodes.clock.advance(PATIENCE_S / 2)
    assert look(other, url) == body
    assert origin.count() == 2
    assert (other.cache.jobs.depth(), other.cache.jobs.running()) == (0, 0)
    assert one.digests(url) == other.digests(url)


def test_nobody_waits_for_the_store_of_a_node_that_has_died(nodes: Nodes, origin: Origin) -> None:
    one, other = nodes.add(), nodes.add()
    url = origin.put("/a.jpg", jpeg())
    nodes.links[0].mode = "reset"
    body = look(one, url)
    assert look(other, url) is None
    assert nodes.objects() == []
    with subprocess.Popen(["true"]) as process:
        holder = f"{process.pid}:1"
    with nodes.index.write() as conn:
        assert conn.execute("UPDATE images SET kept_by = ? WHERE kept_by = ?", (holder, one.cache.jobs.holder)).rowcount == 1
    other.parts.node._look_for_dead()  # type: ignore[union-attr]
    other.run()  # asks for a fetch
    other.run()
    assert other.cache.get(other.digests(url)[0], "detail") == body
    assert origin.count() == 2
    assert len(nodes.objects()) == 2


def test_an_image_that_was_deleted_while_it_was_fetched_comes_back_nowhere(nodes: Nodes, origin: Origin) -> None:
    """As an uploaded cover that its owner replaces in the seconds in which a node renders it."""
    one = nodes.add()
    gate = threading.Event()
    url = origin.put("/a.jpg", jpeg(), gate=gate)
    one.cache.for_page([url])
    (digest,) = one.digests(url)
    worker = threading.Thread(target=one.parts.loader.run_next)
    worker.start()
    wait_until(lambda: origin.active() == 1)
    with nodes.index.write() as conn:
        one.cache.registry.remove(conn, [digest])
    gate.set()
    worker.join(60)
    assert nodes.objects() == []
    assert one.cache.cache.index.variants_of([digest]) == {}


def test_an_own_cover_leaves_the_store_when_it_answers_again(nodes: Nodes) -> None:
    one = nodes.add()
    assert one.cache.shared is not None
    url = one.parts.own.store(jpeg(700, 700))
    assert look(one, url) is not None
    rendered = [path for path in nodes.objects() if path.parts[-4] == "r"]
    assert len(rendered) == 2
    nodes.links[0].mode = "reset"
    forget_rendered(one.cache, [url])
    assert one.cache.get(one.digests(url)[0], "detail") is None
    assert [path for path in rendered if path.exists()] == rendered
    nodes.links[0].mode = "pass"

    def are_gone() -> bool:
        assert one.cache.shared is not None
        one.cache.shared.delete_later()
        return not any(path.exists() for path in rendered)

    wait_until(are_gone, 60)
