"""What the tests of large files share: caches of one folder, and bytes that do not repeat."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image_cache.config import Settings
from image_cache.files.build import FileOpener, open_files
from image_cache.files.cache import FileCache
from image_cache.files.disk.runtime_limits import FileLimits
from tests.support.clock import FakeClock
from tests.support.origin import Origin

MB = 1_000_000
Make = Callable[..., FileCache]


def noise(count: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(count)


@pytest.fixture
def make(origin: Origin, tmp_path: Path, clock: FakeClock) -> Iterator[Make]:
    """Make file caches of one folder, each as its own process would; all are closed at the end."""
    made: list[tuple[FileCache, FileOpener]] = []

    def build(budget_bytes: int = 50 * MB, ttl_s: float = 3600, folder: str = "files", **more: object) -> FileCache:
        trusted = more.pop("TRUSTED", (origin.base,))
        settings = Settings(FILES_DIR=tmp_path / folder, TRUSTED_ORIGINS=trusted, FREE_SPACE_FLOOR_MB=0, **more)
        opener = FileOpener(settings)
        cache = open_files(settings, opener, lambda: FileLimits(budget_bytes, ttl_s), clock)
        made.append((cache, opener))
        return cache

    yield build
    for cache, opener in made:
        cache.stopping.set()
        opener.close()
        cache.close()


@pytest.fixture
def cache(make: Make) -> FileCache:
    return make()
