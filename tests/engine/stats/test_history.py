"""History of statistics: what is kept and for how long, over processes and restarts, and how much it writes."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from image_cache.engine.cache import Cache
from image_cache.engine.job import LoadRequest
from image_cache.engine.jobs import VISIBLE, JobQueue
from image_cache.engine.stats.counters import Latencies
from image_cache.engine.stats.history import (
    DAY_S,
    LONG_S,
    MAX_ERRORS,
    MAX_HOSTS,
    SHORT_S,
    Failure,
    HistoryRecorder,
    Sample,
    recent_failures,
    samples,
    sd_wear,
    store_failure,
    written_bytes,
)
from image_cache.engine.stats.hosts import hosts
from tests.support.catalogs import Catalogs
from tests.support.clock import FakeClock
from tests.support.covers import covers_at
from tests.support.engine import key, open_cache, webp
from tests.support.origin import Origin, jpeg

NOW = 1_800_000_000.0  # the start of an hour


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


class Io:
    """A file like /proc/self/io, with a count set by the test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set(0)

    def set(self, count: int) -> None:
        self.path.write_text(
            f"rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: {count}\ncancelled_write_bytes: 4\n", encoding="ascii"
        )


@pytest.fixture
def io(tmp_path: Path) -> Io:
    return Io(tmp_path / "io")


def opened(tmp_path: Path, clock: FakeClock, io: Io) -> Cache:
    cache = open_cache(tmp_path, clock)
    cache.recorder = HistoryRecorder(clock, io.path)
    return cache


@pytest.fixture
def cache(tmp_path: Path, clock: FakeClock, io: Io) -> Iterator[Cache]:
    made = opened(tmp_path, clock, io)
    yield made
    made.index.close()


def recorder_of(cache: Cache) -> HistoryRecorder:
    assert cache.recorder is not None
    return cache.recorder


def test_counts_of_five_minutes_are_one_row_and_of_an_hour_another(cache: Cache, clock: FakeClock) -> None:
    cache.put({key(1): webp(1)})
    for _ in range(60):
        cache.get(key(1))
        cache.get(key(2))
        clock.advance(60)
        cache.flush()
    clock.advance(-1)
    short = samples(cache.index.database, clock.now)
    (hour, next_hour) = samples(cache.index.database, clock.now + 2, span_s=LONG_S)
    assert [sample.at for sample in short] == [int(NOW) + n * SHORT_S for n in range(12)]
    assert sum(sample.hits for sample in short) == 59  # the last minute is in the next hour
    assert [sample.hits for sample in short[:2]] == [4, 5]
    assert (hour.hits, hour.misses, next_hour.hits) == (59, 59, 1)
    assert (hour.entries, hour.size_bytes) == (1, 1000)
    assert hour.hit_ratio == 0.5


def test_several_processes_add_up(cache: Cache, clock: FakeClock, tmp_path: Path, io: Io) -> None:
    cache.put({key(1): webp(1)})
    others = [opened(tmp_path, clock, io) for _ in range(3)]
    io.set(5000)
    for other in (cache, *others):
        for _ in range(10):
            other.get(key(1))
        recorder_of(other).record_fetch("a.example", 0.2, 100)
        other.flush()
    (sample,) = samples(cache.index.database, clock.now)
    assert (sample.hits, sample.written_bytes) == (40, 20_000)
    assert sample.median_ms == pytest.approx(200, rel=0.08)
    (host,) = hosts(cache.index.database, clock.now)
    assert (host.fetches, host.fetched_bytes) == (4, 400)
    for other in others:
        other.index.close()


def test_processes_that_write_at_the_same_time_lose_nothing(cache: Cache, clock: FakeClock, tmp_path: Path, io: Io) -> None:
    start = threading.Barrier(4)

    def run() -> None:
        mine = opened(tmp_path, clock, io)
        recorder = recorder_of(mine)
        start.wait()
        for _ in range(20):
            recorder.record_fetch("a.example", 0.1, 1)
            recorder.add({"disk_hits": 1})
            mine.flush(is_last=True)
        mine.index.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (sample,) = samples(cache.index.database, clock.now)
    assert sample.hits == 80
    assert hosts(cache.index.database, clock.now)[0].fetches == 80


def test_the_history_is_bounded_however_long_the_service_runs(cache: Cache, clock: FakeClock) -> None:
    for _ in range(33 * 24 * 2):
        recorder_of(cache).add({"disk_hits": 1})
        cache.flush()
        clock.advance(1800)
    counted = dict(cache.index.database.rows("SELECT span_s, count(*) FROM samples GROUP BY span_s"))
    assert counted[SHORT_S] <= 25 * 12
    assert counted[LONG_S] <= 31 * 24 + 2
    assert len(samples(cache.index.database, clock.now, span_s=LONG_S, back_s=30 * DAY_S)) >= 30 * 24 - 1


