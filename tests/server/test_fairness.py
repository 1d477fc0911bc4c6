"""Threads are shared out by client: each has its turn, and none has all of them."""

from typing import cast

import pytest

from image_cache.server.connection import Connection
from image_cache.server.fairness import FairThreads, ThreadJob
from image_cache.server.request_framing import RequestBuffer


def job(client: str) -> ThreadJob:
    return ThreadJob(client, cast(Connection, object()), lambda: None, lambda conn, future: None)


def taken(threads: FairThreads) -> list[ThreadJob]:
    return list(iter(threads.next, None))


def test_clients_take_turns_and_one_thread_is_left_for_others() -> None:
    threads = FairThreads(4)
    for _ in range(10):
        threads.add(job("a"))
    first = taken(threads)
    assert [one.client for one in first] == ["a", "a", "a"]
    for client in "bcb":
        threads.add(job(client))
    (other,) = taken(threads)
    assert other.client == "b"
    order = []
    running = [*first, other]
    while running:
        threads.end(running.pop(0))
        more = taken(threads)
        order += [one.client for one in more]
        running += more
    assert order[:3] == ["a", "c", "b"] or order[:3] == ["c", "a", "b"], order
    assert order[3:] == ["a"] * 6
    assert list(threads) == []


def test_a_single_thread_serves_everybody() -> None:
    threads = FairThreads(1)
    threads.add(job("a"))
    assert len(taken(threads)) == 1


def test_a_connection_that_is_closed_waits_no_longer() -> None:
    threads = FairThreads(1)
    jobs = [job("a"), job("a"), job("b")]
    for one in jobs:
        threads.add(one)
    threads.remove(jobs[0].conn)
    threads.remove(jobs[2].conn)
    assert list(threads) == [jobs[1].conn]
    assert threads.next() is jobs[1]


@pytest.mark.parametrize(
    ("proxies", "told", "client"),
    [
        (0, ["203.0.113.9"], "192.0.2.1"),
        (1, [], "192.0.2.1"),
        (1, ["198.51.100.7, 203.0.113.9"], "203.0.113.9"),
        (1, ["198.51.100.7", "203.0.113.9"], "203.0.113.9"),
        (2, ["198.51.100.7, 203.0.113.9"], "198.51.100.7"),
        (2, ["203.0.113.9"], "192.0.2.1"),
        (1, ["2001:db8::1:2"], "2001:db8::/64"),
        (1, [""], "192.0.2.1"),
    ],
)
def test_behind_a_proxy_the_client_is_who_it_names(proxies: int, told: list[str], client: str) -> None:
    request = RequestBuffer()
    lines = "".join(f"X-Forwarded-For: {value}\r\n" for value in told)
    request.feed(f"GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
    assert request.client_name("192.0.2.1", proxies) == client
