"""What both databases rely on: locks that hold, files nobody else can read, writes that wait for each other."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from image_cache.database import Database

SCHEMA = ["CREATE TABLE t (n INTEGER UNIQUE);"]
VISITOR = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute("INSERT INTO t VALUES (2)")
conn.close()
"""


def test_a_visiting_process_does_not_take_the_log_away(tmp_path: Path) -> None:
    """Opening the file beside SQLite, and closing it, dropped the locks of the whole process: the next process that closed
    believed itself alone and removed the write-ahead log under our connections. The database looked torn from then on.
    """
    database = Database(tmp_path / "db", SCHEMA, synchronous="FULL")
    with database.write() as conn:
        conn.execute("INSERT INTO t VALUES (1)")
    other = threading.Thread(target=database.connection)
    other.start()
    other.join()
    subprocess.run([sys.executable, "-c", VISITOR, str(database.path)], check=True)
    assert (tmp_path / "db-wal").exists()
    assert [row[0] for row in database.rows("SELECT n FROM t ORDER BY n")] == [1, 2]
    database.close()


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
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


def test_a_schema_of_the_future_is_refused(tmp_path: Path) -> None:
    database = Database(tmp_path / "db", SCHEMA, synchronous="NORMAL")
    database.rows("SELECT * FROM t")
    database.connection().execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(sqlite3.DatabaseError, match="schema 9"):
        database.rows("SELECT * FROM t")
