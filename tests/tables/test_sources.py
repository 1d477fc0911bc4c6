"""Tables of others: what Discogs exports, what Excel saves, the database of the original program, and what is refused in words."""

import contextlib
import csv
import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from image_cache.errors import ImportRejected, TableRejected
from image_cache.import_models import ImportReport, ImportRow
from image_cache.records.library import Library
from image_cache.tables.read import Table, read_table
from tests.support.catalogs import Catalogs, catalog_at

PRESSING = {
    "Catalog#": "PST 7, PST 7",
    "Artist": "Staithe (2), Ada Brandvold (14) & The Tides",
    "Title": "Low Water (Remastered)",
    "Label": "Penstock, Penstock",
    "Format": "2xLP, Album, RE + CD, Album",
    "Rating": "4",
    "Released": "1969",
    "release_id": "4711",
    "CollectionFolder": "Uncategorized",
    "Date Added": "2021-03-04 05:06:07",
    "Collection Media Condition": "Near Mint (NM or M-)",
    "Collection Sleeve Condition": "Very Good Plus (VG+)",
    "Collection Notes": "signed",
}
HEADER = list(PRESSING)


def export(*rows: dict[str, str], further: tuple[str, ...] = (), separator: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [*HEADER, *further], delimiter=separator, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str | bytes], list[ImportRow | ImportRejected]]:
    def read(content: str | bytes) -> list[ImportRow | ImportRejected]:
        path = tmp_path / "table"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(read_table(path))

    return read


@pytest.fixture
def library(catalogs: Catalogs, tmp_path: Path) -> Library:
    return Library(catalog_at(tmp_path / "catalog.db"), clock=lambda: 1_800_000_000.0)


def refused(read: Callable[[], object]) -> str:
    with pytest.raises(TableRejected) as refusal:
        read()
    return refusal.value.reason


# --- Discogs


def test_a_row_of_a_discogs_collection_is_a_record(table: Callable[[str], list[Any]]) -> None:
    [row] = table(
        export({**PRESSING, "Collection Bought at": "a flea market"}, further=("Collection Bought at", "Collection Shelf"))
    )
    assert row == ImportRow(
        line=2,
        title="Low Water (Remastered)",
        artist="Staithe, Ada Brandvold & The Tides",
        source="discogs",
        source_id="4711",
        year=1969,
        formats=("Vinyl", "2xLP", "Album", "Reissue", "CD"),
        label="Penstock",
        catno="PST 7",
        rating=4,
        media_condition="NM",
        sleeve_condition="VG+",
        added_at=1614834367.0,
        notes="signed\nBought at: a flea market",
        counts_copies=True,
    )


def test_columns_of_the_collectors_own_are_shelf_price_and_purchase(table: Callable[[str], list[Any]]) -> None:
    own = {"Collection Location": "B 3", "Collection Price Paid": "25 €", "Collection Purchase Date": "2019-03-02"}
    [row] = table(export({**PRESSING, **own}, further=tuple(own)))
    assert (row.shelf, row.price, row.bought, row.notes) == ("B 3", "25.00 EUR", "2019-03-02", "signed")


@pytest.mark.parametrize(("released", "year"), [("", None), ("0", None), ("19??", None), ("1974-03", 1974), ("1974-00-00", 1974)])
def test_an_odd_date_costs_the_year_and_not_the_record(
    table: Callable[[str], list[Any]], released: str, year: int | None
) -> None:
    [row] = table(export({**PRESSING, "Released": released}))
    assert (row.title, row.year) == ("Low Water (Remastered)", year)


def test_a_folder_of_the_collection_is_a_line_of_the_notes(table: Callable[[str], list[Any]]) -> None:
    [row] = table(export({**PRESSING, "CollectionFolder": "Attic"}))
    assert row.notes == "signed\nFolder: Attic"


