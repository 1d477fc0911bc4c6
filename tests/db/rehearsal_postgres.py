"""Every statement that the tests of the rooms ask about shared tables, prepared by a real PostgreSQL: `make rehearse-postgres`.

Runs those tests once more, for five to ten minutes, and notes their statements. Types are checked as well: a number that is used as a truth, a
column that is missing from GROUP BY, a parameter of no known type are errors here.
"""

import contextlib
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch

import pytest

from image_cache import money
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.database import parameter_marks
from image_cache.engine import schema as index_schema
from image_cache.maintenance.actions.table import ActionTable
from image_cache.models import AlbumQuery
from image_cache.records.crates.table import CrateTable
from image_cache.records.filters.saved_views import SavedViewTable
from image_cache.records.filters.table import FilterTable
from image_cache.records.orders.sorts import SORTS
from image_cache.records.playing.moods import MoodTable, SpinMood
from image_cache.records.removal import RemovalTable
from image_cache.records.statistics.table import StatisticsTable
from image_cache.records.table import AlbumTable
from image_cache.records.values.table import ValuesTable
from tests.db.test_dialect import SQLITE_ONLY, SQLITE_STATEMENTS
from tests.support.postgres import NULL, Postgres, program
from tests.support.statements import traced
from tests.support.vault import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.server]

MISSING = [name for name in ("postgres", "initdb", "pg_ctl", "psql") if program(name) is None]
if MISSING:
    pytest.skip(f"needs {', '.join(MISSING)}: apt install postgresql", allow_module_level=True)

ROOMS = ("accounts", "covers", "db", "engine", "importers", "maintenance", "net", "records", "scrobbling", "streams", "tasks")
SCHEMAS = {"catalog.db": ("catalog", MIGRATIONS), "index.db": ("index", index_schema.MIGRATIONS)}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as server:
        for name, migrations in SCHEMAS.values():
            server.create(name, migrations)
        yield server


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, str]]:
    """Return (database, place, statement) of what the rooms asked about shared tables."""
    notes = tmp_path_factory.mktemp("recorded") / "statements"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.recorder", "-m", "not server and not slow"]
    env = {**os.environ, "RECORDED": str(notes)}
    subprocess.run([*command, *(f"tests/{room}" for room in ROOMS)], cwd=ROOT, env=env, check=False)
    rows = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
    return [(database, place, sql) for database, place, sql in rows if _is_shared(place, sql)]


def _is_shared(place: str, sql: str) -> bool:
    module = f"image_cache/{place.partition(':')[0]}"
    if any(fnmatch(module, only) for only in SQLITE_ONLY) or not re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", sql):
        return False
    # The modules of `db` are asked by others, so that only the words tell.
    return not re.search(rf"\b(sqlite_|pragma_)|{SQLITE_STATEMENTS.get(module, '(?!)')}", sql)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, server: Postgres) -> Iterator[CatalogDatabase]:
    """A catalogue of records that differ in everything they are ordered and filtered by, and the same in the server."""
    catalog = CatalogDatabase(tmp_path_factory.mktemp("filled") / "catalog.db")
    rng = random.Random(11)
    words = ("Zoo", "zoo", "Été", "été", "Ärger", "ECM", "Ecm", "a-b", "A b", "", "_x", "Żal")
    with catalog.write() as conn:
        for number in range(1, 400):
            played_at = rng.choice((None, 1.7e9 - rng.random() * 3e8))
            album = {
                "source": rng.choice(("discogs", "table")),
                "source_id": str(number),
                "title": f"T{number}",
                "artist": "A",
                "title_sort": rng.choice(words).lower(),
                "artist_sort": rng.choice(words).lower(),
                "year": rng.choice((None, 0, 1959, 1960, 1969, 2024)),
                "genres": json.dumps(rng.sample(("Jazz", "jazz", "Folk", "Élan"), 2)),
                "label": rng.choice(words),
                "catno": rng.choice(words),
                "rating": rng.choice((None, 0, 3, 5)),
                "own_rating": rng.choice((None, None, 0, 4)),
                "media_condition": rng.choice(("", "Mint (M)", "Very Good (VG)", "ok")),
                "tracks": json.dumps([["A1", "One", rng.choice((None, 200))], ["A2", "Two", 900]]),
                "added_at": 1.7e9 - rng.random() * 4e8,
                "plays": rng.randrange(25) if played_at else rng.choice((0, 0, 3)),
                "last_played_at": played_at,
                "shelf": rng.choice(words),
                "price": rng.choice(("", money.stored(rng.randrange(60000), "EUR"), money.stored(rng.randrange(900), ""))),
                "value": rng.choice(("", money.stored(rng.randrange(60000), "USD"))),
                "gone_at": rng.choice((None, None, 1.0)),
            }
            conn.execute(f"INSERT INTO albums ({', '.join(album)}) VALUES ({parameter_marks(len(album))})", list(album.values()))
            if played_at:
                conn.execute("INSERT INTO plays (album_id, played_at) VALUES (?, ?)", (number, played_at))
        conn.executemany("INSERT INTO crates (name, made_at) VALUES (?, 1)", [(word,) for word in words if word])
        conn.executemany("INSERT INTO saved_views (name, address, created_at) VALUES (?, 'a', 1)", [(word,) for word in words])
        conn.executemany("INSERT INTO actions (at, kind, who, what) VALUES (1, 'a', ?, 'b')", [(word,) for word in words])
    with catalog.reading() as conn:
        columns = {table: [row[1] for row in conn.execute(f"PRAGMA table_xinfo({table})") if not row[6]] for table in TABLES}
        server.script("CREATE DATABASE filled TEMPLATE catalog")
        for table, names in columns.items():
            chosen = ", ".join(names)
            server.fill("filled", {f"{table} ({chosen})": [tuple(row) for row in conn.execute(f"SELECT {chosen} FROM {table}")]})
    yield catalog
    catalog.close()


