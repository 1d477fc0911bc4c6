"""Integration with nginx: the log of hits, and the links to the folders that it may serve."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image_cache.engine.cache import Cache
from image_cache.engine.disk import DiskTier
from image_cache.engine.key import Key, digest_of
from image_cache.engine.stats.nginx_log import HITS, HitLog
from image_cache.server.nginx_links import COVERS, NginxLinks
from tests.support.clock import FakeClock
from tests.support.engine import open_cache, webp

NAMESPACE = "covers"

DIGESTS = [digest_of("cover", str(n)) for n in range(20)]


def line(digest: str, variant: str = "detail", suffix: str = "webp") -> bytes:
    return f"{variant}/{digest[:2]}/{digest}.{suffix}\n".encode()


@pytest.fixture
def log(tmp_path: Path) -> HitLog:
    return HitLog(tmp_path / HITS, NAMESPACE)


def test_the_log_is_drained_once_with_each_key_and_every_hit(log: HitLog) -> None:
    assert log.drain() == (set(), 0), "no list, no hits"
    log.path.write_bytes(b"".join(line(digest) for digest in DIGESTS) * 500 + line(DIGESTS[0], "thumbnails", "jpg"))
    keys, hits = log.drain()
    assert keys == {Key(NAMESPACE, "detail", digest) for digest in DIGESTS} | {Key(NAMESPACE, "thumbnails.jpg", DIGESTS[0])}
    assert hits == 10_001
    assert log.drain() == (set(), 0)
    with log.path.open("ab") as writer:  # nginx keeps writing to the same file
        writer.write(line(DIGESTS[3]))
    assert log.drain() == ({Key(NAMESPACE, "detail", DIGESTS[3])}, 1)


def test_invalid_lines_in_the_log_are_ignored(log: HitLog) -> None:
    junk = [
        b"\n",
        b"/\n",
        b"detail/\n",
        b"\xff\xfe\n",
        b"detail/ab/../../state/catalog.db\n",
        b"x" * 3_000_000 + b"\n",
        line("zz" * 32),
    ]
    log.path.write_bytes(b"".join(junk) + line(DIGESTS[1]) + line(DIGESTS[2])[:30])
    keys, hits = log.drain()
    assert keys == {Key(NAMESPACE, "detail", DIGESTS[1])}, "half a line is none"
    assert hits == len(junk) + 1


def test_a_log_that_is_a_link_or_a_folder_is_ignored(log: HitLog, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_bytes(line(DIGESTS[0]))
    log.path.symlink_to(target)
    assert log.drain() == (set(), 0)
    assert target.read_bytes() == line(DIGESTS[0])
    log.path.unlink()
    log.path.mkdir()
    assert log.drain() == (set(), 0)


def test_two_processes_that_drain_at_once_count_each_hit_once(log: HitLog) -> None:
    log.path.write_bytes(b"".join(line(digest) for digest in DIGESTS) * 2000)
    start, counts = threading.Barrier(4), list[int]()

    def take() -> None:
        start.wait()
        counts.append(HitLog(log.path, NAMESPACE).drain()[1])

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 40_000


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    made = open_cache(tmp_path)
    yield made
    made.index.close()


def test_hits_from_the_log_decide_what_is_evicted(cache: Cache, tmp_path: Path) -> None:
    keys = [Key(NAMESPACE, "detail", digest) for digest in DIGESTS[:4]]
    cache.put({key: webp(key.digest) for key in keys})
    assert isinstance(cache.clock, FakeClock)
    cache.clock.advance(2 * 86400)
    cache.hit_log = HitLog(tmp_path / HITS, NAMESPACE)
    cache.hit_log.path.write_bytes(line(DIGESTS[0]) + line(DIGESTS[2]))
    cache.set_budget(cache.index.totals(NAMESPACE).bytes - 1)
    left = [key for key in keys if cache.disk.get(key) is not None]
    assert left == [keys[0], keys[2]]
    assert cache.counts()["front_hits"] == 2


def test_covers_are_linked_when_the_index_is_complete_and_no_file_is_torn(cache: Cache, tmp_path: Path) -> None:
    keys = [Key(NAMESPACE, "detail", digest) for digest in DIGESTS[:4]]
    cache.put({key: webp(key.digest) for key in keys})
    torn, short, gone, whole = (cache.disk.root / key.path for key in keys)
    torn.write_bytes(bytes(torn.stat().st_size))
    short.write_bytes(short.read_bytes()[:50])
    gone.unlink()
    front = NginxLinks(tmp_path / "front", cache, {"streams": tmp_path / "streams"})
    front.open()
    assert (front.folder / COVERS).readlink() == cache.disk.root
    assert (front.folder / "streams").readlink() == tmp_path / "streams"
    assert [path.exists() for path in (torn, short, gone, whole)] == [False, False, False, True]
    assert front.folder.stat().st_mode & 0o077 == 0


def test_torn_files_are_gone_before_the_link_is_there(cache: Cache, tmp_path: Path) -> None:
    """nginx would send them without comparing their hash."""
    front = NginxLinks(tmp_path / "front", cache, {})
    was_linked: list[bool] = []

    class Watched(DiskTier):
        def discard(self, key: Key, is_intact: Callable[[bytes], bool]) -> bytes | None:
            was_linked.append((front.folder / COVERS).is_symlink())
            return super().discard(key, is_intact)

    key = Key(NAMESPACE, "detail", DIGESTS[0])
    cache.put({key: webp(key.digest)})
    cache.disk = Watched(NAMESPACE, cache.disk.root)
    (cache.disk.root / key.path).write_bytes(b"torn")
    front.open()
    assert was_linked == [False]
    assert (front.folder / COVERS).is_symlink()


def test_while_the_index_is_rebuilt_nothing_public_is_linked(tmp_path: Path) -> None:
    cache = open_cache(tmp_path, is_adopted=False)
    assert cache.is_adopting
    front = NginxLinks(tmp_path / "front", cache, {})
    front.open()
    assert not (front.folder / COVERS).is_symlink()
    cache.index.mark_complete()
    front.open()
    assert (front.folder / COVERS).is_symlink()
    cache.index.close()


def test_a_folder_that_cannot_be_used_is_a_warning(cache: Cache, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    NginxLinks(tmp_path / "file/front", cache, {}).open()
    assert "nginx serving disabled" in caplog.text
