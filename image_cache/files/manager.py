"""`ImageCacheManager` and its module functions: the documented file cache for scripts, without Flask."""

import logging
import shutil
import tempfile
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from image_cache.config import Settings, load_settings
from image_cache.db.database import DatabaseError
from image_cache.db.open_catalog import has_catalog, open_catalog
from image_cache.errors import StorageError
from image_cache.files.build import FileOpener, open_files
from image_cache.files.cache import FileCache
from image_cache.files.disk.maintenance import remove_expired
from image_cache.files.disk.runtime_limits import FileLimits, FileRuntimeLimits
from image_cache.files.listing import stats
from image_cache.units import MEGABYTE

logger = logging.getLogger(__name__)

TEMPORARY = "vinylvault-files-"


class ImageCacheManager:
    """Large remote files on disk: fetched once, verified, cached within a budget, available without a network.

    What is left out, or None, is as set: the folder, the budget and the TTL of the settings, or as an operator changed them on the
    files page. Sizes are megabytes of 1,000,000 bytes. A relative URL is joined to `image_server_url`, or to IMAGE_SERVER; that
    server may be private. Any thread, and several processes on one folder.
    A path stays valid until its file is replaced, evicted or removed: open it soon; an open file stays readable.

    A failing cache breaks no script: while the folder cannot be used, a temporary one replaces it, until this manager is closed.
    """

    def __init__(
        self,
        cache_dir: str | Path | None = None,
        max_cache_size_mb: float | None = None,
        default_ttl_hours: float | None = None,
        image_server_url: str | None = None,
        *,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or load_settings()
        if cache_dir is not None:
            settings = replace(settings, FILES_DIR=Path(cache_dir).expanduser().absolute())
        if image_server_url is not None:
            settings = replace(settings, IMAGE_SERVER=image_server_url)
        catalog = open_catalog(settings) if has_catalog(settings) else None
        as_set = FileRuntimeLimits(settings, catalog)

        def limits() -> FileLimits:
            return FileLimits(
                as_set().budget_bytes if max_cache_size_mb is None else int(max_cache_size_mb * MEGABYTE),
                as_set().ttl_s if default_ttl_hours is None else default_ttl_hours * 3600,
                as_set().speed,
            )

        self._settings = settings
        self._opener = FileOpener(settings)
        self._limits = limits
        self.files = open_files(settings, self._opener, limits)
        self._lock = threading.Lock()  # protects _opened
        self._opened = [self.files]  # and the one that stands in, if any
        # A script that just ends closes its folder cleanly: otherwise every file would be verified at its next use.
        self._finalizer = weakref.finalize(self, _close, self._opened, self._opener)

    @property
    def cache_dir(self) -> Path:
        return self.files.root

    def get_file(self, url: str, ttl_seconds: float | None = None, **options: Any) -> Path:
        """Return the file of a URL, fetching it when it is missing or stale; see `FileCache.get` for `sha256` and `progress`."""
        return self._usable().get(url, ttl_seconds, **options)

    def get_cached_file(self, url: str, ttl_seconds: float | None = None) -> Path | None:
        """Return the file of a URL if it is stored and fresh, else None. Never asks the origin."""
        return self._usable().peek(url, ttl_seconds)

    def download_and_cache(self, url: str, ttl_seconds: float | None = None, **options: Any) -> Path:
        """Fetch the file of a URL again, whatever is stored, and keep its TTL. Raises what `FileCache.get` raises, also if a stale
        file is there: that one stays.
        """
        return self._usable().get(url, ttl_seconds, is_anew=True, **options)

    def invalidate(self, url: str) -> None:
        """Remove the file of a URL."""
        self._usable().invalidate(url)

    def clear_cache(self) -> None:
        """Remove all files."""
        self._usable().clear()

    def cleanup(self) -> None:
        """Remove the files past their TTL. Those whose origin cannot be reached stay: they could not be fetched again."""
        remove_expired(self._usable())

    def get_stats(self) -> dict[str, Any]:
        """Return the figures of the cache; `hit_rate` is a fraction from 0 to 1."""
        return stats(self._usable())

    def close(self) -> None:
        """Write what is in memory and end fetches under way. Called automatically at the end of a script."""
        self._finalizer()

    def _usable(self) -> FileCache:
        """Return the cache, or a temporary one while its folder cannot be used."""
        try:
            self.files.open()
        except (StorageError, DatabaseError) as error:
            with self._lock:
                if len(self._opened) == 1:
                    folder = Path(tempfile.mkdtemp(prefix=TEMPORARY))
                    logger.warning("file cache unusable, using a temporary one path=%s reason=%s", self.files.root, error)
                    self._opened.append(open_files(replace(self._settings, FILES_DIR=folder), self._opener, self._limits))
                return self._opened[1]
        return self.files

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


_shared: ImageCacheManager | None = None
_sharing = threading.Lock()  # protects _shared while it is created


def get_cache_manager() -> ImageCacheManager:
    """Return the cache of the settings, created by the first call; the module functions use it."""
    global _shared  # noqa: PLW0603  the documented module functions need one place
    with _sharing:
        if _shared is None:
            _shared = ImageCacheManager()
        return _shared


def get_cached_file(url: str, ttl_seconds: float | None = None) -> Path:
    """Return the file of a URL, fetching it when it is missing or stale (the method of this name never fetches)."""
    return get_cache_manager().get_file(url, ttl_seconds)


def clear_cache() -> None:
    """Remove all files."""
    get_cache_manager().clear_cache()


def get_cache_stats() -> dict[str, Any]:
    """Return the figures of the cache; `hit_rate` is a fraction from 0 to 1."""
    return get_cache_manager().get_stats()


def _close(opened: list[FileCache], opener: FileOpener) -> None:
    for files in opened:
        files.stopping.set()
    opener.close()
    for files in opened:
        files.close()
    for temporary in opened[1:]:
        shutil.rmtree(temporary.root, ignore_errors=True)
