"""Catalogue: schema, permissions, triggers, two concurrent writers."""

import json
import multiprocessing
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from image_cache.db.catalog import CatalogDatabase, SettingsTable
from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.database import Database, DatabaseError, IntegrityError
from image_cache.models import Album, Track
from image_cache.records.search.tiers import TieredSearch
from image_cache.records.table import AlbumTable
from tests.support.plays import count_play
from tests.support.vault import ROOT


def album(number: int = 1, **other: object) -> Album:
    values: dict[str, object] = {
        "id": 0,
        "source": "table",
        "source_id": f"row-{number}",
        "title": "Low Water",
        "artist": "Mark Brine",
        "artist_sort": "mark brine",
        "title_sort": "low water",
        "added_at": 1000.0,
    }
    return Album(**{**values, **other})  # type: ignore[arg-type]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[CatalogDatabase]:
    catalog = CatalogDatabase(tmp_path / "state" / "catalog.db")
    yield catalog
    catalog.close()


def store(catalog: CatalogDatabase, *albums: Album) -> None:
    with catalog.write() as conn:
        for one in albums:
            AlbumTable(catalog).insert(conn, one)


def hits(catalog: CatalogDatabase, text: str) -> list[int]:
    return sorted(TieredSearch(catalog).find(text, with_notes=True).tiers)


def test_only_the_owner_of_the_files_may_read_them(catalog: CatalogDatabase) -> None:
    store(catalog, album())
    folder = catalog.path.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert files == {"catalog.db": 0o600, "catalog.db-wal": 0o600, "catalog.db-shm": 0o600}


def test_it_uses_the_safest_settings_of_sqlite(catalog: CatalogDatabase) -> None:
    assert catalog.row("PRAGMA synchronous")[0] == 2
    assert catalog.row("PRAGMA journal_mode")[0] == "wal"


def test_an_album_is_read_as_it_was_stored(catalog: CatalogDatabase) -> None:
    stored = album(
        year=1969,
        genres=("Jazz", "Funk / Soul"),
        styles=("Bop",),
        formats=("Vinyl", '12"'),
        label="Ørken",
        catno="OR 1",
        rating=4,
        media_condition="NM",
        sleeve_condition="VG+",
        notes="first line\nsecond line",
        cover_url="https://covers.example/1.jpg",
        tracks=(Track("A1", "Tide", 184), Track("", "Ebb", None)),
        plays=3,
    )
    store(catalog, stored)
    found = AlbumTable(catalog).by_identity("table", "row-1")
    assert found == replace(stored, id=1)
    assert AlbumTable(catalog).album(1) == found
    assert AlbumTable(catalog).albums([7, 1]) == [found]


def test_a_source_id_is_unique(catalog: CatalogDatabase) -> None:
    store(catalog, album(1))
    with pytest.raises(IntegrityError):
        store(catalog, album(1))
    store(catalog, album(1, source="discogs"))


def test_an_id_is_never_reused(catalog: CatalogDatabase) -> None:
    store(catalog, album(1), album(2))
    with catalog.write() as conn:
        conn.execute("DELETE FROM albums WHERE id = 2")
    store(catalog, album(3))
    assert AlbumTable(catalog).by_identity("table", "row-3").id == 3  # type: ignore[union-attr]


@pytest.mark.parametrize("album_id", [0, -1, 99, 2**63, 10**30])
def test_an_unknown_id_is_no_album(catalog: CatalogDatabase, album_id: int) -> None:
    store(catalog, album())
    assert AlbumTable(catalog).album(album_id) is None


def test_search_follows_every_change_of_the_words(catalog: CatalogDatabase) -> None:
    store(catalog, album(1, label="Ostrava", notes="signed", tracks=(Track("A1", "Parallel parking", 100),)))
    for text in ("low", "brine", "ostrava", "signed", "parallel"):
        assert hits(catalog, text) == [1], text
    before = AlbumTable(catalog).by_identity("table", "row-1")
    assert before is not None
    with catalog.write() as conn:
        AlbumTable(catalog).update(conn, before, replace(before, title="High Tide", tracks=()))
    assert hits(catalog, "low") == hits(catalog, "parallel") == []
    assert hits(catalog, "high") == hits(catalog, "brine") == [1]
    with catalog.write() as conn:
        AlbumTable(catalog).index.remove(conn, [1])
        conn.execute("DELETE FROM albums")
    assert hits(catalog, "high") == []
    with catalog.write() as conn:
        conn.execute("INSERT INTO words (words) VALUES ('integrity-check')")


def test_search_does_not_find_the_json_of_the_tracks(catalog: CatalogDatabase) -> None:
    store(catalog, album(tracks=(Track("A1", "Tide", 100),)))
    assert hits(catalog, "null") == hits(catalog, "a1") == hits(catalog, "100") == []


def test_filters_follow_every_change_of_the_values(catalog: CatalogDatabase) -> None:
    store(catalog, album(1, genres=("Jazz", "Folk"), formats=("Vinyl",)), album(2, genres=("Jazz", "Jazz")))
    assert AlbumTable(catalog).facets("genre") == [("Folk", 1), ("Jazz", 2)]
    with catalog.write() as conn:
        conn.execute("UPDATE albums SET genres = ? WHERE id = 1", (json.dumps(["Rock"]),))
    assert AlbumTable(catalog).facets("genre") == [("Jazz", 1), ("Rock", 1)]
    assert AlbumTable(catalog).facets("format") == [("Vinyl", 1)]
    with catalog.write() as conn:
        conn.execute("DELETE FROM albums WHERE id = 1")
    assert AlbumTable(catalog).facets("genre") == [("Jazz", 1)]


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ("UPDATE albums SET year = 1970", {"artist", "plays"}),
        ("UPDATE albums SET notes = 'x'", {"artist", "plays"}),
        ("DELETE FROM albums", {"artist", "plays"}),
        ("UPDATE albums SET plays = 9", {"plays"}),
        ("UPDATE albums SET own_rating = 3", set()),
    ],
)
def test_the_revision_changes_with_the_order_that_depends_on_it(catalog: CatalogDatabase, change: str, moves: set[str]) -> None:
    store(catalog, album())
    before = {sort: AlbumTable(catalog).revisions().of(sort) for sort in ("artist", "plays")}
    with catalog.write() as conn:
        conn.execute(change)
    assert {sort for sort in before if AlbumTable(catalog).revisions().of(sort) != before[sort]} == moves


