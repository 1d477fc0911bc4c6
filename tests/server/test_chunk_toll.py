"""An address that sends too many chunks pauses, and no other; no part of a body is lost."""

import os
from contextlib import ExitStack
from typing import cast

import pytest

from image_cache.server.chunk_toll import CHUNKS_PER_S, FREE_S, ChunkToll
from image_cache.server.connection import Connection
from image_cache.server.request_framing import CHUNKED_PIECE_BYTES, PIECE_BYTES, RequestBuffer
from tests.support.attacks import CHUNKED, connect
from tests.support.vault import Vault

FREE = int(CHUNKS_PER_S * FREE_S)
STATE = (
    b"POST /api/cache/state HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class Client:
    """What the toll knows of a connection."""

    def __init__(self, address: str) -> None:
        self.address = address


def client(address: str) -> Connection:
    return cast(Connection, Client(address))


def test_an_address_pauses_for_its_chunks_and_another_does_not() -> None:
    toll, greedy, other = ChunkToll(), client("a"), client("b")
    assert not toll.charge(greedy, FREE - 1)
    assert toll.charge(greedy, 60 * CHUNKS_PER_S)
    assert not toll.charge(other, FREE - 1)
    assert toll.charge(client("a"), 1), "a second connection of the address pays for the first"
    assert list(toll.over()) == []
    assert 50 < toll.wait_s(100.0) <= 61
    assert toll.wait_s(1.0) == 1.0


def test_a_connection_whose_pause_is_over_goes_on_once() -> None:
    toll, one = ChunkToll(), client("a")
    assert toll.charge(one, FREE + CHUNKS_PER_S // 20)
    while not (over := list(toll.over())):
        pass
    assert over == [one]
    assert list(toll.over()) == []
    assert toll.wait_s(1.0) == 1.0


def test_a_connection_that_ends_is_forgotten() -> None:
    toll, one = ChunkToll(), client("a")
    toll.charge(one, 60 * CHUNKS_PER_S)
    assert toll.forget(one)
    assert not toll.forget(one)
    assert toll.wait_s(1.0) == 1.0


def test_what_addresses_paid_does_not_grow_for_ever() -> None:
    toll = ChunkToll()
    for number in range(5000):
        toll.charge(client(str(number)), 0)
    assert len(toll._paid_until) <= 1000


@pytest.mark.parametrize(("size", "most"), [(8192, 2000), (262_144, 200)])
def test_chunks_as_programs_send_them_cost_nearly_nothing(size: int, most: int) -> None:
    """5 MB in such chunks, received as the worker does, are far below what is free."""
    request = RequestBuffer()
    body = os.urandom(size)
    wire = CHUNKED + (b"%x\r\n%b\r\n" % (size, body)) * (5_000_000 // size)
    request.raise_limit(10_000_000)
    at = 0
    while at < len(wire):
        piece = wire[at : at + request.receive_bytes]
        request.feed(piece)
        at += len(piece)
    assert request.error == ""
    assert request.body_bytes == 5_000_000 // size * size
    assert request.chunks < most
    request.close()


def test_a_large_chunk_is_received_in_large_pieces() -> None:
    request = RequestBuffer()
    request.feed(CHUNKED)
    assert request.receive_bytes == CHUNKED_PIECE_BYTES
    request.feed(b"80000\r\n")
    assert request.receive_bytes == PIECE_BYTES


@pytest.mark.slow
@pytest.mark.server
def test_small_chunks_arrive_whole_after_a_pause_and_delay_no_stop(vault: Vault) -> None:
    body = b"{" + b" " * 30_000 + b'"digests": []}'
    wire = STATE + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    with ExitStack() as stack:
        slow, endless, gone = (connect(stack, vault.port) for _ in range(3))
        gone.sendall(CHUNKED + b"1\r\na\r\n" * 10_000)
        gone.close()
        slow.sendall(wire)
        assert slow.recv(100).startswith(b"HTTP/1.1 200 OK")
        endless.sendall(CHUNKED + b"1\r\na\r\n" * 100_000)
        assert vault.get("/keys").status == 200
        assert vault.stop() == 0
