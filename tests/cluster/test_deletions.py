"""The log of deletions: what one node deletes leaves the memory and the disk of all others. Two nodes in one process, on PostgreSQL."""

import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from image_cache import ImageVisibility, StreamImageManager
from image_cache.cluster import deletions
from image_cache.cluster.deletions import KEPT_S, POSITION, DeletionLog
from image_cache.cluster.nodes import NodeTable
from image_cache.db.postgres.database import PgDatabase
from image_cache.errors import StorageError
from image_cache.import_models import ImportRow
from image_cache.importers.artwork.table import ArtworkTable
from image_cache.models import Stream
from image_cache.records.library import Library
from image_cache.records.removal import RecordRemoval
from image_cache.streams.changes.trash import TRASH_DAYS
from tests.support.catalogs import PostgresCatalogs, SchemaPool
from tests.support.clock import FakeClock
from tests.support.postgres import Postgres
from tests.support.stage import photo
from tests.support.vault import wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.server, pytest.mark.decoder]
DAY_S = 86400.0


@dataclasses.dataclass
class Node:
    """One node: its streams, on the catalogue and the originals that it shares, and its log."""

    name: str
    catalog: PgDatabase
    streams: StreamImageManager
    log: DeletionLog

    def files(self) -> list[Path]:
        return [path for path in self.streams.cache.cache_dir.rglob("*.webp") if path.is_file()]

    def holds(self) -> int:
        """Return how many variants it has, in memory and on disk."""
        return len(self.files()) + int(self.streams.cache.get_cache_stats()["cached_items"])

    def show(self, *image_ids: str) -> None:
        for image_id in image_ids:
            _, image = self.streams._image("evening", image_id)
            for variant in ("stream_thumb", "stream_detail"):
                assert self.streams.images.body(image, variant)


class Nodes:
    """Makes nodes on one schema."""

    def __init__(self, catalogs: PostgresCatalogs, folder: Path, clock: FakeClock) -> None:
        self.catalogs, self.folder, self.clock = catalogs, folder, clock
        self.made: list[Node] = []

    def add(self, name: str) -> Node:
        catalog = self.catalogs.open(self.folder / "catalog.db")
        assert isinstance(catalog, PgDatabase)
        NodeTable(catalog).join(name, "boot", "1", 1)
        streams = StreamImageManager(self.folder / "originals", self.folder / name, catalog=catalog, clock=self.clock)
        images = streams.images
        log = DeletionLog(
            catalog,
            streams.cache.engine.index.database,
            name,
            apply={"stream_image": images.forget_shown, "trashed_image": images.forget_trashed},
            empty=images.forget_all,
            clock=self.clock,
        )
        self.made.append(Node(name, catalog, streams, log))
        return self.made[-1]


@pytest.fixture
def nodes(schema_pool: SchemaPool, tmp_path: Path, clock: FakeClock) -> Iterator[Nodes]:
    catalogs = PostgresCatalogs(schema_pool)
    made = Nodes(catalogs, tmp_path, clock)
    yield made
    for node in made.made:
        node.log.close()
        node.streams.close()
    catalogs.close()


@pytest.fixture
def one(nodes: Nodes) -> Node:
    return nodes.add("one")


@pytest.fixture
def other(nodes: Nodes, one: Node) -> Node:
    return nodes.add("other")


def add(node: Node, count: int = 1) -> list[str]:
    return [
        node.streams.upload_stream_image("evening", photo(seed), f"{seed}.jpg", ImageVisibility.PUBLIC) for seed in range(count)
    ]


def stream_of(node: Node) -> Stream:
    found = node.streams.find_stream("evening")
    assert found is not None
    return found


def expire(node: Node, ids: list[str], clock: FakeClock) -> None:
    node.streams.trash.move(stream_of(node), ids)
    clock.advance((TRASH_DAYS + 1) * DAY_S)
    node.streams.trash.expire()


