"""Builds the large files of a vault from its settings: the cache, its queue and pool, its maintenance. Knows no Flask."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.engine.pool import PeriodicJob, Pool
from image_cache.errors import CacheError, ConfigError, OriginDenied, OriginError, StorageError, UnknownFile
from image_cache.files import listing
from image_cache.files.cache import FileCache
from image_cache.files.disk.index import StoredFile
from image_cache.files.disk.maintenance import remove_expired, sweep
from image_cache.files.disk.runtime_limits import TTL, FileLimits, FileRuntimeLimits, check_range
from image_cache.files.download.attempts import Attempt, AttemptTable
from image_cache.files.download.queue import FileQueue
from image_cache.files.paths import DIGEST
from image_cache.imaging.volume.preview import Preview, Previewer, is_installed, is_volume
from image_cache.net.lazy_client import LazyHttpClient, make_fetcher, make_policy
from image_cache.net.url import parse_url

if TYPE_CHECKING:
    from image_cache.files.disk.link_folder import LinkReport
    from image_cache.files.download.logins import Logins
    from image_cache.files.registries.groups import FileGroups
    from image_cache.net.client import HttpResponse  # imports urllib3

logger = logging.getLogger(__name__)

UNAUTHORIZED = 401  # the status of a request without a login, or with a wrong one
WORKERS = 2  # large files at a time: more would only share the same bandwidth
DAY_S = 86400.0
FLUSH_S = 60.0


class FileServices:
    """The large files of a vault, for requests and commands. Opens nothing and starts no thread before its first use."""

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogDatabase,
        clock: Callable[[], float] = time.time,
        *,
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.is_paused = is_paused  # True while an operator has paused fetching
        self.limits = FileRuntimeLimits(settings, catalog)
        self._opener = FileOpener(settings)
        self.cache = open_files(settings, self._opener, self.limits, clock)
        self._queue = FileQueue(self.cache)
        self._previewer = Previewer()
        self._pool = Pool(self._run_next, [], workers=WORKERS)
        self._starting = threading.Lock()  # protects _is_started
        self._is_started = False

    @cached_property
    def groups(self) -> "FileGroups":
        """The registries, and what can be done with all files of one."""
        from image_cache.files.registries.groups import FileGroups  # rarely used

        return FileGroups(self.cache, self.settings.file_registries_dir, self.settings.IMAGE_SERVER, self.wake)

    @property
    def logins(self) -> "Logins":
        """The logins for origins."""
        return self._opener.logins

    def exists(self) -> bool:
        """Return True if there ever was a file. Opens nothing."""
        return self.cache.exists()

    def entries(self) -> list[listing.Entry]:
        """Return all files: those being fetched first, then the stored ones."""
        return listing.entries(self.cache)

    def entry(self, digest: str) -> listing.Entry:
        """Return one file. Raises `UnknownFile`."""
        found = listing.entry(self.cache, digest) if DIGEST.fullmatch(digest) else None
        if found is None:
            raise UnknownFile("No such file.")
        return found

    def attempts(self, digest: str) -> list[Attempt]:
        """Return the attempts to fetch a file, the latest first."""
        return AttemptTable(self.cache.index, digest).listed()

    def stats(self) -> dict[str, Any]:
        """Return the figures of the cache, zeros while its folder cannot be used.

        `cache_dir` among them is for operators and scripts only.
        """
        try:
            return listing.stats(self.cache)
        except (StorageError, DatabaseError) as error:
            logger.warning("file cache not checked reason=%s", error)
            return listing.figures(self.cache, (0, 0), {})

    def usable(self, digest: str) -> StoredFile:
        """Return a stored file whose bytes may be handed out. Raises `UnknownFile`."""
        self.cache.open()
        stored = self.cache.index.find(digest)
        if stored is None or self.cache.usable(stored.remote) is None:
            raise UnknownFile("No such file.")
        return stored

    def use(self, stored: StoredFile) -> Path:
        """Count a use, and return the path of the file."""
        return self.cache.use(stored)

    def preview(self, digest: str, at: tuple[int, ...] = ()) -> Preview | None:
        """Return the preview of a volume, with the slices `at` these numbers, else the middle ones; None for a file that is none by its name, or is not whole.

        Takes a moment the first time. Raises `FileRejected`, or `DecoderFailed`.
        """
        self.cache.open()
        stored = self.cache.index.find(digest)
        if stored is None or not is_volume(stored.name) or self.cache.usable(stored.remote) is None:
            return None
        if not is_installed():
            return Preview((), (), "the preview extra is not installed (see requirements-nifti.txt)")
        return self._previewer.preview(self.cache.root / stored.path, stored.name, stored.sha256, at)

    def enqueue(self, url: str, *, sha256: str = "", ttl_s: float | None = None, is_pinned: bool = False) -> str:
        """Queue a file and return its digest. Raises `OriginDenied`, or `CacheError` for a malformed checksum."""
        digest = self._queue.enqueue(url, sha256=sha256, ttl_s=ttl_s, is_pinned=is_pinned)
        self.wake()
        return digest

    def resume(self, digest: str) -> None:
        """Resume a fetch that was paused, cut or failed, or fetch a stored file again. Raises `UnknownFile`."""
        self._queue.enqueue_again(digest)
        self.wake()

    def pause(self, digest: str) -> None:
        """Pause a fetch. Raises `UnknownFile`."""
        self._queue.pause(digest)

    def cancel(self, digest: str) -> None:
        """Cancel a fetch and remove the bytes received so far. Raises `UnknownFile`."""
        self._queue.cancel(digest)

    def remove(self, digest: str) -> None:
        """Remove one file and its partial download. Raises `UnknownFile`."""
        if not DIGEST.fullmatch(digest) or not self.cache.remove(digest):
            raise UnknownFile("No such file.")

    def pin(self, digest: str, *, is_pinned: bool = True) -> None:
        """Pin a file, so that it is never evicted, or unpin it; one that is downloading too. Raises `UnknownFile`."""
        if not DIGEST.fullmatch(digest):
            raise UnknownFile("No such file.")
        from image_cache.files.disk.pins import pin  # rarely used

        pin(self.cache, digest, is_pinned=is_pinned)

    def invalidate(self, url: str) -> bool:
        """Remove the file of a URL; return True if there was one."""
        return self.cache.invalidate(url)

    def clear(self) -> int:
        """Remove all files and return how many there were. Fetches under way continue."""
        return self.cache.clear()

    def remove_expired(self) -> int:
        """Remove the files past their TTL whose origins answer; return how many."""
        return remove_expired(self.cache)

    def change_limits(self, *, max_size_mb: float | None = None, ttl_hours: float | None = None) -> int:
        """Change budget or TTL; a lower budget evicts at once. Returns how many files were evicted. Raises `ConfigError`."""
        self.limits.change(max_size_mb=max_size_mb, ttl_hours=ttl_hours)
        before = self.cache.totals()[0]
        with self.cache.alone():
            self.cache.evict_to(self.limits().budget_bytes)
        return before - self.cache.totals()[0]

    def change_speed(self, mb_per_s: float | None, full_hours: str = "") -> None:
        """Limit the speed of all downloads together; None: no limit. Those under way obey within seconds. Raises `ConfigError`."""
        self.limits.change_speed(mb_per_s, full_hours)

    def change_ttl(self, digest: str, hours: float | None) -> None:
        """Change the TTL of one file; None: the default. Raises `ConfigError`, or `UnknownFile`."""
        if hours is not None:
            check_range(TTL, hours)
        self.cache.open()
        if not self.cache.index.update(digest, ttl_s=None if hours is None else hours * 3600):
            raise UnknownFile("No such file.")

    def start(self) -> None:
        """Resume what was queued before a restart, once. A vault without files gets no thread."""
        with self._starting:
            if self._is_started:
                return
            self._is_started = True
        try:
            if self._queue.has_work():
                self._pool.start()
        except (CacheError, DatabaseError) as error:
            logger.warning("file cache not checked reason=%s", error)

    def update_links(self) -> "LinkReport | None":
        """Bring the folder of links in step, if there is one. Raises `StorageError`, or `CacheError` for a folder of the cache."""
        folder, is_hard = self.limits.link_folder()
        if not folder:
            return None
        from image_cache.files.disk.link_folder import update_links  # rarely used

        names = {member.digest: member.file.name for group in self.groups.all() for member in group.members}
        return update_links(self.cache, Path(folder), names, is_hard=is_hard)

    def wake(self) -> None:
        """Run the queue now."""
        self._pool.start()
        self._pool.wake()

    def periodic_jobs(self) -> list[PeriodicJob]:
        return [
            PeriodicJob("files-mend", FLUSH_S, self._repair, first_s=FLUSH_S),
            PeriodicJob("files-sweep", DAY_S, self._sweep, first_s=600.0),
        ]

    def abort(self) -> None:
        """Cut the fetches under way; they are resumed after the next start."""
        self.cache.stopping.set()
        self._opener.close()

    def close(self, timeout_s: float = 20.0) -> bool:
        """Stop, join the threads, close the folder; return False if a thread did not end in time."""
        self.abort()
        has_ended = self._pool.close(timeout_s)
        self.cache.close()
        return has_ended

    def _run_next(self) -> bool:
        return self._queue.has_work() and not self.is_paused() and self._queue.run_next()

    def _repair(self) -> None:
        if self.cache.exists():
            self._guarded(self.cache.repair)
            self.cache.usage.flush()
            self._guarded(self.update_links)

    def _sweep(self) -> None:
        if self.cache.exists():
            self._guarded(lambda: sweep(self.cache))

    @staticmethod
    def _guarded(run: Callable[[], object]) -> None:
        try:
            run()
        except (CacheError, DatabaseError, OSError) as error:
            logger.warning("file housekeeping skipped reason=%s", error)


class FileOpener:
    """The guarded HTTP client of large files. Besides the trusted origins it may connect to IMAGE_SERVER; covers may not."""

    def __init__(self, settings: Settings) -> None:
        host = urlsplit(settings.IMAGE_SERVER).hostname
        private_cas = {host: settings.IMAGE_SERVER_CA} if host and settings.IMAGE_SERVER_CA else None
        self._policy = make_policy(settings, *image_server(settings.IMAGE_SERVER))
        self._fetcher = LazyHttpClient(lambda: make_fetcher(settings, self._policy, private_cas))
        self._credentials = settings.origin_credentials_path

    @cached_property
    def logins(self) -> "Logins":
        from image_cache.files.download.logins import Logins  # most vaults have none

        return Logins(self._credentials)

    def check(self, url: str) -> None:
        self._policy.check(url)

    @contextmanager
    def open(self, url: str, **options: Any) -> "Iterator[HttpResponse]":
        """Open a response; the login of the origin is sent to this origin alone. See `HttpClient.open`."""
        if "logins" in self.__dict__ or self._credentials.exists():
            options["secrets"] = self.logins.headers(url)
        try:
            with self._fetcher.open(url, **options) as response:
                yield response
        except OriginError as error:
            if error.status == UNAUTHORIZED:
                why = "refused the login" if options.get("secrets") else "needs a login"
                raise OriginError(error.url, f"HTTP {error.status}: the origin {why}", status=error.status) from error
            raise

    def close(self) -> None:
        """Cut what is under way; later fetches are refused."""
        self._fetcher.close()


def open_files(
    settings: Settings, opener: FileOpener, limits: Callable[[], FileLimits], clock: Callable[[], float] = time.time
) -> FileCache:
    """Build the file cache of the settings. Nothing is opened before its first use."""
    return FileCache(
        settings.files_dir,
        opener,
        limits,
        base_url=settings.IMAGE_SERVER,
        floor_bytes=settings.floor_bytes,
        clock=clock,
    )


def image_server(url: str) -> tuple[str, ...]:
    """Return the origin of IMAGE_SERVER as a trusted one; empty if it is not set. Raises `ConfigError`."""
    if not url:
        return ()
    try:
        return (str(parse_url(url).peer),)
    except OriginDenied as error:
        raise ConfigError("IMAGE_SERVER", f"{url!r}: {error.reason}") from error
