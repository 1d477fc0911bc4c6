"""Pinned files survive everything but a person's word; files unused for long can be removed."""

import hashlib
from pathlib import Path

import pytest

from image_cache.errors import OriginTooLarge, UnknownFile
from image_cache.files.disk.maintenance import remove_expired
from image_cache.files.disk.pins import OriginUsage, find_file, pin, prune, unused, usage_by_origin
from image_cache.files.registries.registry import RegistryFolder
from tests.files.conftest import Make, noise
from tests.support.clock import FakeClock
from tests.support.origin import Origin
from tests.support.volumes import serve

DAY_S = 86400.0


def test_a_pinned_file_survives_pressure(origin: Origin, make: Make, clock: FakeClock) -> None:
    store = make(budget_bytes=5000)
    oldest, _ = serve(origin, "/oldest.bin", noise(1000, 99))
    store.get(oldest)
    pin(store, store.remote(oldest).digest)
    for number in range(20):
        clock.advance(1)
        url, _ = serve(origin, f"/{number}.bin", noise(1000, number))
        store.get(url)
        assert store.totals()[1] <= 5000
    assert store.index.find(store.remote(oldest).digest) is not None
    assert store.index.pinned() == (1, 1000)
    assert store.counts()["evictions"] == 16
    pin(store, store.remote(oldest).digest, is_pinned=False)
    clock.advance(1)
    url, _ = serve(origin, "/last.bin", noise(1000, 50))
    store.get(url)
    assert store.index.find(store.remote(oldest).digest) is None


def test_a_lower_limit_evicts_no_pinned_file(origin: Origin, make: Make) -> None:
    store = make(budget_bytes=5000)
    urls = [serve(origin, f"/{number}.bin", noise(1000, number))[0] for number in range(3)]
    for url in urls:
        store.get(url)
    pin(store, store.remote(urls[0]).digest)
    with store.alone():
        store.evict_to(500)
    assert [stored.url for stored in store.index.files()] == [urls[0]]


def test_a_file_that_only_fits_without_the_pinned_ones_is_refused(origin: Origin, make: Make) -> None:
    store = make(budget_bytes=5000)
    kept, _ = serve(origin, "/kept.bin", noise(3000))
    store.get(kept)
    pin(store, store.remote(kept).digest)
    large, _ = serve(origin, "/large.bin", noise(2500))
    with pytest.raises(OriginTooLarge, match=r"0\.002 MB that pinned files leave of the 0\.005 MB limit"):
        store.get(large)
    assert store.peek(kept) is not None
    small, _ = serve(origin, "/small.bin", noise(2000))
    assert store.get(small).stat().st_size == 2000


def test_a_new_version_of_a_pinned_file_is_pinned_and_may_use_its_space(origin: Origin, make: Make) -> None:
    store = make(budget_bytes=5000)
    url, volume = serve(origin, "/a.bin", noise(3000))
    store.get(url)
    pin(store, store.remote(url).digest)
    volume.body, volume.etag = noise(4500, 2), '"v2"'
    assert store.get(url, is_forced=True).stat().st_size == 4500
    assert store.index.pinned() == (1, 4500)


def test_a_pin_survives_a_lost_index(origin: Origin, make: Make, tmp_path: Path) -> None:
    store = make()
    url, _ = serve(origin, "/a.bin", noise(3000))
    store.get(url)
    pin(store, store.remote(url).digest)
    store.close()
    for path in (tmp_path / "files").glob("files.db*"):
        path.unlink()
    assert make().totals() == (1, 3000)
    assert make().index.pinned() == (1, 3000)


def test_the_cleanup_of_expired_files_spares_pinned_ones(origin: Origin, make: Make, clock: FakeClock) -> None:
    store = make(ttl_s=10)
    urls = [serve(origin, f"/{number}.bin", noise(100, number))[0] for number in range(2)]
    for url in urls:
        store.get(url)
    pin(store, store.remote(urls[1]).digest)
    clock.advance(11)
    assert remove_expired(store) == 1
    assert [stored.url for stored in store.index.files()] == [urls[1]]


def test_files_unused_for_long_are_pruned(origin: Origin, make: Make, clock: FakeClock) -> None:
    store = make()
    urls = [serve(origin, f"/{number}.bin", noise(100, number))[0] for number in range(3)]
    for url in urls:
        store.get(url)
    pin(store, store.remote(urls[0]).digest)
    clock.advance(31 * DAY_S)
    store.use(store.index.find(store.remote(urls[2]).digest))  # type: ignore[arg-type]
    assert [stored.url for stored in unused(store, 30 * DAY_S)] == [urls[1]]
    assert store.totals()[0] == 3
    assert [stored.url for stored in prune(store, 30 * DAY_S)] == [urls[1]]
    assert store.totals()[0] == 2


def test_the_space_is_counted_by_origin(origin: Origin, make: Make) -> None:
    store = make()
    for number in range(2):
        store.get(serve(origin, f"/{number}.bin", noise(100 + number, number))[0])
    pin(store, store.remote(origin.url("/1.bin")).digest)
    host = store.remote(origin.base + "/x").host
    assert usage_by_origin(store) == [OriginUsage(host, 2, 201, 1, 101)]


def test_a_file_is_found_by_name_url_or_checksum_and_never_guessed(origin: Origin, make: Make) -> None:
    store = make()
    body = noise(100)
    for path in ("/a/x.bin", "/b/x.bin"):
        store.get(serve(origin, path, body if path == "/a/x.bin" else noise(50))[0])
    assert find_file(store, origin.url("/a/x.bin")).size_bytes == 100
    assert find_file(store, hashlib.sha256(body).hexdigest()[:8].upper()).size_bytes == 100
    with pytest.raises(UnknownFile, match=r"2 stored files are called .*/a/x\.bin, |/b/x\.bin, "):
        find_file(store, "x.bin")
    with pytest.raises(UnknownFile, match="No stored file is called"):
        find_file(store, "y.bin")


def test_a_file_is_found_by_the_name_of_a_registry_and_near_names_are_told(origin: Origin, make: Make, tmp_path: Path) -> None:
    store, registries = make(), RegistryFolder(tmp_path / "registries")
    one, other = (serve(origin, f"/{number}.bin", noise(100, number))[0] for number in range(2))
    registries.add("set", f"brain-one {one}\nbrain-two {other}\n".encode())
    store.get(one)
    assert find_file(store, "brain-one", registries).url == one
    with pytest.raises(UnknownFile, match=r"^'brain-two' is not cached\. `files get` downloads it\.$"):
        find_file(store, "brain-two", registries)
    with pytest.raises(
        UnknownFile, match=r"^No stored file is called 'Brain-on'\. Did you mean brain-one or brain-two\? `files list`"
    ):
        find_file(store, "Brain-on", registries)
    with pytest.raises(UnknownFile, match=r"^No stored file is called 'zzzz'\. `files list` shows their names\.$"):
        find_file(store, "zzzz", registries)
    registries.add("late", f"0.bin {other}\n".encode())
    store.get(other)
    with pytest.raises(UnknownFile, match="2 stored files are called"):
        find_file(store, "0.bin", registries)  # one by its URL, one by a registry: neither is guessed
    with pytest.raises(
        UnknownFile, match=r"^No registry has a file 'brain-onee'\. Did you mean brain-one or brain-two\? Give its URL"
    ):
        registries.find("brain-onee")


def test_a_pin_of_nothing_is_an_error(make: Make) -> None:
    with pytest.raises(UnknownFile):
        pin(make(), "0" * 32)
