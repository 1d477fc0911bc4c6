"""Database: locks, private files, writes that wait for each other, broken files, migrations."""

import contextlib
import gc
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

import pytest

from image_cache.db import database as opened_in
from image_cache.db.connection import STATEMENTS, ReadOnlyDisk, copy_into, open_unchanged, refuse_if_read_only
from image_cache.db.database import MAX_IDLE, Database, Locked, OperationalError, WrongVersion, parameter_marks, why_unwritable
from image_cache.db.diagnosis import kind_of
from image_cache.db.fair_lock import FairLock
from tests.support.disk import disk_of
from tests.support.vault import ROOT, wait_until

SCHEMA = ["CREATE TABLE t (n INTEGER UNIQUE);"]
VISITOR = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute("INSERT INTO t VALUES (2)")
conn.close()
"""

BUSY = """
import sys, threading
from pathlib import Path
from image_cache.db.database import Database

COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n"
database, errors, is_over = Database(Path(sys.argv[1]), ["CREATE TABLE t (n);"], synchronous="NORMAL"), [], threading.Event()

def ask():
    while not is_over.is_set():
        try:
            assert len(database.rows(COUNT)) == 20000
        except Exception as error:
            errors.append(error)

askers = [threading.Thread(target=ask) for _ in range(3)]
for asker in askers:
    asker.start()
for _ in range(200):
    is_over.wait(0.005)
    database.close()
is_over.set()
for asker in askers:
    asker.join()
sys.exit(f"{len(errors)} errors, the first {errors[0]!r}" if errors else 0)
"""


def test_a_second_process_does_not_remove_the_write_ahead_log(tmp_path: Path) -> None:
    """Opening and closing the file without SQLite dropped the locks of the whole process: the next process that closed it
    considered itself the last one and removed the write-ahead log under our connections. The database looked corrupt from then on.
    """
    database = Database(tmp_path / "db", SCHEMA, synchronous="FULL")
    with database.write() as conn:
        conn.execute("INSERT INTO t VALUES (1)")
    with database.reading(), database.reading():
        pass  # the second one opens the file again
    subprocess.run([sys.executable, "-c", VISITOR, str(database.path)], check=True)
    assert (tmp_path / "db-wal").exists()
    assert [row[0] for row in database.rows("SELECT n FROM t ORDER BY n")] == [1, 2]
    database.close()


@pytest.mark.slow
def test_closing_does_not_close_what_other_threads_are_reading(tmp_path: Path) -> None:
    """Closing a connection under a running statement crashed the process, when a thread was still busy at the stop."""
    done = subprocess.run(
        [sys.executable, "-c", BUSY, str(tmp_path / "db")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_write_lock_is_first_come_first_served() -> None:
    """SQLite's own lock goes to the thread that asks when it is free: an import in a loop blocked all others until its end."""
    lock, order = FairLock(), list[str]()
    assert lock.acquire(1)

    def wait(name: str) -> None:
        assert lock.acquire(30)
        order.append(name)
        lock.release()

    others = [threading.Thread(target=wait, args=(name,)) for name in ("second", "third")]
    for n, other in enumerate(others, 1):
        other.start()
        wait_until(lambda n=n: len(lock._waiting) == n)  # type: ignore[misc]
    lock.release()
    wait("first again")
    for other in others:
        other.join()
    assert order == ["second", "third", "first again"]


def test_a_lock_that_is_granted_when_the_time_is_over_is_held() -> None:
    """The holder passes it on after the wait has ended and before the waiter has withdrawn: no thread would release it."""
    lock = FairLock()
    assert lock.acquire(0)

    def trace(frame: FrameType, event: str, _: object) -> object:
        if event == "return" and frame.f_code is threading.Event.wait.__code__:
            sys.settrace(before)
            holder = threading.Thread(target=lock.release)
            holder.start()
            holder.join()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        is_held = lock.acquire(0.01)
    finally:
        sys.settrace(before)
    assert is_held
    lock.release()
    assert lock.acquire(0)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_reader_reads_no_other_schema_than_its_own(tmp_path: Path, steps: int) -> None:
    """It migrates nothing, so an older file would answer with columns that are missing."""
    path, all_steps = tmp_path / "db", [*SCHEMA, "ALTER TABLE t ADD m INTEGER;", "ALTER TABLE t ADD o INTEGER;"]
    made = Database(path, all_steps[:steps], synchronous="FULL")
    made.rows("SELECT * FROM t")
    made.close()
    before = path.read_bytes()
    reader = Database(path, all_steps[:2], synchronous="FULL", is_reader=True)
    with pytest.raises(WrongVersion) as caught:
        reader.rows("SELECT n FROM t")
    reader.close()
    assert (caught.value.version, caught.value.known) == (steps, 2)
    assert path.read_bytes() == before


