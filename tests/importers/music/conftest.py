"""A folder of music, and a vault that scans it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.catalogs import Catalogs
from tests.support.music import MusicShelf


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "Music"
    found.mkdir()
    return found


@pytest.fixture
def shelf(catalogs: Catalogs, tmp_path: Path, root: Path) -> Iterator[MusicShelf]:
    made = MusicShelf(tmp_path, root)
    yield made
    made.close()
