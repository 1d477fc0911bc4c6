"""The large files of a vault: the cache, the pool that brings them, the chores, what operators may change. Knows no Flask."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.engine.pool import PeriodicJob, Pool
from image_cache.errors import CacheError, ConfigError, OriginDenied, UnknownFile
from image_cache.files.index import StoredFile
from image_cache.files.maintenance import answers, remove_expired, sweep
from image_cache.files.queue import FileQueue
from image_cache.files.runtime_limits import TTL, FileRuntimeLimits, check_range
from image_cache.files.store import FileCache, FileLimits
from image_cache.imaging.volume import Preview, Previewer, is_installed, is_volume
from image_cache.net.lazy_client import LazyHttpClient, make_fetcher, make_policy
from image_cache.net.url import parse_url

if TYPE_CHECKING:
    from image_cache.net.client import HttpResponse

logger = logging.getLogger(__name__)

WORKERS = 2  # large files at a time: two lines share what one would have, more share it into nothing
DAY_S = 86400.0
FLUSH_S = 60.0


class FileServices:
    """Everything about files that serves. Opens nothing and starts no thread before somebody uses it."""

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogDatabase,
        clock: Callable[[], float] = time.time,
        *,
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self.bounds = FileRuntimeLimits(settings, catalog)
        self.opener = FileOpener(settings)
        self.cache = open_files(settings, self.opener, self.bounds, clock)
        self.background = FileQueue(self.cache)
        self._previewer = Previewer()
        self.is_paused = is_paused  # whether an operator wants nothing fetched by itself
        self._pool = Pool(self._run_next, [], workers=WORKERS)
        self._starting = threading.Lock()  # protects _has_looked
        self._has_looked = False

    def preview(self, kept: StoredFile) -> Preview | None:
        """Return what a volume shows; None for a file that is none by its name, or is not whole.

        Takes a moment the first time. Raises `FileRejected`, or `DecoderFailed`.
        """
        if not is_volume(kept.name) or self.cache.usable(kept.remote) is None:
            return None
        if not is_installed():
            return Preview((), (), "the extra for previews is not installed (requirements-nifti.txt)")
        return self._previewer.preview(self.cache.root / kept.path, kept.name, kept.sha256)

    def start(self) -> None:
        """Go on with what was wanted before a restart; a vault without files gets no thread."""
        with self._starting:
            if self._has_looked:
                return
            self._has_looked = True
        try:
            if self.background.has_work():
                self._pool.start()
        except (CacheError, DatabaseError) as error:
            logger.warning("files not looked at reason=%s", error)

    def wake(self) -> None:
        """Bring what is wanted, soon."""
        self._pool.start()
        self._pool.wake()

    def change_bounds(self, *, max_size_mb: float | None = None, ttl_hours: float | None = None) -> int:
        """Change budget or TTL; a lower budget evicts at once. Returns how many files went. Raises `ConfigError`."""
        self.bounds.change(max_size_mb=max_size_mb, ttl_hours=ttl_hours)
        before = self.cache.totals()[0]
        with self.cache.alone():
            self.cache.evict_to(self.bounds().budget_bytes)
        return before - self.cache.totals()[0]

    def change_ttl(self, digest: str, hours: float | None) -> None:
        """Change how long one file is fresh; None: as all of them. Raises `ConfigError`, or `UnknownFile`."""
        if hours is not None:
            check_range(TTL, hours)
        self.cache.open()
        if not self.cache.index.update(digest, ttl_s=None if hours is None else hours * 3600):
            raise UnknownFile("No file of this name is kept.")

    def remove_expired(self) -> int:
        """Remove the files past their time whose origins answer; returns how many went."""
        return remove_expired(self.cache, lambda kept: answers(self.cache, kept))

    def chores(self) -> list[PeriodicJob]:
        return [
            PeriodicJob("files-mend", FLUSH_S, self._repair, first_s=FLUSH_S),
            PeriodicJob("files-sweep", DAY_S, self._sweep, first_s=600.0),
        ]

    def abort(self) -> None:
        """End what is under way with origins; it is resumed after the next start."""
        self.cache.stopping.set()
        self.opener.close()

    def close(self, timeout_s: float = 20.0) -> bool:
        """Stop, join the threads, leave the folder in order; False when a thread did not end in time."""
        self.abort()
        has_ended = self._pool.close(timeout_s)
        self.cache.close()
        return has_ended

    def _run_next(self) -> bool:
        return self.background.has_work() and not self.is_paused() and self.background.run_next()

    def _repair(self) -> None:
        if self._is_used():
            self._guarded(self.cache.repair)
            self.cache.tally.flush()

    def _sweep(self) -> None:
        if self._is_used():
            self._guarded(lambda: sweep(self.cache))

    def _is_used(self) -> bool:
        return (self.cache.root / "files.db").exists()

    @staticmethod
    def _guarded(run: Callable[[], object]) -> None:
        try:
            run()
        except (CacheError, DatabaseError, OSError) as error:
            logger.warning("chore of the files left out reason=%s", error)


class FileOpener:
    """The guarded fetch of large files. Beside the trusted origins it may speak to IMAGE_SERVER; covers may not."""

    def __init__(self, settings: Settings) -> None:
        host = urlsplit(settings.IMAGE_SERVER).hostname
        private_cas = {host: settings.IMAGE_SERVER_CA} if host and settings.IMAGE_SERVER_CA else None
        self._policy = make_policy(settings, *image_server(settings.IMAGE_SERVER))
        self._fetcher = LazyHttpClient(lambda: make_fetcher(settings, self._policy, private_cas))

    def check(self, url: str) -> None:
        self._policy.check(url)

    def open(self, url: str, **options: Any) -> "AbstractContextManager[HttpResponse]":
        return self._fetcher.open(url, **options)

    def close(self) -> None:
        """Cut what is under way; later fetches are refused."""
        self._fetcher.close()


def open_files(
    settings: Settings, opener: FileOpener, bounds: Callable[[], FileLimits], clock: Callable[[], float] = time.time
) -> FileCache:
    """Build the file cache of the settings. Nothing is opened before its first use."""
    return FileCache(
        settings.files_dir,
        opener,
        bounds,
        base_url=settings.IMAGE_SERVER,
        floor_bytes=settings.floor_bytes,
        clock=clock,
    )


def image_server(url: str) -> tuple[str, ...]:
    """Return the origin of IMAGE_SERVER as a trusted one, nothing when it is not set. Raises `ConfigError`."""
    if not url:
        return ()
    try:
        return (str(parse_url(url).peer),)
    except OriginDenied as error:
        raise ConfigError("IMAGE_SERVER", f"{url!r}: {error.reason}") from error
