"""Every statement that the tests of the rooms ask about shared tables, prepared by a real PostgreSQL: `make rehearse-postgres`.

Runs those tests once more, five minutes, and notes their statements. Types are checked as well: a number that is used as a truth, a
column that is missing from GROUP BY, a parameter of no known type are errors here.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch

import pytest

from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.engine import schema as index_schema
from tests.db.test_dialect import SQLITE_ONLY, SQLITE_STATEMENTS
from tests.support.postgres import Postgres, program
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
    return not re.search(SQLITE_STATEMENTS.get(module, r"(?!)"), sql)


@pytest.mark.parametrize("file", SCHEMAS)
def test_every_statement_is_understood(server: Postgres, recorded: list[tuple[str, str, str]], file: str) -> None:
    places = {sql: place for database, place, sql in recorded if database == file}
    wrong = server.misunderstood(SCHEMAS[file][0], list(places))
    assert {f"{places[sql]} {sql}": why for sql, why in wrong.items()} == {}
    assert len(places) > {"catalog.db": 500, "index.db": 60}[file]


def test_what_only_sqlite_knows_is_noticed(server: Postgres) -> None:
    """A server that takes everything would prove nothing."""
    good = "SELECT id FROM albums WHERE shelf = ? AND is_touched = 1"
    bad = [
        "SELECT id FROM albums WHERE is_touched",
        "SELECT max(plays, ?) FROM albums",
        "SELECT id, artist FROM albums GROUP BY artist",
    ]
    assert server.misunderstood("catalog", [good, *bad]).keys() == set(bad)
