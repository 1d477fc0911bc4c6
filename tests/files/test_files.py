"""Large files against a real origin: kept, resumed, verified, within a budget, there without a network."""

import base64
import hashlib
import json
import logging
import os
import random
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from image_cache.config import Settings
from image_cache.errors import (
    ChecksumMismatch,
    FetchStopped,
    FileRejected,
    OriginCut,
    OriginDenied,
    OriginNotFound,
    OriginTooLarge,
    OriginUnavailable,
    StorageError,
)
from image_cache.files.build import FileOpener, open_files
from image_cache.files.cache import FileCache
from image_cache.files.disk.maintenance import remove_expired, sweep
from image_cache.files.disk.runtime_limits import FileLimits
from image_cache.files.download.fetch import Fetch
from image_cache.files.download.fetch_terms import FetchOutcome
from image_cache.files.download.partial import PartialFile
from image_cache.files.paths import parse_remote, part_path
from image_cache.filesystem import is_locked
from image_cache.net.deadline import MinimumSpeed
from tests.files.conftest import MB, Make, noise
from tests.support.clock import FakeClock
from tests.support.origin import Asked, Origin
from tests.support.vault import ROOT, wait_until
from tests.support.volumes import Volume, serve

# --- the straight way


def test_a_file_is_fetched_once_and_is_the_same_every_time(origin: Origin, cache: FileCache) -> None:
    url, volume = serve(origin, "/sub-01/brain.nii.dat", noise(300_000))
    path = cache.get(url)
    assert path.read_bytes() == volume.body
    assert path.name.endswith(".nii.dat")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert cache.get(url) == cache.peek(url) == path
    assert len(volume.asked) == 1
    assert cache.counts()["hits"] == 2


def test_look_never_asks_the_origin(origin: Origin, cache: FileCache) -> None:
    url, volume = serve(origin, "/x.bin", b"x" * 100)
    assert cache.peek(url) is None
    assert volume.asked == []