TABLES = ("albums", "plays", "facets", "crates", "saved_views", "actions", "revisions")
ORDERS = [(sort, is_reversed) for sort in SORTS for is_reversed in (False, True)]
READS: dict[str, Callable[[CatalogDatabase], object]] = {
    **{
        f"order {sort}{' turned round' * is_reversed}": lambda catalog, sort=sort, is_reversed=is_reversed: list(
            AlbumTable(catalog).order(sort, is_reversed=is_reversed)
        )
        for sort, is_reversed in ORDERS
    },
    "records": lambda catalog: AlbumTable(catalog).albums(range(1, 400)),
    "genres": lambda catalog: AlbumTable(catalog).facets("genre"),
    "decades": lambda catalog: AlbumTable(catalog).decades(),
    "no longer at the source": lambda catalog: AlbumTable(catalog).gone("discogs", 50),
    "totals": lambda catalog: StatisticsTable(catalog).totals(),
    "by genre": lambda catalog: StatisticsTable(catalog).by_facet("genre", 3),
    "by decade": lambda catalog: StatisticsTable(catalog).by_decade(),
    "by label": lambda catalog: StatisticsTable(catalog).by_label(50),
    "most played": lambda catalog: StatisticsTable(catalog).most_played(30),
    "the dearest": lambda catalog: list(ValuesTable(catalog).listing(50)),
    "all by worth": lambda catalog: list(ValuesTable(catalog).listing()),
    "to be valued": lambda catalog: ValuesTable(catalog).due(5.0, 20),
    "figures": lambda catalog: FilterTable(catalog).figures(range(1, 200)),
    "by shelf": lambda catalog: FilterTable(catalog).matching(AlbumQuery(filters=(("shelf", "ÉTÉ"),))),
    "by shelf and decade": lambda catalog: FilterTable(catalog).matching(AlbumQuery(filters=(("shelf", "zOO"),), decade=1960)),
    "short and rested": lambda catalog: MoodTable(catalog).matching(SpinMood(minutes=20, idle="30"), 1.7e9),
    "crates": lambda catalog: CrateTable(catalog).crates(only_public=False),
    "saved views": lambda catalog: SavedViewTable(catalog).views(),
    "who did something": lambda catalog: ActionTable(catalog).names(),
    "to be removed": lambda catalog: RemovalTable(catalog).removable("discogs", 40, own=True),
    "gone": lambda catalog: RemovalTable(catalog).count_gone("discogs"),
}


@pytest.mark.parametrize("what", READS)
def test_both_find_the_same_in_the_same_order(server: Postgres, filled: CatalogDatabase, what: str) -> None:
    seen = traced(filled)
    READS[what](filled)
    assert seen
    for sql in list(seen):
        ours = [[_as_text(value) for value in row] for row in filled.rows(sql)]
        theirs = [[_as_text(value) for value in row] for row in server.rows("filled", sql)]
        if "ORDER BY" not in sql:
            ours, theirs = sorted(ours), sorted(theirs)
        assert ours == theirs, sql


def _as_text(value: object) -> str:
    if value is None:
        return NULL
    if value in ("t", "f"):  # a comparison
        return str(int(value == "t"))
    if re.fullmatch(r"\d+(,\d*)+", str(value)):
        return "some ids, in no order"
    with contextlib.suppress(ValueError):
        return f"{float(str(value)):.6f}"
    return str(value)


@pytest.mark.parametrize("file", SCHEMAS)
def test_every_statement_is_understood(server: Postgres, recorded: list[tuple[str, str, str]], file: str) -> None:
    places = {sql: place for database, place, sql in recorded if database == file}
    wrong = server.misunderstood(SCHEMAS[file][0], list(places))
    assert {f"{places[sql]} {sql}": why for sql, why in wrong.items()} == {}
    assert len(places) > {"catalog.db": 450, "index.db": 90}[file]


def test_what_only_sqlite_knows_is_noticed(server: Postgres) -> None:
    """A server that takes everything would prove nothing."""
    good = "SELECT id FROM albums WHERE shelf = ? AND is_touched = 1"
    bad = [
        "SELECT id FROM albums WHERE is_touched",
        "SELECT max(plays, ?) FROM albums",
        "SELECT id, artist FROM albums GROUP BY artist",
    ]
    assert server.misunderstood("catalog", [good, *bad]).keys() == set(bad)
