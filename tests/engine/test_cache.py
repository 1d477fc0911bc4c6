"""Cache: the order of reads and writes, truncated files, the budget, sweeps, failing disks."""

import contextlib
import itertools
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image_cache.db.database import DatabaseError
from image_cache.engine.cache import Cache
from image_cache.engine.disk import DiskTier
from image_cache.engine.index import RECENCY_GRAIN_S
from image_cache.engine.key import Key
from image_cache.engine.maintenance import clear, clear_variant, rebuild_from_files, sweep
from image_cache.errors import StorageError
from tests.support.clock import FakeClock
from tests.support.disk import disk_of
from tests.support.engine import counted, files, key, open_cache, webp
from tests.support.statements import before_statement, traced

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cache(tmp_path: Path, clock: FakeClock) -> Iterator[Cache]:
    opened = open_cache(tmp_path, clock)
    yield opened
    opened.index.close()


def statements(cache: Cache) -> list[str]:
    return traced(cache.index.database)


def test_a_warm_hit_costs_no_sql_and_no_file(cache: Cache) -> None:
    cache.put({key(1): webp(1)})
    cache.get(key(1))
    seen = statements(cache)
    (cache.disk.root / key(1).path).unlink()
    assert cache.get(key(1)) == webp(1)
    assert seen == []


def test_reads_from_disk_write_nothing(cache: Cache) -> None:
    cache.put({key(n): webp(n) for n in range(20)})
    cache.flush()
    seen = statements(cache)
    before = files(cache)
    for n in range(20):
        assert cache.get(key(n)) == webp(n)
    assert not [sql for sql in seen if not sql.startswith("SELECT")]
    assert files(cache) == before


def test_hits_are_written_by_a_flush_and_a_flush_without_news_writes_nothing(cache: Cache) -> None:
    cache.put({key(1): webp(1)})
    for _ in range(3):
        cache.get(key(1))
    cache.get(key(2))
    assert (cache.counts()["disk_hits"], cache.counts()["memory_hits"], cache.counts()["misses"]) == (1, 2, 1)
    cache.flush()
    assert cache.index.counts() == {"disk_hits": 1, "memory_hits": 2, "misses": 1}
    assert cache.counts() == {"disk_hits": 1, "memory_hits": 2, "misses": 1}
    seen = statements(cache)
    cache.flush()
    assert seen == []


def test_a_put_writes_files_first_and_then_all_rows_at_once(cache: Cache) -> None:
    """If the transaction fails, there are files without rows, never rows without files."""

    def fail(_: object) -> None:
        assert {key(1).path, key(1, "detail").path} <= files(cache)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.put({key(1): webp(1), key(1, "detail"): webp(2)}, fail)
    assert counted(cache) == (0, 0)
    assert cache.get(key(1)) is None
    assert sweep(cache).orphans == 2


