"""Counters over all nodes, in a real Valkey or Redis; what happens while it is away."""

import logging
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.cluster.valkey_counters import AWAY_S, ValkeyCounters, open_counters, salt_of_day
from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.engine.shared_counters import SharedCounters, WindowCounters
from image_cache.errors import ConfigError
from image_cache.streams.table import StreamTable
from image_cache.streams.view_counts import ViewCounts
from tests.cluster.link import Link
from tests.support.clock import FakeClock
from tests.support.valkey import PROGRAM, Valkey
from tests.support.vault import wait_until

pytestmark = pytest.mark.server
KEY = b"0123456789abcdef" * 2
PATIENT_S = 2.0  # so that a busy machine is not taken for a server that is away


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    if PROGRAM is None:
        pytest.skip("needs Valkey or Redis: apt install valkey-server (redis-server in Debian 12)")
    with Valkey() as server:
        yield server


@pytest.fixture
def link(valkey: Valkey) -> Iterator[Link]:
    link = Link(valkey.port)
    yield link
    link.close()


def counters(port: int, key: bytes = KEY, **settings: object) -> WindowCounters:
    as_set = Settings(VALKEY=f"valkey://127.0.0.1:{port}/0", **settings)  # type: ignore[arg-type]
    return open_counters(as_set, key, SharedCounters(), SharedCounters(), timeout_s=PATIENT_S)[0]


def test_it_counts_as_the_table_of_one_node_does(valkey: Valkey) -> None:
    one = counters(valkey.port)
    one.clear()
    for many in (one, SharedCounters()):
        assert many.peek("a") == (0, 0.0)
        assert [many.add("a", 60), many.add("a", 60, 3), many.add("b", 60)] == [1, 4, 1]
        count, left_s = many.peek("a")
        assert count == 4
        assert 59 < left_s <= 60
        many.reset("a")
        assert (many.peek("a"), many.peek("b")[0]) == ((0, 0.0), 1)
        many.clear()
        assert many.peek("b") == (0, 0.0)


def test_a_window_ends_by_itself(valkey: Valkey) -> None:
    one = counters(valkey.port)
    assert one.add("short", 0.05) == 1
    wait_until(lambda: one.peek("short") == (0, 0.0))
    assert one.add("short", 60) == 1


def test_purposes_and_vaults_do_not_meet(valkey: Valkey) -> None:
    as_set = Settings(VALKEY=f"redis://127.0.0.1:{valkey.port}")
    limits, views = open_counters(as_set, KEY, SharedCounters(), SharedCounters(), timeout_s=PATIENT_S)
    assert [limits.add("name", 60), views.add("name", 60), counters(valkey.port, b"x" * 32).add("name", 60)] == [1, 1, 1]
    views.clear()
    counters(valkey.port, b"x" * 32).clear()
    assert limits.peek("name")[0] == 1


def tries(port: int, start: "multiprocessing.synchronize.Barrier", allowed: "multiprocessing.Queue[int]") -> None:
    one = counters(port)
    start.wait()
    allowed.put(sum(one.add("login", 60) <= 10 for _ in range(20)))


def test_of_sixty_tries_of_three_processes_ten_are_allowed(valkey: Valkey) -> None:
    context = multiprocessing.get_context("spawn")
    start, allowed = context.Barrier(3), context.Queue()
    processes = [context.Process(target=tries, args=(valkey.port, start, allowed)) for _ in range(3)]
    for process in processes:
        process.start()
    try:
        assert sum(allowed.get(timeout=60) for _ in processes) == 10
    finally:
        for process in processes:
            process.join()


def test_while_it_is_away_the_node_counts_for_itself_and_asks_again_later(link: Link, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = counters(link.port)
    assert isinstance(one, ValkeyCounters)
    clock = one._server._clock = FakeClock()
    assert one.add("away", 60) == 1
    for times_away, mode in enumerate(("reset", "blackhole"), 1):
        link.mode = mode  # type: ignore[assignment]
        assert [one.add(mode, 60) for _ in range(3)] == [1, 2, 3]
        assert one.peek(mode)[0] == 3
        one.reset(mode)
        assert one.peek(mode) == (0, 0.0)
        link.mode = "pass"
        assert one.add("away", 60) == times_away  # it is not asked yet: it has counted one more
        clock.advance(AWAY_S + 0.1)
        assert one.add("away", 60) == times_away + 1
    said = [record.getMessage() for record in caplog.records]
    assert [line.partition(" reason=")[0] for line in said] == [
        "valkey away, limits are counted in this node only",
        "valkey back, limits are counted over all nodes",
    ] * 2


def test_one_that_is_away_at_the_start_is_named_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    one = counters(1)
    assert one.add("a", 60) == 1
    assert one.add("a", 60) == 2
    assert [record.getMessage()[:11] for record in caplog.records] == ["valkey away"]


def test_its_password_is_read_from_the_file(valkey: Valkey, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Valkey("--requirepass", "geheim") as closed:
        counters(closed.port)
        assert "Authentication required" in caplog.text
        caplog.clear()
        (tmp_path / "password").write_text("geheim\n", encoding="utf-8")
        assert counters(closed.port, VALKEY_PASSWORD_FILE=tmp_path / "password").add("a", 60) == 1
        (tmp_path / "password").write_text("falsch\n", encoding="utf-8")
        counters(closed.port, VALKEY_PASSWORD_FILE=tmp_path / "password")
        assert "valkey away" in caplog.text
        assert "falsch" not in caplog.text
    with pytest.raises(ConfigError, match=r"^VINYL_VAULT_VALKEY_PASSWORD_FILE: cannot be read: No such file"):
        counters(valkey.port, VALKEY_PASSWORD_FILE=tmp_path / "none")


def test_a_viewer_counts_once_over_two_nodes_and_in_each_while_it_is_away(link: Link, tmp_path: Path) -> None:
    table = StreamTable(CatalogDatabase(tmp_path / "catalog.db"))
    nodes = [ViewCounts(table) for _ in range(2)]
    as_set = Settings(VALKEY=f"valkey://127.0.0.1:{link.port}/0")
    for node in nodes:
        _, views = open_counters(as_set, KEY, SharedCounters(), SharedCounters(), timeout_s=PATIENT_S)
        node.share(views, salt_of_day(KEY))
    assert [node.record("image", "viewer") for node in nodes] == [True, False]
    link.mode = "reset"
    assert [node.record("another", "viewer") for node in nodes] == [True, True]
    assert [node.record("another", "viewer") for node in nodes] == [False, False]
    table.db.close()


def test_nodes_with_one_key_have_one_salt_and_another_key_another() -> None:
    assert salt_of_day(KEY)() == salt_of_day(KEY)()
    assert salt_of_day(KEY)() != salt_of_day(b"x" * 32)()
