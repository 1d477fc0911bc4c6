"""Music folders for whoever serves, made when they are used: a vault without any loads none of it."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config import Settings
from image_cache.db.catalog import CatalogDatabase, SettingsTable
from image_cache.db.database import DatabaseError
from image_cache.engine.pool import PeriodicJob
from image_cache.net.fetch_result import FetchResult

if TYPE_CHECKING:
    from image_cache.importers.music.folders import MusicRoots
    from image_cache.importers.music.pictures import MusicPlace
    from image_cache.tasks.runner import Task, TaskRunner

logger = logging.getLogger(__name__)

LOOK_S, LOOK_FIRST_S = 60.0, 10.0  # how soon a disk with music is noticed that was plugged in
BUDGET_BYTES = 128 << 20  # for one tag: 50 MB of picture fit, whatever holds them


class MusicService:
    """The roots, the scan, and the pictures in them. Any thread. `remember` gets the addresses that a scan finds."""

    def __init__(self, settings: Settings, catalog: CatalogDatabase, clock: Callable[[], float] = time.time) -> None:
        self.remember: Callable[[Iterable[str | None]], object] = lambda urls: None
        self._settings = settings
        self._catalog = catalog
        self._clock = clock
        self._guard = threading.Lock()  # while the place is made
        self._place: MusicPlace | None = None
        self._is_closed = False

    @property
    def roots(self) -> "MusicRoots":
        """Which folders there are. Keeps nothing, so that each caller may have its own."""
        from image_cache.importers.music.folders import MusicRoots

        return MusicRoots(self._settings, self._catalog, clock=self._clock)

    def fetch(self, address: str) -> FetchResult:
        """Read a picture; see `MusicPlace.fetch`."""
        return self._made().fetch(address)

    def run(self, task: "Task") -> Mapping[str, Any]:
        """Scan; see `MusicScan.run`."""
        from image_cache.importers.music.scan import MusicScan

        scan = MusicScan(
            self._catalog, self.roots, self._made().reader, remember=self.remember, max_picture_bytes=self._max_bytes()
        )
        return scan.run(task)

    def periodic_job(self, tasks: "TaskRunner") -> PeriodicJob:
        """Start a scan when it is time, or when a disk came or went; see `MusicRoots.tend`."""

        def tend() -> None:
            try:
                if self._settings.MUSIC_DIRS or SettingsTable(self._catalog).values("music."):
                    self.roots.run_maintenance(tasks)
            except (DatabaseError, OSError) as error:
                logger.warning("music folders not looked after reason=%s", error)

        return PeriodicJob("music", LOOK_S, tend, first_s=LOOK_FIRST_S)

    def close(self) -> None:
        """End the reader of tags, also in the middle of a file."""
        with self._guard:
            self._is_closed = True
            place = self._place
        if place is not None:
            place.close()

    def _made(self) -> "MusicPlace":
        with self._guard:
            if self._place is None:
                from image_cache.importers.music.pictures import MusicPlace
                from image_cache.importers.music.tag_reader import TagReader

                reader = TagReader(min(BUDGET_BYTES, self._settings.decode_budget_bytes))
                self._place = MusicPlace(self._active, reader, self._max_bytes())
                if self._is_closed:
                    self._place.close()
            return self._place

    def _active(self) -> Mapping[str, Path]:
        return self.roots.active()

    def _max_bytes(self) -> int:
        return self._settings.max_fetch_bytes
