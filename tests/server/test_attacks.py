"""What clients can do to the others: nothing. A thread gets a whole request, and gives back a whole response."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from tests.support.vault import Vault

pytestmark = [pytest.mark.slow, pytest.mark.server]

LATE_S = 10.0  # slack for a busy machine
HEAD = b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DRIPPING = {
    "a length of 19 digits": (HEAD + b"Content-Length: 1000000000000000000\r\n\r\n", b"413"),
    "a chunk of 2 MB": (CHUNKED + b"1e8480\r\n", b"4"),
    "a chunk line without end": (CHUNKED + b"5;" + b"x" * 300, b"400"),
    "a size of 20 digits": (CHUNKED + b"0" * 20, b"400"),
    "a line break of one byte": (b"GET /keys HTTP/1.1\nHost: x\n", b"400"),
    "a coding nobody knows": (HEAD + b"Transfer-Encoding: br, chunked\r\n\r\n", b"501"),
    "two types": (HEAD + b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n", b"400"),
}


@contextlib.contextmanager
def clients(vault: Vault, count: int, *, buffer_bytes: int = 0) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            if buffer_bytes:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            client.settimeout(30)
            client.connect(("127.0.0.1", vault.port))
            found.append(client)
        yield found


def assert_responds(vault: Vault, what: str = "") -> None:
    for _ in range(3):
        started = time.monotonic()
        assert vault.get("/keys").status == 200
        assert time.monotonic() - started < LATE_S, what


def test_bodies_in_chunks_of_one_byte_hold_no_thread(vault: Vault) -> None:
    """One of 900 KB held a thread for twelve minutes."""
    with clients(vault, 6) as attackers:
        for attacker in attackers:
            attacker.sendall(CHUNKED + b"1\r\na\r\n" * 150_000 + b"0\r\n\r\n")
    assert_responds(vault)


def test_what_is_not_understood_is_refused_before_the_rest_drips_in(vault: Vault) -> None:
    for what, (data, status) in DRIPPING.items():
        with clients(vault, 7) as attackers:
            for attacker in attackers:
                attacker.sendall(data)
            for attacker in attackers:
                assert attacker.recv(100).startswith(b"HTTP/1.1 " + status), what
            assert_responds(vault, what)


def test_slow_readers_hold_no_thread(vault: Vault) -> None:
    page = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"
    with clients(vault, 15, buffer_bytes=2048) as attackers:
        for attacker in attackers:
            attacker.sendall(page * 150)
        assert_responds(vault)
        answer = b""
        attackers[0].settimeout(5)
        with contextlib.suppress(TimeoutError):
            while answer.count(b"HTTP/1.1 ") < 60:
                answer += attackers[0].recv(65536)
        assert answer.count(b"HTTP/1.1 200 OK") > 1, "who reads after all gets its responses"


def test_a_body_may_take_long_as_long_as_it_moves(vault: Vault) -> None:
    """It was cut after 15 s, whatever the client had sent in that time."""
    body = b"{" + b" " * 300_000 + b'"digests": []}'
    with clients(vault, 1) as (client,):
        client.sendall(b"POST /api/cache/state HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        client.sendall(b"Content-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 8_000):
            client.sendall(body[at : at + 8_000])
            time.sleep(0.45)
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
