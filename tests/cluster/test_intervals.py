"""Intervals between calls of a service: one row for all nodes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from image_cache.cluster.intervals import SharedInterval
from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.importers.intervals import open_interval
from image_cache.net.rate_limit import MAX_PAUSE_S, IntervalLimiter, ServiceStateTable
from tests.support.catalogs import PostgresCatalogs, SchemaPool
from tests.support.clock import FakeClock

pytestmark = [pytest.mark.postgres, pytest.mark.server]


@pytest.fixture
def nodes(schema_pool: SchemaPool, tmp_path: Path) -> Iterator[list[CatalogDatabase]]:
    """The catalogue as two nodes have it open."""
    catalogs = PostgresCatalogs(schema_pool)
    yield [catalogs.open(tmp_path / "catalog.db") for _ in range(2)]
    catalogs.close()


def interval(catalog: CatalogDatabase, clock: FakeClock, interval_s: float = 1.1) -> IntervalLimiter:
    return SharedInterval(ServiceStateTable(catalog), "musicbrainz", interval_s, clock=clock)


def test_nodes_take_turns(nodes: list[CatalogDatabase], clock: FakeClock) -> None:
    one, other = (interval(node, clock) for node in nodes)
    assert [one.reserve(), other.reserve(), one.reserve()] == pytest.approx([0.0, 1.1, 2.2])
    clock.advance(10)
    assert other.reserve() == 0.0


def test_calls_at_the_same_time_have_times_of_their_own(nodes: list[CatalogDatabase], clock: FakeClock) -> None:
    limits = [interval(node, clock, 1.0) for node in nodes] * 10
    with ThreadPoolExecutor(8) as pool:
        waits = sorted(pool.map(IntervalLimiter.reserve, limits))
    assert waits == pytest.approx([float(number) for number in range(20)])


def test_a_pause_that_a_service_asks_for_holds_on_all_nodes(nodes: list[CatalogDatabase], clock: FakeClock) -> None:
    one, other = (interval(node, clock) for node in nodes)
    one.back_off(60)
    assert other.reserve() == pytest.approx(60)


def test_a_time_that_a_wrong_clock_wrote_blocks_no_one(nodes: list[CatalogDatabase], clock: FakeClock) -> None:
    ahead = FakeClock(clock() + 2 * MAX_PAUSE_S)
    interval(nodes[0], ahead).reserve()
    assert interval(nodes[1], clock).reserve() == 0.0


def test_without_the_database_there_is_no_call(nodes: list[CatalogDatabase], schema_pool: SchemaPool, clock: FakeClock) -> None:
    """A call that is not booked might be the second of this second, and the service bans the address."""
    from image_cache.db.postgres.database import PgDatabase

    away = PgDatabase("host=127.0.0.1 port=1 user=x dbname=x", "vault", "gone")
    with pytest.raises(DatabaseError):
        interval(away, clock).reserve()


def test_which_interval_is_meant_follows_from_the_settings(
    nodes: list[CatalogDatabase], tmp_path: Path, clock: FakeClock
) -> None:
    one = Settings(DATA_DIR=tmp_path)
    many = Settings(DATA_DIR=tmp_path, DATABASE="postgresql://x@/x")
    assert type(open_interval(one, nodes[0], "musicbrainz", 1.0, clock=clock)) is IntervalLimiter
    assert type(open_interval(many, nodes[0], "musicbrainz", 1.0, clock=clock)) is SharedInterval
