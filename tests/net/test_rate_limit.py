"""Rate limits: never more calls than allowed in a moving window, over threads, processes and restarts; the service's count wins."""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_cache.db.catalog import CatalogDatabase
from image_cache.filesystem import is_locked
from image_cache.net.rate_limit import IntervalLimiter, RateLimiter, ServiceStateTable
from tests.support.catalogs import Catalogs, catalog_at
from tests.support.clock import FakeClock


@pytest.fixture
def rows(catalogs: Catalogs, tmp_path: Path) -> Iterator[ServiceStateTable]:
    catalog = catalog_at(tmp_path / "catalog.db")
    yield ServiceStateTable(catalog)
    catalog.close()


@pytest.fixture
def pace(rows: ServiceStateTable, clock: FakeClock) -> RateLimiter:
    return RateLimiter(rows, "discogs", calls=55, window_s=60, clock=clock)


def said(remaining: int, limit: int = 60) -> dict[str, str]:
    return {"X-Discogs-Ratelimit": str(limit), "X-Discogs-Ratelimit-Remaining": str(remaining)}


def taken(pace: RateLimiter, spare: int = 0) -> int:
    """Acquire until it has to wait; return how many calls that were."""
    count = 0
    while pace.acquire(spare) == 0:
        count += 1
        assert count < 1000
    return count


def test_a_window_holds_so_many_calls_and_the_next_one_waits_for_the_oldest_to_leave(pace: RateLimiter, clock: FakeClock) -> None:
    assert pace.acquire() == 0
    clock.advance(20)
    assert taken(pace) == 54
    assert pace.acquire() == pytest.approx(40)
    clock.advance(39)
    assert pace.acquire() == pytest.approx(1)
    clock.advance(1.01)
    assert taken(pace) == 1
    assert pace.acquire() == pytest.approx(19.99)


def test_another_instance_and_a_restart_count_on(pace: RateLimiter, rows: ServiceStateTable, clock: FakeClock) -> None:
    assert taken(pace) == 55
    again = RateLimiter(ServiceStateTable(catalog_at(rows.db.path)), "discogs", calls=55, window_s=60, clock=clock)
    assert again.acquire() == pytest.approx(60)
    assert RateLimiter(rows, "another", calls=55, window_s=60, clock=clock).acquire() == 0


def test_some_calls_are_reserved_for_urgent_callers(pace: RateLimiter) -> None:
    assert taken(pace, spare=5) == 50
    assert taken(pace) == 5


def test_a_lower_limit_of_the_service_is_used(pace: RateLimiter) -> None:
    assert pace.acquire() == 0
    pace.update_from_headers(said(24, limit=25))
    assert 1 + taken(pace) == 23


def test_calls_of_other_programs_count(pace: RateLimiter, clock: FakeClock) -> None:
    assert pace.acquire() == 0
    pace.update_from_headers(said(20))  # 40 used, one of them ours
    assert 1 + taken(pace) == 55 - 39
    wait_s = pace.acquire()
    assert 0 < wait_s <= 60
    clock.advance(61)
    assert taken(pace) == 55


def test_the_last_calls_are_not_used(pace: RateLimiter) -> None:
    pace.acquire()
    pace.update_from_headers(said(1))
    assert pace.acquire() == pytest.approx(5)


def test_our_own_calls_are_not_taken_for_those_of_other_programs(pace: RateLimiter) -> None:
    for number in range(55):
        assert pace.acquire() == 0, number
        pace.update_from_headers(said(60 - number))  # the count lags by one


def test_a_pause_holds_for_all_and_ends(pace: RateLimiter, rows: ServiceStateTable, clock: FakeClock) -> None:
    pace.pause(40)
    assert pace.acquire() == pytest.approx(40)
    assert RateLimiter(rows, "discogs", calls=55, window_s=60, clock=clock).acquire() == pytest.approx(40)
    clock.advance(41)
    assert pace.acquire() == 0
    pace.pause(10**9)
    assert pace.acquire() == 3600


def test_a_wrong_clock_blocks_no_calls_for_long(pace: RateLimiter, clock: FakeClock) -> None:
    assert taken(pace) == 55
    pace.pause(30)
    clock.advance(-86400 * 365)
    assert 0 < pace.acquire() <= 60  # calls in the future count as of now, once
    clock.advance(61)
    assert taken(pace) == 55
    clock.advance(86400 * 365)
    assert taken(pace) == 55


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Discogs-Ratelimit": "60"},
        said(-5),
        {"X-Discogs-Ratelimit": "a", "X-Discogs-Ratelimit-Remaining": "٣"},
        said(5, limit=0),
        said(70),
    ],
    ids=str,
)
def test_missing_headers_change_nothing(pace: RateLimiter, headers: dict[str, str]) -> None:
    pace.acquire()
    pace.update_from_headers(headers)
    assert 1 + taken(pace) == 55


def test_a_successful_call_clears_the_fault(pace: RateLimiter, rows: ServiceStateTable, clock: FakeClock) -> None:
    pace.record_failure("away", "Could not reach Discogs.")
    assert (rows.state("discogs").fault, rows.state("discogs").failed_at) == ("away", clock.now)
    clock.advance(5)
    pace.update_from_headers({})
    state = rows.state("discogs")
    assert (state.fault, state.says, state.failed_at, state.contact_at) == ("", "", None, clock.now)


def ask(path: Path, are_ready: Any, found: Any) -> None:
    catalog = CatalogDatabase(path)
    pace = RateLimiter(ServiceStateTable(catalog), "discogs", calls=20, window_s=0.5)
    count, first = 0, 0.0
    are_ready.wait(60)
    until = time.time() + 1.5
    while time.time() < until:
        wait_s = pace.acquire()
        if wait_s:
            time.sleep(min(wait_s, 0.02))
        else:
            first, count = first or time.time(), count + 1
    catalog.close()
    found.put((first, until, count))


@pytest.mark.slow
def test_processes_and_threads_together_never_exceed_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    CatalogDatabase(path).close()
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    are_ready = context.Barrier(4)
    others = [context.Process(target=ask, args=(path, are_ready, found)) for _ in range(2)]
    others += [threading.Thread(target=ask, args=(path, are_ready, found)) for _ in range(2)]  # type: ignore[misc]
    for other in others:
        other.start()
    told = [found.get(timeout=60) for _ in others]
    for other in others:
        other.join(60)
    total = sum(count for _, _, count in told)
    first, last = min(at for at, _, count in told if count), max(until for _, until, _ in told)
    assert 20 <= total <= 20 * ((last - first) / 0.5 + 2)


def test_reserving_a_time_locks_out_other_processes(tmp_path: Path) -> None:
    """Two that read the file at the same moment would both get the time that it names."""
    path = tmp_path / "interval"
    were_locked: list[bool] = []

    def clock() -> float:  # asked between the lock and the file
        were_locked.append(is_locked(path))
        return 1000.0

    limiters = [IntervalLimiter(path, 2.0, clock=clock) for _ in range(2)]
    assert [limiter.reserve() for limiter in limiters] == [0.0, 2.0]
    assert were_locked == [True, True]