def test_progress_is_told_up_to_the_whole(origin: Origin, cache: FileCache) -> None:
    url, _ = serve(origin, "/x.bin", noise(900_000))
    told: list[tuple[int, int | None]] = []
    cache.get(url, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (900_000, 900_000)
    assert told == sorted(told)


def test_a_relative_address_is_joined_to_the_image_server_and_to_no_other(origin: Origin, tmp_path: Path) -> None:
    _, volume = serve(origin, "/data/a/x.bin", b"x" * 10)
    settings = Settings(FILES_DIR=tmp_path / "f", IMAGE_SERVER=origin.base + "/data", FREE_SPACE_FLOOR_MB=0)
    opener = FileOpener(settings)
    cache = open_files(settings, opener, lambda: FileLimits(MB, 10))
    assert cache.get("a/x.bin").read_bytes() == volume.body
    assert cache.remote("//elsewhere.example/x").url == origin.base + "/data/elsewhere.example/x"
    opener.close()
    cache.close()


def test_without_an_image_server_a_relative_address_is_refused(cache: FileCache) -> None:
    with pytest.raises(OriginDenied, match="IMAGE_SERVER"):
        cache.get("a/x.bin")


def test_a_private_address_that_is_not_trusted_is_refused(tmp_path: Path, origin: Origin) -> None:
    settings = Settings(FILES_DIR=tmp_path / "f")
    opener = FileOpener(settings)
    cache = open_files(settings, opener, lambda: FileLimits(MB, 10))
    with pytest.raises(OriginDenied):
        cache.get(origin.url("/x.bin"))
    assert origin.count() == 0
    opener.close()
    cache.close()


# --- cuts


def test_a_cut_is_resumed_where_it_was(origin: Origin, cache: FileCache) -> None:
    body = noise(3 * MB)
    url, volume = serve(origin, "/x.bin", body, cuts=[1_000_000, 500_000])
    assert cache.get(url).read_bytes() == body
    assert [asked.headers.get("range") for asked in volume.asked] == [None, "bytes=1000000-", "bytes=1500000-"]
    assert volume.asked[1].headers["if-range"] == '"v1"'
    assert volume.sent_bytes == len(body)


@pytest.mark.slow
def test_twenty_cuts_at_random_places_cost_nothing(origin: Origin, cache: FileCache) -> None:
    body, chance = noise(8 * MB), random.Random(4)
    url, volume = serve(origin, "/x.bin", body, cuts=[chance.randrange(1, 700_000) for _ in range(20)])
    assert cache.get(url).read_bytes() == body
    assert volume.sent_bytes - len(body) < len(body) * 0.05


def test_a_file_that_changed_between_two_cuts_comes_whole_as_the_new_one(origin: Origin, cache: FileCache) -> None:
    old, new = noise(2 * MB, 1), noise(2 * MB, 2)
    url, volume = serve(origin, "/x.bin", old, cuts=[700_000])

    def change(_: object) -> None:
        if volume.asked:
            volume.body, volume.etag = new, '"v2"'

    volume.before = change
    assert cache.get(url).read_bytes() == new


def test_an_origin_that_ignores_if_range_cannot_make_a_mix(origin: Origin, cache: FileCache) -> None:
    old, new = noise(2 * MB, 1), noise(2 * MB, 2)
    url, volume = serve(origin, "/x.bin", old, cuts=[700_000])

    def change(asked: object) -> None:
        if len(volume.asked) == 1:
            volume.body, volume.etag = new, '"v2"'
            asked.headers.pop("if-range", None)  # type: ignore[attr-defined]

    volume.before = change
    assert cache.get(url).read_bytes() == new


def test_a_mix_that_only_the_hash_gives_away_is_fetched_again_from_the_start(origin: Origin, cache: FileCache) -> None:
    """The origin put another file under the same ETag: after the resume it is wrong, and its next answer is right."""
    old, new = noise(2 * MB, 1), noise(2 * MB, 2)
    url, volume = serve(origin, "/x.bin", old, cuts=[700_000])

    def change(_: object) -> None:
        if volume.asked:
            volume.body = new

    volume.before = change
    assert cache.get(url, sha256=hashlib.sha256(new).hexdigest()).read_bytes() == new
    assert [asked.headers.get("range") for asked in volume.asked] == [None, "bytes=700000-", None]


def test_without_any_validator_a_cut_begins_anew(origin: Origin, cache: FileCache) -> None:
    body = noise(MB)
    url, volume = serve(origin, "/x.bin", body, etag="", cuts=[400_000])
    assert cache.get(url).read_bytes() == body
    assert [asked.headers.get("range") for asked in volume.asked] == [None, None]


def test_without_a_validator_the_expected_hash_allows_to_go_on(origin: Origin, cache: FileCache) -> None:
    body = noise(MB)
    url, volume = serve(origin, "/x.bin", body, etag="", cuts=[400_000])
    assert cache.get(url, sha256=hashlib.sha256(body).hexdigest()).read_bytes() == body
    assert volume.asked[1].headers["range"] == "bytes=400000-"


def test_a_weak_etag_is_not_trusted_to_tell_versions_apart(origin: Origin, cache: FileCache) -> None:
    url, volume = serve(origin, "/x.bin", noise(MB), etag='W/"1"', cuts=[400_000])
    cache.get(url)
    assert "range" not in volume.asked[1].headers


def test_an_origin_without_ranges_is_fetched_from_the_start(origin: Origin, cache: FileCache) -> None:
    body = noise(MB)
    url, _ = serve(origin, "/x.bin", body, has_ranges=False, cuts=[400_000])
    assert cache.get(url).read_bytes() == body


def test_what_came_before_a_restart_is_not_fetched_again(origin: Origin, make: Make) -> None:
    body = noise(2 * MB)
    url, volume = serve(origin, "/x.bin", body, cuts=[900_000, 0, 0, 0, 0, 0, 0])
    first = make()
    volume.before = lambda asked: first.stopping.set() if volume.asked else None
    with pytest.raises(FetchStopped):
        first.get(url)
    first.close()
    volume.before, volume.cuts = None, []
    assert make().get(url).read_bytes() == body
    assert volume.sent_bytes < len(body) * 1.05


def test_a_part_of_an_earlier_boot_is_used_as_far_as_it_was_synced(origin: Origin, make: Make) -> None:
    body = noise(2 * MB)
    url, volume = serve(origin, "/x.bin", body, cuts=[900_000] + [0] * 9)
    first = make()
    volume.before = lambda asked: first.stopping.set() if volume.asked else None
    with pytest.raises(FetchStopped):
        first.get(url)
    part = part_path(first.root, first.remote(url).digest)
    note = part.with_name(part.name + ".note")
    facts = json.loads(note.read_text()) | {"boot": "another", "synced_bytes": 300_000}
    note.write_text(json.dumps(facts))
    with part.open("r+b") as file:  # what a power cut leaves
        file.seek(300_000)
        file.write(b"\0" * 600_000)
    volume.before, volume.cuts = None, []
    assert make().get(url).read_bytes() == body
    assert volume.asked[-1].headers["range"] == "bytes=300000-"


# --- cuts without end


class Hurried:
    """The control of a fetch that no one stops, and that does not wait between two attempts."""

    def __init__(self, *, are_others_waiting: bool = False) -> None:
        self._are_others_waiting = are_others_waiting

    def check(self) -> None: ...

    def pause(self, seconds: float) -> None: ...

    def must_yield(self) -> bool:
        return self._are_others_waiting


Run = Callable[..., FetchOutcome]


@pytest.fixture
def fetch(origin: Origin, tmp_path: Path) -> Iterator[Run]:
    opener = FileOpener(Settings(FILES_DIR=tmp_path, TRUSTED_ORIGINS=(origin.base,)))

    def run(url: str, *, others_wait: bool = False, **options: Any) -> FetchOutcome:
        control = Hurried(are_others_waiting=others_wait)
        with PartialFile.locked(tmp_path / f"{parse_remote(url).name}.part", time.sleep) as part:
            return Fetch(parse_remote(url), part, opener, control, max_bytes=50 * MB, **options).run()

    yield run
    opener.close()


@pytest.mark.parametrize("etag", ["", '"v1"'])
def test_an_origin_that_always_cuts_and_knows_no_ranges_is_given_up(origin: Origin, fetch: Run, etag: str) -> None:
    """An attempt that brought 64 KB counted as progress, though no byte of it was new: it continued forever."""
    url, volume = serve(origin, "/x.bin", noise(MB), always_cut_at=500_000, etag=etag, has_ranges=False)
    with pytest.raises(OriginCut, match=r"never past 500 KB of 1 MB, 3\.5 MB received in total") as caught:
        fetch(url)
    assert not caught.value.retryable
    assert caught.value.furthest_bytes == 500_000
    assert caught.value.received_bytes == volume.sent_bytes == 7 * 500_000
    assert len(volume.asked) == 7


def test_a_cut_that_creeps_forward_from_the_first_byte_is_given_up(origin: Origin, fetch: Run) -> None:
    """Each attempt comes 70,000 bytes further and costs all the bytes before: the requests alone would be 700."""
    url, volume = serve(origin, "/x.bin", noise(49 * MB), always_cut_at=1, etag="", has_ranges=False)

    def creep(_: Asked) -> None:
        volume.always_cut_at = (volume.always_cut_at or 0) + 70_000

    volume.before = creep
    with pytest.raises(OriginCut) as caught:
        fetch(url)
    assert len(volume.asked) < 25
    assert caught.value.received_bytes <= 9 * caught.value.furthest_bytes + MB


def test_less_than_was_announced_is_never_whole_though_a_416_says_so(origin: Origin, fetch: Run) -> None:
    """1,000,000 bytes were announced, 100,000 came, and `bytes */100000` made them "Verified"."""
    url, volume = serve(origin, "/x.bin", noise(MB), always_cut_at=100_000)

    def answer(sock: socket.socket, asked: Asked) -> None:
        if "range" not in asked.headers:
            return volume(sock, asked)
        volume.asked.append(asked)
        head = b'HTTP/1.1 416 No\r\nContent-Range: bytes */100000\r\nETag: "v1"\r\nContent-Length: 0\r\n\r\n'
        return sock.sendall(head)

    origin.script("/x.bin", answer)
    with pytest.raises(OriginUnavailable):
        fetch(url)
    assert len(volume.asked) < 15


def test_a_slow_line_is_not_cut_by_us_when_that_would_cost_all_of_it(origin: Origin, fetch: Run) -> None:
    """Without a validator every cut begins again at byte 0, so a line below the minimum speed never brought the file."""
    body = noise(130_000)
    url, volume = serve(origin, "/x.bin", body, etag="", bytes_per_s=200_000)
    speeds = {"min_speed": MinimumSpeed(1_000_000, 0.2), "slow_speed": MinimumSpeed(5_000, 20.0)}
    assert fetch(url, patience=threading.Semaphore(), **speeds).sha256 == hashlib.sha256(body).hexdigest()
    assert len(volume.asked) == 1
    with pytest.raises(OriginUnavailable, match="too slow"):  # another slow line has the place: the queue must move on
        fetch(url, patience=threading.Semaphore(0), **speeds)


def test_the_file_whose_turn_is_longest_ago_comes_first(cache: FileCache, clock: FakeClock) -> None:
    """The oldest entry came first, so one that failed again and again was claimed before all others whenever it was due."""
    cache.open()
    index, names = cache.index, ("a", "b", "c")
    for name in names:
        clock.advance(1)
        index.add_pending(cache.remote(f"https://example.org/{name}"), sha256="", ttl_s=None, is_wanted=True, state="waiting")
    turns = []
    for _ in range(6):
        clock.advance(1)
        claimed = index.claim(lambda _: False)
        assert claimed is not None
        turns.append(claimed.name)
        index.change(claimed.digest, state="waiting")
    assert turns == ["a", "b", "c"] * 2


def test_a_long_fetch_lets_others_go_first_when_that_costs_nothing(origin: Origin, fetch: Run) -> None:
    body = noise(600_000)
    url, volume = serve(origin, "/x.bin", body, bytes_per_s=1_500_000)
    for _ in range(2):
        with pytest.raises(FetchStopped, match="others wait"):
            fetch(url, others_wait=True, turn_s=0.1)
    assert fetch(url, turn_s=0.1).sha256 == hashlib.sha256(body).hexdigest()
    starts = [int(asked.headers.get("range", "bytes=0-")[6:-1]) for asked in volume.asked]
    assert starts[0] == 0 < starts[1] < starts[2]
    other, unresumable = serve(origin, "/y.bin", body, bytes_per_s=1_500_000, etag="")
    fetch(other, others_wait=True, turn_s=0.1)
    assert len(unresumable.asked) == 1


# --- lies


def test_a_wrong_checksum_is_named_and_nothing_is_kept(origin: Origin, cache: FileCache) -> None:
    url, _ = serve(origin, "/x.bin", b"not what was promised")
    with pytest.raises(ChecksumMismatch) as caught:
        cache.get(url, sha256="0" * 64)
    assert caught.value.url == url
    assert caught.value.expected == "0" * 64
    assert caught.value.found == hashlib.sha256(b"not what was promised").hexdigest()
    assert url in str(caught.value)
    assert cache.peek(url) is None
    assert not list(cache.root.glob("??/*"))


@pytest.mark.parametrize("header", ["Content-MD5", "Digest", "Repr-Digest"])
@pytest.mark.parametrize("is_true", [True, False])
def test_a_checksum_of_the_origin_is_held_against_the_bytes(origin: Origin, cache: FileCache, header: str, is_true: bool) -> None:
    body = noise(100_000)
    said = body if is_true else b"another"
    values = {
        "Content-MD5": base64.b64encode(hashlib.md5(said).digest()).decode(),
        "Digest": "unixsum=1, SHA-256=" + base64.b64encode(hashlib.sha256(said).digest()).decode(),
        "Repr-Digest": "sha-512=:" + base64.b64encode(hashlib.sha512(said).digest()).decode() + ":",
    }
    url, _ = serve(origin, "/x.bin", body, headers={header: values[header]})
    if is_true:
        assert cache.get(url).read_bytes() == body
    else:
        with pytest.raises(ChecksumMismatch):
            cache.get(url)
        assert cache.peek(url) is None


def test_a_file_that_was_there_stays_when_its_successor_is_wrong(origin: Origin, cache: FileCache, clock: FakeClock) -> None:
    url, volume = serve(origin, "/x.bin", b"good" * 100)
    path = cache.get(url)
    clock.advance(7200)
    volume.body, volume.etag = b"bad" * 100, '"v2"'
    volume.headers["Content-MD5"] = base64.b64encode(hashlib.md5(b"something").digest()).decode()
    with pytest.raises(ChecksumMismatch):
        cache.get(url)
    assert path.read_bytes() == b"good" * 100


def test_an_announced_length_that_is_not_kept_is_a_failure(origin: Origin, cache: FileCache) -> None:
    url, _ = serve(origin, "/x.bin", b"x" * 1000, headers={"X-Length": "lie"}, has_length=False)
    volume = Volume(b"x" * 1000, has_length=False, headers={"Content-Length": "2000"}, has_ranges=False)
    origin.script("/x.bin", volume)
    with pytest.raises(OriginUnavailable):
        cache.get(url)
    assert cache.peek(url) is None


def test_an_endless_origin_is_left_at_the_budget(origin: Origin, make: Make) -> None:
    cache = make(budget_bytes=2 * MB)
    url, _ = serve(origin, "/x.bin", noise(5 * MB), has_length=False)
    with pytest.raises(OriginTooLarge) as caught:
        cache.get(url)
    assert caught.value.limit_bytes == 2 * MB
    assert caught.value.url == url
    assert not list(cache.root.glob("??/*"))


def test_a_file_above_the_budget_is_refused_before_its_first_byte(origin: Origin, make: Make) -> None:
    cache = make(budget_bytes=2 * MB)
    small, _ = serve(origin, "/small.bin", noise(MB))
    cache.get(small)
    url, _volume = serve(origin, "/x.bin", noise(3 * MB))
    with pytest.raises(OriginTooLarge):
        cache.get(url)
    assert cache.peek(small) is not None
    assert not list(cache.root.glob("??/*.part"))


def test_an_origin_that_is_another_file_each_time_is_given_up(origin: Origin, cache: FileCache) -> None:
    url, volume = serve(origin, "/x.bin", noise(MB), cuts=[200_000] * 50)

    def change(asked: object) -> None:
        volume.etag = f'"{len(volume.asked)}"'

    volume.before = change
    with pytest.raises(OriginUnavailable):
        cache.get(url)


def test_a_bomb_is_kept_as_the_bytes_that_came(origin: Origin, cache: FileCache) -> None:
    import gzip

    bomb = gzip.compress(b"\0" * 20 * MB)
    url, _ = serve(origin, "/bomb.nii.gz", bomb, headers={"Content-Encoding": "gzip"})
    assert cache.get(url).stat().st_size == len(bomb)


def test_an_encoding_that_is_not_the_files_own_is_refused(origin: Origin, cache: FileCache) -> None:
    url, _ = serve(origin, "/x.bin", b"x" * 100, headers={"Content-Encoding": "gzip"})
    with pytest.raises(OriginUnavailable):
        cache.get(url)


def test_an_error_page_is_not_taken_for_a_volume(origin: Origin, cache: FileCache) -> None:
    url, _ = serve(origin, "/x.nii.gz", b"<!DOCTYPE html><p>Sorry</p>")
    with pytest.raises(FileRejected, match="web page"):
        cache.get(url)
    assert not list(cache.root.glob("??/*"))


def test_a_file_that_the_origin_has_not_is_an_error_that_names_it(origin: Origin, cache: FileCache) -> None:
    with pytest.raises(OriginNotFound) as caught:
        cache.get(origin.url("/none.bin"))
    assert caught.value.url == origin.url("/none.bin")


def test_a_disk_that_is_nearly_full_takes_nothing(origin: Origin, tmp_path: Path) -> None:
    url, _volume = serve(origin, "/x.bin", noise(MB))
    settings = Settings(FILES_DIR=tmp_path / "f", TRUSTED_ORIGINS=(origin.base,), FREE_SPACE_FLOOR_MB=1e9)
    opener = FileOpener(settings)
    cache = open_files(settings, opener, lambda: FileLimits(2 * MB, 10))
    with pytest.raises(StorageError, match="must stay free"):
        cache.get(url)
    opener.close()
    cache.close()


# --- freshness


def test_a_stale_file_is_revalidated_without_its_body(origin: Origin, cache: FileCache, clock: FakeClock) -> None:
    url, volume = serve(origin, "/x.bin", noise(100_000))
    path = cache.get(url)
    clock.advance(3601)
    assert cache.peek(url) is None
    assert cache.get(url) == path
    assert volume.asked[1].headers["if-none-match"] == '"v1"'
    assert volume.sent_bytes == 100_000
    assert cache.peek(url) == path  # fresh again


def test_a_changed_file_replaces_the_old_one(origin: Origin, cache: FileCache, clock: FakeClock) -> None:
    url, volume = serve(origin, "/x.bin", b"old" * 100)
    old = cache.get(url)
    clock.advance(3601)
    volume.body, volume.etag = b"new" * 200, '"v2"'
    with old.open("rb") as reader:
        new = cache.get(url)
        assert reader.read() == b"old" * 100  # who had it open reads on
    assert new.read_bytes() == b"new" * 200
    assert not old.exists()
    assert cache.totals() == (1, 600)


def test_a_file_of_its_own_ttl_is_asked_for_sooner(origin: Origin, cache: FileCache, clock: FakeClock) -> None:
    url, volume = serve(origin, "/x.bin", b"x" * 100)
    cache.get(url, ttl_s=10)
    clock.advance(11)
    cache.get(url)
    assert len(volume.asked) == 2
    cache.get(url, ttl_s=0)
    assert len(volume.asked) == 3


def test_without_the_origin_a_stale_file_is_handed_out(
    origin: Origin, cache: FileCache, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    url, _ = serve(origin, "/x.bin", b"x" * 100)
    path = cache.get(url)
    origin.close()
    clock.advance(10 * 86400)
    with caplog.at_level(logging.WARNING):
        assert cache.get(url) == path
    assert "stale" in caplog.text
    with Origin(port=origin.port) as back:  # it is not knocked at again for a while
        serve(back, "/x.bin", b"y" * 100, etag='"v2"')
        assert cache.get(url) == path
        assert back.count() == 0
        cache.loader.offline_until.clear()
        assert cache.get(url).read_bytes() == b"y" * 100


def test_a_clock_that_was_set_back_ages_nothing(origin: Origin, cache: FileCache, clock: FakeClock) -> None:
    url, volume = serve(origin, "/x.bin", b"x" * 100)
    cache.get(url)
    clock.advance(-10 * 365 * 86400)
    cache.get(url)
    assert len(volume.asked) == 1


def test_expired_files_go_when_their_origin_answers_and_stay_when_it_does_not(
    origin: Origin, cache: FileCache, clock: FakeClock
) -> None:
    url, _ = serve(origin, "/x.bin", b"x" * 100)
    cache.get(url)
    assert remove_expired(cache) == 0
    clock.advance(3601)
    assert remove_expired(cache) == 1
    assert cache.totals() == (0, 0)
    cache.get(url)
    clock.advance(3601)
    origin.close()
    assert remove_expired(cache) == 0
    assert cache.totals() == (1, 100)


# --- integrity


def test_a_corrupt_file_is_found_on_first_use_after_an_unclean_stop(origin: Origin, make: Make) -> None:
    url, volume = serve(origin, "/x.bin", noise(200_000))
    first = make()
    path = first.get(url)
    first.usage.flush()
    corrupt(path, keeps_mtime=True)
    assert first.get(url) == path  # nothing happened that it would have to doubt
    kill_session(first)
    second = make()
    assert second.get(url).read_bytes() == volume.body
    assert len(volume.asked) == 2


def test_after_a_clean_stop_nothing_is_read_again(origin: Origin, make: Make) -> None:
    url, _ = serve(origin, "/x.bin", noise(200_000))
    first = make()
    path = first.get(url)
    first.close()
    second = make()
    assert second.get(url) == path
    assert second.index.find(second.remote(url).digest).epoch == 1  # type: ignore[union-attr]


def test_a_file_that_was_touched_is_verified(origin: Origin, cache: FileCache) -> None:
    url, volume = serve(origin, "/x.bin", noise(200_000))
    path = cache.get(url)
    os.utime(path)
    assert cache.get(url) == path
    assert len(volume.asked) == 1
    corrupt(path, keeps_mtime=False)
    assert cache.get(url).read_bytes() == volume.body
    assert len(volume.asked) == 2


def test_a_corrupt_file_is_never_handed_out_and_stays_until_it_is_replaced(origin: Origin, cache: FileCache) -> None:
    url, volume = serve(origin, "/x.bin", noise(200_000))
    path = cache.get(url)
    corrupt(path, keeps_mtime=False)
    volume.cuts = [0] * 50
    with pytest.raises(OriginUnavailable):
        cache.get(url)
    assert path.exists()
    assert cache.peek(url) is None


def test_a_lost_index_is_rebuilt_from_the_files(origin: Origin, make: Make) -> None:
    url, volume = serve(origin, "/x.bin", noise(200_000))
    bad, other = serve(origin, "/y.bin", noise(1000))
    first = make()
    path = first.get(url)
    corrupt(first.get(bad), keeps_mtime=True)
    first.close()
    for file in first.root.glob("files.db*"):
        file.unlink()
    second = make()
    assert second.get(url) == path
    assert len(volume.asked) == 1
    assert second.get(bad).read_bytes() == other.body


def test_a_broken_index_is_set_aside_and_rebuilt(origin: Origin, make: Make) -> None:
    url, volume = serve(origin, "/x.bin", noise(1000))
    first = make()
    path = first.get(url)
    first.close()
    for file in first.root.glob("files.db*"):
        file.write_bytes(noise(5000))
    assert make().get(url) == path
    assert len(volume.asked) == 1


def test_leftovers_are_swept(origin: Origin, cache: FileCache) -> None:
    url, _ = serve(origin, "/x.bin", noise(1000))
    path = cache.get(url)
    orphan = path.with_name(path.name.replace(path.name[40:44], "0000"))
    orphan.write_bytes(b"x")
    old_part = path.with_name("0" * 32 + ".part")
    old_part.write_bytes(b"x")
    for file in (orphan, old_part):
        os.utime(file, (time.time() - 30 * 86400,) * 2)
    assert sweep(cache) == 2
    assert cache.get(url) == path


def corrupt(path: Path, *, keeps_mtime: bool) -> None:
    facts = path.stat()
    with path.open("r+b") as file:
        file.seek(facts.st_size // 2)
        byte = file.read(1)
        file.seek(facts.st_size // 2)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + (0 if keeps_mtime else 10**9)))


def kill_session(cache: FileCache) -> None:
    """Leave the folder as a process does that is killed: its lock is gone, its word stands."""
    session = cache._marker
    assert session is not None
    os.close(session._fd)
    session._fd = -1


# --- the budget


def test_the_least_recently_used_file_goes(origin: Origin, make: Make, clock: FakeClock) -> None:
    cache = make(budget_bytes=3000)
    urls = [serve(origin, f"/{n}.bin", noise(1000, n))[0] for n in range(4)]
    for url in urls[:3]:
        cache.get(url)
        clock.advance(1)
    cache.get(urls[0])
    clock.advance(1)
    cache.get(urls[3])
    assert [cache.peek(url) is not None for url in urls] == [True, False, True, True]
    assert cache.counts()["evictions"] == 1


def test_a_new_version_takes_the_room_of_the_old_one(origin: Origin, make: Make, clock: FakeClock) -> None:
    """Room for both was made, and a file that fits was evicted."""
    cache = make(budget_bytes=2500)
    url, volume = serve(origin, "/a.bin", noise(1000, 1))
    other, _ = serve(origin, "/b.bin", noise(1000, 2))
    cache.get(url)
    cache.get(other)
    clock.advance(3601)
    volume.body, volume.etag = noise(1200, 3), '"v2"'
    assert cache.get(url).read_bytes() == volume.body
    assert "evictions" not in cache.counts()
    assert cache.totals() == (2, 2200)


@pytest.mark.slow
def test_five_hundred_files_never_pass_the_budget(origin: Origin, make: Make) -> None:
    budget = 400_000
    cache, other = make(budget_bytes=budget), make(budget_bytes=budget)
    chance = random.Random(7)
    largest = 20_000
    urls = [serve(origin, f"/{n}.bin", noise(chance.randrange(100, largest), n))[0] for n in range(500)]
    seen: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            total = 0
            for path in cache.root.glob("??/*"):
                if path.suffix not in (".note", ".new"):
                    try:
                        total += path.stat().st_size
                    except FileNotFoundError:
                        continue
            seen.append(total)
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda pair: (cache if pair[0] % 2 else other).get(pair[1]), enumerate(urls)))
    finally:
        done.set()
        watcher.join()
    assert max(seen) <= budget + 4 * largest  # four fetches at a time
    assert cache.totals()[1] <= budget
    for one in (cache, other):
        one.close()
    counts = make(budget_bytes=budget).counts()
    assert counts["downloads"] == counts["misses"] == 500
    assert counts["evictions"] == 500 - make().totals()[0]


def test_clear_and_invalidate_remove_files(origin: Origin, cache: FileCache) -> None:
    one, _ = serve(origin, "/1.bin", b"1" * 10)
    two, _ = serve(origin, "/2.bin", b"2" * 10)
    path = cache.get(one)
    cache.get(two)
    assert cache.invalidate(one)
    assert not path.exists()
    assert not cache.invalidate(one)
    assert cache.clear() == 1
    assert [p for p in cache.root.glob("??/*") if p.is_file()] == []


# --- many at once


def test_eight_threads_make_one_request(origin: Origin, cache: FileCache) -> None:
    url, volume = serve(origin, "/x.bin", noise(MB), bytes_per_s=5 * MB)
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: cache.get(url), range(8)))
    assert len(paths) == 1
    assert len(volume.asked) == 1


