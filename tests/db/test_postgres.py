"""The catalogue in PostgreSQL: what the table modules rely on, and what stops a start. The modules' own tests run on it too."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_cache.bootstrap import ensure_directories
from image_cache.config import Settings, load_settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.database import DatabaseError, IntegrityError, Locked, WrongVersion
from image_cache.db.open_catalog import open_catalog
from image_cache.db.postgres.connection import PgConnection
from image_cache.db.postgres.deletion_schema import LOG
from image_cache.errors import ConfigError
from image_cache.import_models import ImportRow
from image_cache.maintenance.backup.create import back_up
from image_cache.maintenance.backup.restore import restore
from image_cache.models import ImageVisibility
from image_cache.records.library import Library
from tests.support.catalogs import PostgresCatalogs, SchemaPool
from tests.support.inside import Inside
from tests.support.ports import free_port
from tests.support.postgres import USER, Postgres
from tests.support.stage import photo

pytestmark = [pytest.mark.postgres, pytest.mark.server]


@pytest.fixture
def opened(schema_pool: SchemaPool) -> Iterator[PostgresCatalogs]:
    catalogs = PostgresCatalogs(schema_pool)
    yield catalogs
    catalogs.close()


@pytest.fixture
def database(opened: PostgresCatalogs, tmp_path: Path) -> CatalogDatabase:
    return opened.open(tmp_path / "catalog.db")


@pytest.fixture
def dsn(schema_pool: SchemaPool) -> str:
    folder = schema_pool.dsn.split()[0].removeprefix("host=")
    return f"postgresql://{USER}@/{USER}?host={folder}"


def set_name(catalog: CatalogDatabase, name: str, value: object = "x") -> None:
    with catalog.write() as conn:
        conn.execute("INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))


# Schema


def test_both_databases_have_the_same_tables_columns_indexes_and_triggers(database: CatalogDatabase, tmp_path: Path) -> None:
    with CatalogDatabase(tmp_path / "catalog.db").reading() as conn:
        virtual = [row[0] for row in conn.execute("SELECT name FROM pragma_table_list WHERE type = 'virtual'")]
        names = [
            row[0]
            for row in conn.execute(
                "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
        ]
        ours = {name: [row["name"] for row in conn.execute(f"PRAGMA table_xinfo({name})")] for name in names}
        made = {
            kind: {row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = ? AND sql IS NOT NULL", (kind,))}
            for kind in ("index", "trigger")
        }
    theirs: dict[str, list[str]] = {}
    for row in database.rows(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY ordinal_position"
    ):
        theirs.setdefault(row[0], []).append(row[1])
    assert theirs.pop("schema_version") == ["version", "scripts", "oldest_reader"]
    assert [theirs.pop(name)[0] for name in ("nodes", "deletions", "cluster")] == [
        "name",
        "seq",
        "name",
    ]  # only PostgreSQL has them
    for name in virtual:
        assert theirs.pop(name) == ["rowid", "tokens"]
    assert {name: sorted(columns) for name, columns in theirs.items()} == {
        name: sorted(columns) for name, columns in ours.items()
    }
    assert len(ours) > 40
    indexes = {row[0] for row in database.rows("SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()")}
    triggers = {
        row[0]
        for row in database.rows("SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = current_schema()")
    }
    assert made["index"] <= indexes
    assert made["trigger"] == {name for name in triggers if f"TRIGGER {name} " not in LOG}


def test_a_new_catalogue_has_the_same_rows(database: CatalogDatabase, tmp_path: Path) -> None:
    ours = CatalogDatabase(tmp_path / "catalog.db")
    for table in ("revisions", "search_index", "alert_state", "now_playing"):
        sql = f"SELECT * FROM {table} ORDER BY 1"
        assert [dict(row) for row in database.rows(sql)] == [dict(row) for row in ours.rows(sql)]
    with database.write() as conn:
        first = conn.execute("INSERT INTO selections (ids, address, made_at) VALUES ('', '', 1) RETURNING id").fetchone()[0]
    assert first == 2  # 1 begins a selection
    ours.close()


# Rows, values and errors


def test_a_row_has_names_numbers_and_an_order(database: CatalogDatabase) -> None:
    row = database.row("SELECT 1 AS one, 'b' AS two, NULL AS three, 2 AS one")
    assert row is not None
    assert (row["one"], row[1], row["three"], row[-1], len(row), row.keys()) == (
        1,
        "b",
        None,
        2,
        4,
        ["one", "two", "three", "one"],
    )
    one, two, *_ = row
    assert (one, two, row[:2]) == (1, "b", (1, "b"))
    assert dict(row) == {"one": 1, "two": "b", "three": None}
    with pytest.raises(IndexError):
        row["four"]


def test_values_are_those_of_sqlite(database: CatalogDatabase, tmp_path: Path) -> None:
    ours = CatalogDatabase(tmp_path / "catalog.db")
    for catalog in (ours, database):
        set_name(catalog, "long", "9" * 5000)
        with catalog.write() as conn:
            conn.execute("INSERT INTO crates (name, is_public, made_at) VALUES ('a', ?, ?)", (True, 5))
            conn.execute("INSERT INTO tries VALUES (?, 2, 1.5)", (b"\0\xff",))
    sql = (
        "SELECT sum(is_public) AS total, max(is_public) = 1 AS is_true, sum(made_at) AS at, (SELECT who FROM tries) AS who,"
        " (SELECT value FROM settings WHERE name = :name) AS value, 7 / 2 AS half, :name || '?' AS quoted FROM crates"
    )
    assert [
        [(value, type(value)) for value in catalog.rows(sql, {"name": "long"})[0]]  # type: ignore[arg-type]
        for catalog in (ours, database)
    ] == [[(1, int), (1, int), (5.0, float), (b"\0\xff", bytes), ("9" * 5000, str), (3, int), ("long?", str)]] * 2
    ours.close()


def test_nul_in_a_text_is_no_error(database: CatalogDatabase) -> None:
    set_name(database, "a\0b")
    assert database.rows("SELECT 1 FROM settings WHERE name = ?", ("a\0c",)) == []
    assert database.rows("SELECT name FROM settings")[0][0] == "a\ufffdb"


def test_errors_are_those_that_callers_catch(database: CatalogDatabase) -> None:
    set_name(database, "a")
    with pytest.raises(IntegrityError), database.write() as conn:
        conn.execute("INSERT INTO settings VALUES ('a', 'b')")
    with pytest.raises(sqlite3.ProgrammingError), database.write() as conn:
        conn.execute("SELECT nothing FROM nowhere")
    with pytest.raises(sqlite3.DataError):
        database.rows("SELECT CAST('x' || ? AS bigint)", ("y",))
    assert database.rows("SELECT value FROM settings")[0][0] == "x"  # the connections are sound


def test_a_reader_cannot_write(opened: PostgresCatalogs, database: CatalogDatabase, tmp_path: Path) -> None:
    set_name(database, "a")
    opened.names[tmp_path / "other.db"] = "never_made"  # a schema of the pool may have been used before
    with pytest.raises(DatabaseError, match="has no schema never_made"):
        opened.open(tmp_path / "other.db", is_reader=True).rows("SELECT 1")
    del opened.names[tmp_path / "other.db"]
    reader = opened.open(tmp_path / "catalog.db", is_reader=True)
    assert reader.rows("SELECT name FROM settings")[0][0] == "a"
    with pytest.raises(DatabaseError, match="read-only"):
        set_name(reader, "b")


# Transactions


def test_a_block_that_fails_changes_nothing_and_sees_itself_until_then(database: CatalogDatabase) -> None:
    def write_and_fail() -> None:
        with database.write() as conn:
            conn.execute("INSERT INTO settings VALUES ('a', 'b')")
            assert len(database.rows("SELECT 1 FROM settings")) == 1
            with database.reading() as same:
                assert same is conn
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    assert database.rows("SELECT 1 FROM settings") == []


def test_an_error_that_was_caught_in_a_block_is_not_taken_for_a_commit(database: CatalogDatabase) -> None:
    """PostgreSQL answers a COMMIT after an error by undoing everything, without an error."""
    set_name(database, "a")

    def write_and_catch() -> None:
        with database.write() as conn:
            conn.execute("INSERT INTO settings VALUES ('b', 'b')")
            with contextlib.suppress(IntegrityError):
                conn.execute("INSERT INTO settings VALUES ('a', 'b')")

    with pytest.raises(DatabaseError, match="nothing was saved"):
        write_and_catch()
    set_name(database, "c")
    assert [row[0] for row in database.rows("SELECT name FROM settings ORDER BY name")] == ["a", "c"]


def test_writers_of_several_nodes_wait_for_each_other(opened: PostgresCatalogs, tmp_path: Path) -> None:
    """Two blocks that read and then write would lose changes: so quotas and the first operator would break."""
    path = tmp_path / "catalog.db"
    set_name(opened.open(path), "count", "0")
    nodes = [opened.open(path) for _ in range(3)]
    start = threading.Barrier(6)

    def add(node: CatalogDatabase) -> None:
        start.wait()
        for _ in range(10):
            with node.write() as conn:
                value = int(conn.execute("SELECT value FROM settings WHERE name = 'count'").fetchone()[0])
                conn.execute("UPDATE settings SET value = ? WHERE name = 'count'", (str(value + 1),))

    threads = [threading.Thread(target=add, args=(node,)) for node in nodes * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert nodes[0].rows("SELECT value FROM settings")[0][0] == "60"


@pytest.mark.slow
def test_a_lock_that_another_node_holds_too_long_is_locked(opened: PostgresCatalogs, tmp_path: Path) -> None:
    one, other = opened.open(tmp_path / "catalog.db"), opened.open(tmp_path / "catalog.db")
    with one.write(), pytest.raises(Locked):
        set_name(other, "a")
    set_name(other, "a")


def test_the_version_changes_with_a_commit_of_another_node(opened: PostgresCatalogs, tmp_path: Path) -> None:
    one, other = opened.open(tmp_path / "catalog.db"), opened.open(tmp_path / "catalog.db")
    one.rows("SELECT 1")
    before = one.version()
    set_name(other, "a")
    assert one.version() != before


@pytest.mark.slow
def test_a_server_that_was_restarted_is_used_at_the_first_request() -> None:
    from image_cache.db.postgres.database import PgDatabase

    with Postgres() as server:
        database = PgDatabase(f"host={server.folder} user={USER} dbname={USER}", "vault", "here")
        set_name(database, "a")
        with database.reading(), database.reading(), database.reading():
            pass  # so that several connections are kept
        server.stop()
        with pytest.raises(DatabaseError, match="here: connection"):
            database.rows("SELECT 1")
        server.start()
        assert database.rows("SELECT name FROM settings")[0][0] == "a"
        set_name(database, "b")
        database.close()


# The start


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no URL": ({"DATABASE": "vinylvault"}, "VINYL_VAULT_DATABASE: must be a URL"),
    "an unknown parameter": ({"DATABASE": "postgresql://u@/x?tls=1"}, "VINYL_VAULT_DATABASE: must be a URL"),
    "a password": ({"DATABASE": "postgresql://u:geheim@localhost/x"}, "must not contain a password"),
    "a password at its end": ({"DATABASE": "postgresql://u@localhost/x?password=geheim"}, "must not contain a password"),
    "a service": ({"DATABASE": "postgresql://u@localhost/x?service=far"}, "VINYL_VAULT_DATABASE: must be a URL"),
    "no server": ({"DATABASE": "postgresql://u@127.0.0.1:1/x"}, "VINYL_VAULT_DATABASE: PostgreSQL database x at 127.0.0.1"),
    "in the clear": ({"DATABASE": "postgresql://u@192.0.2.1/x?sslmode=prefer"}, "sslmode=prefer sends everything in the clear"),
    "no password file": (
        {"DATABASE": "postgresql://u@localhost/x", "DATABASE_PASSWORD_FILE": Path("/nowhere/at/all")},
        "VINYL_VAULT_DATABASE_PASSWORD_FILE: cannot be read: No such file",
    ),
}


def refusal(folder: Path, **settings: Any) -> str:
    """Return why a vault does not start; nothing may have been written then."""
    with pytest.raises(ConfigError) as refused:
        ensure_directories(Settings(DATA_DIR=folder / "vault", **settings))
    assert not (folder / "vault").exists()
    assert "geheim" not in str(refused.value)
    assert refused.value.__cause__ is None or "geheim" not in str(refused.value.__cause__)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("case", BAD)
def test_a_dsn_that_cannot_be_used_stops_the_start_and_nothing_is_written(tmp_path: Path, case: str) -> None:
    settings, says = BAD[case]
    assert says in refusal(tmp_path, **settings)


def test_another_schema_an_old_server_and_a_missing_database_stop_it(
    schema_pool: SchemaPool, dsn: str, database: CatalogDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = database.rows("SELECT current_schema()")[0][0]
    assert 'database "gone" does not exist' in refusal(tmp_path, DATABASE=dsn.replace(f"/{USER}?", "/gone?"))
    monkeypatch.setattr("image_cache.db.postgres.server.MIN_SERVER", 99)
    assert "99 or newer is needed" in refusal(tmp_path, DATABASE=dsn)
    monkeypatch.undo()
    schema_pool.run("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    assert "has the encoding SQL_ASCII" in refusal(tmp_path, DATABASE=dsn.replace(f"/{USER}?", "/ascii?"))
    schema_pool.run("DROP DATABASE ascii")
    with database.write() as conn:
        conn.execute("UPDATE schema_version SET version = 3")
    try:
        assert "but this version supports" in refusal(tmp_path, DATABASE=dsn, DATABASE_SCHEMA=name)
        with pytest.raises(WrongVersion):
            open_catalog(Settings(DATA_DIR=tmp_path, DATABASE=dsn, DATABASE_SCHEMA=name)).rows("SELECT 1")
    finally:
        with database.write() as conn:
            conn.execute("UPDATE schema_version SET version = ?", (len(MIGRATIONS),))


@pytest.mark.slow
def test_a_server_elsewhere_must_offer_tls_and_its_password_is_read_from_the_file(tmp_path: Path) -> None:
    """0.0.0.0 is no loopback address by its number, and leads to this machine."""
    with Postgres(port=(port := free_port())) as server:
        assert "server does not support SSL" in refusal(tmp_path, DATABASE=f"postgresql://{USER}@0.0.0.0:{port}/{USER}")
        server.script("ALTER ROLE postgres PASSWORD 'geheim'")
        server.asks_for_passwords()
        near = f"postgresql://{USER}@127.0.0.1:{port}/{USER}"
        assert "no password supplied" in refusal(tmp_path, DATABASE=near)
        (tmp_path / "password").write_text("falsch\n")
        assert "password authentication failed" in refusal(tmp_path, DATABASE=near, DATABASE_PASSWORD_FILE=tmp_path / "password")
        (tmp_path / "password").write_text("geheim\n")
        ensure_directories(Settings(DATA_DIR=tmp_path / "vault", DATABASE=near, DATABASE_PASSWORD_FILE=tmp_path / "password"))


def test_the_environment_leads_nowhere_else(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the DSN names was looked at for TLS."""
    monkeypatch.setenv("PGHOST", "192.0.2.1")
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    ensure_directories(Settings(DATA_DIR=tmp_path / "vault", DATABASE=dsn))
    assert "/var/run/postgresql/.s.PGSQL" in refusal(tmp_path / "other", DATABASE="postgresql://u@/nowhere")


