"""Job queue: order, concurrency per host, leases over processes, and clocks that jump."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_cache.db.database import Database
from image_cache.engine.holder import holder_name, is_holder_alive
from image_cache.engine.job import Job, LoadRequest
from image_cache.engine.jobs import LEASE_S, MAX_ASKED_PAUSE_S, MAX_PAUSE_S, PAGE, PAUSE_S, TRIP_FAILURES, VISIBLE, WARM, JobQueue
from image_cache.engine.key import digest_of
from image_cache.errors import LeaseLost, QueueFull
from tests.support.catalogs import Catalogs
from tests.support.clock import FakeClock

ROOT = Path(__file__).resolve().parents[2]
YEAR_S = 365 * 86400.0


@pytest.fixture
def database(catalogs: Catalogs, tmp_path: Path) -> Iterator[Database]:
    opened = catalogs.open_index(tmp_path / "index.db")
    yield opened
    opened.close()


@pytest.fixture
def queue(database: Database, clock: FakeClock) -> JobQueue:
    return JobQueue(database, limit=100, total=3, per_lane=2, clock=clock)


def digest(name: object) -> str:
    return digest_of(str(name))


def wish(name: object, lane: str = "", *wants: str) -> LoadRequest:
    return LoadRequest(digest(name), lane or f"host-{name}", wants)


def claim(queue: JobQueue) -> Job:
    job = queue.claim()
    assert job is not None
    return job


def finish(queue: JobQueue, job: Job, **how: bool) -> None:
    with queue.database.write() as conn:
        queue.finish(conn, job, **how)


def lane_failed(queue: JobQueue, lane: str, times: int = 1, pause_s: float | None = None) -> None:
    with queue.database.write() as conn:
        for _ in range(times):
            queue.record_host_failure(conn, lane, "down", pause_s=pause_s)


def paused_for(queue: JobQueue, clock: FakeClock) -> float:
    ((_, until, _),) = queue.paused_hosts()
    return until - clock.now


def test_visible_goes_before_page_before_warm_and_each_in_order(queue: JobQueue, clock: FakeClock) -> None:
    for name, priority in (("w1", WARM), ("p1", PAGE), ("v1", VISIBLE), ("p2", PAGE), ("v2", VISIBLE)):
        queue.put([wish(name)], priority)
        clock.advance(1)
    order = []
    for _ in range(5):
        job = claim(queue)
        order.append(job.digest)
        finish(queue, job)
    assert order == [digest(name) for name in ("v1", "v2", "p1", "p2", "w1")]
    assert queue.claim() is None


def test_one_image_is_one_job_with_the_better_priority_and_all_variants(queue: JobQueue) -> None:
    assert queue.put([wish(1, "h", "detail-2x")], WARM) == 1
    assert queue.put([wish(1, "h")], VISIBLE) == 0
    assert queue.put([wish(1, "h", "stream_thumb")], PAGE) == 0
    assert queue.put([wish(1, "h", "detail-2x")], PAGE) == 0
    assert queue.depth() == 1
    job = claim(queue)
    assert (job.priority, sorted(job.variants)) == (VISIBLE, ["detail-2x", "stream_thumb"])


def test_a_full_queue_raises_and_enqueues_nothing(queue: JobQueue) -> None:
    queue.put([wish(n) for n in range(90)], WARM)
    with pytest.raises(QueueFull):
        queue.put([wish(n) for n in range(90, 101)], WARM)
    assert queue.depth() == 90
    assert queue.put([wish(n) for n in range(100)], WARM) == 10  # queued ones need no room


def test_the_same_image_twice_is_one_job(queue: JobQueue) -> None:
    queue.put([wish(n) for n in range(98)], WARM)
    assert queue.put([wish("a"), wish("a"), wish("b"), wish("b")], WARM) == 2
    assert queue.depth() == 100


def test_visible_jobs_may_exceed_the_limit_by_a_tenth(queue: JobQueue) -> None:
    queue.put([wish(n) for n in range(100)], WARM)
    with pytest.raises(QueueFull):
        queue.put([wish("page")], PAGE)
    for name in range(100, 110):
        queue.put([wish(name)], VISIBLE)
    with pytest.raises(QueueFull):
        queue.put([wish("one more")], VISIBLE)
    assert queue.depth() == 110


def test_a_demoted_job_waits_among_the_warm_ones(queue: JobQueue, clock: FakeClock) -> None:
    queue.put([wish("seen")], VISIBLE)
    clock.advance(1)
    queue.put([wish("page")], PAGE)
    queue.demote([digest("seen"), digest("never heard of")])
    assert claim(queue).digest == digest("page")


def test_a_job_whose_lease_has_expired_can_be_demoted(queue: JobQueue, clock: FakeClock) -> None:
    queue.put([wish("seen")], VISIBLE)
    claim(queue)
    clock.advance(LEASE_S + 1)
    queue.put([wish("page")], PAGE)
    queue.demote([digest("seen")])
    assert claim(queue).digest == digest("page")


def test_two_jobs_of_a_host_and_three_in_total_run_at_a_time(queue: JobQueue) -> None:
    queue.put([wish(n, "slow") for n in range(5)] + [wish(f"o{n}", "other") for n in range(5)], PAGE)
    jobs = [claim(queue), claim(queue), claim(queue)]
    assert sorted(job.lane for job in jobs) == ["other", "slow", "slow"]
    assert queue.claim() is None
    assert queue.running() == 3
    finish(queue, jobs[0])
    assert claim(queue).lane == jobs[0].lane


CLAIMS = """
import sys
from pathlib import Path
from image_cache.db.database import Database
from image_cache.engine.jobs import JobQueue
from image_cache.engine.schema import MIGRATIONS
queue = JobQueue(Database(Path(sys.argv[1]), MIGRATIONS, synchronous="NORMAL"), limit=100, total=3, per_lane=2,
                 clock=lambda: float(sys.argv[2]))