def test_all_albums_are_read_in_chunks(catalog: CatalogDatabase) -> None:
    store(catalog, *(album(n, cover_url=None if n % 2 else f"https://covers.example/{n}") for n in range(1, 1203)))
    assert [one.id for one in AlbumTable(catalog).all_albums()] == list(range(1, 1203))
    assert sum(1 for _ in AlbumTable(catalog).cover_urls()) == 601


def test_a_catalogue_of_an_older_version_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    old = Database(path, MIGRATIONS[:1], synchronous="FULL")
    with old.write() as conn:
        conn.execute(
            "INSERT INTO albums (source, source_id, title, artist, title_sort, artist_sort, added_at)"
            " VALUES ('table', '1', 'T', 'A', 't', 'a', 5)"
        )
    old.close()
    catalog = CatalogDatabase(path)
    assert AlbumTable(catalog).album(1).title == "T"  # type: ignore[union-attr]
    assert catalog.rows("SELECT * FROM accounts") == []
    catalog.close()


def test_a_catalogue_of_a_newer_version_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    newer = Database(path, (*MIGRATIONS, "CREATE TABLE tomorrow (x);"), synchronous="FULL")
    newer.rows("SELECT 1")
    newer.close()
    with pytest.raises(DatabaseError, match=f"schema {len(MIGRATIONS) + 1}"):
        AlbumTable(CatalogDatabase(path)).revisions().of("artist")


def _write_many(path: Path, prefix: str, barrier: "multiprocessing.synchronize.Barrier") -> None:
    catalog = CatalogDatabase(path)
    barrier.wait()
    for number in range(50):
        store(catalog, album(number, source=prefix))
        count_play(catalog, 1, 5.0)
    catalog.close()


def test_two_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    """The first opening is a race too: both find no file and create the schema."""
    path = tmp_path / "state" / "catalog.db"
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    writers = [context.Process(target=_write_many, args=(path, name, barrier)) for name in ("left", "right")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    catalog = CatalogDatabase(path)
    counts = catalog.rows("SELECT source, count(*) AS n FROM albums GROUP BY source")
    assert {row["source"]: row["n"] for row in counts} == {"left": 50, "right": 50}
    played = AlbumTable(catalog).album(1)
    assert played is not None
    # The first play of a process may have been before album 1 existed; all others count.
    assert catalog.row("SELECT count(*) FROM plays")[0] == played.plays == 100
    assert catalog.row("PRAGMA integrity_check")[0] == "ok"
    catalog.close()


def test_a_new_catalogue_opens_while_another_process_is_creating_it(tmp_path: Path) -> None:
    """Switching to WAL does not wait for a writer: of two workers that started with an empty folder, one crashed."""
    path = tmp_path / "catalog.db"
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    # There is no way to see when the other process meets the lock; releasing it too early only makes the test easier.
    release = threading.Timer(0.2, holder.rollback)
    release.start()
    catalog = CatalogDatabase(path)
    assert AlbumTable(catalog).revisions().of("artist") == 0
    release.join()
    holder.close()
    catalog.close()


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_catalogue_that_is_lost_beside_its_wal_is_refused_and_comes_back_with_it(tmp_path: Path, is_empty: bool) -> None:
    """A process was killed, so that its last changes are in the WAL; then the file was moved away or emptied by mistake."""
    path = tmp_path / "catalog.db"
    lost, wal = tmp_path / "lost", tmp_path / "catalog.db-wal"
    program = f"""
import os
from image_cache.db.catalog import CatalogDatabase, SettingsTable
from pathlib import Path
SettingsTable(CatalogDatabase(Path({str(path)!r}))).set({{"said": "yes"}})
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert wal.stat().st_size
    path.rename(lost)
    if is_empty:
        path.touch()
    held = wal.read_bytes()
    catalog = CatalogDatabase(path)
    with pytest.raises(DatabaseError, match=r"is (empty|missing), but catalog\.db-wal contains data that belongs to it"):
        SettingsTable(catalog).values("")
    assert wal.read_bytes() == held
    lost.replace(path)
    assert SettingsTable(catalog).values("said") == {"said": "yes"}
    catalog.close()


# Modules that are about the file itself, and what they do without a catalogue in PostgreSQL.
OF_THE_FILE = {
    "image_cache/db/open_catalog.py": "chooses",
    "image_cache/maintenance/move.py": "copies it, and looks whether there is one",
    "image_cache/maintenance/backup/create.py": "refuses before",
    "image_cache/maintenance/backup/restore.py": "refuses before",
    "image_cache/maintenance/backup/refetch_list.py": "is a part of restore",
}


def test_the_catalogue_of_the_settings_is_opened_in_one_place() -> None:
    """A module that opens the file itself would show an empty catalogue beside one in PostgreSQL."""
    opens = re.compile(r"\bCatalogDatabase\([^)]*\bcatalog_path\b|\bcatalog_path\.exists\(\)")
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "image_cache").rglob("*.py")
        if opens.search(path.read_text(encoding="utf-8"))
    }
    assert found == OF_THE_FILE.keys()