def test_an_empty_catalogue_beside_the_files_of_another_stops_it(dsn: str, tmp_path: Path) -> None:
    """Originals without a row would be swept."""
    original = tmp_path / "vault" / "state" / "stream_images" / "a" / "b.jpg"
    original.parent.mkdir(parents=True)
    original.write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"stream_images belongs to another one\. Nothing was changed"):
        ensure_directories(Settings(DATA_DIR=tmp_path / "vault", DATABASE=dsn, DATABASE_SCHEMA="none_yet"))
    assert original.exists()


def test_a_backup_and_a_restore_without_the_catalogue_are_refused(dsn: str, tmp_path: Path) -> None:
    settings = Settings(DATA_DIR=tmp_path / "vault", DATABASE=dsn)
    with pytest.raises(ConfigError, match="pg_dump"):
        back_up(settings, tmp_path / "backup.tar")
    with pytest.raises(ConfigError, match="pg_dump"):
        restore(settings, tmp_path / "backup.tar")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.app
@pytest.mark.decoder
@pytest.mark.slow
def test_the_application_runs_on_it(dsn: str, tmp_path: Path) -> None:
    name = "whole_application"
    with Inside(tmp_path / "vault", DATABASE=dsn, DATABASE_SCHEMA=name) as inside:
        inside.services.library.import_rows([ImportRow(1, "Zen Arcade", "Hüsker Dü"), ImportRow(2, "Back in Black", "AC/DC")])
        image_id = inside.services.streams.upload_stream_image(
            "evening", photo(1), "1.jpg", ImageVisibility.PUBLIC, title="R.E.M. live"
        )
        page = inside.client().get("/?q=ac+dc").text
        assert "Back in Black" in page
        assert "Zen Arcade" not in page
        assert "Zen Arcade" in inside.client().get("/?q=husker").text
        assert [image.image_id for image in inside.services.streams.rows.search("rem live")] == []
        assert [image.image_id for image in inside.services.streams.rows.search("e m liv")] == [image_id]
        assert inside.client().get("/health").status_code == 200
        assert inside.client().get("/streams/evening").status_code == 200
    assert not (tmp_path / "vault/state/catalog.db").exists()
    with Inside(tmp_path / "vault", DATABASE=dsn, DATABASE_SCHEMA=name) as again:  # a restart, beside originals of its own
        assert again.services.library.count() == 2