class Stopping(threading.Event):
    """The event that a fetch waits on between two tries for the lock of another one."""

    def __init__(self) -> None:
        super().__init__()
        self.is_waited_for = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.is_waited_for.set()
        return super().wait(timeout)


def test_what_another_process_has_just_brought_is_not_fetched_again(origin: Origin, make: Make, clock: FakeClock) -> None:
    """Two that were to ask the origin although the file is fresh asked it one after the other."""
    gate = threading.Event()
    url, volume = serve(origin, "/x.bin", noise(1000))
    first, second = make(), make()
    first.get(url)
    clock.advance(1)
    second.stopping = stopping = Stopping()
    volume.before = lambda _: gate.wait(30)
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(first.get, url, is_forced=True)
        wait_until(lambda: is_locked(part_path(first.root, first.remote(url).digest)), every_s=0.001)
        waiter = pool.submit(second.get, url, is_forced=True)
        assert stopping.is_waited_for.wait(30)
        gate.set()
        assert leader.result() == waiter.result()
    assert len(volume.asked) == 2


CHILD = """
import sys, hashlib
from concurrent.futures import ThreadPoolExecutor
from image_cache import ImageCacheManager
manager = ImageCacheManager(cache_dir=sys.argv[1])
with ThreadPoolExecutor(8) as pool:
    for path in pool.map(lambda _: manager.get_file(sys.argv[2]), range(8)):
        print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


def child(origin: Origin, folder: Path, url: str, script: str = CHILD) -> subprocess.Popen[str]:
    env = {**os.environ, "VINYL_VAULT_TRUSTED_ORIGINS": origin.base, "VINYL_VAULT_FREE_SPACE_FLOOR_MB": "0"}
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder), url], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_sixteen_threads_in_two_processes_make_one_request(origin: Origin, tmp_path: Path) -> None:
    body = noise(6 * MB)
    url, volume = serve(origin, "/x.bin", body, bytes_per_s=3 * MB)
    children = [child(origin, tmp_path / "f", url) for _ in range(2)]
    hashes = [line for one in children for line in one.communicate(timeout=60)[0].split()]
    assert hashes == [hashlib.sha256(body).hexdigest()] * 16
    assert len(volume.asked) == 1


GET = "import sys; from image_cache import ImageCacheManager; ImageCacheManager(cache_dir=sys.argv[1]).get_file(sys.argv[2])"


@pytest.mark.slow
def test_twenty_cuts_and_five_kills_cost_less_than_a_twentieth(origin: Origin, tmp_path: Path) -> None:
    body, chance = noise(40 * MB), random.Random(9)
    url, volume = serve(origin, "/x.bin", body, cuts=[chance.randrange(200_000, 2 * MB) for _ in range(20)], bytes_per_s=20 * MB)
    for kill in range(1, 6):
        with child(origin, tmp_path / "f", url, GET) as process:
            wait_until(lambda kill=kill: volume.sent_bytes > kill * 5 * MB, every_s=0.005)
            process.kill()
    with child(origin, tmp_path / "f", url, GET) as last:
        assert last.wait(60) == 0
    (path,) = (tmp_path / "f").glob("??/*.bin")
    assert path.read_bytes() == body
    assert volume.sent_bytes - len(body) < len(body) * 0.05
