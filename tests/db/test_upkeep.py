"""Changes of the schema in PostgreSQL: each once, whatever starts at the same time, and which versions work with which."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.database import Locked, WrongVersion
from image_cache.db.postgres.cluster_schema import CATALOG, CATALOG_SCRIPTS, Tables
from image_cache.db.postgres.database import PgDatabase
from image_cache.db.postgres.schema import ONE_STEP, schema, statement_twin
from tests.support.catalogs import SchemaPool

pytestmark = [pytest.mark.postgres, pytest.mark.server]

ROOT = Path(__file__).resolve().parents[2]
# A later version, as one could come: in SQLite's list, and beside it.
NEXT = """
-- Whether a record was lent, and to whom.
ALTER TABLE albums ADD COLUMN lent_to TEXT NOT NULL DEFAULT '';
CREATE TABLE loans (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    album_id INTEGER NOT NULL REFERENCES albums ON DELETE CASCADE,
    person TEXT NOT NULL,
    lent_at REAL NOT NULL
);
CREATE INDEX loans_of_album ON loans (album_id);
DROP TRIGGER albums_valued;
CREATE TRIGGER albums_valued AFTER UPDATE OF value, lent_to ON albums BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'values';
END;
INSERT INTO settings VALUES ('loans', 'on');
"""
NEWER = Tables((*MIGRATIONS, NEXT), (*CATALOG_SCRIPTS, "CREATE TABLE beside (name text)"))


@pytest.fixture
def name(schema_pool: SchemaPool) -> Iterator[str]:
    """A schema that is not there yet."""
    name = "upkeep"
    yield name
    schema_pool.run(f"DROP SCHEMA IF EXISTS {name} CASCADE; DROP SCHEMA IF EXISTS fresh CASCADE")


def opened(schema_pool: SchemaPool, name: str, tables: Tables = CATALOG, *, migrates: bool = True) -> PgDatabase:
    return PgDatabase(schema_pool.dsn, name, "the database", tables=tables, migrates=migrates)


def shape(database: PgDatabase) -> list[list[tuple[object, ...]]]:
    """Return the columns, indexes, triggers and functions of a schema."""
    name = database.rows("SELECT current_schema()")[0][0]
    columns = "table_name, column_name, data_type, is_nullable, column_default, collation_name, is_generated, is_identity"
    found = [
        database.rows(
            f"SELECT {columns} FROM information_schema.columns WHERE table_schema = ? ORDER BY table_name, column_name", (name,)
        ),
        database.rows("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = ? ORDER BY 1", (name,)),
        database.rows(
            "SELECT trigger_name, event_manipulation, action_condition, action_statement FROM information_schema.triggers"
            " WHERE trigger_schema = ? ORDER BY 1, 2",
            (name,),
        ),
        database.rows("SELECT proname, prosrc FROM pg_proc WHERE pronamespace = CAST(? AS regnamespace) ORDER BY 1", (name,)),
    ]
    return [[tuple(str(value).replace(f"{name}.", "") for value in row) for row in rows] for rows in found]


def make_as_in_0_2_0(schema_pool: SchemaPool, name: str) -> None:
    first = CATALOG.first_version
    schema_pool.run(
        f"CREATE SCHEMA {name}; SET search_path = {name}; "
        + ";\n".join(schema(MIGRATIONS[:first])).replace(f"{ONE_STEP} AND ", "").replace(f" WHERE {ONE_STEP}", "")
    )
    schema_pool.run(f"CREATE TABLE schema_version (version bigint); INSERT INTO schema_version VALUES ({first})")
    schema_pool.run("INSERT INTO settings VALUES ('mine', 'kept')")


STARTS = """
import sys
from image_cache.db.postgres.database import PgDatabase
database = PgDatabase(sys.argv[1], sys.argv[2], "the database")
print("ready", flush=True)
sys.stdin.readline()
print(database.row("SELECT value FROM settings WHERE name = 'mine'")[0])
"""


def test_a_schema_of_0_2_0_is_taken_to_this_version_by_two_processes_that_start_at_once(
    schema_pool: SchemaPool, name: str
) -> None:
    make_as_in_0_2_0(schema_pool, name)
    command = [sys.executable, "-c", STARTS, schema_pool.dsn, name]
    nodes = [subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for node in nodes:
        assert node.stdout is not None
        assert node.stdout.readline() == "ready\n"
    for node in nodes:
        assert node.stdin is not None
        node.stdin.write("go\n")
        node.stdin.flush()
    assert [node.communicate()[0] for node in nodes] == ["kept\n", "kept\n"]
    old, fresh = opened(schema_pool, name), opened(schema_pool, "fresh")
    assert shape(old) == shape(fresh)
    old.close()
    fresh.close()


def test_a_later_version_changes_the_tables_as_a_new_catalogue_has_them(schema_pool: SchemaPool, name: str) -> None:
    before = opened(schema_pool, name)
    with before.write() as conn:
        conn.execute("INSERT INTO crates (name, made_at) VALUES ('mine', 1)")
    every_column = "SELECT * FROM albums JOIN settings ON albums.notes = settings.name"
    for _ in range(10):  # often enough for a driver to prepare it
        before.rows(every_column)
        with before.write() as conn:
            conn.execute(every_column)
    newer, fresh = opened(schema_pool, name, NEWER), opened(schema_pool, "fresh", NEWER)
    assert newer.migrate() == (CATALOG.level, NEWER.level)
    assert newer.migrate() == (NEWER.level, NEWER.level)
    assert shape(newer) == shape(fresh)
    assert newer.rows("SELECT name FROM crates")[0][0] == "mine"
    assert [row[0] for row in newer.rows("SELECT value FROM settings")] == ["on"]
    before.check()  # it goes on with the tables of the next version
    assert before.rows(every_column) == []
    with before.write() as conn:
        assert conn.execute(every_column).fetchall() == []
    assert before.rows("SELECT name FROM crates")[0][0] == "mine"
    again = opened(schema_pool, name)
    assert again.rows("SELECT name FROM crates")[0][0] == "mine"
    for database in (before, newer, fresh, again):
        database.close()


def test_a_version_that_takes_something_away_stops_the_older_ones(schema_pool: SchemaPool, name: str) -> None:
    before = opened(schema_pool, name)
    before.check()
    script = "DROP TABLE deletions CASCADE"
    after = Tables(MIGRATIONS, (*CATALOG_SCRIPTS, script), oldest_reader=CATALOG.level + 1)
    opened(schema_pool, name, after).migrate()
    for database in (before, opened(schema_pool, name)):
        with pytest.raises(WrongVersion) as refused:
            database.check()
        assert refused.value.version > refused.value.known
        database.close()


def test_a_node_that_does_not_migrate_waits_until_it_was_done(schema_pool: SchemaPool, name: str) -> None:
    waiting = opened(schema_pool, name, migrates=False)
    for _ in range(2):
        with pytest.raises(WrongVersion) as refused:
            waiting.check()
        assert (refused.value.version, refused.value.known) == (0, CATALOG.level)
    migrating = opened(schema_pool, name)
    migrating.migrate()
    waiting.check()
    assert waiting.rows("SELECT 1 FROM crates") == []
    waiting.close()
    migrating.close()


def test_a_table_that_is_in_use_stops_a_change_and_nothing_is_half_done(
    schema_pool: SchemaPool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_cache.db.postgres.upkeep.BUSY_TIMEOUT_S", 1.0)
    before = opened(schema_pool, name)
    newer = opened(schema_pool, name, NEWER)
    with before.reading() as conn:
        conn.execute("BEGIN")
        conn.execute("SELECT 1 FROM albums")
        with pytest.raises(Locked):
            newer.migrate()
        conn.execute("ROLLBACK")
    assert newer.migrate() == (CATALOG.level, NEWER.level)
    before.close()
    newer.close()


def test_what_cannot_be_translated_is_refused() -> None:
    for sql in (
        "CREATE VIRTUAL TABLE more_words USING fts5(text)",
        "INSERT OR IGNORE INTO settings VALUES ('a', 'b')",
        "UPDATE albums SET genres = json_array('a')",
        "INSERT INTO sqlite_sequence VALUES ('crates', 9)",
    ):
        with pytest.raises(ValueError, match="no twin"):
            statement_twin(sql)
