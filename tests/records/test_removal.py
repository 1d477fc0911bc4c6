"""Records that are removed: what goes with them, what stays, what comes back, and what happens at the same moment. Real databases and files."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from image_cache.covers.own_covers import OwnCovers
from image_cache.db.catalog import CatalogDatabase
from image_cache.engine.index import Index
from image_cache.errors import StorageError, UnknownAlbum
from image_cache.import_models import ImportRow
from image_cache.importers.artwork.table import ArtworkTable, CoverTries
from image_cache.importers.discogs.table import SyncTable
from image_cache.models import AlbumQuery
from image_cache.records.library import COLOUR, Library
from image_cache.records.orders.appearance_table import RecordAppearance, RecordAppearanceTable
from image_cache.records.removal import RECORDS_A_WRITE, GoneRecords, RecordDependents, RemovalTable
from image_cache.records.search.tiers import TieredSearch
from image_cache.records.table import AlbumTable
from image_cache.storage.local import LocalStorage
from tests.support.catalogs import Catalogs
from tests.support.clock import FakeClock
from tests.support.inside import Inside
from tests.support.origin import jpeg
from tests.support.vault import wait_until

COUNTED = ("albums", "plays", "facets", "cover_tries", "detail_wishes", "music_albums", "spins")
BODY = b"a picture of one's own"


@pytest.fixture
def looks(catalogs: Catalogs, tmp_path: Path) -> Iterator[RecordAppearanceTable]:
    with closing(catalogs.open_index(tmp_path / "index.db")) as index:
        yield RecordAppearanceTable(index)


@pytest.fixture
def own(tmp_path: Path) -> OwnCovers:
    return OwnCovers(LocalStorage(tmp_path / "own"))


@pytest.fixture
def library(catalog: CatalogDatabase, clock: FakeClock, looks: RecordAppearanceTable, own: OwnCovers) -> Library:
    return Library(catalog, clock=clock, appearances=looks, own=own)


def row(title: str, **other: object) -> ImportRow:
    return ImportRow(line=2, title=title, artist="Somebody", **other)  # type: ignore[arg-type]


def fill(library: Library, *rows: ImportRow) -> list[int]:
    """Import rows and return the ids of all records there are now, in the order they came in."""
    library.import_rows(rows)
    return [album.id for album in library.albums()]


def counts(catalog: CatalogDatabase) -> dict[str, int]:
    return {name: catalog.rows(f"SELECT count(*) AS n FROM {name}")[0]["n"] for name in COUNTED}


def gone(catalog: CatalogDatabase, ids: list[int], at: float) -> None:
    with catalog.write() as conn:
        conn.executemany("UPDATE albums SET gone_at = ? WHERE id = ?", [(at, one) for one in ids])


def test_with_a_record_goes_whatever_hangs_on_it_and_nothing_of_another(library: Library, catalog: CatalogDatabase) -> None:
    one, other = fill(library, *(row(title, genres=("Jazz",), formats=("LP",), year=1971) for title in ("Zugzwang", "Other")))
    for album_id in (one, other):
        library.record_play(album_id)
        library.write_notes(album_id, f"note{album_id}")
        ArtworkTable(catalog).record(album_id, CoverTries(1.0, 2.0), None)
        SyncTable(catalog).enqueue_details(album_id, 1.0)
    with catalog.write() as conn:
        conn.executemany("INSERT INTO spins (album_id, spun_at) VALUES (?, 1)", [(one,), (other,)])
    before = {sort: AlbumTable(catalog).revisions().of(sort) for sort in ("artist", "plays")}
    assert library.page(AlbumQuery(text="zugzwang"), 1).total == 1
    removed = library.remove([one])
    assert [(found.id, found.artist, found.title) for found in removed] == [(one, "Somebody", "Zugzwang")]
    assert counts(catalog) == {
        **dict.fromkeys(COUNTED, 1),
        "facets": 2,
        "music_albums": 0,
    }
    assert all(AlbumTable(catalog).revisions().of(sort) > number for sort, number in before.items())
    facets = library.facets()
    assert (facets.genres, facets.decades, library.count()) == ((("Jazz", 1),), ((1970, 1),), 1)
    for text, hits in (("zugzwang", []), (f"note{one}", []), ("other", [other]), (f"note{other}", [other])):
        assert list(TieredSearch(catalog).find(text, with_notes=True).tiers) == hits
    assert library.random() == library.album(other)
    with pytest.raises(UnknownAlbum):
        library.record_play(one)


def test_unknown_ids_are_passed_over_and_an_id_is_never_given_again(library: Library) -> None:
    ids = fill(library, row("One"), row("Two"))
    assert [found.id for found in library.remove([ids[1], 999, ids[1]])] == [ids[1]]
    assert library.remove([ids[1]]) == []
    assert library.remove([]) == []
    assert fill(library, row("Two"))[1] > ids[1]


@pytest.mark.long_on_postgres
def test_a_large_set_goes_in_portions_between_which_others_write(library: Library, catalog: CatalogDatabase) -> None:
    ids = fill(library, *(row(f"Title {number}") for number in range(2 * RECORDS_A_WRITE + 1)))
    left: list[int] = []
    wrote: list[int | None] = []

    def asked() -> Iterator[int]:
        for at, album_id in enumerate(ids[:-1]):
            if at in (RECORDS_A_WRITE, 2 * RECORDS_A_WRITE - 1):  # read before the second portion is written
                left.append(library.count())
                writer = threading.Thread(target=lambda: wrote.append(library.record_play(ids[-1])))
                writer.start()
                writer.join(20)
            yield album_id

    assert len(library.remove(asked())) == 2 * RECORDS_A_WRITE
    assert left == [RECORDS_A_WRITE + 1, RECORDS_A_WRITE + 1]
    assert wrote == [1, 2]
    assert library.count() == 1


def test_only_what_is_still_gone_goes_and_what_has_something_of_ones_own_is_spared(
    library: Library, catalog: CatalogDatabase, own: OwnCovers
) -> None:
    names = ("plain", "played", "noted", "starred", "covered", "back", "again", "there")
    ids = dict(zip(names, fill(library, *(row(name, source="discogs", source_id=name) for name in names)), strict=True))
    gone(catalog, [one for name, one in ids.items() if name != "there"], 100.0)
    library.record_play(ids["played"])
    library.write_notes(ids["noted"], "mine")
    library.rate(ids["starred"], 4)
    ArtworkTable(catalog).choose(ids["covered"], own.store(BODY))
    rows = RemovalTable(catalog)
    count = rows.count_gone("discogs")
    assert (count.total, count.own, count.until) == (7, 4, 100.0)
    assert rows.count_gone("music").total == 0
    assert [album.title for album in rows.removable("discogs", 9, own=True)] == ["covered", "noted", "played", "starred"]
    assert [album.title for album in rows.removable("discogs", 2, own=False)] == ["again", "back"]
    assert rows.dependents(list(ids.values())) == {
        **dict.fromkeys(ids.values(), RecordDependents()),
        ids["played"]: RecordDependents(plays=1),
        ids["noted"]: RecordDependents(has_notes=True),
        ids["starred"]: RecordDependents(stars=4),
        ids["covered"]: RecordDependents(has_cover=True),
    }
    # Between the page and its form: one is back, one came back and left again.
    with catalog.write() as conn:
        conn.execute("UPDATE albums SET gone_at = NULL WHERE id = ?", (ids["back"],))
    gone(catalog, [ids["again"]], 200.0)
    only = GoneRecords("discogs", count.until)
    assert list(rows.gone_ids(only)) == [ids["plain"]]
    assert [found.title for found in library.remove(ids.values(), only)] == ["plain"]
    all_of_it = GoneRecords("discogs", count.until, spares_own=False)
    assert {found.title for found in library.remove(rows.gone_ids(all_of_it), all_of_it)} == {
        "played",
        "noted",
        "starred",
        "covered",
    }
    assert sorted(album.title for album in library.albums()) == ["again", "back", "there"]


def test_the_file_of_an_own_cover_goes_with_the_last_record_that_shows_it(
    library: Library, catalog: CatalogDatabase, own: OwnCovers, tmp_path: Path
) -> None:
    one, other, third = fill(library, row("One"), row("Other"), row("Third"))
    shared, chosen = own.store(BODY), "https://covers.example/a.jpg"
    for album_id, address in ((one, shared), (other, shared), (third, chosen)):
        ArtworkTable(catalog).choose(album_id, address)
    library.remove([one, third])
    assert own.fetch(shared).body == BODY
    library.remove([other])
    assert not [path for path in (tmp_path / "own").rglob("*") if path.is_file()]


def test_an_own_cover_that_cannot_be_deleted_keeps_no_record(
    library: Library, catalog: CatalogDatabase, own: OwnCovers, tmp_path: Path
) -> None:
    (one,) = fill(library, row("One"))
    address = own.store(BODY)
    ArtworkTable(catalog).choose(one, address)
    file = next(path for path in (tmp_path / "own").rglob("*") if path.is_file())
    file.unlink()
    file.mkdir()  # no one deletes a folder as if it were a file, not even root
    assert len(library.remove([one])) == 1
    assert library.count() == 0


def test_what_sleeves_look_like_is_forgotten_at_once_and_groups_stay_counted(
    library: Library, looks: RecordAppearanceTable
) -> None:
    ids = fill(library, *(row(str(number)) for number in range(7)))
    with looks.database.write() as conn:
        looks.put(conn, [RecordAppearance(one, f"{one:064x}", one % 3, one) for one in ids])
        looks.pair(conn, [ids[:2], ids[2:4], ids[4:7]])
    before = library.page(AlbumQuery(sort=COLOUR), 1).total, looks.revision()
    assert looks.counts()["twins"] == 3
    library.remove([ids[0], ids[4]])
    assert looks.twins(0, 9) == [ids[2:4], ids[5:7]]
    assert looks.counts()["twins"] == 2
    assert sorted(looks.between(ids[0], ids[-1])) == [one for one in ids if one not in (ids[0], ids[4])]
    assert looks.revision() > before[1]
    assert library.page(AlbumQuery(sort=COLOUR), 1).total == before[0] - 2 == 5


def test_records_go_while_the_index_is_out_of_reach(catalog: CatalogDatabase, clock: FakeClock, tmp_path: Path) -> None:
    """The survey forgets the looks later; a full or broken card must not keep a record on the wall."""
    (tmp_path / "cache").write_text("no folder")
    index = Index(tmp_path / "cache" / "index.db")
    broken = RecordAppearanceTable(index.database)
    library = Library(catalog, clock=clock, appearances=broken)
    ids = fill(library, row("One"))
    assert len(library.remove(ids)) == 1
    assert library.count() == 0


@pytest.mark.sqlite_only  # fails as its disk does
def test_a_disk_that_refuses_is_said_and_what_went_before_it_stays_gone(library: Library, catalog: CatalogDatabase) -> None:
    ids = fill(library, *(row(f"Title {number}") for number in range(RECORDS_A_WRITE + 5)))

    def asked() -> Iterator[int]:
        yield from ids[:RECORDS_A_WRITE]
        # A table that is not there stands for a disk that is full: the second transaction is refused and rolled back all the same.
        with catalog.write() as conn:
            conn.execute("DROP TABLE spins")
        yield from ids[RECORDS_A_WRITE:]

    with pytest.raises(StorageError, match="200 records were removed"):
        library.remove(asked())
    assert library.count() == 5


def test_the_demo_goes_the_same_way(library: Library, catalog: CatalogDatabase, own: OwnCovers, tmp_path: Path) -> None:
    ids = fill(library, row("Mine"), *(row(f"Demo {number}", source="demo", source_id=str(number)) for number in range(3)))
    ArtworkTable(catalog).choose(ids[1], own.store(BODY))
    assert library.remove_source("demo") == 3
    assert [album.title for album in library.albums()] == ["Mine"]
    assert not [path for path in (tmp_path / "own").rglob("*") if path.is_file()]


@pytest.mark.long_on_postgres
def test_an_import_that_runs_meanwhile_doubles_nothing_and_loses_nothing(library: Library, catalog: CatalogDatabase) -> None:
    rows = [row(f"Title {number}", source="x", source_id=str(number)) for number in range(900)]
    fill(library, *rows[:450])
    removed: list[str] = []
    failures: list[BaseException] = []
    go_on = threading.Event()

    def take_away() -> None:
        try:
            while not go_on.is_set() or library.count():
                ids = [album.id for album in library.albums()]
                removed.extend(found.title for found in library.remove(ids))
        except BaseException as error:  # noqa: BLE001  told by the test
            failures.append(error)

    thread = threading.Thread(target=take_away)
    thread.start()
    report = library.import_rows(rows)
    go_on.set()
    thread.join(60)
    assert failures == []
    assert not thread.is_alive()
    assert report.new + report.same + report.changed == 900
    # Each went as often as it had come in: 450 before, and those that the import found missing.
    assert len(removed) == 450 + report.new
    assert library.count() == 0
    assert counts(catalog) == dict.fromkeys(COUNTED, 0)


def test_a_picture_for_a_record_that_was_removed_a_moment_ago_is_not_kept(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", settled=False) as inside:
        album = inside.services.library.album(inside.album())
        assert album is not None
        inside.services.library.remove([album.id])
        with pytest.raises(UnknownAlbum):
            inside.services.artwork.editor.upload(album, jpeg())
        assert not [path for path in (tmp_path / "vault/state/own_covers").rglob("*") if path.is_file()]


def test_a_picture_is_kept_again_when_its_file_went_with_another_record_meanwhile(tmp_path: Path) -> None:
    """The same image: kept for the second record, and before that record has it, deleted with the first."""
    with Inside(tmp_path / "vault", settled=False) as inside:
        catalog, desk = inside.services.catalog, inside.services.artwork.editor
        album = inside.services.library.album(inside.album())
        assert album is not None
        folder = tmp_path / "vault/state/own_covers"
        with catalog.write():
            uploader = threading.Thread(target=lambda: desk.upload(album, jpeg()))
            uploader.start()
            wait_until(lambda: any(path.is_file() for path in folder.rglob("[0-9a-f]*")))
            kept = next(path for path in folder.rglob("[0-9a-f]*") if path.is_file())
            kept.unlink()
        uploader.join(30)
        assert not uploader.is_alive()
        shown = inside.services.library.album(album.id)
        assert shown is not None
        assert shown.own_cover == f"own:{kept.name}"
        assert kept.read_bytes() == jpeg()