def test_a_copy_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd))[1])
    database, copy = Database(tmp_path / "db", SCHEMA, synchronous="FULL"), tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()
    with database.reading() as conn:
        copy_into(conn, copy)
    database.close()
    assert synced == [str(copy.with_name(".copy.db.part")), str(copy.parent)]


def test_a_wait_that_timed_out_does_not_get_the_lock_later() -> None:
    lock = FairLock()
    assert lock.acquire(1)
    assert not lock.acquire(0.01)
    lock.release()
    assert lock.acquire(1)  # it was not granted to the wait that timed out


def test_a_lock_granted_to_an_interrupted_wait_is_passed_on() -> None:
    """An interrupted wait stayed in the queue: the lock was granted to it, and no other thread could write any more."""
    program = (
        "import signal, threading\n"
        "from image_cache.db.fair_lock import FairLock\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background may ignore it\n"
        "lock, main = FairLock(), threading.get_ident()\n"
        "assert lock.acquire(1)\n"
        "def interrupt():\n"
        "    while not lock._waiting: pass\n"
        "    signal.pthread_kill(main, signal.SIGINT)\n"
        "threading.Thread(target=interrupt).start()\n"
        "try: lock.acquire(30)\n"
        "except KeyboardInterrupt: pass\n"
        "else: raise SystemExit('not interrupted')\n"
        "lock.release()\n"
        "assert lock.acquire(0.01)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_thread_that_writes_for_too_long_raises_locked_in_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened_in, "BUSY_TIMEOUT_S", 0.05)
    database = Database(tmp_path / "db", SCHEMA, synchronous="NORMAL")
    refused = list[Locked]()

    def write() -> None:
        try:
            with database.write():
                pass
        except Locked as error:
            refused.append(error)

    other = threading.Thread(target=write)
    with database.write() as conn:
        other.start()
        other.join()
        conn.execute("INSERT INTO t VALUES (1)")
    assert [kind_of(error) for error in refused] == ["locked"]
    write()
    assert len(refused) == 1
    database.close()


def test_a_closed_database_is_a_single_complete_file(tmp_path: Path) -> None:
    """With the last connection SQLite removes the log, also if other threads created some of them."""
    database = Database(tmp_path / "db", SCHEMA, synchronous="NORMAL")
    have_read = threading.Barrier(8)

    def read_and_write(number: int) -> None:
        with database.reading() as conn:
            conn.execute("SELECT n FROM t").fetchall()
            have_read.wait(30)
        with database.write() as conn:
            conn.execute("INSERT INTO t VALUES (?)", (number,))

    others = [threading.Thread(target=read_and_write, args=(n,)) for n in range(8)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert len(database._idle) == MAX_IDLE
    assert [row[0] for row in database.rows("SELECT n FROM t ORDER BY n")] == list(range(8))
    database.close()
    assert [path.name for path in tmp_path.iterdir()] == ["db"]


def test_trimming_closes_spare_connections_and_disturbs_nobody(tmp_path: Path) -> None:
    """The last one stays: closing it would write the log back to the card, every minute."""
    database = Database(tmp_path / "db", SCHEMA, synchronous="NORMAL")
    database.trim()  # before anything was opened
    with database.reading(), database.reading(), database.reading() as conn:
        rows = conn.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT i FROM n")
        assert next(rows)[0] == 1
        database.trim()
        assert [row[0] for row in rows] == list(range(2, 10))
    assert len(database._idle) == 3
    with database.write() as writer:
        writer.execute("INSERT INTO t VALUES (1)")
        database.trim()
        writer.execute("INSERT INTO t VALUES (2)")
    database.trim()
    assert (len(database._idle), (tmp_path / "db-wal").exists()) == (1, True)
    assert [row[0] for row in database.rows("SELECT n FROM t ORDER BY n")] == [1, 2]
    database.close()


def test_lists_of_every_length_do_not_fill_the_memory(tmp_path: Path) -> None:
    """Each length is its own statement, 20 KB for the longest; a hundred of them were kept by each connection."""

    def compiled() -> int:
        return sum(type(found).__name__ == "Statement" for found in gc.get_objects())

    database = Database(tmp_path / "db", SCHEMA, synchronous="NORMAL")
    database.rows("SELECT n FROM t")
    before = compiled()
    for count in range(1, 300):
        database.rows(f"SELECT n FROM t WHERE n IN ({parameter_marks(count)})", range(count))
    assert compiled() - before <= STATEMENTS
    database.close()


def test_uncommitted_changes_are_visible_to_their_writer_only(tmp_path: Path) -> None:
    database, seen = Database(tmp_path / "db", SCHEMA, synchronous="NORMAL"), []
    with database.write() as conn:
        conn.execute("INSERT INTO t VALUES (1)")
        assert database.row("SELECT n FROM t")
        other = threading.Thread(target=lambda: seen.append(database.row("SELECT n FROM t")))
        other.start()
        other.join()
    assert seen == [None]
    assert database.row("SELECT n FROM t")
    database.close()


def test_a_connection_whose_write_failed_can_be_used_again(tmp_path: Path) -> None:
    database = Database(tmp_path / "db", SCHEMA, synchronous="FULL")
    for is_durable in (True, False):
        with pytest.raises(sqlite3.IntegrityError), database.write(is_durable=is_durable) as conn:
            conn.executemany("INSERT INTO t VALUES (?)", [(1,), (1,)])
        level = database.row("PRAGMA synchronous")
        assert level is not None
        assert level[0] == 2
        assert database.rows("SELECT n FROM t") == []
    database.close()


def assert_nobody_reads(database: Database) -> None:
    checkpoint = database.row("PRAGMA wal_checkpoint(TRUNCATE)")
    assert checkpoint is not None
    assert tuple(checkpoint) == (0, 0, 0), "a reader is in the way"


def test_a_disk_that_became_read_only_is_told_from_one_that_fails(tmp_path: Path) -> None:
    """SQLite says "disk I/O error" of both, and an upload was refused with "the database is not responding. Try again."."""
    failed = OperationalError("disk I/O error")
    failed.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    with disk_of(1, tmp_path / "disk") as disk:
        refuse_if_read_only(disk / "x.db", failed)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        refuse_if_read_only(disk / "x.db", Locked(disk / "x.db"))
        with pytest.raises(ReadOnlyDisk) as said:
            refuse_if_read_only(disk / "x.db", failed)
        assert why_unwritable(said.value) == "the disk is read-only"


def test_a_result_that_is_not_read_to_its_end_holds_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "db", SCHEMA, synchronous="NORMAL")
    with database.write() as conn:
        conn.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(1000)])
    stream = database.stream("SELECT n FROM t ORDER BY n")
    assert next(iter(stream)) == (0,)
    del stream
    with database.write() as conn:
        conn.execute("DELETE FROM t")
    assert_nobody_reads(database)
    database.close()


