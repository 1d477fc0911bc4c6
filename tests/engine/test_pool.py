"""Thread pool: workers, periodic jobs, counted errors, an end in time."""

import logging
import threading

import pytest

from image_cache.engine.pool import PeriodicJob, Pool


class Jobs:
    """A list of work that can be extended; an exception in it is raised."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: list[Exception | int] = []
        self.done = threading.Semaphore(0)
        self.threads: set[str] = set()

    def add(self, *jobs: Exception | int) -> None:
        with self.lock:
            self.waiting.extend(jobs)

    def __call__(self) -> bool:
        with self.lock:
            if not self.waiting:
                return False
            job = self.waiting.pop(0)
            self.threads.add(threading.current_thread().name)
        if isinstance(job, Exception):
            raise job
        self.done.release()
        return True


def threads_of(pool: Pool) -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith(("worker-", "housekeeper"))]


def test_nothing_starts_before_start() -> None:
    pool = Pool(Jobs(), [], workers=3)
    assert not pool.is_running
    assert threads_of(pool) == []
    assert pool.close()


def test_starting_twice_starts_once_and_closing_joins_all() -> None:
    pool = Pool(Jobs(), [], workers=3)
    pool.start()
    pool.start()
    assert sorted(t.name for t in threads_of(pool)) == ["housekeeper", "worker-0", "worker-1", "worker-2"]
    assert pool.close()
    assert threads_of(pool) == []
    pool.start()  # a closed pool stays closed
    assert not pool.is_running


def test_a_wake_is_never_lost() -> None:
    """300 jobs, each after the last one is done; without the wake-up the workers would look again after an hour."""
    jobs = Jobs()
    pool = Pool(jobs, [], workers=3, idle_s=3600)
    pool.start()
    for number in range(300):
        jobs.add(number)
        pool.wake()
        assert jobs.done.acquire(timeout=30)
    assert pool.close()


def test_an_enqueuer_wakes_the_workers_by_the_shared_wakeup() -> None:
    jobs, wakeup = Jobs(), threading.Event()
    pool = Pool(jobs, [], workers=1, idle_s=3600, wakeup=wakeup)
    pool.start()
    for number in range(20):
        jobs.add(number)
        wakeup.set()
        assert jobs.done.acquire(timeout=30)
    assert pool.close()


def test_a_wake_that_comes_while_a_worker_looks_is_not_lost() -> None:
    """The job came after the worker had looked; the same look then cleared the wake-up."""
    looks, has_looked, gate = threading.Semaphore(0), threading.Event(), threading.Event()

    def look() -> bool:
        looks.release()
        has_looked.set()
        assert gate.wait(30)
        return False

    pool = Pool(look, [], workers=1, idle_s=3600)
    pool.start()
    assert has_looked.wait(30)
    pool.wake()
    gate.set()
    assert looks.acquire(timeout=30)
    assert looks.acquire(timeout=30)
    assert pool.close()


def test_an_error_is_counted_and_logged_and_the_worker_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    jobs = Jobs()
    jobs.add(ValueError("first"), 1, RuntimeError("second"), 2)
    pool = Pool(jobs, [], workers=1, error_pause_s=0.01)
    with caplog.at_level(logging.ERROR):
        pool.start()
        for _ in range(2):
            pool.wake()
            assert jobs.done.acquire(timeout=30)
    assert pool.close()
    assert pool.errors == pool.recent_errors() == 2
    assert pool.recent_errors(within_s=-1) == 0
    assert jobs.threads == {"worker-0"}
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["first", "second"]


def test_a_periodic_job_that_raises_is_counted_and_the_others_run() -> None:
    ran = {"broken": threading.Semaphore(0), "sound": threading.Semaphore(0)}

    def broken() -> None:
        ran["broken"].release()
        raise OSError("disk")

    pool = Pool(
        Jobs(),
        [PeriodicJob("broken", 0.01, broken), PeriodicJob("sound", 0.01, ran["sound"].release)],
        workers=0,
        error_pause_s=0.01,
    )
    pool.start()
    for _ in range(3):
        assert ran["broken"].acquire(timeout=30)
        assert ran["sound"].acquire(timeout=30)
    assert pool.close()
    assert pool.errors >= 3


def test_a_periodic_job_waits_for_its_first_time() -> None:
    early, late = threading.Event(), threading.Event()
    pool = Pool(Jobs(), [PeriodicJob("late", 60, late.set, first_s=60), PeriodicJob("early", 60, early.set)], workers=0)
    pool.start()
    assert early.wait(30)
    assert pool.close()
    assert not late.is_set()


def test_close_returns_false_if_a_thread_does_not_end_in_time() -> None:
    begun, gate = threading.Event(), threading.Event()

    def stuck() -> bool:
        begun.set()
        gate.wait(60)
        return False

    pool = Pool(stuck, [], workers=1)
    pool.start()
    assert begun.wait(30)
    (worker,) = (t for t in threads_of(pool) if t.name == "worker-0")
    assert not pool.close(timeout_s=0.05)
    gate.set()
    worker.join(30)
    assert not worker.is_alive()