def test_copies_of_a_release_stay_several_records_and_come_in_once(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "collection.csv"
    path.write_text(export(PRESSING, {**PRESSING, "Collection Media Condition": "Good (G)"}, {**PRESSING, "release_id": "9"}))
    assert library.import_table(path, dry_run=True).new == 3
    assert library.import_table(path).new == 3
    assert library.import_table(path).same == 3
    found = {album.source_id: album.media_condition for album in library.albums()}
    assert found == {"4711": "NM", "4711-2": "G", "9": "NM"}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_an_export_is_read_whatever_excel_saved_it_as(table: Callable[[bytes], list[Any]], separator: str, encoding: str) -> None:
    text = export({**PRESSING, "Artist": "Åsa Łodz 🎷"}, separator=separator)
    [row] = table(text.encode(encoding))
    assert (row.artist, row.source_id) == ("Åsa Łodz 🎷", "4711")


def test_json_in_utf_16_is_read_and_a_cut_letter_is_not_the_end(table: Callable[[bytes], list[Any]]) -> None:
    text = json.dumps([{"title": "Ebb", "artist": "Ö" * 100}] * 2000, ensure_ascii=False)
    rows = table(text.encode("utf-16"))
    assert len(rows) == 2000
    assert rows[-1].artist == "Ö" * 100
    cut = table(text.encode("utf-16")[:-21])
    assert isinstance(cut[-1], ImportRejected)
    assert len(cut) == 2000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("listing_id,artist,title,label\n1,a,b,c\n", "this is a Discogs inventory"),
        ("order_id;title\n1;b\n", "this is a Discogs order list"),
        ("Catalog#,Artist,Title,Label,Format,Rating,Released,release_id,Notes\n", "this is a Discogs wantlist"),
        ("Title,Author,ISBN\na,b,c\n", "this is a list of books"),
        ("Title,IMDb Rating\na,b\n", "this is a list of films"),
        ("Track Name,Title,Artist\na,b,c\n", "this is a list of tracks"),
        ("Artist Name,Album Title\na,b\n", "no column is named title. If 'Album Title' contains the titles, rename it to title"),
        ("<html><body>Log in first</body></html>", "this is a web page"),
        ("\ufeff<?xml version='1.0'?>", "this is a web page or XML"),
        (b"%PDF-1.7", "this is a document"),
        (b"SQLite format 3", "the first line"),
        (b"SQLite format 3\0" + b"x" * 200, "the database is corrupt"),
        (b"\xff\xfe", "the first line"),
    ],
)
def test_files_of_others_are_refused_in_words(table: Callable[[Any], object], content: str | bytes, reason: str) -> None:
    assert refused(lambda: table(content)).startswith(reason)


