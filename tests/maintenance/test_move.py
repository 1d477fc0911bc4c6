"""The catalogue from its file to PostgreSQL and back: all of it or nothing, the same rows, the same searches, no number given twice."""

import contextlib
import io
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from image_cache.cli.main import main
from image_cache.cluster.nodes import NodeTable
from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.db.open_catalog import open_catalog
from image_cache.errors import Busy
from image_cache.import_models import ImportRow
from image_cache.maintenance.move import CannotMove, MovedTable, move_from_postgres, move_to_postgres
from image_cache.records.search.index_table import SearchIndexTable
from image_cache.records.search.tiers import TieredSearch
from image_cache.vault_lock import VaultLock
from tests.support.catalogs import SchemaPool
from tests.support.filled import fill, settings_of, vault_at
from tests.support.operator import Said
from tests.support.origin import Origin
from tests.support.postgres import USER

pytestmark = [pytest.mark.postgres, pytest.mark.server]

RECORDS = 300
SEARCHES = ("ac dc", "husker", "artist", "lodz", "record 7", "long note")


@pytest.fixture
def dsn(schema_pool: SchemaPool) -> Iterator[str]:
    yield f"postgresql://{USER}@/{USER}?host={schema_pool.dsn.split()[0].removeprefix('host=')}"
    schema_pool.run("DROP SCHEMA IF EXISTS moved CASCADE")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A vault with records, plays, accounts, streams and images; some with values that databases treat differently."""
    folder = tmp_path_factory.mktemp("filled")
    settings = settings_of(folder / "vault", DATABASE_SCHEMA="moved")
    with Origin() as origin:
        fill(settings, origin, folder)
    with vault_at(settings) as services:
        odd = [
            ImportRow(1, "Zen Arcade", "Hüsker Dü", notes="a\tb\\N\nc"),
            ImportRow(2, "Back in Black", "AC/DC", year=1980, genres=("Rock", "Hard Rock")),
            ImportRow(3, "Łódź", "🎷 Trio", notes="a long note " * 500),
        ]
        services.library.import_rows(odd + [ImportRow(n, f"Record {n}", f"Artist {n % 40}") for n in range(10, RECORDS)])
        services.library.import_rows([ImportRow(9999, "Removed", "Again")])
        with services.catalog.write() as conn:  # its number is not given to another one
            conn.execute("DELETE FROM albums WHERE title = 'Removed'")
            conn.execute("INSERT INTO settings VALUES ('nul', 'a' || char(0) || 'b')")
            conn.execute("UPDATE stream_images SET title = 'R.E.M. live' WHERE number = 1")
        SearchIndexTable(services.catalog).catch_up()
    return settings


def run(env: dict[str, str], *arguments: str) -> Said:
    """Run a command of `vinylvault` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.dict(os.environ, env, clear=True), contextlib.redirect_stderr(err):
        status = main(list(arguments), stream=out)
    return Said(status, out.getvalue(), err.getvalue())


def highest(catalog: CatalogDatabase) -> int:
    row = catalog.row("SELECT max(id) FROM albums")
    assert row is not None
    return int(row[0])