def delete_trashed_stream(node: Node, ids: list[str], clock: FakeClock) -> None:
    node.streams.trash.move_stream(stream_of(node))
    trashed = node.streams.trash.stream("evening")
    assert trashed is not None
    node.streams.trash.delete_stream(trashed)


WAYS: dict[str, Callable[[Node, list[str], FakeClock], Any]] = {
    "each image for good": lambda node, ids, _: [node.streams.delete_stream_image("evening", one) for one in ids],
    "to the trash": lambda node, ids, _: node.streams.trash.move(stream_of(node), ids),
    "the stream to the trash": lambda node, ids, _: node.streams.trash.move_stream(stream_of(node)),
    "the stream for good": lambda node, ids, _: node.streams.delete_stream(stream_of(node)),
    "a trashed stream for good": delete_trashed_stream,
    "a trash that expires": expire,
}


@pytest.mark.parametrize("way", WAYS)
def test_whichever_way_an_image_goes_every_byte_leaves_every_node(one: Node, other: Node, clock: FakeClock, way: str) -> None:
    ids = add(one, 2)
    for node in (one, other):
        node.log.catch_up()
        node.show(*ids)
        assert node.holds() >= 8
    WAYS[way](one, ids, clock)
    assert other.holds() >= 8
    assert one.log.confirmations() == {"one": True, "other": False}
    assert other.log.catch_up() >= 2
    assert other.holds() == 0
    assert one.log.confirmations() == {"one": True, "other": True}


def test_what_the_trash_shows_stays_until_the_image_is_deleted_or_restored(one: Node, other: Node) -> None:
    kept, restored = add(one, 2)
    trash = one.streams.trash
    for node in (one, other):
        node.show(kept, restored)
    trash.move(stream_of(one), [kept, restored])
    for node in (one, other):
        node.log.catch_up()
        for image_id in (kept, restored):
            assert node.streams.images.body(trash.image(stream_of(one), image_id).image, "trash_thumb")
        node.log.catch_up()
        assert len(node.files()) == 2
    trash.restore(stream_of(one), [restored])
    trash.delete(stream_of(one), [kept])
    other.log.catch_up()
    assert other.holds() == 0
    other.show(restored)


def test_an_image_that_is_rolled_back_is_not_logged(one: Node) -> None:
    (image_id,) = add(one)

    def delete_and_fail() -> None:
        with one.catalog.write() as conn:
            conn.execute("DELETE FROM stream_images WHERE id = ?", (image_id,))
            raise KeyError

    with pytest.raises(KeyError):
        delete_and_fail()
    assert one.log.table.last() == 0


def test_a_node_that_was_down_deletes_before_it_serves(nodes: Nodes, one: Node, other: Node) -> None:
    ids = add(one, 3)
    other.log.start()
    other.show(*ids)
    other.log.close()
    other.streams.close()
    one.streams.delete_stream_image("evening", ids[0])
    again = nodes.add("other")
    assert len(again.files()) == 6
    again.log.start()
    assert len(again.files()) == 4
    one.log.catch_up()
    assert again.log.confirmations() == {"one": True, "other": True}


def test_a_node_that_was_away_longer_than_the_log_empties_its_cache(
    nodes: Nodes, one: Node, other: Node, clock: FakeClock
) -> None:
    ids = add(one, 3)
    other.log.catch_up()
    other.show(*ids)
    other.streams.close()
    one.streams.delete_stream_image("evening", ids[0])
    with one.catalog.write() as conn:
        conn.execute("UPDATE deletions SET at = ?", (clock() - KEPT_S - 1,))
    one.log.catch_up()
    assert one.log.table.sweep(clock() - KEPT_S) == 1
    assert one.log.confirmations() == {"one": True}  # the other one empties its cache when it comes back
    again = nodes.add("other")
    again.log.start()
    assert again.files() == []
    assert again.log.confirmations() == {"one": True, "other": True}
    again.show(ids[1])
    again.log.catch_up()
    assert len(again.files()) == 2


