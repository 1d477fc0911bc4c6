"""Deadlines, with real sockets."""

import socket
import threading
import time

import pytest

from image_cache.net.deadline import DeadlineWatcher
from tests.support.vault import wait_until

WAIT_S = 30.0
PATIENCE = (0.1, 0.4, 1.6, 6.4)  # tried in turn: a loaded machine gets more time


def test_a_socket_is_aborted_when_the_time_is_over() -> None:
    ours, theirs = socket.socketpair()
    start = time.monotonic()
    with ours, theirs, DeadlineWatcher().watch(0.1) as watch:
        watch.guard(ours)
        ours.settimeout(WAIT_S)
        assert ours.recv(1) == b""
        assert time.monotonic() - start >= 0.1
        assert watch.is_over
        assert watch.remaining_s() == 0


def test_a_socket_set_after_the_deadline_is_aborted_at_once() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, DeadlineWatcher().watch(0) as watch:
        wait_until(lambda: "fetch-deadline" not in [thread.name for thread in threading.enumerate()], every_s=0.001)
        watch.guard(ours)
        ours.settimeout(WAIT_S)
        assert ours.recv(1) == b""


def test_after_the_block_the_socket_is_left_alone() -> None:
    dog = DeadlineWatcher()
    for seconds in PATIENCE:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            with dog.watch(seconds) as watch:
                watch.guard(ours)
            if watch.is_over:  # a machine that was suspended for so long: it was rightly aborted within the block
                continue
            ours.settimeout(seconds + 0.1)
            with pytest.raises(TimeoutError):
                ours.recv(1)
            assert watch.is_over
            break
    else:
        pytest.fail("no block was left in time")
    dog.close()


def test_one_thread_watches_all_and_ends_with_the_last() -> None:
    dog = DeadlineWatcher()
    with dog.watch(30), dog.watch(20):
        assert [thread.name for thread in threading.enumerate()].count("fetch-deadline") == 1
        with dog.watch(0.01) as short:
            wait_until(lambda: short.is_over, every_s=0.005)
    dog.close()
    assert "fetch-deadline" not in [thread.name for thread in threading.enumerate()]
    with dog.watch(30) as again:
        assert not again.is_over


def test_a_deadline_can_be_restarted_but_not_once_it_is_over() -> None:
    for seconds in PATIENCE:
        ours, theirs = socket.socketpair()
        with ours, theirs, DeadlineWatcher().watch(seconds) as watch:
            watch.guard(ours)
            began = renewed = time.monotonic()
            longest = 0.0
            while time.monotonic() < began + 1.2 * seconds:
                time.sleep(seconds / 5)
                watch.restart()
                longest, renewed = max(longest, time.monotonic() - renewed), time.monotonic()
            if longest >= seconds:  # a machine that was suspended for so long: it was not restarted in time
                continue
            assert not watch.is_over
            ours.settimeout(WAIT_S)
            assert ours.recv(1) == b""
            watch.restart()
            assert watch.is_over
            break
    else:
        pytest.fail("it was never renewed in time")