def test_the_name_of_a_schema_is_checked() -> None:
    assert load_settings({"VINYL_VAULT_DATABASE_SCHEMA": "vault_2"}).DATABASE_SCHEMA == "vault_2"
    with pytest.raises(ConfigError, match="VINYL_VAULT_DATABASE_SCHEMA"):
        load_settings({"VINYL_VAULT_DATABASE_SCHEMA": "x; DROP SCHEMA public"})


def test_an_import_asks_the_server_a_few_times_for_hundreds_of_records(
    database: CatalogDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round trip for each row was most of the time of an import."""
    asked: list[str] = []
    ask = PgConnection.execute

    def counted(self: PgConnection, sql: str, parameters: Any = ()) -> Any:
        asked.append(sql)
        return ask(self, sql, parameters)

    monkeypatch.setattr(PgConnection, "execute", counted)
    library = Library(database)
    rows = [ImportRow(n, f"Title {n}", f"Artist {n % 50}", source="table", source_id=str(n)) for n in range(1200)]
    rows.insert(700, ImportRow(5000, "Title 3, again", "Artist 3", source="table", source_id="3"))
    report = library.import_rows(rows)
    assert (report.new, report.changed, report.same) == (1200, 1, 0)
    assert len(asked) < 120
    asked.clear()
    assert library.import_rows(rows[:700]).same == 699
    assert len(asked) < 60