def test_an_idle_service_writes_once_an_hour(cache: Cache, clock: FakeClock) -> None:
    cache.flush()
    changes = []
    for _ in range(180):
        clock.advance(60)
        with cache.index.database.reading() as conn:
            before = conn.total_changes
        cache.flush()
        changes.append(conn.total_changes > before)
    assert changes.count(True) == 3


def test_evictions_under_pressure_do_not_write_a_row_each(cache: Cache, clock: FakeClock) -> None:
    recorder = recorder_of(cache)
    recorder.add({"disk_hits": 1})
    assert recorder.is_due()
    cache.flush()
    for _ in range(5):
        recorder.add({"evictions": 1})
        assert not recorder.is_due()
    assert recorder.is_due(is_last=True)
    clock.advance(60)
    cache.flush()
    assert samples(cache.index.database, clock.now)[0].evictions == 5


def test_nothing_is_written_before_the_clock_is_set_and_nothing_is_lost(cache: Cache, clock: FakeClock) -> None:
    """A Pi without a battery starts in 1970: its rows would be removed first, or displace those of last month."""
    recorder_of(cache).add({"disk_hits": 7})
    cache.flush()
    clock.now = 300.0
    recorder_of(cache).add({"disk_hits": 5})
    cache.flush(is_last=True)
    clock.now = NOW + 60
    cache.flush()
    (sample,) = samples(cache.index.database, clock.now)
    assert sample.hits == 12


def test_the_maximum_of_queued_jobs_is_kept(cache: Cache, clock: FakeClock) -> None:
    jobs = JobQueue(cache.index.database, limit=100, total=3, per_lane=2, clock=clock)
    jobs.put([LoadRequest(key(n).digest, "a.example") for n in range(9)], VISIBLE)
    cache.flush(is_last=True)
    recorder_of(cache).add({"disk_hits": 1})
    cache.flush(is_last=True)
    with cache.index.database.write() as conn:
        jobs.clear(conn)
    recorder_of(cache).add({"disk_hits": 1})
    cache.flush(is_last=True)
    assert samples(cache.index.database, clock.now)[0].queued == 9


def test_jobs_and_hosts_of_a_queue_that_nodes_share_are_among_the_figures(
    catalogs: Catalogs, cache: Cache, clock: FakeClock, io: Io, tmp_path: Path
) -> None:
    with closing(catalogs.open_index(tmp_path / "shared.db")) as shared:
        cache.recorder = HistoryRecorder(clock, io.path, shared)
        jobs = JobQueue(shared, limit=100, total=3, per_lane=2, clock=clock)
        jobs.put([LoadRequest(key(n).digest, "a.example") for n in range(4)], VISIBLE)
        with shared.write() as conn:
            for lane in ("a.example", "b.example"):
                jobs.record_host_failure(conn, lane, "down", pause_s=60.0)
        recorder_of(cache).record_fetch("a.example", 0.2, 100)
        cache.flush(is_last=True)
        assert samples(cache.index.database, clock.now)[0].queued == 4
        found = hosts(cache.index.database, clock.now, lanes=shared)
        assert [(host.lane, host.fetches, host.failures_in_row, host.paused_until) for host in found] == [
            ("b.example", 0, 1, clock.now + 60),
            ("a.example", 1, 1, clock.now + 60),
        ]


