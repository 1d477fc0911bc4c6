"""Single flight: one load runs, the others share its result."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from image_cache.engine.flight import SingleFlight
from tests.support.vault import wait_until


class Held:
    """Work that waits for an event and counts how often it was started."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        self.runs = 0
        self.error = error

    def __call__(self) -> int:
        self.runs += 1
        self.begun.release()
        assert self.gate.wait(30)
        if self.error is not None:
            raise self.error
        return self.runs


def wait_for_waiters(flight: SingleFlight[int], number: int) -> None:
    """Waiters are counted before they wait, so the counter is all that can be checked."""
    wait_until(lambda: flight.coalesced == number, every_s=0.001)


def test_concurrent_callers_share_one_run() -> None:
    flight: SingleFlight[int] = SingleFlight()
    work = Held()
    with ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(flight.do, "key", work) for _ in range(20)]
        wait_for_waiters(flight, 19)
        work.gate.set()
        assert [call.result() for call in calls] == [1] * 20
    assert work.runs == 1


def test_waiters_get_the_leaders_error() -> None:
    flight: SingleFlight[int] = SingleFlight()
    work = Held(ValueError("broken"))
    with ThreadPoolExecutor(5) as pool:
        calls = [pool.submit(flight.do, "key", work) for _ in range(5)]
        wait_for_waiters(flight, 4)
        work.gate.set()
        for call in calls:
            with pytest.raises(ValueError, match="broken"):
                call.result()
    assert work.runs == 1


def test_nothing_is_kept_after_the_flight() -> None:
    flight: SingleFlight[int] = SingleFlight()
    work = Held()
    work.gate.set()
    assert [flight.do("key", work), flight.do("key", work)] == [1, 2]
    with pytest.raises(ZeroDivisionError):
        flight.do("key", lambda: 1 // 0)
    assert flight.do("key", lambda: 7) == 7


def test_other_keys_have_flights_of_their_own() -> None:
    flight: SingleFlight[int] = SingleFlight()
    held = Held()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(flight.do, "held", held)
        assert held.begun.acquire(timeout=30)
        assert flight.do("other", lambda: 5) == 5
        held.gate.set()
        assert first.result() == 1


def test_a_leader_may_load_another_key() -> None:
    flight: SingleFlight[int] = SingleFlight()
    assert flight.do("outer", lambda: flight.do("inner", lambda: 3) + 1) == 4


class SlowToLeave:
    """A key whose removal from the table takes a while: the leader hashes it to look, to enter it, and to take it out."""

    def __init__(self) -> None:
        self.leader = 0
        self.hashed = 0
        self.has_waiter_returned = threading.Event()
        self.was_early = False

    def __hash__(self) -> int:
        if threading.get_ident() == self.leader:
            self.hashed += 1
            if self.hashed == 3:
                self.was_early = self.has_waiter_returned.wait(0.2)
        return 1


def test_waiters_return_when_the_flight_is_out_of_the_table() -> None:
    """A waiter that returned earlier and asked again got the value of the flight that was over."""
    flight: SingleFlight[int] = SingleFlight()
    key, work = SlowToLeave(), Held()

    def lead() -> int:
        key.leader = threading.get_ident()
        return flight.do(key, work)

    def wait() -> int:
        value = flight.do(key, work)
        key.has_waiter_returned.set()
        return value

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(lead)
        assert work.begun.acquire(timeout=30)
        waiter = pool.submit(wait)
        wait_for_waiters(flight, 1)
        work.gate.set()
        assert (leader.result(), waiter.result()) == (1, 1)
    assert key.hashed == 3
    assert not key.was_early