def test_a_result_that_outlives_its_write_block_does_not_affect_others(tmp_path: Path) -> None:
    """It was read from a connection that had been returned, and closed it while another thread was using it."""
    database, counted = Database(tmp_path / "db", SCHEMA, synchronous="NORMAL"), list[int]()
    with database.write() as conn:
        conn.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(1000)])
        stream = database.stream("SELECT n FROM t ORDER BY n")
        assert next(stream) == (0,)

    def read() -> None:
        with database.reading() as lent:
            for row in lent.execute("SELECT n FROM t ORDER BY n"):
                if row[0] == 5:
                    stream.close()  # type: ignore[attr-defined]
                counted.append(row[0])

    other = threading.Thread(target=read)
    other.start()
    other.join()
    assert counted == list(range(1000))
    with database.write() as conn:
        conn.execute("DELETE FROM t")
    assert_nobody_reads(database)
    database.close()


def test_of_two_threads_that_find_a_file_broken_only_the_first_sets_it_aside(tmp_path: Path) -> None:
    """The second one took the new file for the broken one: its contents were lost, and the broken file too."""
    database = Database(tmp_path / "db", SCHEMA, synchronous="NORMAL", is_disposable=True)
    with database.write() as conn:
        conn.execute("INSERT INTO t VALUES (1)")

    def be_faster() -> None:
        database.set_aside()
        assert database.rows("SELECT n FROM t") == []

    other = threading.Thread(target=be_faster)
    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.raises(sqlite3.OperationalError, match="no such table"))
        conn = stack.enter_context(database.write())
        other.start()
        other.join()
        inode = database.inode
        conn.execute("SELECT n FROM missing")
    assert (database.inode, (tmp_path / "db").stat().st_ino) == (inode, inode)
    with open_unchanged(tmp_path / "db.broken") as kept:
        assert [row[0] for row in kept.execute("SELECT n FROM t")] == [1]
    database.close()


