"""The watchdog alone, with real sockets."""

import socket
import threading
import time

from image_cache.adapters.deadline import Watchdog


def test_a_socket_is_cut_when_the_time_is_over() -> None:
    ours, theirs = socket.socketpair()
    start = time.monotonic()
    with ours, theirs, Watchdog().watch(0.1) as watch:
        watch.guard(ours)
        assert ours.recv(1) == b""
        assert 0.1 <= time.monotonic() - start < 2
        assert watch.is_over
        assert watch.remaining_s() == 0


def test_a_socket_that_comes_late_is_cut_at_once() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, Watchdog().watch(0) as watch:
        while "fetch-deadline" in [thread.name for thread in threading.enumerate()]:
            time.sleep(0.001)
        watch.guard(ours)
        ours.settimeout(1)
        assert ours.recv(1) == b""


def test_after_the_block_the_socket_is_left_alone() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        dog = Watchdog()
        with dog.watch(0.05) as watch:
            watch.guard(ours)
        ours.settimeout(0.15)
        try:
            ours.recv(1)
        except TimeoutError:
            ended = "by its own timeout"
        else:
            ended = "cut"
        assert ended == "by its own timeout"
        dog.close()


def test_one_thread_watches_all_and_ends_with_the_last() -> None:
    dog = Watchdog()
    with dog.watch(30), dog.watch(20):
        assert [thread.name for thread in threading.enumerate()].count("fetch-deadline") == 1
        with dog.watch(0.01) as short:
            while not short.is_over:
                time.sleep(0.005)
    dog.close()
    assert "fetch-deadline" not in [thread.name for thread in threading.enumerate()]
    with dog.watch(1) as again:
        assert not again.is_over


def test_a_watch_that_is_renewed_goes_on_and_one_that_is_over_does_not() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, Watchdog().watch(0.4) as watch:
        watch.guard(ours)
        for _ in range(6):
            time.sleep(0.08)
            watch.renew()
        assert not watch.is_over
        ours.settimeout(1)
        assert ours.recv(1) == b""
        watch.renew()
        assert watch.is_over
