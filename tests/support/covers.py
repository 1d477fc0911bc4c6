"""A cover cache as scripts have it: open it, run its jobs by hand, look at what the origin was asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from image_cache.config import Settings
from image_cache.covers import ImageCache
from image_cache.covers.build import CoverServices, open_covers
from image_cache.db.database import Database
from image_cache.engine.holder import LocalHolders
from image_cache.engine.maintenance import rebuild_from_files
from tests.support.catalogs import Catalogs
from tests.support.clock import FakeClock
from tests.support.origin import Origin

BASE = Settings(FREE_SPACE_FLOOR_MB=0, IMAGE_CACHE_MAX_MEMORY_MB=16, FETCH_DEADLINE_S=5)


class Shared:
    """What one node of many shares, with a clock that the test moves."""

    name = "north"

    def __init__(self, index: Database, clock: FakeClock) -> None:
        self.index, self.clock, self.holders = index, clock, LocalHolders()


class Covers:
    """`ImageCache` with real adapters. `run()` does what a worker would: it runs the jobs that are due."""

    def __init__(
        self, folder: Path, origin: Origin, clock: FakeClock, *, shared: "Shared | None" = None, **settings: object
    ) -> None:
        known = replace(BASE, **{"DATA_DIR": folder, "TRUSTED_ORIGINS": (origin.base,), **settings})  # type: ignore[arg-type]
        self.origin = origin
        self.clock = clock
        self.parts: CoverServices = open_covers(known, clock=clock, shared=shared)
        self.cache: ImageCache = self.parts.covers
        if self.cache.cache.is_adopting:
            rebuild_from_files(self.cache.cache)

    def run(self) -> int:
        """Run jobs until none is due; returns how many ran."""
        count = 0
        while self.parts.loader.run_next():
            count += 1
        if self.parts.node is not None and self.parts.node._loader.run_due():
            return count + 1 + self.run()
        return count

    def show(self, *urls: str) -> list[str]:
        """Do what a page does, then what the workers do; returns the digests, as they are then."""
        self.cache.register(urls)
        self.cache.enqueue_missing(urls)
        self.run()
        return self.digests(*urls)

    def digests(self, *urls: str) -> list[str]:
        return [cover.digest for cover in self.cache.peek(urls)]

    def states(self, *urls: str) -> list[str]:
        return [cover.state for cover in self.cache.peek(urls)]

    def forget_memory(self) -> None:
        self.cache.cache.memory.clear()

    def close(self) -> None:
        self.parts.close()


@contextmanager
def covers_at(
    folder: Path, origin: Origin, clock: FakeClock | None = None, *, catalogs: Catalogs | None = None, **settings: object
) -> Iterator[Covers]:
    """Open a cover cache; with catalogues of PostgreSQL that of the only one of many nodes."""
    clock = clock or FakeClock()
    shared = None if catalogs is None or catalogs.kind == "sqlite" else Shared(catalogs.open_index(folder), clock)
    opened = Covers(folder, origin, clock, shared=shared, **settings)
    try:
        yield opened
    finally:
        opened.close()
