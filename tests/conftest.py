"""Fixtures that many tests share."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from image_cache.db.catalog import CatalogDatabase
from image_cache.demo.records import records
from tests.support import servers
from tests.support.catalogs import Catalogs, PostgresCatalogs, SchemaPool, SqliteCatalogs, current, has_postgres
from tests.support.clock import FakeClock
from tests.support.inside import Inside
from tests.support.origin import Origin
from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.vault import ROOT, Vault, wait_until

WEB = Path(__file__).parent / "web"  # its tests open the whole application
# Fixtures that start a server process: gunicorn, nginx, an S3 store, a Discogs or our own MusicBrainz.
SERVERS = {"archive", "discogs", "live_app", "s3", "served", "shared", "vault"}

# A catalogue in PostgreSQL. All its tests run with WHOLE, which is `make rehearse-postgres`; otherwise those that are not slow.
WHOLE = os.environ.get("VINYLVAULT_TEST_POSTGRES") == "whole"
POSTGRES = [pytest.mark.postgres, pytest.mark.server]
if not has_postgres():
    POSTGRES.append(pytest.mark.skip(reason="needs PostgreSQL: apt install postgresql"))

# Files that take minutes. They go first, or one process would work on them alone at the end.
LONGEST = {Path(__file__).parent / name for name in ("test_live.py", "streams/test_live.py", "browser/test_streams.py")}


def pytest_configure(config: pytest.Config) -> None:
    if "not server" in config.option.markexpr:
        servers.forbid()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in {"catalogs", "module_catalogs"} & set(metafunc.fixturenames):
        own = {mark.name for mark in metafunc.definition.iter_markers()}
        params: list[Any] = [] if "postgres_only" in own else ["sqlite"]
        if "sqlite_only" not in own and (WHOLE or not own & {"slow", "long_on_postgres"}):
            params.append(pytest.param("postgres", marks=POSTGRES))
        metafunc.parametrize(name, params, indirect=True, scope="module" if name == "module_catalogs" else "function")


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path not in LONGEST)
    for item in items:
        if WEB in item.path.parents:
            item.add_marker(pytest.mark.app)
        if SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands until a test moves it."""
    return FakeClock()


@pytest.fixture(scope="session")
def schema_pool() -> Iterator[SchemaPool]:
    """Schemas of a PostgreSQL server that the tests of this process share."""
    with Postgres() as server, closing(SchemaPool(server)) as pool:
        yield pool


@pytest.fixture
def catalogs(request: pytest.FixtureRequest) -> Iterator[Catalogs]:
    """Opens catalogues, with `catalog_at` too: a test with it runs once for each database, unless it is marked `sqlite_only`."""
    yield from _catalogs(request)


@pytest.fixture(scope="module")
def module_catalogs(request: pytest.FixtureRequest) -> Iterator[Catalogs]:
    """The same, for what the tests of a module share."""
    yield from _catalogs(request)


def _catalogs(request: pytest.FixtureRequest) -> Iterator[Catalogs]:
    if request.param == "sqlite":
        with current(SqliteCatalogs()) as opened:  # beside what the tests of a module share, which may be in the other
            yield opened
        return
    with closing(PostgresCatalogs(request.getfixturevalue("schema_pool"))) as opened, current(opened):
        yield opened


@pytest.fixture
def catalog(catalogs: Catalogs, tmp_path: Path) -> Iterator[CatalogDatabase]:
    """A catalogue of its own, empty, of either database."""
    catalog = catalogs.open(tmp_path / "catalog.db")
    yield catalog
    catalog.close()


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A real HTTP origin on loopback."""
    with Origin() as running:
        yield running


@pytest.fixture
def vault(origin: Origin, tmp_path: Path) -> Iterator[Vault]:
    """A running server that trusts `origin`, with an empty vault."""
    with Vault(tmp_path / "vault", trusted=(origin.base,)) as running:
        yield running


@pytest.fixture(scope="session")
def live_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running vault with the demo collection, its origin its own process."""
    folder = tmp_path_factory.mktemp("live")
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "image_cache.demo.origin",
        "--port",
        str(port),
        "--dir",
        str(folder / "origin"),
        "--parent",
        str(os.getpid()),
    ]
    servers.about_to_start()
    drawing = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_until(lambda: _listens(port))
        with Vault(folder / "vault", trusted=(f"http://127.0.0.1:{port}",)) as running:
            running.import_albums(records(f"http://127.0.0.1:{port}"))
            yield running.url
    finally:
        drawing.terminate()
        drawing.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def inside(origin: Origin, tmp_path: Path) -> Iterator[Inside]:
    """The application in this process, trusting `origin`, with an empty vault."""
    with Inside(tmp_path / "vault", trusted=(origin.base,)) as opened:
        yield opened