for _ in range(int(sys.argv[3])):
    job = queue.claim()
    print(job.lane if job else "none", flush=True)
sys.stdin.read()
"""


class Other:
    """Another process that claims jobs and keeps them."""

    def __init__(self, queue: JobQueue, clock: FakeClock, claims: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLAIMS, str(queue.database.path), str(clock.now), str(claims)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.lanes = [self.process.stdout.readline().strip() for _ in range(claims)]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def end(self) -> None:
        self.process.communicate("")


@pytest.mark.sqlite_only  # tests/cluster has it with nodes
def test_host_limits_are_shared_with_another_process(queue: JobQueue, clock: FakeClock) -> None:
    queue.put([wish(n, "slow") for n in range(5)] + [wish(f"o{n}", "other") for n in range(5)], PAGE)
    mine = claim(queue)
    other = Other(queue, clock, 3)
    assert sorted([mine.lane, *other.lanes]) == ["none", "other", "slow", "slow"]
    assert queue.claim() is None
    other.end()


@pytest.mark.sqlite_only  # tests/cluster has it with nodes
def test_the_leases_of_a_killed_process_end_at_once(queue: JobQueue, clock: FakeClock) -> None:
    queue.put([wish(1, "h"), wish(2, "h")], PAGE)
    other = Other(queue, clock, 2)
    assert queue.release_dead() == 0
    other.kill()
    assert queue.claim() is None
    assert queue.release_dead() == 2
    assert claim(queue).attempts == 2


def test_a_holder_differs_from_a_later_process_with_the_same_pid() -> None:
    assert is_holder_alive(holder_name())
    assert not is_holder_alive(f"{os.getpid()}:1")
    assert not is_holder_alive("4194999:123")


def test_an_expired_lease_ends_and_the_attempt_counts(queue: JobQueue, clock: FakeClock) -> None:
    queue.put([wish(1)], PAGE)
    for attempt in (1, 2, 3, 4):
        assert claim(queue).attempts == attempt
        assert queue.claim() is None
        clock.advance(LEASE_S + 1)


def test_a_released_job_does_not_count_as_an_attempt(queue: JobQueue) -> None:
    queue.put([wish(1)], PAGE)
    claim(queue)
    queue.release_own()
    assert claim(queue).attempts == 1


def test_a_rescheduled_job_waits_and_its_attempts_start_again(queue: JobQueue, clock: FakeClock) -> None:
    queue.put([wish(1)], PAGE)
    job = claim(queue)
    with queue.database.write() as conn:
        queue.reschedule(conn, job, clock.now + 100)
    assert queue.claim() is None
    clock.advance(101)
    assert claim(queue).attempts == 1


def test_a_job_that_is_asked_for_more_while_it_runs_runs_again(queue: JobQueue) -> None:
    queue.put([wish(1)], PAGE)
    job = claim(queue)
    queue.put([wish(1, "", "detail-2x")], VISIBLE)
    finish(queue, job)
    again = claim(queue)
    assert (again.variants, again.priority) == (("detail-2x",), VISIBLE)
    finish(queue, again)
    assert queue.depth() == 0


def test_a_job_that_failed_for_good_does_not_run_again(queue: JobQueue) -> None:
    queue.put([wish(1)], PAGE)
    job = claim(queue)
    queue.put([wish(1, "", "detail-2x")], VISIBLE)
    finish(queue, job, failed=True)
    assert queue.depth() == 0


def test_one_image_can_be_claimed_ahead_of_the_queue_but_not_twice(queue: JobQueue) -> None:
    queue.put([wish(n) for n in range(5)], VISIBLE)
    assert queue.claim_one(digest("mine"))
    assert not queue.claim_one(digest("mine"))
    assert queue.claim_one(digest(4))
    assert digest(4) not in [job.digest for job in (queue.claim(), queue.claim()) if job]


def test_a_job_that_runs_again_for_another_size_counts_once_in_its_batch(queue: JobQueue) -> None:
    queue.put([wish(1), wish(2)], WARM, batch="load")
    job = claim(queue)
    queue.put([LoadRequest(job.digest, job.lane, ("detail-2x",))], VISIBLE)  # while it runs
    for _ in range(2):
        with queue.database.write() as conn:
            queue.finish(conn, job)
        assert queue.batch("load") == (2, 1, 0)
        job = claim(queue)


def test_a_batch_tells_how_far_it_is(queue: JobQueue, clock: FakeClock) -> None:
    queue.put([wish(1), wish(2), wish(3)], WARM, batch="load")
    finish(queue, claim(queue))
    finish(queue, claim(queue), failed=True)
    assert queue.batch("load") == (3, 1, 1)
    assert queue.batch("another") is None
    clock.advance(86401)
    queue.remove_old(older_than_s=86400)
    assert queue.batch("load") is None


def test_the_breaker_trips_after_consecutive_failures_and_pauses_longer_each_time(queue: JobQueue, clock: FakeClock) -> None:
    queue.put([wish(1, "down"), wish(2, "well")], PAGE)
    lane_failed(queue, "down", TRIP_FAILURES - 1)
    assert queue.paused_hosts() == []
    lane_failed(queue, "down")
    assert paused_for(queue, clock) == PAUSE_S
    assert [claim(queue).lane, queue.claim()] == ["well", None]
    for pause_s in (PAUSE_S * 2, PAUSE_S * 4, PAUSE_S * 8, MAX_PAUSE_S, MAX_PAUSE_S):
        clock.advance(MAX_PAUSE_S + 1)
        lane_failed(queue, "down")
        assert paused_for(queue, clock) == pause_s


def test_after_the_pause_one_job_at_a_time_is_claimed(queue: JobQueue, clock: FakeClock) -> None:
    queue.put([wish(n, "down") for n in range(4)], PAGE)
    lane_failed(queue, "down", TRIP_FAILURES)
    clock.advance(PAUSE_S + 1)
    job = claim(queue)
    assert queue.claim() is None
    with queue.database.write() as conn:
        queue.record_host_success(conn, "down")
        queue.finish(conn, job)
    assert [claim(queue).lane, claim(queue).lane, queue.claim()] == ["down", "down", None]


def test_a_success_resets_the_failure_count(queue: JobQueue) -> None:
    lane_failed(queue, "down", TRIP_FAILURES - 1)
    with queue.database.write() as conn:
        queue.record_host_success(conn, "down")
    lane_failed(queue, "down", TRIP_FAILURES - 1)
    assert queue.paused_hosts() == []


def test_an_origin_that_is_down_for_weeks_does_not_overflow_the_pause(queue: JobQueue, clock: FakeClock) -> None:
    """The pause was doubled without end: after a thousand failures in a row the power was no float any more."""
    lane_failed(queue, "down", 1100)
    assert paused_for(queue, clock) == MAX_PAUSE_S


def test_retry_after_pauses_the_whole_host_for_as_long_as_requested(queue: JobQueue, clock: FakeClock) -> None:
    queue.put([wish(1, "busy"), wish(2, "busy")], PAGE)
    lane_failed(queue, "busy", pause_s=120)
    assert queue.claim() is None
    lane_failed(queue, "busy")  # a later failure without Retry-After does not shorten it
    assert paused_for(queue, clock) == 120
    clock.advance(121)
    assert claim(queue).lane == "busy"


def test_no_origin_can_request_more_than_an_hour(queue: JobQueue, clock: FakeClock) -> None:
    """A Retry-After of a week was taken for a wrong clock, and the host was not paused at all."""
    queue.put([wish(1, "busy")], PAGE)
    lane_failed(queue, "busy", pause_s=7 * 86400)
    assert paused_for(queue, clock) == MAX_ASKED_PAUSE_S
    assert queue.claim() is None


@pytest.mark.parametrize("jump_s", [10 * YEAR_S, -10 * YEAR_S])
def test_a_clock_that_jumps_ten_years_loses_no_job_and_blocks_none(queue: JobQueue, clock: FakeClock, jump_s: float) -> None:
    queue.put([wish(n, f"h{n}") for n in range(3)], PAGE)
    put_off = claim(queue)
    with queue.database.write() as conn:
        queue.reschedule(conn, put_off, clock.now + 60)
    claim(queue)  # running, and its process is about to be replaced
    lane_failed(queue, "h2", TRIP_FAILURES)
    clock.advance(jump_s)
    queue.fix_clock_skew()
    assert queue.paused_hosts() == []
    claimed = {claim(queue).digest for _ in range(3)}
    assert claimed == {digest(n) for n in range(3)}
    assert queue.fix_clock_skew() == 0


def test_a_pause_written_by_a_wrong_clock_does_not_hide_a_real_one(queue: JobQueue, clock: FakeClock) -> None:
    clock.advance(10 * YEAR_S)
    lane_failed(queue, "down", TRIP_FAILURES)
    clock.advance(-10 * YEAR_S)
    assert queue.paused_hosts() == []
    lane_failed(queue, "down")
    assert paused_for(queue, clock) == PAUSE_S * 2


def test_states_tell_waiting_jobs_from_running_ones(queue: JobQueue) -> None:
    queue.put([wish(1), wish(2)], PAGE)
    running = claim(queue).digest
    states = queue.state_of([digest(1), digest(2), digest(3)])
    assert states == {running: True, ({digest(1), digest(2)} - {running}).pop(): False}


def test_ten_thousand_jobs_are_enqueued_at_once_and_a_visible_one_overtakes_them(database: Database, clock: FakeClock) -> None:
    queue = JobQueue(database, limit=10_000, total=3, per_lane=2, clock=clock)
    assert queue.put([wish(n, "h") for n in range(10_000)], WARM) == 10_000
    assert queue.put([wish("seen", "h")], VISIBLE) == 1
    assert claim(queue).digest == digest("seen")
    assert queue.depth() == 10_001


@pytest.mark.parametrize("ending", ["finish", "fail", "reschedule"])
def test_a_worker_that_wakes_late_does_not_end_the_job_of_another(queue: JobQueue, clock: FakeClock, ending: str) -> None:
    """A suspended machine: the lease ended and another worker, of the same process or not, claimed the job."""
    queue.put([wish(1)], PAGE, batch="b")
    late = claim(queue)
    clock.now += LEASE_S + 1
    other = claim(queue)
    with queue.database.write() as conn:
        end = queue.reschedule if ending == "reschedule" else queue.finish
        how: dict[str, Any] = {"finish": {}, "fail": {"failed": True}, "reschedule": {"ready_at": clock.now + 1000}}[ending]
        with pytest.raises(LeaseLost):
            end(conn, late, **how)
    assert queue.state_of([digest(1)]) == {digest(1): True}
    assert queue.batch("b") == (1, 0, 0)
    finish(queue, other)
    assert queue.batch("b") == (1, 1, 0)


def test_a_worker_whose_lease_ended_but_was_given_to_nobody_may_still_finish(queue: JobQueue, clock: FakeClock) -> None:
    queue.put([wish(1)], PAGE)
    late = claim(queue)
    clock.now += LEASE_S + 1
    finish(queue, late)
    assert queue.depth() == 0