def test_a_delete_removes_files_first(cache: Cache) -> None:
    cache.put({key(1): webp(1), key(2): webp(2)})
    path = cache.disk.root / key(1).path
    path.unlink()
    path.mkdir()  # cannot be unlinked
    with pytest.raises(StorageError):
        cache.delete([key(2), key(1)])
    assert not (cache.disk.root / key(2).path).exists()
    assert counted(cache)[0] == 2
    assert cache.get(key(2)) is None  # and the next read drops the row
    assert counted(cache)[0] == 1


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def one_byte_changed(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[500] ^= 1
    path.write_bytes(body)


def truncated(path: Path) -> None:
    os.truncate(path, 400)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


DAMAGE = [Path.unlink, zeroed, one_byte_changed, truncated, emptied, longer, a_link]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_is_not_what_its_row_says_is_a_miss_and_dropped(damage: Callable[[Path], None], cache: Cache) -> None:
    cache.put({key(1): webp(1), key(2): webp(2)})
    damage(cache.disk.root / key(1).path)
    assert cache.get(key(1)) is None
    assert cache.index.find(key(1)) is None
    assert files(cache) == {key(2).path}
    assert counted(cache) == (1, 1000)
    cache.put({key(1): webp(1)})
    assert cache.get(key(1)) == webp(1)


def test_an_entry_that_is_replaced_while_it_is_read_is_not_dropped(cache: Cache, tmp_path: Path, clock: FakeClock) -> None:
    """A reader that found the row and no file dropped what another process had stored in the meantime."""
    other = open_cache(tmp_path, clock)
    cache.put({key(1): webp(1)})

    def store() -> None:
        other.put({key(1): webp(1)})

    other.disk.delete(key(1))  # the first step of a delete
    before_statement(cache.index.database, "BEGIN IMMEDIATE", store)
    assert cache.get(key(1)) == webp(1)
    assert cache.index.find(key(1)) is not None
    assert files(cache) == {key(1).path}
    other.index.close()


class DiskBetweenReadAndRemoval(DiskTier):
    """The real disk tier; after its second read another process replaces the file."""

    reads = 0

    def get(self, key: Key) -> bytes | None:
        body = super().get(key)
        self.reads += 1
        if self.reads == 2:
            DiskTier(self.namespace, self.root).put(key, webp(1))
        return body


def test_a_torn_file_that_is_replaced_before_it_is_removed_is_not_removed(cache: Cache) -> None:
    cache.put({key(1): webp(1)})
    truncated(cache.disk.root / key(1).path)
    cache.disk = DiskBetweenReadAndRemoval("covers", cache.disk.root)
    assert cache.get(key(1)) == webp(1)
    assert cache.index.find(key(1)) is not None
    assert files(cache) == {key(1).path}


def test_readers_never_drop_what_a_writer_has_just_stored(cache: Cache, tmp_path: Path, clock: FakeClock) -> None:
    """Only the writer removes anything here, so an entry that it has stored stays until it deletes it."""
    other = open_cache(tmp_path, clock)
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            cache.memory.clear()
            assert cache.get(key(1)) in (None, webp(1))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    lost = 0
    for _ in range(300):
        other.put({key(1): webp(1)})
        time.sleep(0.0005)
        lost += other.index.find(key(1)) is None or other.disk.get(key(1)) is None
        other.delete([key(1)])
    stop.set()
    for reader in readers:
        reader.join()
    other.index.close()
    assert lost == 0


def test_concurrent_loads_of_one_key_are_one_load(cache: Cache) -> None:
    gate, loads = threading.Event(), []

    def load() -> dict[object, bytes]:
        assert gate.wait(5)
        loads.append(1)
        return {key(1): webp(1), key(1, "detail"): webp(2)}

    bodies: list[bytes | None] = []
    threads = [
        threading.Thread(target=lambda: bodies.append(cache.get_or_load(key(1), load)))  # type: ignore[arg-type]
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert bodies == [webp(1)] * 12
    assert len(loads) == 1
    assert cache.get(key(1, "detail")) == webp(2)


def test_a_load_that_ended_between_the_miss_and_the_flight_is_not_repeated(tmp_path: Path, clock: FakeClock) -> None:
    open_cache(tmp_path, clock).index.close()
    cache = open_cache(tmp_path, clock, is_adopted=False)  # complete, which it has to look up at the first miss
    loads: list[str] = []

    def load(name: str) -> Callable[[], dict[Key, bytes]]:
        def run() -> dict[Key, bytes]:
            loads.append(name)
            return {key(1): webp(1)}

        return run

    def elsewhere() -> None:
        thread = threading.Thread(target=cache.get_or_load, args=(key(1), load("another thread")))
        thread.start()
        thread.join()

    before_statement(cache.index.database, "FROM meta", elsewhere)  # once the row was not found
    assert cache.get_or_load(key(1), load("this thread")) == webp(1)
    assert loads == ["another thread"]
    cache.index.close()


def test_a_load_that_cannot_be_stored_is_returned(tmp_path: Path) -> None:
    """A JPEG made for an old browser was an error page when the disk was full."""
    cache = open_cache(tmp_path, floor_bytes=1 << 60)
    assert cache.get_or_load(key(1), lambda: {key(1): webp(1)}) == webp(1)
    assert counted(cache) == (0, 0)
    cache.index.close()


def test_the_budget_holds_and_the_least_recently_used_go(tmp_path: Path, clock: FakeClock) -> None:
    cache = open_cache(tmp_path, clock, budget_bytes=20_000)
    chance = random.Random(8)
    for name in range(120):
        size = chance.randrange(200, 2000)
        cache.put({key(name): webp(name, size)})
        clock.advance(RECENCY_GRAIN_S + 1)
        cache.get(key(0))  # used all the time
        totals = cache.index.totals("covers")
        assert (totals.entries, totals.bytes) == counted(cache)
        assert totals.bytes < 0.9 * 20_000
        assert len(files(cache)) == totals.entries
    assert cache.get(key(0)) == webp(0, len(cache.get(key(0)) or b""))
    left = [name for name in range(1, 120) if cache.index.find(key(name))]
    assert left == list(range(left[0], 120))
    assert cache.counts()["evictions"] == 120 - 1 - len(left)
    cache.index.close()


def test_two_threads_never_exceed_the_budget_by_more_than_they_store(tmp_path: Path) -> None:
    cache = open_cache(tmp_path, budget_bytes=20_000)
    peak: list[int] = []

    def fill(start: int) -> None:
        for name in range(start, start + 60):
            cache.put({key(name): webp(name)})
            peak.append(counted(cache)[1])

    threads = [threading.Thread(target=fill, args=(n * 100,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(peak) <= 20_000 + 3 * 1000
    assert cache.index.totals("covers").bytes == counted(cache)[1]
    cache.index.close()


def test_a_lower_budget_evicts_at_once(cache: Cache) -> None:
    cache.put({key(n): webp(n) for n in range(10)})
    cache.set_budget(4500)
    assert counted(cache) == (3, 3000)
    assert len(files(cache)) == 3


def test_a_disk_tier_at_ninety_per_cent_evicts_a_fifth_once_and_then_not_for_a_while(tmp_path: Path, clock: FakeClock) -> None:
    """It evicted only at 100%, and then one entry with every put."""
    cache = open_cache(tmp_path, clock, budget_bytes=1_000_000)
    evicted = []
    for name in range(1300):
        cache.put({key(name): webp(name, 1000)})
        clock.advance(1)
        evicted.append(cache.counts().get("evictions", 0))
    steps = [(number, now - before) for number, (before, now) in enumerate(itertools.pairwise(evicted), 1) if now > before]
    # With the entry number 899 it would be 900 KB: a fifth of 899, and down to 72% with what comes.
    assert steps == [(899, 180), (1079, 180), (1259, 180)]
    assert [name for name in range(1300) if cache.index.find(key(name))] == list(range(540, 1300))
    assert len(files(cache)) == counted(cache)[0] == 760
    cache.index.close()


def test_large_entries_are_evicted_down_to_the_low_water_mark(tmp_path: Path, clock: FakeClock) -> None:
    cache = open_cache(tmp_path, clock, budget_bytes=100_000)
    for name in range(5):
        cache.put({key(name): webp(name, 17_000)})
        clock.advance(1)
    cache.put({key(5): webp(5, 17_000)})  # 102 KB: one of five would do for the share
    assert counted(cache) == (4, 68_000)
    assert cache.index.find(key(2)) is not None
    cache.index.close()


def test_a_budget_below_the_high_water_mark_evicts_nothing(cache: Cache) -> None:
    cache.put({key(n): webp(n) for n in range(10)})
    assert cache.set_budget(11_200)
    assert counted(cache) == (10, 10_000)
    assert cache.set_budget(11_000)
    assert counted(cache) == (7, 7000)


def test_unused_entries_are_evicted_up_to_a_number(cache: Cache, clock: FakeClock) -> None:
    cache.put({key(n): webp(n) for n in range(250)})
    clock.advance(100_000)
    cache.put({key("new"): webp("new")})
    assert cache.evict(unused_since=clock.now - 1, limit=7) == 7
    assert cache.evict(unused_since=clock.now - 1) == 243
    assert files(cache) == {key("new").path}


def age(cache: Cache, clock: FakeClock, seconds: float) -> None:
    for path in cache.disk.root.rglob("*"):
        if path.is_file():
            os.utime(path, (clock.now - seconds, clock.now - seconds))


def test_a_sweep_removes_orphans_leftover_temporaries_and_lost_rows(cache: Cache, clock: FakeClock) -> None:
    cache.put({key(n): webp(n) for n in range(10)})
    cache.disk.put(key("orphan"), webp("orphan"))
    shard = (cache.disk.root / key("orphan").path).parent
    (shard / ".part-999999999-abc").write_bytes(b"left")
    (cache.disk.root / key(3).path).unlink()
    truncated(cache.disk.root / key(4).path)
    age(cache, clock, 120)
    report = sweep(cache)
    assert (report.orphans, report.temporaries, report.lost) == (1, 1, 2)
    assert counted(cache) == (8, 8000)
    assert len(files(cache)) == 8
    assert sweep(cache) == type(report)()


def test_a_sweep_keeps_what_is_being_written(cache: Cache, clock: FakeClock) -> None:
    cache.disk.put(key("young"), webp("young"))
    shard = (cache.disk.root / key("young").path).parent
    (shard / f".part-{os.getpid()}-abc").write_bytes(b"half")
    (shard / ".part-999999999-abc").write_bytes(b"its writer is dead")
    age(cache, clock, 5)
    report = sweep(cache)
    assert (report.orphans, report.temporaries, report.lost) == (0, 1, 0)


def test_a_sweep_forgets_the_rows_of_a_folder_that_is_gone(cache: Cache) -> None:
    """Only existing folders were checked: the rows of a deleted shard stayed and counted towards the budget."""
    cache.put({key(n): webp(n) for n in range(40)})
    for path in list((cache.disk.root / "thumbnails").iterdir())[:20]:
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    left = len(files(cache))
    assert sweep(cache).lost == 40 - left
    assert counted(cache) == (left, left * 1000)


def test_a_sweep_ignores_foreign_folders(cache: Cache) -> None:
    cache.put({key(1): webp(1)})
    (cache.disk.root / "thumbnails" / "zz").mkdir()
    (cache.disk.root / "lost+found").mkdir()
    assert sweep(cache).lost == 0
    assert clear_variant(cache, "thumbnails") == 1


def test_a_deleted_index_is_rebuilt_without_torn_files(tmp_path: Path, clock: FakeClock) -> None:
    cache = open_cache(tmp_path, clock)
    cache.put({key(n): webp(n) for n in range(30)} | {key(1, "detail.jpg"): b"\xff\xd8" + bytes(50) + b"\xff\xd9"})
    cache.index.close()
    (tmp_path / "index.db").unlink()
    truncated(cache.disk.root / key(5).path)
    zeroed(cache.disk.root / key(6).path)
    cache = open_cache(tmp_path, clock, is_adopted=False)
    assert cache.get(key(7)) == webp(7)
    assert cache.get(key(5)) is None
    assert rebuild_from_files(cache) == 29
    assert cache.get(key(1, "detail.jpg")) is not None
    assert (cache.get(key(6)), cache.get(key(8))) == (None, webp(8))
    cache.index.close()


def test_clear_removes_everything_in_short_transactions(cache: Cache) -> None:
    cache.put({key(n, v): webp(n) for n in range(100) for v in ("thumbnails", "detail")})
    cache.get(key(1))
    assert clear(cache) == 200
    assert (counted(cache), files(cache), cache.get(key(1))) == ((0, 0), set(), None)
    assert cache.index.totals("covers").bytes == 0


def test_clearing_a_variant_removes_its_jpeg_and_keeps_the_others(cache: Cache) -> None:
    cache.put({key(1, v): webp(v) for v in ("thumbnails", "detail", "detail-2x")})
    cache.put({key(1, "detail.jpg"): b"jpeg"})
    cache.get(key(1, "detail"))
    assert clear_variant(cache, "detail") == 2
    assert files(cache) == {key(1).path, key(1, "detail-2x").path}
    assert cache.get(key(1, "detail")) is None


# Failing disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of(3, tmp_path / "disk") as folder:
        yield folder


def test_with_a_full_disk_the_cache_keeps_serving_and_recovers(small_disk: Path) -> None:
    cache = open_cache(small_disk, budget_bytes=1 << 30)
    stored: list[int] = []
    with contextlib.suppress(StorageError, DatabaseError):
        for name in range(1000):
            cache.put({key(name): webp(name, 50_000)})
            stored.append(name)
    assert 20 < len(stored) < 60
    for _ in range(3):  # and continues failing without harm
        with pytest.raises((StorageError, DatabaseError)):
            cache.put({key("more"): webp("more", 200_000)})
    cache.memory.clear()
    assert [name for name in stored if cache.get(key(name)) != webp(name, 50_000)] == []
    with contextlib.suppress(DatabaseError, StorageError):
        cache.delete([key(name) for name in stored[:10]])
    assert not any(
        (cache.disk.root / key(name).path).exists() for name in stored[:10]
    )  # the space is back even if the rows stayed
    assert cache.get(key(stored[0])) is None
    cache.put({key("later"): webp("later", 50_000)})
    cache.memory.clear()
    assert cache.get(key("later")) == webp("later", 50_000)
    sweep(cache)
    totals = cache.index.totals("covers")
    assert (totals.entries, totals.bytes) == counted(cache)
    cache.index.close()


READ_ONLY = """
import sys
from pathlib import Path
from tests.support.engine import key, open_cache, webp
cache = open_cache(Path(sys.argv[1]), is_adopted=False)
assert [n for n in range(20) if cache.get(key(n)) != webp(n)] == [], "not served"
assert cache.get(key("unknown")) is None
print(cache.index.totals("covers").entries)
"""


def test_a_read_only_disk_is_still_read(small_disk: Path) -> None:
    cache = open_cache(small_disk)
    cache.put({key(n): webp(n) for n in range(20)})
    cache.index.close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    done = subprocess.run([sys.executable, "-c", READ_ONLY, small_disk], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stderr, done.stdout) == ("", "20\n")


def test_without_any_index_a_read_only_disk_serves_from_its_files(small_disk: Path) -> None:
    cache = open_cache(small_disk)
    cache.put({key(n): webp(n) for n in range(20)})
    cache.index.close()
    (small_disk / "index.db").unlink()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    cache = open_cache(small_disk, is_adopted=False)
    assert [n for n in range(20) if cache.get(key(n)) != webp(n)] == []
    with pytest.raises((DatabaseError, StorageError)):
        cache.put({key("new"): webp("new")})


HAMMER = """
import random, sys
from pathlib import Path
from image_cache.engine.maintenance import clear, sweep
from tests.support.clock import FakeClock
from tests.support.engine import key, open_cache, webp
import time
print("begins", flush=True)
cache = open_cache(Path(sys.argv[1]), time.time, budget_bytes=40_000)
chance = random.Random(int(sys.argv[2]))
for _ in range(400):
    name, what = chance.randrange(60), chance.random()
    if what < 0.45:
        cache.put({key(name): webp(name)})
    elif what < 0.9:
        body = cache.get(key(name))
        assert body in (None, webp(name)), "torn"
        cache.memory.clear()
    elif what < 0.96:
        cache.delete([key(name)])
    elif what < 0.99:
        sweep(cache)
    else:
        clear(cache)
cache.flush()
cache.index.close()
"""


@pytest.mark.slow
def test_three_processes_race_without_an_error_or_a_torn_body(tmp_path: Path) -> None:
    open_cache(tmp_path).index.close()
    others = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER, str(tmp_path), str(n)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(3)
    ]
    errors = [process.communicate(timeout=240)[1] for process in others]
    # A reader may log that an entry was lost while another process removes it; nothing else may be logged.
    assert [line for error in errors for line in error.splitlines() if not line.startswith("entry missing or truncated")] == []
    cache = open_cache(tmp_path)
    cache.clock = lambda: time.time() + 3600
    sweep(cache)
    totals = cache.index.totals("covers")
    assert (totals.entries, totals.bytes) == counted(cache)
    assert len(files(cache)) == totals.entries
    cache.index.close()


@pytest.mark.slow
def test_kills_at_random_moments_leave_nothing_torn(tmp_path: Path) -> None:
    chance = random.Random(5)
    for number in range(12):
        command = [sys.executable, "-c", HAMMER, str(tmp_path), str(number)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"begins\n"  # Python alone takes longer to start on some machines
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.random() * 0.3)
        process.kill()
        process.communicate()
        cache = open_cache(tmp_path)
        assert cache.index.database.row("PRAGMA integrity_check")[0] == "ok"  # type: ignore[index]
        assert [name for name in range(60) if cache.get(key(name)) not in (None, webp(name))] == []
        cache.clock = lambda: time.time() + 3600
        sweep(cache)
        assert len(files(cache)) == counted(cache)[0]
        cache.index.close()
