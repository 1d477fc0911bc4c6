"""Orders and filters of the wall: either direction, several at once, what the numbers say, saved views."""

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.collection import collection
from image_cache.errors import FieldRejected
from image_cache.import_models import ImportRow
from image_cache.models import Album, AlbumQuery
from image_cache.records.filters.saved_views import SavedViewTable
from image_cache.records.filters.sets import bits_of, grade_of, ids_of, played_span
from image_cache.records.library import Library
from image_cache.records.orders.sorts import SORTS
from image_cache.records.search.rules import name_key, plain
from tests.support.catalogs import Catalogs, catalog_at

GRADES = ("NM", "VG+", "", "Very Good (VG)", "M")
KEEPING = (("Kallax 3", "12.50 EUR"), ("attic", "9.00 GBP"), ("", ""), ("Box 1", "120.00"))
DAY_S = 86400.0
NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def filled(module_catalogs: Catalogs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with closing(module_catalogs.open(tmp_path_factory.mktemp("filters") / "catalog.db")) as catalog:
        library = Library(catalog, page_size=1000)
        library.import_rows(collection(400))
        with catalog.write() as conn:
            conn.executemany(
                "UPDATE albums SET own_rating = ?, media_condition = ?, plays = ?, last_played_at = ?, shelf = ?, price = ? WHERE id = ?",
                [
                    (
                        n % 7 if n % 7 < 6 else None,
                        GRADES[n % 5],
                        n % 3,
                        1_700_000_000.0 + n * 9000 if n % 3 else None,
                        *KEEPING[n % 4],
                        n,
                    )
                    for n in range(1, 401)
                ],
            )
            conn.execute("UPDATE albums SET value = price")
        yield library


@pytest.fixture
def library(catalogs: Catalogs, tmp_path: Path) -> Iterator[Library]:
    with closing(catalog_at(tmp_path / "catalog.db")) as catalog:
        yield Library(catalog)


def shown(library: Library, **query: object) -> list[Album]:
    return list(library.page(AlbumQuery(**query), 1).albums)  # type: ignore[arg-type]


@pytest.mark.parametrize("sort", SORTS)
def test_an_order_and_its_other_way_round_show_everything_once(filled: Library, sort: str) -> None:
    forth = [album.id for album in shown(filled, sort=sort)]
    page = filled.page(AlbumQuery(sort=sort, is_reversed=True), 1)
    back = [album.id for album in page.albums]
    assert sorted(forth) == sorted(back) == list(range(1, 401))
    assert forth != back
    assert sum(group.count for group in page.groups) == 400
    assert len({group.anchor for group in page.groups}) == len(page.groups)


@pytest.mark.parametrize(
    ("sort", "value"),
    [
        ("rating", lambda album: album.rating or None),
        ("played", lambda album: album.last_played_at),
        ("condition", lambda album: {"M": 0, "NM": 1, "VG+": 2, "VG": 3}.get(grade_of(album.media_condition))),
        ("label", lambda album: album.label.lower() or None),
        ("year", lambda album: album.year),
    ],
)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_what_has_no_value_stands_last_either_way(filled: Library, sort: str, value: object, is_reversed: bool) -> None:
    values = [value(album) for album in shown(filled, sort=sort, is_reversed=is_reversed)]  # type: ignore[operator]
    known = list(itertools.takewhile(lambda one: one is not None, values))
    assert all(one is None for one in values[len(known) :])
    is_descending = is_reversed != (sort in ("rating", "played"))
    assert known == sorted(known, reverse=is_descending)
    assert len(known) > 200


def test_a_rating_moves_a_record_in_the_order_by_rating_at_once(library: Library) -> None:
    library.import_rows([ImportRow(line=2, artist=artist, title="T") for artist in "ab"])
    assert [album.artist for album in shown(library, sort="rating")] == ["a", "b"]
    library.rate(2, 5)
    assert [album.artist for album in shown(library, sort="rating")] == ["b", "a"]
    assert [album.artist for album in shown(library, filters=(("stars", "5"),))] == ["b"]
    library.record_play(1)
    assert [album.artist for album in shown(library, sort="played")] == ["a", "b"]
    assert [album.artist for album in shown(library, filters=(("played", "never"),))] == ["b"]


def passes(album: Album, kind: str, value: str) -> bool:
    return {
        "genre": value in album.genres,
        "style": value in album.styles,
        "format": value in album.formats,
        "decade": album.year is not None and str(album.year // 10 * 10) == value,
        "label": album.label == value,
        "stars": str(album.rating or 0) == value,
        "condition": grade_of(album.media_condition) == value,
        "played": (value == "never") == (not album.plays),
        "year": str(album.year) == value,
        "artist": name_key(plain(album.artist)) == name_key(plain(value)),  # "Beatles, The" as well
    }[kind]


CHOSEN = [
    {"genre": "Rock"},
    {"genre": "Rock", "format": "LP"},
    {"genre": "Electronic", "decade": "1980", "format": "LP", "stars": "3"},
    {"label": "Blue Note", "condition": "NM"},
    {"style": "Techno", "played": "never"},
    {"artist": "The Beatles"},
    {"year": "1977", "genre": "Rock"},
    {"stars": "0", "condition": "none"},
    {"genre": "No such genre"},
]


@pytest.mark.parametrize("chosen", CHOSEN, ids=str)
def test_filters_show_what_passes_all_and_count_what_the_others_leave(filled: Library, chosen: dict[str, str]) -> None:
    query = AlbumQuery(
        genre=chosen.get("genre", ""),
        format=chosen.get("format", ""),
        decade=int(chosen["decade"]) if "decade" in chosen else None,
        filters=tuple((kind, value) for kind, value in chosen.items() if kind not in ("genre", "format", "decade")),
    )
    every = shown(filled)
    found = filled.wall(query, 1)
    expected = [album.id for album in every if all(passes(album, *pair) for pair in chosen.items())]
    assert [album.id for album in found.page.albums] == expected
    facets = filled.narrowed_facets(query)
    counted = {
        "genre": dict(facets.genres),
        "format": dict(facets.formats),
        **{kind: dict(n) for kind, n in facets.others.items()},
    }
    for kind, values in (("genre", "genres"), ("style", "styles"), ("format", "formats"), ("stars", None)):
        left = [album for album in every if all(passes(album, *pair) for pair in chosen.items() if pair[0] != kind)]
        if values:
            wanted = Counter(value for album in left for value in set(getattr(album, values)))
        else:
            wanted = Counter(str(album.rating or 0) for album in left)
        assert counted[kind] == wanted


def test_a_search_narrows_the_numbers_too(filled: Library) -> None:
    query = AlbumQuery(text="blue note", sort="match", genre="Jazz")
    facets = filled.narrowed_facets(query)
    found = filled.page(query, 1)
    assert found.total == dict(facets.genres)["Jazz"] == sum(dict(facets.others["stars"]).values())


@pytest.mark.parametrize(
    ("condition", "grade"),
    [
        ("Near Mint (NM or M-)", "NM"),
        ("Very Good Plus (VG+)", "VG+"),
        ("VG+", "VG+"),
        ("VG", "VG"),
        ("M", "M"),
        ("Mint (M)", "M"),
        ("very good plus, hairlines", "VG+"),
        ("G+", "G+"),
        ("Good (G)", "G"),
        ("", "none"),
        ("water damage", "none"),
    ],
)
def test_a_condition_has_a_grade(condition: str, grade: str) -> None:
    assert grade_of(condition) == grade


@pytest.mark.parametrize(
    ("last", "plays", "span"),
    [
        (None, 0, "never"),
        (None, 3, "longer"),
        (NOW - DAY_S, 1, "month"),
        (NOW - 100 * DAY_S, 1, "year"),
        (NOW - 999 * DAY_S, 1, "longer"),
    ],
)
def test_a_record_was_played_in_one_span(last: float | None, plays: int, span: str) -> None:
    assert played_span(last, plays, NOW) == span


def test_a_set_of_bits_has_its_ids_again() -> None:
    assert ids_of(bits_of([1, 7, 8, 300, 999], 500)) == [1, 7, 8, 300]


def test_the_figures_of_an_artist(filled: Library) -> None:
    records = shown(filled, filters=(("artist", "the beatles"),))
    assert {album.artist for album in records} == {"The Beatles", "Beatles, The"}  # both spellings are one name
    first, last, plays = filled.figures(AlbumQuery(filters=(("artist", "Beatles"),)))
    assert (first, last, plays) == (1962, 1969, sum(album.plays for album in records))


def test_a_view_is_saved_replaced_and_removed(library: Library) -> None:
    views: SavedViewTable = library.views
    first = views.save(" Jazz   on LP ", "genre=Jazz&format=LP", None, 1.0)
    assert [(view.name, view.address) for view in library.wall(AlbumQuery(), 1).views] == [("Jazz on LP", "genre=Jazz&format=LP")]
    second = views.save("jazz on lp", "genre=Jazz", None, 2.0)
    assert [(view.id, view.address) for view in library.wall(AlbumQuery(), 1).views] == [(second, "genre=Jazz")]
    assert not views.remove(first, None)
    assert views.remove(second, None)
    assert library.wall(AlbumQuery(), 1).views == ()
    for name, address in (("", "genre=Jazz"), ("x" * 61, "genre=Jazz"), ("x", ""), ("\0\1", "genre=Jazz")):
        with pytest.raises(FieldRejected):
            views.save(name, address, None, 1.0)


def test_a_view_of_one_account_is_no_other_ones_to_remove(library: Library) -> None:
    with library.views.db.write() as conn:
        conn.execute(
            "INSERT INTO accounts (name, name_key, password_hash, role, created_at) VALUES ('Ida', 'ida', 'x', 'owner', 1)"
        )
    own = library.views.save("Mine", "genre=Jazz", 1, 1.0)
    assert not library.views.remove(own, None)
    assert not library.views.remove(own, 2)
    assert library.views.remove(own, 1)


KEPT = [
    ImportRow(line=2, artist="Abe", title="One", shelf="Kallax 3", price="12.50 EUR"),
    ImportRow(line=3, artist="Bea", title="Two", shelf="kallax 3", price="4.00 GBP"),
    ImportRow(line=4, artist="Cid", title="Three", shelf="Attic", price="150.00"),
    ImportRow(line=5, artist="Dot", title="Four"),
]


def test_records_are_found_filtered_and_ordered_by_shelf_and_price(library: Library) -> None:
    library.import_rows(KEPT)
    assert [album.artist for album in shown(library, filters=(("shelf", "KALLAX 3"),))] == ["Abe", "Bea"]
    assert [album.artist for album in shown(library, filters=(("price", "0"),))] == ["Bea"]
    assert [album.artist for album in shown(library, filters=(("price", "none"),))] == ["Dot"]
    assert [album.artist for album in shown(library, sort="shelf")] == ["Cid", "Abe", "Bea", "Dot"]
    assert [album.artist for album in shown(library, sort="price")] == ["Cid", "Abe", "Bea", "Dot"]
    assert [album.artist for album in shown(library, sort="price", is_reversed=True)] == ["Bea", "Abe", "Cid", "Dot"]
    groups = library.page(AlbumQuery(sort="price"), 1).groups
    assert [(group.label, group.count) for group in groups] == [("100+", 1), ("10+", 1), ("0+", 1), ("No price", 1)]
    assert [album.artist for album in shown(library, text="attic")] == ["Cid"]
    counts = library.narrowed_facets(AlbumQuery(filters=(("price", "10"),))).others
    assert dict(counts["shelf"]) == {"Kallax 3": 1}
    assert dict(counts["price"]) == {"0": 1, "10": 1, "100": 1, "none": 1}


def test_a_record_that_moves_to_another_shelf_is_found_there_at_once(library: Library) -> None:
    library.import_rows(KEPT)
    assert shown(library, filters=(("shelf", "Attic"),))
    library.import_rows([ImportRow(line=4, artist="Cid", title="Three", shelf="Cellar", price="1.00")])
    assert not shown(library, filters=(("shelf", "Attic"),))
    assert not shown(library, text="attic")
    assert [album.artist for album in shown(library, text="cellar")] == ["Cid"]
    assert [album.artist for album in shown(library, sort="price")] == ["Abe", "Bea", "Cid", "Dot"]