def test_a_read_in_a_write_block_leaves_setting_a_broken_file_aside_to_the_block(tmp_path: Path) -> None:
    """Both set it aside: the second time overwrote what the first had kept."""
    database = Database(tmp_path / "db", SCHEMA, synchronous="NORMAL", is_disposable=True)
    database.rows("SELECT n FROM t")
    with pytest.raises(sqlite3.OperationalError, match="no such table"), database.write():
        database.rows("SELECT n FROM missing")
    assert (tmp_path / "db.broken").exists()
    assert database.rows("SELECT n FROM t") == []
    database.close()


def test_files_are_private(tmp_path: Path) -> None:
    database = Database(tmp_path / "deep" / "db", SCHEMA, synchronous="NORMAL")
    with database.write() as conn:
        conn.execute("INSERT INTO t VALUES (1)")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "deep").iterdir()} == {0o600}
    assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o700
    database.close()


def test_a_write_that_raises_leaves_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "db", SCHEMA, synchronous="NORMAL")
    with pytest.raises(sqlite3.IntegrityError), database.write() as conn:
        conn.executemany("INSERT INTO t VALUES (?)", [(1,), (1,)])
    assert database.rows("SELECT * FROM t") == []
    database.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    database = Database(tmp_path / "db", SCHEMA, synchronous="NORMAL")
    database.rows("SELECT * FROM t")
    with database.reading() as conn:
        conn.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(sqlite3.DatabaseError, match="schema 9"):
        database.rows("SELECT * FROM t")


LATER = [*SCHEMA, "CREATE TABLE u (n INTEGER);", "CREATE TABLE v (n INTEGER);", "CREATE TABLE w (n INTEGER);"]


def copies(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if ".schema-" in path.name)


def test_a_precious_file_is_copied_before_its_migration(tmp_path: Path) -> None:
    """A failed update is rolled back to the previous program, which cannot read the new schema."""
    for known in range(1, len(LATER) + 1):
        database = Database(tmp_path / "db", LATER[:known], synchronous="FULL")
        with database.write() as conn:
            conn.execute("INSERT INTO t VALUES (?)", (known,))
        database.close()
    assert copies(tmp_path) == ["db.schema-2", "db.schema-3"]  # only the two newest
    assert (tmp_path / "db.schema-3").stat().st_mode & 0o777 == 0o600
    (tmp_path / "db.schema-3").rename(tmp_path / "db")
    before = Database(tmp_path / "db", LATER[:3], synchronous="FULL")
    assert [row[0] for row in before.rows("SELECT n FROM t ORDER BY n")] == [1, 2, 3]
    before.close()


def test_new_and_disposable_files_are_not_copied(tmp_path: Path) -> None:
    for known in (1, 4):
        database = Database(tmp_path / "index", LATER[:known], synchronous="NORMAL", is_disposable=True)
        database.rows("SELECT * FROM t")
        database.close()
    database = Database(tmp_path / "new", LATER, synchronous="FULL")
    database.rows("SELECT * FROM t")
    database.close()
    assert copies(tmp_path) == []


def test_without_room_for_the_copy_there_is_no_migration(tmp_path: Path) -> None:
    old = Database(tmp_path / "db", SCHEMA, synchronous="FULL")
    old.rows("SELECT * FROM t")
    old.close()
    (tmp_path / ".db.schema-1.part").mkdir()  # the copy cannot be written
    new = Database(tmp_path / "db", LATER, synchronous="FULL")
    with pytest.raises(sqlite3.DatabaseError, match="schema-1"):
        new.rows("SELECT * FROM t")
    (tmp_path / ".db.schema-1.part").rmdir()
    version = new.row("PRAGMA user_version")
    assert version is not None
    assert version[0] == len(LATER)
    new.close()