def test_how_far_a_table_is_can_be_told(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("title\n" + "".join(f"Record number {n}\n" for n in range(5000)))
    table, seen = Table(path), []
    for _ in table:
        seen.append(table.done / table.size)
    assert seen == sorted(seen)
    assert seen[0] < 0.3
    assert table.done == table.size == path.stat().st_size


# --- continuing after a stop


class Stop(Exception):
    pass


@pytest.mark.long_on_postgres
def test_an_import_goes_on_where_a_stop_left_it_and_counts_every_row_once(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_cache.records.import_rows.ROWS_A_WRITE", 200)

    def rows() -> list[ImportRow | ImportRejected]:
        names = [f"T{n % 300}" for n in range(900)]  # every one three times: copies
        found: list[ImportRow | ImportRejected] = [ImportRow(n, name, "A", counts_copies=False) for n, name in enumerate(names)]
        found[450] = ImportRejected(450, "no title")
        return found

    saved: list[ImportReport] = []

    def save(_: object, report: ImportReport) -> None:
        saved.append(report)

    def stop(read: int) -> None:
        if read >= 400:
            raise Stop

    with pytest.raises(Stop):
        library.import_rows(rows(), save=save, progress=stop)
    assert (saved[-1].read, library.count()) == (400, 400)
    told: list[int] = []
    report = library.import_rows(rows(), save=save, resume=saved[-1], progress=told.append)
    assert (report.read, report.new, report.rejected) == (900, 899, ((450, "no title"),))
    assert library.count() == 899
    assert told[-1] == 900
    assert library.import_rows(rows()).same == 899


def test_a_dry_run_counts_a_row_that_says_the_same_record_again_once(library: Library) -> None:
    rows = [ImportRow(n, "T", "A", source="shop", source_id="1") for n in range(3)]
    assert (library.import_rows(rows, dry_run=True).new, library.import_rows(rows).new) == (1, 1)


# --- the original program

ALBUMS = """
CREATE TABLE albums (
    id INTEGER PRIMARY KEY, discogs_id INTEGER UNIQUE, title TEXT, artist TEXT, year INTEGER, cover_url TEXT,
    cover_cached BOOLEAN DEFAULT 0, genres TEXT, styles TEXT, tracklist TEXT, notes TEXT, rating INTEGER,
    date_added TIMESTAMP, folder_id INTEGER, play_count INTEGER DEFAULT 0, last_played TIMESTAMP
);
CREATE TABLE sync_log (id INTEGER PRIMARY KEY, sync_time TIMESTAMP, items_synced INTEGER, status TEXT);
"""
KEPT = {
    "discogs_id": 4711,
    "title": "Low Water",
    "artist": "Staithe",
    "year": 1969,
    "cover_url": "https://i.discogs.com/x.jpg",
    "genres": '["Jazz", "Funk / Soul"]',
    "styles": "Bop, Modal",
    "tracklist": '[{"position": "A1", "title": "Tide", "duration": "3:04"}, {"title": ""}, "Ebb"]',
    "notes": '[{"field_id": 3, "value": "signed"}]',
    "rating": 4,
    "date_added": "2021-03-04 05:06:07",
    "play_count": 2,
    "last_played": "2024-05-06T07:08:09",
}


def original(path: Path, *rows: dict[str, Any], schema: str = ALBUMS, journal: str = "DELETE") -> Path:
    conn = sqlite3.connect(path)
    conn.execute(f"PRAGMA journal_mode={journal}")
    conn.executescript(schema)
    for row in rows:
        conn.execute(f"INSERT INTO albums ({','.join(row)}) VALUES ({','.join('?' * len(row))})", tuple(row.values()))
    conn.commit()
    conn.close()
    return path


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_the_original_database_brings_records_and_plays_and_is_only_read(library: Library, tmp_path: Path, journal: str) -> None:
    folder = tmp_path / "before"
    folder.mkdir()
    path = original(folder / "vinylvault.db", KEPT, {**KEPT, "discogs_id": 5, "title": "", "artist": ""}, journal=journal)
    before = path.read_bytes()
    report = library.import_table(path, dry_run=True)
    assert (report.new, report.rejected, library.count()) == (1, ((2, "neither artist nor title"),), 0)
    report = library.import_table(path)
    [album] = library.albums()
    assert (album.source, album.source_id, album.title, album.year, album.plays) == ("discogs", "4711", "Low Water", 1969, 2)
    assert (album.genres, album.styles, album.notes, album.rating) == (("Jazz", "Funk / Soul"), ("Bop", "Modal"), "signed", 4)
    assert [track.title for track in album.tracks] == ["Tide", "Ebb"]
    assert album.cover_url == "https://i.discogs.com/x.jpg"
    assert album.last_played_at == 1714979289.0
    assert library.import_table(path).same == 1
    assert path.read_bytes() == before
    assert [found.name for found in folder.iterdir()] == ["vinylvault.db"]


def test_its_history_comes_in_once_and_beside_what_was_played_here(library: Library, tmp_path: Path) -> None:
    schema = ALBUMS + "CREATE TABLE play_history (id INTEGER PRIMARY KEY, album_id INTEGER, played_at TIMESTAMP);"
    path = original(tmp_path / "vinylvault.db", {**KEPT, "id": 7, "last_played": None}, schema=schema)
    conn = sqlite3.connect(path)
    moments = ["2024-01-01 20:00:00", "2024-02-01 20:00:00", "2024-02-01 20:00:00", "2024-03-01 20:00:00"]
    conn.executemany("INSERT INTO play_history (album_id, played_at) VALUES (7, ?)", [(moment,) for moment in moments])
    conn.commit()
    assert library.import_table(path).new == 1
    [album] = library.albums()
    assert (album.plays, album.last_played_at) == (3, 1709323200.0)
    library.record_play(album.id)
    assert library.import_table(path).same == 1
    assert library.unplay(album.id) == 3
    conn.execute("INSERT INTO play_history (album_id, played_at) VALUES (7, '2024-04-01 20:00:00')")
    conn.commit()
    conn.close()
    assert library.import_table(path).changed == 1
    assert [(album.plays, album.last_played_at) for album in library.albums()] == [(4, 1712001600.0)]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ("CREATE TABLE other (a);", "this database is not from the original VinylVault: it has no albums table"),
        (
            "CREATE TABLE albums (title, artist);",
            "this database is not from the original VinylVault: its albums table has no discogs_id",
        ),
        (
            "CREATE TABLE t (a); CREATE VIEW albums AS SELECT a AS title FROM t;",
            "this database is not from the original VinylVault",
        ),
        (
            "CREATE VIRTUAL TABLE albums USING fts5(title, artist, discogs_id);",
            "this database is not from the original VinylVault",
        ),
    ],
)
def test_databases_of_others_are_refused_in_words(tmp_path: Path, schema: str, reason: str) -> None:
    path = original(tmp_path / "other.db", schema=schema)
    assert refused(lambda: list(read_table(path))).startswith(reason)


