"""Engines that the tests of a file share."""

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Engines
from tests.cluster.valkey import PROGRAM
from tests.support.catalogs import has_postgres


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """PostgreSQL, Valkey and an S3 store. What is missing is said, and the tests are left out."""
    if not has_postgres():
        pytest.skip("needs PostgreSQL: apt install postgresql")
    if PROGRAM is None:
        pytest.skip("needs Valkey or Redis: apt install valkey-server (redis-server in Debian 12)")
    with Engines(tmp_path_factory.mktemp("engines")) as running:
        yield running
