"""A server that does not answer: no thread waits for ever, and no node keeps the others from writing."""

import threading
import time
from collections.abc import Iterator

import pytest

from image_cache.db.database import DatabaseError
from image_cache.db.postgres.database import ALONE_S, PgDatabase
from tests.cluster.link import Link
from tests.support.ports import free_port
from tests.support.postgres import USER, Postgres
from tests.support.vault import wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.server]


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Postgres, int]]:
    port = free_port()
    with Postgres(port=port) as running:
        yield running, port


@pytest.fixture
def link(server: tuple[Postgres, int]) -> Iterator[Link]:
    opened = Link(server[1])
    yield opened
    opened.mode = "pass"
    opened.close()


@pytest.fixture
def database(link: Link) -> Iterator[PgDatabase]:
    opened = at(link.port)
    opened.row("SELECT 1")  # the schema is there
    yield opened
    opened.close()


def at(port: int) -> PgDatabase:
    return PgDatabase(f"host=127.0.0.1 port={port} user={USER} dbname={USER}", "silence", "PostgreSQL")


def test_a_thread_that_waits_for_a_silent_server_can_be_freed(database: PgDatabase, link: Link) -> None:
    link.mode = "blackhole"
    failed: list[bool] = []

    def ask() -> None:
        with pytest.raises(DatabaseError):
            database.row("SELECT 2")
        failed.append(True)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: database._busy)
    database.cut(60.0)  # it is not in use for so long
    assert asking.is_alive()
    database.cut(-1.0)
    asking.join(20)
    assert len(failed) == 1
    link.mode = "pass"
    with database.patience():
        assert tuple(database.row("SELECT 3") or ()) == (3,)


def test_only_a_patient_thread_waits_for_a_silent_server_and_the_others_fail_at_once(database: PgDatabase, link: Link) -> None:
    database.close()
    link.mode = "blackhole"
    with pytest.raises(DatabaseError):
        database.row("SELECT 1")  # five seconds
    for _ in range(20):
        began = time.monotonic()
        with pytest.raises(DatabaseError):
            database.row("SELECT 1")
        assert time.monotonic() - began < 1
    link.mode = "pass"
    with pytest.raises(DatabaseError):
        database.row("SELECT 1")  # no one has tried yet
    with database.patience():
        assert tuple(database.row("SELECT 1") or ()) == (1,)
    database.close()
    assert tuple(database.row("SELECT 1") or ()) == (1,)


def test_without_a_patient_thread_any_tries_again_after_a_while(database: PgDatabase, link: Link) -> None:
    """A command has no heartbeat."""
    database.cut(60.0)
    with pytest.raises(DatabaseError):
        database.row("SELECT 1")
    database._silent_at -= ALONE_S
    assert tuple(database.row("SELECT 1") or ()) == (1,)


def test_a_node_that_stops_in_a_transaction_keeps_the_others_from_writing_for_seconds_only(
    server: tuple[Postgres, int], database: PgDatabase, link: Link
) -> None:
    other = at(server[1])

    def has_written() -> bool:
        try:
            with other.write() as conn:
                conn.execute("INSERT INTO settings VALUES ('b', '1')")
        except DatabaseError:
            return False
        return True

    def stop_in_a_transaction() -> None:
        with database.write() as conn:
            conn.execute("INSERT INTO settings VALUES ('a', '1')")
            wait_until(has_written, 30)
            conn.execute("INSERT INTO settings VALUES ('c', '1')")

    began = time.monotonic()
    with pytest.raises(DatabaseError):
        stop_in_a_transaction()
    assert 5 < time.monotonic() - began < 25
    assert [row[0] for row in other.rows("SELECT name FROM settings ORDER BY name")] == ["b"]
    other.close()
