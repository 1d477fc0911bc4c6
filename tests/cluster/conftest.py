"""Engines that the tests of a file share, and the figures that rehearsals report."""

import os
import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tests.cluster import report
from tests.cluster.cluster import Engines
from tests.support.catalogs import has_postgres
from tests.support.valkey import PROGRAM

HAS_FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """PostgreSQL, Valkey and an S3 store. What is missing is said, and the tests are left out."""
    if not has_postgres():
        pytest.skip("needs PostgreSQL: apt install postgresql")
    if PROGRAM is None:
        pytest.skip("needs Valkey or Redis: apt install valkey-server (redis-server in Debian 12)")
    with Engines(tmp_path_factory.mktemp("engines")) as running:
        yield running


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What a rehearsal measured. With `make rehearse-cluster` it becomes a row of the report, under the test's first line."""
    measured: dict[str, Any] = {}
    began = time.monotonic()
    yield measured
    title = (request.node.function.__doc__ or request.node.name).splitlines()[0].removesuffix(".")
    values = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    title = title.format(**values)
    seconds = time.monotonic() - began
    has_failed = request.node.stash.get(HAS_FAILED, True)
    print(f"\n{title}: {'failed' if has_failed else 'held'}, {measured}")
    if os.environ.get("VINYLVAULT_CLUSTER_REPORT"):
        report.write(title, has_held=not has_failed, figures=measured, seconds=seconds)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    result = yield
    if result.when == "call":
        item.stash[HAS_FAILED] = result.failed
    return result