@pytest.mark.slow
def test_two_processes_that_migrate_at_once_keep_one_copy_of_the_old_file(tmp_path: Path) -> None:
    old = Database(tmp_path / "db", SCHEMA, synchronous="FULL")
    with old.write() as conn:
        conn.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(500)])
    old.close()
    program = (
        "import sys; from pathlib import Path; from image_cache.db.database import Database;"
        f" Database(Path(sys.argv[1]), {LATER!r}, synchronous='FULL').rows('SELECT 1')"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "db")]) for _ in range(4)]
    assert [process.wait(30) for process in running] == [0] * 4
    assert copies(tmp_path) == ["db.schema-1"]
    kept = Database(tmp_path / "db.schema-1", SCHEMA, synchronous="FULL")
    row = kept.row("SELECT count(*) FROM t")
    assert row is not None
    assert row[0] == 500
    kept.close()


def test_a_file_replaced_by_another_process_is_used_at_once(tmp_path: Path) -> None:
    database = Database(tmp_path / "db", SCHEMA, synchronous="NORMAL")
    with database.reading() as conn:
        conn.execute("INSERT INTO t VALUES (1)")
        other = Database(tmp_path / "other", SCHEMA, synchronous="NORMAL")
        other.rows("SELECT n FROM t")
        other.close()
        (tmp_path / "other").replace(tmp_path / "db")
        for path in tmp_path.glob("db-*"):
            path.unlink()
        generation = database.generation
        assert database.rows("SELECT n FROM t") == []
        assert database.generation > generation
    assert database.rows("SELECT n FROM t") == [], "the old connection was given back meanwhile"
    database.close()


def test_a_file_with_other_pages_is_rewritten_once_when_it_is_opened_alone(tmp_path: Path) -> None:
    """The index wrote 4 KB for every row of 100 bytes that changed at a random place."""
    path = tmp_path / "index.db"
    schema = ["CREATE TABLE t (x);"]

    def pages(database: Database) -> object:
        with database.reading() as conn:
            return conn.execute("PRAGMA page_size").fetchone()[0], conn.execute("PRAGMA journal_mode").fetchone()[0]

    with contextlib.closing(Database(path, schema, synchronous="NORMAL")) as old:
        with old.write() as conn:
            conn.execute("INSERT INTO t VALUES (7)")
        assert pages(old) == (4096, "wal")
        with contextlib.closing(Database(path, schema, synchronous="NORMAL", page_bytes=1024)) as other:
            assert pages(other) == (4096, "wal"), "another process has it open"
            assert other.row("SELECT x FROM t") is not None
    with contextlib.closing(Database(path, schema, synchronous="NORMAL", page_bytes=1024)) as new:
        assert pages(new) == (1024, "wal")
        with new.write() as conn:
            conn.execute("INSERT INTO t VALUES (8)")
        assert [row["x"] for row in new.rows("SELECT x FROM t")] == [7, 8]
    with contextlib.closing(Database(tmp_path / "fresh.db", schema, synchronous="NORMAL", page_bytes=1024)) as fresh:
        assert pages(fresh) == (1024, "wal")


def test_a_reader_waits_for_a_file_that_is_just_being_created(tmp_path: Path) -> None:
    """Beside a service that started, `health` said now and then that a new file was corrupt."""
    path = tmp_path / "t.db"
    path.touch()
    writer = Database(path, SCHEMA, synchronous="NORMAL")
    creator = threading.Timer(0.3, lambda: writer.rows("SELECT 1"))
    creator.start()
    reader = Database(path, SCHEMA, synchronous="", is_reader=True)
    assert reader.rows("SELECT n FROM t") == []
    creator.join()
    writer.close()
    reader.close()


def test_an_empty_file_that_is_old_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    path.touch()
    os.utime(path, (1, 1))
    with pytest.raises(sqlite3.DatabaseError, match="is empty"):
        Database(path, SCHEMA, synchronous="", is_reader=True).rows("SELECT n FROM t")


def test_deleted_rows_leave_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    database = Database(path, ["CREATE TABLE t (words TEXT);"], synchronous="NORMAL")
    with database.write() as conn:
        conn.execute("INSERT INTO t VALUES (?)", ("a secret of someone",))
    with database.write() as conn:
        conn.execute("DELETE FROM t")
    database.close()
    assert b"a secret of someone" not in path.read_bytes()
