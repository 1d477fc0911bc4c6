"""Index: maintained totals, recency by the hour, the order of victims, and ten ways to break its file."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image_cache.db.database import OperationalError, is_broken
from image_cache.engine.cache import Cache
from image_cache.engine.index import RECENCY_GRAIN_S, Index, IndexEntry, file_is_plausible
from image_cache.engine.maintenance import rebuild_from_files, sweep
from tests.support.clock import FakeClock
from tests.support.engine import counted, key, open_cache, webp

YEAR_S = 365 * 86400.0


@pytest.fixture
def cache(tmp_path: Path, clock: FakeClock) -> Iterator[Cache]:
    opened = open_cache(tmp_path, clock)
    yield opened
    opened.index.close()


def used_at(cache: Cache, name: object) -> int:
    row = cache.index.database.row("SELECT used_at FROM entries WHERE digest = ?", (bytes.fromhex(key(name).digest),))
    assert row is not None
    return int(row[0])


def test_totals_are_what_counting_would_give(cache: Cache) -> None:
    chance = random.Random(4)
    for _ in range(300):
        name = chance.randrange(60)
        if chance.random() < 0.7:
            cache.put({key(name): webp(name, chance.randrange(100, 3000))})
        else:
            cache.delete([key(name)])
        totals = cache.index.totals("covers")
        assert (totals.entries, totals.bytes) == counted(cache)


def test_a_use_is_written_only_when_the_last_one_on_record_is_older_than_the_grain(cache: Cache, clock: FakeClock) -> None:
    cache.put({key(1): webp(1)})
    stored = used_at(cache, 1)
    clock.advance(RECENCY_GRAIN_S - 1)
    cache.get(key(1))
    cache.flush()
    assert used_at(cache, 1) == stored
    clock.advance(2)
    cache.get(key(1))
    cache.flush()
    assert used_at(cache, 1) == int(clock.now)


def test_a_use_in_the_future_is_corrected_by_the_next_one(cache: Cache, clock: FakeClock) -> None:
    clock.advance(10 * YEAR_S)
    cache.put({key(1): webp(1)})
    clock.advance(-10 * YEAR_S)
    cache.get(key(1))
    cache.flush()
    assert used_at(cache, 1) == int(clock.now)


def test_victims_are_the_least_recently_used(cache: Cache, clock: FakeClock) -> None:
    for name in range(6):
        cache.put({key(name): webp(name)})
        clock.advance(2 * RECENCY_GRAIN_S)
    cache.get(key(0))
    cache.flush()
    assert [found for found, _ in cache.index.victims("covers", 3)] == [key(1), key(2), key(3)]
    since = used_at(cache, 2)
    assert [found for found, _ in cache.index.victims("covers", 9, unused_since=since)] == [key(1), key(2)]


def test_victims_are_found_by_a_clock_that_starts_in_1970(cache: Cache, clock: FakeClock) -> None:
    """A Pi without a clock starts in the past: every entry was in the future, none was a victim, and the budget was exceeded."""
    cache.put({key(1): webp(1)})
    clock.now = 300.0
    assert cache.index.victims("covers", 9) == [(key(1), 1000)]


def test_a_closed_database_is_not_broken(tmp_path: Path) -> None:
    """A stopping service closed connections that a thread was using; the error made it discard the whole index."""
    conn = sqlite3.connect(tmp_path / "index.db")
    conn.close()
    with pytest.raises(sqlite3.ProgrammingError) as closed:
        conn.execute("SELECT 1")
    assert not is_broken(closed.value)


def test_a_locked_database_is_not_broken(cache: Cache) -> None:
    other = sqlite3.connect(cache.index.database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with cache.index.database.reading() as conn:
        conn.execute("PRAGMA busy_timeout = 1")
    with pytest.raises(OperationalError, match="locked"), cache.index.database.write():
        pass
    other.rollback()
    other.close()
    assert not list(cache.index.database.path.parent.glob("*.broken*"))


def test_a_violated_constraint_does_not_mean_a_broken_database(cache: Cache) -> None:
    with pytest.raises(sqlite3.IntegrityError), cache.index.database.write() as conn:
        conn.execute("INSERT INTO counters VALUES ('a', 1), ('a', 2)")
    assert not list(cache.index.database.path.parent.glob("*.broken*"))
    assert cache.index.counts() == {}


def test_a_commit_that_fails_leaves_no_transaction_open(tmp_path: Path) -> None:
    """On a full disk the commit failed, the transaction stayed open, and every later write of that thread failed."""
    index = Index(tmp_path / "index.db")
    with index.database.write() as conn:
        conn.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        conn.execute("CREATE TABLE child (id INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(sqlite3.IntegrityError), index.database.write() as conn:
        conn.execute("INSERT INTO child VALUES (7)")  # fails in the commit, as with a full disk
    with index.database.write() as conn:
        conn.execute("INSERT INTO parent VALUES (1)")
    assert len(index.database.rows("SELECT * FROM parent")) == 1
    index.close()


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        (webp("a"), True),
        (webp("a")[:-1], False),
        (webp("a") + b"x", False),
        (webp("a")[:-40] + bytes(40), False),
        (b"\xff\xd8\xff" + b"x" * 60 + b"\xff\xd9", True),
        (b"\xff\xd8\xff" + b"x" * 60, False),
        (b"", False),
        (bytes(1000), False),
        (b"GIF89a" + bytes(100), False),
    ],
)
def test_a_file_without_a_row_is_checked_by_its_shape(body: bytes, whole: bool) -> None:
    assert file_is_plausible(body[:32], body[-32:], len(body)) is whole


# Ten ways to break the file of an index that is in use or about to be opened.


def random_bytes(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(40_000))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def a_torn_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)


def header_zeroed(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def schema_scribbled(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(random.Random(2).randbytes(3000))


def pages_scribbled(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(random.Random(3).randbytes(path.stat().st_size - 4096))


def a_text(path: Path) -> None:
    path.write_text("this is not a database\n" * 500)


def of_a_newer_program(path: Path) -> None:
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA user_version = 99")
    conn.close()


def another_schema(path: Path) -> None:
    path.unlink()
    conn = sqlite3.connect(path)
    conn.execute("CREATE TABLE entries (something TEXT)")
    conn.execute("CREATE TABLE meta (something TEXT)")
    conn.execute("PRAGMA user_version = 1")
    conn.close()


def a_log_of_another_database(path: Path) -> None:
    other = path.with_name("other.db")
    conn = sqlite3.connect(other)
    conn.execute("PRAGMA journal_mode=WAL")
    conn.execute("CREATE TABLE t (x)")
    conn.execute("INSERT INTO t VALUES (randomblob(20000))")
    conn.commit()
    shutil.copy(other.with_name("other.db-wal"), path.with_name(path.name + "-wal"))
    conn.close()
    path.unlink()


CORRUPTIONS = [
    random_bytes,
    empty,
    truncated,
    a_torn_page,
    header_zeroed,
    schema_scribbled,
    pages_scribbled,
    a_text,
    of_a_newer_program,
    another_schema,
    a_log_of_another_database,
]


def filled(root: Path, clock: FakeClock) -> list[str]:
    cache = open_cache(root, clock)
    names = [f"cover {number}" for number in range(120)]
    for name in names:
        cache.put({key(name): webp(name), key(name, "detail"): webp(f"{name} large", 3000)})
    cache.index.close()
    return names


@pytest.mark.parametrize("damage", CORRUPTIONS)
def test_a_broken_index_is_set_aside_and_rebuilt_from_the_files(
    damage: Callable[[Path], None], tmp_path: Path, clock: FakeClock
) -> None:
    names = filled(tmp_path, clock)
    damage(tmp_path / "index.db")
    cache = open_cache(tmp_path, clock, is_adopted=False)
    for _ in range(2):  # before the rebuild, and after it
        for name in names:
            assert cache.get(key(name)) == webp(name)
            assert cache.get(key(name, "detail")) == webp(f"{name} large", 3000)
        cache.memory.clear()
        counted(cache)  # damage is found where it is read
        if cache.is_adopting:
            rebuild_from_files(cache)
        assert not cache.is_adopting
    assert counted(cache) == (240, 120 * 4000)
    assert cache.index.totals("covers").entries == 240
    assert sweep(cache).orphans == 0
    assert cache.index.database.row("PRAGMA integrity_check")[0] == "ok"  # type: ignore[index]
    cache.index.close()


@pytest.mark.parametrize("damage", [random_bytes, truncated, pages_scribbled, a_text])
def test_an_index_that_breaks_while_it_is_open_is_replaced(
    damage: Callable[[Path], None], tmp_path: Path, clock: FakeClock
) -> None:
    names = filled(tmp_path, clock)
    cache = open_cache(tmp_path, clock)
    assert cache.get(key(names[0])) is not None
    with cache.index.database.reading() as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damage(tmp_path / "index.db")
        conn.execute("PRAGMA shrink_memory")
    cache.memory.clear()
    assert [name for name in names if cache.get(key(name)) != webp(name)] == []
    if cache.is_adopting:
        rebuild_from_files(cache)
    cache.put({key("new"): webp("new")})
    assert (tmp_path / "index.db.broken").exists()
    cache.index.close()


def test_an_index_that_is_deleted_while_open_is_noticed_and_rebuilt(tmp_path: Path, clock: FakeClock) -> None:
    """SQLite keeps using an unlinked file; everything written from then on was lost at the next start."""
    names = filled(tmp_path, clock)
    cache = open_cache(tmp_path, clock)
    assert cache.get(key(names[0])) is not None
    for path in tmp_path.glob("index.db*"):
        path.unlink()
    cache.index.database.drop_if_replaced()
    assert cache.is_adopting
    assert cache.get(key(names[1])) == webp(names[1])
    assert rebuild_from_files(cache) == 240
    cache.index.close()
    assert open_cache(tmp_path, clock, is_adopted=False).get(key(names[2])) == webp(names[2])


def test_only_the_last_broken_index_is_kept(tmp_path: Path, clock: FakeClock) -> None:
    """Each had a different name, so that they filled up a failing SD card."""
    for _ in range(3):
        cache = open_cache(tmp_path, clock)
        cache.index.close()
        random_bytes(tmp_path / "index.db")
    open_cache(tmp_path, clock).index.close()
    assert sorted(path.name for path in tmp_path.glob("index.db*")) == ["index.db", "index.db.broken"]


def test_a_killed_rebuild_is_repeated_and_its_files_are_not_orphans(tmp_path: Path, clock: FakeClock) -> None:
    """The index counted as complete from the start: after a kill, a sweep removed the files that had no row yet."""
    names = filled(tmp_path, clock)
    (tmp_path / "index.db").unlink()
    half = open_cache(tmp_path, clock, is_adopted=False)
    with half.index.database.write() as conn:
        half.index.rebuild_from_files(conn, [(key(names[0]), 1000, clock.now)])
    half.index.close()
    cache = open_cache(tmp_path, clock, is_adopted=False)
    assert cache.is_adopting
    assert sweep(cache).orphans == 0
    assert rebuild_from_files(cache) == 239
    assert counted(cache)[0] == 240
    cache.index.close()


def test_what_was_stored_during_a_rebuild_keeps_its_checksum(tmp_path: Path, clock: FakeClock) -> None:
    filled(tmp_path, clock)
    (tmp_path / "index.db").unlink()
    cache = open_cache(tmp_path, clock, is_adopted=False)
    cache.put({key("new"): webp("new")})
    rebuild_from_files(cache)
    found = cache.index.find(key("new"))
    assert found is not None
    assert found.sha256 is not None
    assert cache.index.find(key("cover 1")) == IndexEntry(1000, None)
    cache.index.close()


def test_a_rebuilt_index_takes_recency_from_the_files(tmp_path: Path, clock: FakeClock) -> None:
    filled(tmp_path, clock)
    (tmp_path / "index.db").unlink()
    os.utime(tmp_path / "covers" / key("cover 7").path, (1_000_000, 1_000_000))
    cache = open_cache(tmp_path, clock)
    assert cache.index.victims("covers", 1)[0][0] == key("cover 7")
    cache.index.close()
