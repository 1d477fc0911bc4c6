"""Covers from Discogs under URLs that are signed for each response: each image is fetched once, whatever URL leads to it.

The server stands where `i.discogs.com` would be: the name is resolved and dialled at the edge of the process, as `PeerPolicy` allows.
"""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.net.client import HttpClient
from image_cache.net.policy import PeerPolicy
from image_cache.services import Services
from tests.importers.discogs.test_sync import albums, connect, inside_at, sync, table
from tests.net.test_policy import PretendedSocket
from tests.support.discogs import DiscogsServer
from tests.support.inside import Inside

PUBLIC = "93.184.216.34"
RECORDS, WITH_PICTURE = 30, 27


@pytest.fixture
def discogs() -> Iterator[DiscogsServer]:
    with DiscogsServer(records=RECORDS, images="http://i.discogs.com") as running:
        yield running


@pytest.fixture
def inside(tmp_path: Path, discogs: DiscogsServer) -> Iterator[Inside]:
    def connect_here(address: str, port: int, timeout_s: float) -> socket.socket:
        sock = PretendedSocket()
        sock.settimeout(timeout_s)
        sock.connect(("127.0.0.1", discogs.port))
        sock.peer = (address, port)
        return sock

    policy = PeerPolicy(resolve=lambda _host, _port: [PUBLIC], connect=connect_here, local_networks=list)
    with inside_at(tmp_path / "vault", discogs) as opened:
        opened.services._parts.fetcher._make = lambda: HttpClient(policy)
        connect(opened.services)
        yield opened


def fetch_all(services: Services) -> None:
    """Do what the pool would: queue what is missing and run the jobs."""
    services.covers.enqueue_missing(list(services.library.cover_urls()))
    while services.loader.run_next():
        pass


def test_a_cover_whose_signature_changes_with_every_sync_is_fetched_once(inside: Inside, discogs: DiscogsServer) -> None:
    services = inside.services
    sync(services)
    fetch_all(services)
    assert len(discogs.paths("/rs:fit/", 200)) == WITH_PICTURE
    before = table(services)
    for _ in range(3):
        sync(services)
        fetch_all(services)
    assert table(services) == before
    assert len(discogs.paths("/rs:fit/")) == WITH_PICTURE
    assert {cover.state for cover in services.covers.peek(list(services.library.cover_urls()))} == {"ready"}


def test_covers_of_dead_addresses_are_fetched_again_after_the_next_sync(inside: Inside, discogs: DiscogsServer) -> None:
    """The cache is cleared when the signatures that the catalogue knows are dead: a sync brings living ones."""
    services = inside.services
    sync(services)
    fetch_all(services)
    discogs.control(kill_signatures=True, forget=True)
    services.covers.clear()
    services.covers.register(services.library.cover_urls())
    fetch_all(services)
    assert len(discogs.paths("/rs:fit/", 403)) == WITH_PICTURE
    assert sync(services).outcome["changed"] == WITH_PICTURE
    fetch_all(services)
    assert len(discogs.paths("/rs:fit/", 200)) == WITH_PICTURE
    assert sync(services).outcome["changed"] == 0
    assert {cover.state for cover in services.covers.peek([album.picture for album in albums(services) if album.picture])} == {
        "ready"
    }