@pytest.mark.sqlite_only  # reads its file
def test_the_catalogue_of_a_vault_is_not_taken_for_a_table(library: Library, tmp_path: Path) -> None:
    library.import_rows([ImportRow(1, "T", "A")])
    copy = tmp_path / "copy.db"
    conn = sqlite3.connect(tmp_path / "catalog.db")
    conn.execute("VACUUM INTO ?", (str(copy),))
    conn.close()
    assert refused(lambda: list(read_table(copy))).startswith("this is a VinylVault catalogue")


def test_a_truncated_or_scribbled_database_is_refused_and_kills_nothing(tmp_path: Path) -> None:
    rows = [{**KEPT, "discogs_id": n, "notes": "n" * 900} for n in range(400)]
    whole = original(tmp_path / "whole.db", *rows).read_bytes()
    assert len(list(read_table(tmp_path / "whole.db"))) == 400
    broken = tmp_path / "broken.db"
    for at in (100, 4096, len(whole) // 2, len(whole) - 5000):
        for content in (whole[:at], whole[:at] + b"\xff" * 3000 + whole[at + 3000 :]):
            broken.write_bytes(content)
            with contextlib.suppress(TableRejected):  # what is scribbled over may be a text
                assert len(list(read_table(broken))) <= 400


def test_a_huge_text_is_refused_by_name_and_takes_no_memory(tmp_path: Path) -> None:
    path = original(tmp_path / "huge.db", KEPT, {**KEPT, "discogs_id": 5, "notes": "x" * 3_000_000})
    assert "it contains a text longer than 1 MB" in refused(lambda: list(read_table(path)))
    long = original(tmp_path / "long.db", {**KEPT, "title": "x" * 5000}, {**KEPT, "discogs_id": 5})
    bad, good = read_table(long)
    assert isinstance(bad, ImportRow)
    assert (bad.title, bad.losses) == ("x" * 200, ("title is too long (maximum 200 characters); shortened",))
    assert isinstance(good, ImportRow)


# --- out and in again


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_everything_goes_out_and_comes_in_again_somewhere_else(library: Library, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "in.json"
    row = {"title": "=Tide", "artist": "Ö", "barcode": "0 602445-790000", "mbid": "B7F3C1A2-0000-4000-8000-00000000000a"}
    source.write_text(json.dumps([{**row, "plays": 3, "last_played": "2024-05-06", "instance_id": "88", "genres": ["a; b"]}]))
    library.import_table(source)
    path = tmp_path / f"out.{kind}"
    path.write_text("".join(library.table_text(kind)), encoding="utf-8", newline="")
    assert library.export_table(tmp_path / f"same.{kind}") == 1
    assert (tmp_path / f"same.{kind}").read_bytes() == path.read_bytes()
    other = Library(catalog_at(tmp_path / "other" / "catalog.db"))
    other.import_table(path)
    assert [_plain(album) for album in other.albums()] == [_plain(album) for album in library.albums()]
    assert next(iter(other.albums())).barcode == "0602445790000"


def test_a_picture_of_this_machine_is_not_written_into_a_table(library: Library, tmp_path: Path) -> None:
    library.import_rows([ImportRow(1, "T", "A", cover_url="demo:x.jpg"), ImportRow(2, "U", "A", cover_url="https://a.example/1")])
    path = tmp_path / "out.csv"
    library.export_table(path)
    assert library.import_table(path).same == 2
    assert "demo:" not in path.read_text()


def _plain(album: Any) -> dict[str, Any]:
    return {name: getattr(album, name) for name in type(album).__slots__ if name != "id"}