def test_a_disk_that_refuses_is_not_confirmed_and_tried_again(one: Node, other: Node) -> None:
    (image_id,) = add(one)
    other.show(image_id)
    file = other.files()[0]
    file.unlink()
    (file / "in the way").mkdir(parents=True)
    one.streams.delete_stream_image("evening", image_id)
    with pytest.raises(StorageError):
        other.log.catch_up()
    assert one.log.confirmations() == {"one": True, "other": False}
    (file / "in the way").rmdir()
    file.rmdir()
    assert other.log.catch_up() == 1
    assert one.log.confirmations()["other"]


def test_a_node_that_starts_without_the_database_follows_once_it_is_back(tmp_path: Path, clock: FakeClock) -> None:
    """It may hold what was deleted, so it is not caught up; what was to be agreed on first is agreed on then."""
    with Postgres() as server:
        catalogs = PostgresCatalogs(pool := SchemaPool(server))
        nodes, joined = Nodes(catalogs, tmp_path, clock), list[str]()
        one, other = nodes.add("one"), nodes.add("other")
        (image_id,) = add(one)
        other.show(image_id)
        one.streams.delete_stream_image("evening", image_id)
        pool.close()
        server.stop()
        other.log._join = lambda: joined.append("other")
        other.log.start()
        assert not other.log.is_caught_up
        assert len(other.files()) == 2
        server.start()
        wait_until(lambda: other.log.is_caught_up)
        assert other.files() == []
        assert joined
        for node in nodes.made:
            node.log.close()
            node.streams.close()
            node.catalog.close()


def test_a_node_has_come_as_far_as_its_slowest_process(one: Node, other: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker has a memory of its own."""
    index = other.streams.cache.engine.index
    process = threading.Event()
    with index.database.write() as conn:
        conn.execute("INSERT INTO meta VALUES (?, 0)", (f"{POSITION}:slow",))
    monkeypatch.setattr(deletions, "is_holder_alive", lambda holder: holder == "slow" and not process.is_set())
    (image_id,) = add(one)
    one.streams.delete_stream_image("evening", image_id)
    other.log.catch_up()
    assert index.meta(POSITION) == 0
    assert not one.log.confirmations()["other"]
    process.set()  # it has ended
    (image_id,) = add(one)
    one.streams.delete_stream_image("evening", image_id)
    other.log.catch_up()
    assert index.meta(POSITION) == 2
    assert one.log.confirmations()["other"]


def test_a_hint_is_enough_and_so_is_a_look_without_it(
    one: Node, other: Node, schema_pool: SchemaPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletions, "LOOK_S", 600.0)
    ids = add(one, 2)
    other.log.start()
    other.show(*ids)
    listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    wait_until(lambda: one.catalog.rows(listening)[0][0] == 1)
    one.streams.delete_stream_image("evening", ids[0])
    wait_until(lambda: len(other.files()) == 2)
    monkeypatch.setattr(deletions, "LOOK_S", 0.05)
    schema_pool.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    one.streams.delete_stream_image("evening", ids[1])
    wait_until(lambda: other.files() == [])
    wait_until(lambda: one.catalog.rows(listening)[0][0] == 1)
    assert other.log.is_caught_up


def test_an_own_cover_is_logged_once_nothing_shows_it(one: Node) -> None:
    library = Library(one.catalog)
    library.import_rows([ImportRow(1, "One", "Artist"), ImportRow(2, "Two", "Artist")])
    first, second = (album.id for album in library.albums())
    rows = ArtworkTable(one.catalog)
    address = f"own:{'a' * 64}"

    def logged() -> list[str]:
        return [name for _, kind, name in one.log.table.after(0) if kind == "own_cover"]

    rows.choose(first, address)
    rows.choose(second, address)
    rows.choose(first, "https://example.org/cover.jpg")
    rows.choose(first, None)
    assert logged() == []
    RecordRemoval(one.catalog, None, None).remove([second])
    assert logged() == [address]
