"""What an operator changes while the service runs: it holds at once, over processes and restarts."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.errors import ConfigError
from image_cache.services import open_services
from tests.support.engine import counted, key, webp
from tests.support.inside import Inside
from tests.support.origin import Origin, jpeg
from tests.support.vault import wait_until


@pytest.fixture
def inside(origin: Origin, tmp_path: Path) -> Iterator[Inside]:
    with Inside(tmp_path / "vault", trusted=(origin.base,), MAX_CACHE_SIZE_GB=1.0) as opened:
        yield opened


def fill(inside: Inside, count: int, size_bytes: int) -> None:
    cache = inside.services.covers.cache
    cache.put({key(n): webp(n, size_bytes) for n in range(count)})


def test_a_lower_budget_evicts_at_once_and_holds_after_a_restart(inside: Inside) -> None:
    services = inside.services
    fill(inside, 30, 100_000)
    services.limits.change(max_size_mb=1)
    assert services.limits.apply(services.covers)
    assert counted(services.covers.cache)[1] <= 1_000_000
    again = open_services(services.settings)
    assert again.covers.cache.budget_bytes == 1_000_000
    again.close()


@pytest.mark.slow
def test_a_change_in_another_process_holds_here_soon(inside: Inside, origin: Origin) -> None:
    fill(inside, 30, 100_000)
    other = open_services(inside.services.settings)
    other.limits.change(max_size_mb=2, memory_mb=3, ttl_hours=7)
    other.close()
    covers = inside.services.covers
    wait_until(lambda: inside.services.limits.apply(covers) and covers.get_cache_stats().ttl_hours == 7)
    assert counted(covers.cache)[1] <= 2_000_000
    assert covers.cache.memory.budget_bytes == 3_000_000
    image = covers.registry.get(inside.cover(origin))
    assert image is not None
    assert image.fresh_until is not None
    assert image.fetched_at is not None
    assert image.fresh_until - image.fetched_at == pytest.approx(7 * 3600, abs=5)


def test_a_change_that_takes_long_is_finished_later(inside: Inside) -> None:
    services = inside.services
    fill(inside, 30, 100_000)
    services.limits.change(max_size_mb=1)
    assert not services.limits.apply(services.covers, most_s=0.0)
    assert services.limits.apply(services.covers)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 1e12])
def test_an_impossible_budget_is_refused_and_changes_nothing(inside: Inside, value: float) -> None:
    limits = inside.services.limits
    before = limits()
    with pytest.raises(ConfigError, match="must be between 1 and 4194304"):
        limits.change(ttl_hours=5, max_size_mb=value)
    assert limits() == before


@pytest.mark.slow
def test_while_paused_nothing_is_fetched_and_afterwards_all_of_it_over_processes_and_restarts(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.put("/a.jpg", jpeg())
    with Inside(tmp_path / "vault", trusted=(origin.base,), settled=False) as inside:  # no thread runs: we are the worker
        services = inside.services
        services.limits.pause()
        services.covers.register([url])
        services.covers.enqueue_missing([url])
        assert services.loader.run_next() is False
        progress = services.covers.progress()
        assert progress is not None
        assert progress.is_paused
    with Inside(tmp_path / "vault", trusted=(origin.base,), settled=False) as inside:
        services = inside.services
        assert services.limits.is_paused()
        assert services.files.is_paused()
        assert services.loader.run_next() is False
        assert origin.count() == 0
        other = open_services(services.settings)
        other.limits.resume()
        other.close()
        wait_until(services.loader.run_next)  # another process notices within a second
        assert origin.count("/a.jpg") == 1


def test_a_handwritten_limit_that_is_not_a_number_is_ignored(inside: Inside) -> None:
    limits = inside.services.limits
    limits._set({"covers.max_size_mb": "much", "covers.ttl_hours": "-4", "fetching.paused_at": "x"})
    assert limits() == limits.default


@pytest.mark.slow
def test_all_that_is_missing_is_queued_as_one_batch_with_progress(inside: Inside, origin: Origin) -> None:
    covers = inside.services.covers
    inside.services.limits.pause()
    covers.register([origin.put(f"/{n}.jpg", jpeg()) for n in range(5)])
    batch = covers.preload_missing()
    told = covers.batch(batch)
    assert told is not None
    in_line = covers.jobs.depth()
    assert in_line == 5
    inside.services.limits.resume()
    inside.services.pool.wake()
    wait_until(lambda: covers.jobs.depth() == 0)
    assert covers.batch(batch) == {"total": told["total"], "done": told["total"], "failed": 0}
