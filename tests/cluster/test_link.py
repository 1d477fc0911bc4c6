"""The proxy of the cluster's tests does to connections what its modes say."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.cluster.link import Link
from tests.support.vault import wait_until


@pytest.fixture
def link() -> Iterator[Link]:
    """A link to a server that sends back what it gets."""
    listening = socket.create_server(("127.0.0.1", 0))

    def echo(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while data := client.recv(1000):
                client.sendall(data)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=echo, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    made = Link(listening.getsockname()[1], delay_s=0.2)
    yield made
    made.close()
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


@pytest.fixture
def client(link: Link) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", link.port), 30) as made:
        assert said(made, b"first") == b"first"
        yield made


def said(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return client.recv(1000)


def test_bytes_pass_and_the_end_of_one_side_reaches_the_other(link: Link, client: socket.socket) -> None:
    assert said(client, b"second") == b"second"
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1000) == b""
    wait_until(lambda: link.connections == 0)


def test_a_delay_holds_each_piece_up(link: Link, client: socket.socket) -> None:
    link.mode = "delay"
    began = time.monotonic()
    assert said(client, b"late") == b"late"
    assert time.monotonic() - began >= 0.4  # there and back


def test_a_black_hole_says_nothing_and_delivers_when_it_passes_again(link: Link, client: socket.socket) -> None:
    link.mode = "blackhole"
    client.sendall(b"held")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(1000)
    with socket.create_connection(("127.0.0.1", link.port), 30) as later:
        later.sendall(b"later")
        link.mode = "pass"
        client.settimeout(30)
        assert client.recv(1000) == b"held"
        assert later.recv(1000) == b"later"


def test_a_reset_breaks_open_connections_and_new_ones(link: Link, client: socket.socket) -> None:
    link.mode = "reset"
    with pytest.raises(ConnectionResetError):
        client.recv(1000)
    with pytest.raises(ConnectionResetError), socket.create_connection(("127.0.0.1", link.port), 30) as new:
        new.recv(1000)
    link.mode = "pass"
    with socket.create_connection(("127.0.0.1", link.port), 30) as new:
        assert said(new, b"again") == b"again"
