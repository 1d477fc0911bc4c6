"""Music folders for pages, commands and housekeeping: which there are, and when they are scanned. The task is `MusicScan`."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.engine.pool import PeriodicJob
from image_cache.frozen import frozen
from image_cache.importers.music.folders import MusicRoots
from image_cache.importers.music.images import MusicImages
from image_cache.importers.music.table import MUSIC, MusicRoot
from image_cache.models import Album, TaskState
from image_cache.records.table import AlbumTable
from image_cache.tasks.runner import Task, TaskRunner

logger = logging.getLogger(__name__)

POLL_S, FIRST_POLL_S = 60.0, 10.0  # how soon a disk with music that was plugged in is noticed


@frozen
class MusicStatus:
    """What the page of music folders shows. `gone` are the first of the records that have gone, `gone_count` counts all."""

    roots: tuple[MusicRoot, ...]
    chosen: frozenset[str]
    offers: tuple[str, ...]
    parents: tuple[str, ...]
    scan: TaskState | None
    gone_count: int
    gone: tuple[Album, ...]


class MusicService:
    """The music folders of one vault. Any thread. `register` is called with the cover addresses that a scan finds."""

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogDatabase,
        images: MusicImages,
        tasks: TaskRunner,
        *,
        register: Callable[[Iterable[str | None]], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.roots = MusicRoots(settings, catalog, clock=clock)
        self._albums = AlbumTable(catalog)
        self._catalog = catalog
        self._images = images
        self._register = register
        self._tasks = tasks
        tasks.register(MUSIC, self._scan)

    def status(self, gone_limit: int) -> MusicStatus:
        gone_count, gone = self._albums.gone(MUSIC, gone_limit)
        return MusicStatus(
            roots=tuple(self.roots.known()),
            chosen=frozenset(self.roots.chosen()),
            offers=tuple(self.roots.offers()),
            parents=tuple(self.roots.parents()),
            scan=self._tasks.latest(MUSIC),
            gone_count=gone_count,
            gone=tuple(gone),
        )

    def dirs(self) -> list[str]:
        """Return the paths of the folders in use."""
        return self.roots.dirs()

    def scan(self) -> int:
        """Start a scan of all folders, unless one is in progress; return the task."""
        return self._tasks.start(MUSIC, {}, is_here=True)

    def add_folder(self, path: str) -> None:
        """Choose a folder and scan. Raises `FolderRejected`."""
        self.roots.choose(path)
        self.scan()

    def remove_folder(self, path: str) -> bool:
        """Stop using a chosen folder; return False if it is none. Its records stay."""
        return self.roots.drop(path)

    def periodic_job(self) -> PeriodicJob:
        return PeriodicJob("music", POLL_S, self.run_maintenance, first_s=FIRST_POLL_S)

    def run_maintenance(self) -> None:
        """Start a scan if it is due, or if a disk came or went."""
        try:
            if self.roots.is_scan_due(self._tasks.latest_here(MUSIC)):
                self.scan()
        except (DatabaseError, OSError) as error:
            logger.warning("music folders not checked reason=%s", error)

    def close(self) -> None:
        """Close the reader of tags, also in the middle of a file."""
        self._images.close()

    def _scan(self, task: Task) -> Mapping[str, Any]:
        from image_cache.importers.music.scan import MusicScan  # half a megabyte, for vaults with music folders

        scan = MusicScan(
            self._catalog,
            self.roots,
            self._images.reader,
            register=self._register,
            max_picture_bytes=self._images.max_bytes,
        )
        return scan.run(task)