def tables(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of a file, and the last number that each table gave."""
    conn = sqlite3.connect(path)
    names = [row[0] for row in conn.execute("SELECT name FROM pragma_table_list WHERE type = 'table' AND schema = 'main'")]
    found = {
        name: sorted(conn.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names if name != "sqlite_schema"
    }
    conn.close()
    return found


def last_of(found: dict[str, list[tuple[object, ...]]]) -> int:
    return next(int(str(last)) for name, last in found["sqlite_sequence"] if name == "albums")


def searches(catalog: CatalogDatabase) -> list[dict[int, int]]:
    search = TieredSearch(catalog)
    return [search.find(text, with_notes=True).tiers for text in SEARCHES]


def test_there_and_back_everything_is_the_same(filled: Settings, dsn: str, tmp_path: Path) -> None:
    moved: list[MovedTable] = []
    before = tables(filled.catalog_path)
    move_to_postgres(filled, dsn, moved.append)
    assert tables(filled.catalog_path) == before
    rows = {one.name: one.rows for one in moved}
    assert rows["albums"] == len(before["albums"]) >= RECORDS - 10
    assert {name: len(before[name]) for name in rows} == rows
    assert len(rows) > 40
    there = open_catalog(replace(filled, DATABASE=dsn))
    source = CatalogDatabase(filled.catalog_path)
    assert searches(there) == searches(source)
    assert all(searches(there))
    assert there.rows("SELECT 1 FROM image_words WHERE tokens IS NULL") == []
    columns = "source, source_id, title, artist, title_sort, artist_sort, added_at"
    with contextlib.suppress(KeyError), there.write() as conn:
        row = conn.execute(f"INSERT INTO albums ({columns}) VALUES ('a', 'b', '', '', '', '', 1) RETURNING id").fetchone()
        assert row[0] == highest(source) + 2  # one was removed: its number is not given again
        raise KeyError
    source.close()
    there.close()

    home = replace(filled, DATA_DIR=tmp_path / "home")
    move_from_postgres(home, dsn, moved.append)
    assert [path.name for path in home.state_dir.iterdir() if not path.name.startswith(".")] == ["catalog.db"]
    after = tables(home.catalog_path)
    with sqlite3.connect(home.catalog_path) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert (
            conn.execute("PRAGMA user_version").fetchone()
            == sqlite3.connect(filled.catalog_path).execute("PRAGMA user_version").fetchone()
        )
        made = "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2"
        assert conn.execute(made).fetchall() == sqlite3.connect(filled.catalog_path).execute(made).fetchall()
    for name in before:
        if name.startswith(("words_", "image_words_")) or name == "sqlite_sequence":
            continue
        expected = [tuple(v.replace("\0", "\ufffd") if isinstance(v, str) else v for v in row) for row in before[name]]
        assert after[name] == sorted(expected, key=repr), name
    assert last_of(after) == last_of(before) + 1
    back, source = CatalogDatabase(home.catalog_path), CatalogDatabase(filled.catalog_path)
    assert searches(back) == searches(source)
    back.close()
    source.close()


def test_a_second_move_finds_the_target_not_empty(filled: Settings, dsn: str) -> None:
    move_to_postgres(filled, dsn, lambda _: None)
    with pytest.raises(CannotMove, match=r"The schema moved is not empty: it has rows in albums\."):
        move_to_postgres(filled, dsn, lambda _: None)
    with pytest.raises(CannotMove, match="There is a catalogue at"):
        move_from_postgres(filled, dsn, lambda _: None)


def test_a_dry_run_counts_and_changes_nothing(filled: Settings, dsn: str, tmp_path: Path) -> None:
    found: list[MovedTable] = []
    move_to_postgres(filled, dsn, found.append, is_dry=True)
    assert {one.name: one.rows for one in found}["albums"] >= RECORDS - 10
    with pytest.raises(CannotMove, match="There is no schema moved"):
        move_from_postgres(replace(filled, DATA_DIR=tmp_path), dsn, found.append)


def test_a_move_that_is_cut_short_leaves_nothing(filled: Settings, dsn: str, tmp_path: Path) -> None:
    def fails(table: MovedTable) -> None:
        if table.name == "streams":
            raise OSError(5, "cut")

    with pytest.raises(OSError, match="cut"):
        move_to_postgres(filled, dsn, fails)
    move_to_postgres(filled, dsn, lambda _: None)
    home = replace(filled, DATA_DIR=tmp_path / "home")
    with pytest.raises(OSError, match="cut"):
        move_from_postgres(home, dsn, fails)
    assert [path for path in home.state_dir.iterdir() if not path.name.startswith(".")] == []


def test_a_row_that_differs_undoes_all(filled: Settings, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from image_cache.db.postgres import connection

    send = connection.PgConnection.copy_in

    def loses_one(self: connection.PgConnection, table: str, columns: tuple[str, ...], rows: object) -> None:
        send(self, table, columns, iter(list(rows)[:-1]) if table == "plays" else rows)  # type: ignore[call-overload, arg-type]

    monkeypatch.setattr(connection.PgConnection, "copy_in", loses_one)
    with pytest.raises(DatabaseError, match="plays differs after the copy"):
        move_to_postgres(filled, dsn, lambda _: None)
    monkeypatch.undo()
    move_to_postgres(filled, dsn, lambda _: None)


def test_a_vault_that_is_served_is_not_moved(filled: Settings, dsn: str, tmp_path: Path) -> None:
    lock = VaultLock.enter(filled.state_dir)
    with pytest.raises(Busy, match="Stop the service first"):
        move_to_postgres(filled, dsn, lambda _: None)
    lock.close()
    move_to_postgres(filled, dsn, lambda _: None)
    there = open_catalog(replace(filled, DATABASE=dsn))
    NodeTable(there).join("north", "boot", "1", 1)
    with pytest.raises(Busy, match="in use by node north"):
        move_from_postgres(replace(filled, DATA_DIR=tmp_path / "home"), dsn, lambda _: None)
    there.close()


def test_the_command_says_what_it_does_in_80_columns(filled: Settings, dsn: str, tmp_path: Path) -> None:
    env = {"VINYL_VAULT_DATA_DIR": str(filled.DATA_DIR), "VINYL_VAULT_DATABASE_SCHEMA": "moved"}
    dry = run(env, "move", "--to", dsn, "--dry-run")
    assert "would be moved. Nothing was changed." in dry.out
    done = run(env, "move", "--to", dsn)
    assert "every table is the same on both sides" in done.out
    assert "albums" in done.out
    assert max(map(len, done.out.split("Moved")[0].splitlines())) <= 80
    assert run(env, "move").err.startswith("move needs either --to or --from")
    back = run({**env, "VINYL_VAULT_DATA_DIR": str(tmp_path / "home")}, "move", "--from", dsn)
    assert back.status == 0, back.err