def test_bytes_written_by_a_forked_process_are_counted_from_zero(
    clock: FakeClock, io: Io, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker of a server is forked from a process that has written already; its own count starts from zero."""
    io.set(9_000_000)
    recorder = HistoryRecorder(clock, io.path)
    clock.advance(1)
    recorder._pid = 1  # as after a fork: created by another process
    io.set(2_000_000)
    assert recorder._unrecorded_bytes() == 2_000_000


def test_what_an_import_wrote_is_counted_without_any_request(cache: Cache, clock: FakeClock, io: Io) -> None:
    cache.flush()
    io.set(900_000)
    clock.advance(120)
    cache.flush()
    io.set(3_000_000)
    clock.advance(120)
    cache.flush()
    assert sum(sample.written_bytes for sample in samples(cache.index.database, clock.now)) == 3_000_000


def test_the_system_says_how_much_this_process_wrote(tmp_path: Path) -> None:
    assert written_bytes() >= 0
    assert written_bytes(tmp_path / "none") == 0


def wear_of(cache: Cache, now: float, **named: int) -> object:
    return sd_wear(cache.index.database, now, budget_bytes=500_000_000, **named)


def test_written_bytes_are_reported_by_day_over_restarts_and_their_mean_after_three_whole_days(
    tmp_path: Path, clock: FakeClock, io: Io
) -> None:
    for day in range(6):
        io.set(0)  # the service was restarted
        cache = opened(tmp_path, clock, io)
        for hour in range(24):
            io.set((hour + 1) * 10_000_000)
            cache.flush()
            clock.advance(3600)
        wear = sd_wear(cache.index.database, clock.now - 1800, budget_bytes=500_000_000, endurance_bytes=32 * 10**12)
        assert (wear.per_day_bytes is None) == (day < 3)
        cache.index.close()
    assert wear.per_day_bytes == 240_000_000
    assert wear.years == pytest.approx(32e12 / 240e6 / 365.25)
    assert not wear.is_over
    days = [count for _, count in wear.days]
    assert sum(days) == 6 * 240_000_000
    assert wear.today_bytes == days[-1]


def test_days_without_a_row_wrote_nothing(cache: Cache, clock: FakeClock, io: Io) -> None:
    io.set(5_000_000)
    cache.flush()
    clock.advance(4 * DAY_S)
    wear = sd_wear(cache.index.database, clock.now, budget_bytes=1)
    assert [count for _, count in wear.days] == [5_000_000, 0, 0, 0, 0]
    assert wear.per_day_bytes == 0
    assert wear.years is None


def test_a_new_vault_has_no_history_and_no_mean(cache: Cache, clock: FakeClock) -> None:
    wear = sd_wear(cache.index.database, clock.now, budget_bytes=1000, endurance_bytes=1000)
    assert len(wear.days) == 1
    assert (wear.today_bytes, wear.per_day_bytes, wear.years) == (0, None, None)
    assert samples(cache.index.database, clock.now) == []
    assert hosts(cache.index.database, clock.now) == []
    assert recent_failures(cache.index.database) == []


def test_latencies_add_up_and_tell_quantiles() -> None:
    one, two = Latencies(), Latencies()
    for ms in range(1, 101):
        (one if ms % 2 else two).add(ms * 10)
    one.merge(Latencies(str(two)))
    assert len(one) == 100
    assert one.quantile_ms(0.5) == pytest.approx(500, rel=0.08)
    assert one.quantile_ms(0.95) == pytest.approx(950, rel=0.08)
    assert Latencies().quantile_ms(0.5) is None
    one.add(10**9)
    one.add(-1)
    assert str(Latencies(str(one))) == str(one)
    assert len(Latencies("x 3 4:y 5:2")) == 2
    one.halve()
    assert 0 < len(one) <= 51


def test_hosts_are_bounded_and_include_those_with_failures(cache: Cache, clock: FakeClock) -> None:
    jobs = JobQueue(cache.index.database, limit=100, total=3, per_lane=2, clock=clock)
    for number in range(MAX_HOSTS + 30):
        recorder_of(cache).record_fetch(f"{number:03}.example", 0.1, 10)
        cache.flush()
        clock.advance(60)
    clock.advance(3600)
    recorder_of(cache).record_failure("last.example")
    with cache.index.database.write() as conn:
        jobs.record_host_failure(conn, "new.example", "answered 429", pause_s=120)
        jobs.record_host_failure(conn, "last.example", "answered 500")
    cache.flush()
    found = {host.lane: host for host in hosts(cache.index.database, clock.now, limit=1000)}
    assert len(found) == MAX_HOSTS + 1
    assert "000.example" not in found
    assert found["new.example"].paused_until == clock.now + 120
    assert (found["last.example"].failures, found["last.example"].failures_in_row) == (1, 1)
    assert found["last.example"].paused_until == 0
    assert found["last.example"].reason == "answered 500"


def test_the_last_hundred_errors_are_kept(cache: Cache) -> None:
    for number in range(MAX_ERRORS + 20):
        with cache.index.database.write() as conn:
            store_failure(conn, Failure(NOW + number, "a.example", f"cover {number}", "x" * 500, 0.0))
    found = recent_failures(cache.index.database, limit=1000)
    assert len(found) == MAX_ERRORS
    assert found[0].what == f"cover {MAX_ERRORS + 19}"
    assert len(found[0].reason) == 200


def test_fetches_tell_how_long_they_took_and_failures_why(tmp_path: Path, origin: Origin, clock: FakeClock) -> None:
    with covers_at(tmp_path, origin, clock) as covers:
        covers.show(origin.put("/a.jpg", jpeg()), f"{origin.base}/gone.jpg")
        covers.cache.cache.flush()
        database = covers.cache.cache.index.database
        (host,) = hosts(database, clock.now)
        assert (host.fetches, host.failures) == (1, 1)
        assert host.median_ms is not None
        (failure,) = recent_failures(database)
        assert "gone.jpg" in failure.what
        assert failure.at == clock.now
        (sample,) = samples(database, clock.now)
        assert isinstance(sample, Sample)
        assert (sample.fetches, sample.failures) == (1, 1)
        assert sample.p95_ms is not None
