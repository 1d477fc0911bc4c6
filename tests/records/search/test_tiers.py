"""The search by tiers: what is found first, over 6,000 records; how its index follows the catalogue."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.collection import collection
from benchmarks.search import Expected, expectations, first_hit, letters
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.database import Database
from image_cache.import_models import ImportRow
from image_cache.models import AlbumQuery, Track
from image_cache.records.library import Library
from image_cache.records.search import rules
from image_cache.records.search.index_table import SearchIndexTable
from image_cache.records.search.question import read_question
from image_cache.records.search.service import SearchIndexer
from image_cache.records.search.slips import distance
from image_cache.records.search.where import HitPlace, where_hit
from image_cache.records.table import AlbumTable
from image_cache.tasks import TaskRunner
from tests.support.catalogs import Catalogs, catalog_at

CASES = Path(__file__).resolve().parents[2] / "cases"
OWN = (
    ("Ψαραντώνης", "Ριζίτικα", {}),
    ("Виктор Цой", "Чёрный альбом", {}),
    ("คาราบาว", "เมด อิน ไทยแลนด์", {}),
    ("서태지와 아이들", "하여가", {}),
    ("喜多郎", "シルクロード", {}),
    ("रवि शंकर", "राग", {}),
    ("فيروز", "نسم علينا الهوى", {}),
    ("עפרה חזה", "שירי תימן", {}),
    ("🎸", "🎸🎸", {}),
    ("Tina Riff", "Riff 🎸", {}),
    ("Club Ten", '12" Mixes', {"formats": ('12"', "33 ⅓ RPM")}),
    ("Barcode Band", "Bars", {"barcode": "4711111222229", "catno": "PEN-2117/3", "label": "Pen"}),
    ("Shelf Sitters", "Board", {"notes": "Shelf: Kallax 3, B1"}),
    ("Der Plan", "Geri Reig", {}),
    ("Jay-Z", "Reasonable Doubt", {}),
    ("Sonny & Cher", "Look At Us", {}),
    ("Hüsker Dü", "Zen Arcade", {}),
)


@pytest.fixture(scope="module")
def filled(module_catalogs: Catalogs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    path = tmp_path_factory.mktemp("search") / "catalog.db"
    with closing(module_catalogs.open(path)) as catalog:
        library = Library(catalog)
        library.import_rows(collection(6000))
        library.import_rows(
            ImportRow(line=2, artist=artist, title=title, source_id=title, **other)  # type: ignore[arg-type]
            for artist, title, other in OWN
        )
        yield library


@pytest.fixture
def library(catalogs: Catalogs, tmp_path: Path) -> Iterator[Library]:
    with closing(catalog_at(tmp_path / "catalog.db")) as catalog:
        yield Library(catalog)


def row(title: str, artist: str = "Nobody", **other: object) -> ImportRow:
    return ImportRow(line=2, title=title, artist=artist, **other)  # type: ignore[arg-type]


def ranked(library: Library, text: str, **other: object) -> list[str]:
    return [album.title for album in library.page(AlbumQuery(text=text, sort="match", **other), 1).albums]  # type: ignore[arg-type]


@pytest.mark.parametrize("case", expectations(), ids=lambda case: case.query)
def test_a_query_finds_first_what_is_meant(filled: Library, case: Expected) -> None:
    assert case.is_met(first_hit(filled, case.query))


@pytest.mark.parametrize("case", expectations(CASES / "search-more.csv"), ids=lambda case: f"{case.query} ({case.note})")
def test_other_scripts_signs_and_syntax_find_first_what_is_meant(filled: Library, case: Expected) -> None:
    assert case.is_met(first_hit(filled, case.query))


def test_a_query_of_two_hundred_characters_is_answered(filled: Library) -> None:
    assert first_hit(filled, "abbey road " + "x" * 300) is None
    assert first_hit(filled, "abbey road " * 18) is not None
    assert first_hit(filled, "abbey road" + " " * 190 + "zugzwang").title == "Abbey Road"  # type: ignore[union-attr]


def test_every_letter_of_every_query_is_answered_the_same_way_twice(filled: Library) -> None:
    """Also while typing: no beginning of a query raises, and equal text finds equal records in equal order."""
    for text in list(letters(expectations()))[::7]:
        first = filled._search.find(text, with_notes=True)
        again = filled._search.find(text, with_notes=True)
        assert list(first.tiers.items()) == list(again.tiers.items())


def test_a_correction_is_said_and_only_made_when_nothing_was_found(filled: Library) -> None:
    page = filled.page(AlbumQuery(text="pink flyod", sort="match"), 1)
    assert (page.correction, page.albums[0].artist) == ("pink floyd", "Pink Floyd")
    assert filled.page(AlbumQuery(text="pink floyd", sort="match"), 1).correction == ""
    nothing = filled.page(AlbumQuery(text="qwertzuiop", sort="match"), 1)
    assert (nothing.total, nothing.correction) == (0, "")


def test_a_filter_limits_a_search_before_it_ends(filled: Library) -> None:
    """A thousand hits that do not pass the filter must not hide the one that does."""
    everything = filled.page(AlbumQuery(text="the", sort="match"), 1)
    assert everything.has_more
    only = filled.page(AlbumQuery(text="moon", sort="match", genre="Reggae"), 1)
    assert only.total > 0
    assert all("Reggae" in album.genres for album in only.albums)
    assert only.correction == ""


def test_a_search_may_stand_in_the_order_of_the_wall(filled: Library) -> None:
    page = filled.page(AlbumQuery(text="miles davis", sort="year"), 1)
    assert [album.year for album in page.albums][:2] == [1957, 1959]
    assert page.groups[0].label == "1950s"


# The index follows the catalogue


@pytest.mark.sqlite_only  # asks FTS5 whether its index is whole
def test_the_index_follows_every_change(library: Library) -> None:
    library.import_rows(
        [row("Low Water", "Mark Brine", label="Ostrava", notes="signed", tracks=(Track("A1", "Parallel parking"),))]
    )
    for text in ("low", "brine", "ostrava", "signed", "parallel", "brin low"):
        assert ranked(library, text) == ["Low Water"], text
    library.write_notes(1, "lent to Jo")
    assert ranked(library, "lent jo") == ["Low Water"]
    library.import_rows([row("High Tide", "Mark Brine", source="table", source_id=library.album(1).source_id, tracks=())])  # type: ignore[union-attr]
    assert ranked(library, "low") == ranked(library, "parallel") == []
    assert ranked(library, "high") == ranked(library, "signed") == ["High Tide"]
    library.remove([1])
    assert ranked(library, "high") == []
    database = library._albums.db
    with database.write() as conn:
        conn.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    assert database.rows("SELECT * FROM keys") == []
    assert database.rows("SELECT rowid FROM words WHERE words MATCH 'mark OR brine OR lent OR signed'") == []


def test_what_changed_since_it_was_read_is_taken_out_of_the_index(library: Library) -> None:
    """The text in the catalogue decides what is deleted from the index, not the record that the caller read a moment ago."""
    library.import_rows([row("First")])
    table = AlbumTable(library._albums.db)
    stale = table.album(1)
    assert stale is not None
    library.write_notes(1, "zugzwang")
    library.detail(1, [Track("A1", "Endgame")], "", None)
    with table.db.write() as conn:
        table.update(conn, stale, library.album(1) or stale)
    library.write_notes(1, "")
    assert ranked(library, "zugzwang") == []
    assert ranked(library, "endgame") == ["First"]


def test_a_visitor_finds_nothing_by_notes(library: Library) -> None:
    library.import_rows([row("Plain", notes="bought for 4711 Euro")])
    library.write_notes(1, "lent to Jörgen")
    for text in ("4711", "lent", "jorgen", "joergen", "plain lent", "lent plain"):
        assert ranked(library, text) == ["Plain"], text
        assert ranked(library, text, with_notes=False) == [], text
    assert ranked(library, "plain", with_notes=False) == ["Plain"]


def test_a_correction_is_never_a_word_of_notes(library: Library) -> None:
    library.import_rows([row("Plain", notes="zugzwang")])
    assert ranked(library, "zugzwng") == []


def test_an_old_catalogue_is_searched_by_names_until_its_index_is_built(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    with closing(Database(path, MIGRATIONS[:-1], synchronous="FULL")) as old, old.write() as conn:
        conn.executemany(
            "INSERT INTO albums (source, source_id, title, artist, title_sort, artist_sort, added_at, label)"
            " VALUES ('table', ?, ?, 'The Band', ?, 'band', 5, 'Ostrava')",
            [(str(n), f"Song {n}", f"song {n}") for n in range(300)],
        )
    with closing(CatalogDatabase(path)) as catalog:
        library = Library(catalog)
        assert library.unindexed() == 300
        page = library.page(AlbumQuery(text="song 242", sort="match"), 1)
        assert [album.title for album in page.albums] == ["Song 242"]
        assert page.is_incomplete
        assert ranked(library, "ostrava") == []
        tasks = TaskRunner(catalog, catalog.locks(tmp_path))
        SearchIndexer(catalog, tasks).run_maintenance()
        assert tasks.run("search", {}).outcome == {"records": 300}
        tasks.close()
        assert library.unindexed() == 0
        assert len(ranked(library, "ostrava")) == 60
        assert not library.page(AlbumQuery(text="song 242", sort="match"), 1).is_incomplete


@pytest.mark.sqlite_only  # asks FTS5 whether its index is whole
def test_other_rules_rebuild_the_index(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.import_rows([row("Alpha"), row("Beta")])
    for module in ("index_table", "tiers"):
        monkeypatch.setattr(f"image_cache.records.search.{module}.RULES", rules.RULES + 1)
    index = SearchIndexTable(library._albums.db)
    assert index.pending() == 2
    library.write_notes(1, "changed by a program with other rules")
    library.remove([2])
    assert index.catch_up() == 1
    with library._albums.db.write() as conn:
        conn.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    assert ranked(library, "other rules") == ["Alpha"]
    assert ranked(library, "beta") == []


def test_a_new_record_waits_for_those_before_it(library: Library) -> None:
    table = AlbumTable(library._albums.db)
    library.import_rows([row("Alpha")])
    with table.db.write() as conn:
        table.insert(conn, library.album(1).__class__(0, "a", "b", "Beta", "B", "b", "beta"), is_found_later=True)
    with table.db.write() as conn:
        table.insert(conn, library.album(1).__class__(0, "a", "c", "Gamma", "G", "g", "gamma"))
    assert library.unindexed() == 2
    assert table.index.catch_up() == 2
    assert (ranked(library, "beta"), ranked(library, "gamma")) == (["Beta"], ["Gamma"])


# Rules


@pytest.mark.parametrize(
    ("left", "right", "far"),
    [
        ("floyd", "flyod", 1),
        ("zepelin", "zeppelin", 1),
        ("eethoven", "beethoven", 1),
        ("coltrain", "coltrane", 2),
        ("abc", "xyz", 3),
    ],
)
def test_a_slip_is_a_letter_or_two_that_changed_places(left: str, right: str, far: int) -> None:
    assert distance(left, right, 2) == distance(right, left, 2) == far


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("the beatles", "beatles"),
        ("beatles, the", "beatles"),
        ("the the", "the"),
        ("!!!", "!!!"),
        ("simon & garfunkel", "simongarfunkel"),
    ],
)
def test_a_name_has_one_key(text: str, key: str) -> None:
    assert rules.name_key(text) == key


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("kind of blue", None),
        ("cl 1355", HitPlace("Catalogue number", "CL 1355")),
        ("columbia davis", HitPlace("Label", "Columbia")),
        ("so what", HitPlace("Track", "So What")),
        ("so what davis", HitPlace("Track", "So What")),
        ("1959", HitPlace("Year", "1959")),
        ("50s jazz", HitPlace("Year", "1959")),
        ("5099706493525", HitPlace("Barcode", "5099706493525")),
        ("six-eye", HitPlace("Notes", "six-eye label")),
        ("modal", HitPlace("Style", "Modal")),
    ],
)
def test_a_hit_says_where_it_is(filled: Library, text: str, place: HitPlace | None) -> None:
    record = next(album for album in filled.page(AlbumQuery(text="kind of blue miles davis", sort="match"), 1).albums)
    assert where_hit(record, read_question(text)) == place
