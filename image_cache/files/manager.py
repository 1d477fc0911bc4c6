"""`ImageCacheManager` and the documented functions: the file cache for scripts, without Flask."""

import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from config import Settings, load_settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.files.build import FileOpener, open_files
from image_cache.files.maintenance import answers, remove_expired
from image_cache.files.runtime_limits import FileRuntimeLimits
from image_cache.files.store import FileCache, FileLimits
from image_cache.units import MEGABYTE


class ImageCacheManager:
    """Large remote files on this machine's disk: fetched once, verified, kept within a budget, there also without a network.

    `cache_dir` None is the folder of the settings. Sizes are megabytes of 1,000,000 bytes. A relative URL is joined to
    `image_server_url`, or to IMAGE_SERVER; that server may be private. Any thread, and several processes on one folder.
    A path stays valid until its file is replaced, evicted or removed: open it soon; an open file stays readable.
    """

    def __init__(
        self,
        cache_dir: str | Path | None = None,
        max_cache_size_mb: float = 1024,
        default_ttl_hours: float = 24,
        image_server_url: str | None = None,
    ) -> None:
        settings = load_settings()
        if cache_dir is not None:
            settings = replace(settings, FILES_DIR=Path(cache_dir).expanduser().absolute())
        if image_server_url is not None:
            settings = replace(settings, IMAGE_SERVER=image_server_url)
        bounds = FileLimits(int(max_cache_size_mb * MEGABYTE), default_ttl_hours * 3600)
        self._build(settings, lambda: bounds)

    def _build(self, settings: Settings, bounds: Callable[[], FileLimits]) -> None:
        opener = FileOpener(settings)
        self.files = open_files(settings, opener, bounds)
        # A script that just ends leaves its folder in order: else every file would be verified at the next use.
        self._finalizer = weakref.finalize(self, _close, self.files, opener)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build it with the budget and TTL of the settings, or as an operator changed them on the page of the files."""
        catalog = CatalogDatabase(settings.catalog_path) if settings.catalog_path.exists() else None
        manager = cls.__new__(cls)
        manager._build(settings, FileRuntimeLimits(settings, catalog))
        return manager

    @property
    def cache_dir(self) -> Path:
        return self.files.root

    def get_file(self, url: str, ttl_seconds: float | None = None, **options: Any) -> Path:
        """Return the file of a URL, fetching it when it is missing or stale; see `FileCache.get` for `sha256` and `progress`."""
        return self.files.get(url, ttl_seconds, **options)

    def get_cached_file(self, url: str, ttl_seconds: float | None = None) -> Path | None:
        """Return the file of a URL when it is here and fresh, else None. Never asks the origin."""
        return self.files.peek(url, ttl_seconds)

    def download_and_cache(self, url: str, ttl_seconds: float | None = None, **options: Any) -> Path:
        """Fetch the file of a URL, unless it is here and fresh. Raises when it cannot."""
        return self.files.get(url, ttl_seconds, **options)

    def invalidate(self, url: str) -> None:
        """Remove the file of a URL."""
        self.files.invalidate(url)

    def clear_cache(self) -> None:
        """Remove all files."""
        self.files.clear()

    def cleanup(self) -> None:
        """Remove the files past their TTL. Those whose origin cannot be reached stay: they could not be had again."""
        remove_expired(self.files, lambda kept: answers(self.files, kept))

    def get_stats(self) -> dict[str, Any]:
        """Return the figures of the cache; `hit_rate` is a fraction from 0 to 1."""
        return stats(self.files)

    def close(self) -> None:
        """Write what is in memory and end what is being fetched. At the end of a script it happens by itself."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def stats(files: FileCache) -> dict[str, Any]:
    """Return the documented figures of a file cache, and those beside them."""
    entries, used_bytes = files.totals()
    counts, bounds = files.counts(), files.bounds()
    hits, misses = counts.get("hits", 0), counts.get("misses", 0)
    return {
        "entries_count": entries,
        "current_size_mb": used_bytes / MEGABYTE,
        "max_size_mb": bounds.budget_bytes / MEGABYTE,
        "default_ttl_hours": bounds.ttl_s / 3600,
        "hit_rate": hits / (hits + misses) if hits + misses else 0.0,
        "hits": hits,
        "misses": misses,
        "evictions": counts.get("evictions", 0),
        "total_downloads": counts.get("downloads", 0),
        "total_bytes_cached": counts.get("downloaded_bytes", 0),
        "revalidated": counts.get("revalidated", 0),
        "served_stale": counts.get("stale", 0),
        "corrupt": counts.get("corrupt", 0),
        "coalesced": files.flight.coalesced,
        "cache_dir": str(files.root),
    }


_shared: ImageCacheManager | None = None
_sharing = threading.Lock()  # protects _shared while it is made


def get_cache_manager() -> ImageCacheManager:
    """Return the cache that the settings describe, made with the first call; the module functions use it."""
    global _shared  # noqa: PLW0603  the documented module functions need one place
    with _sharing:
        if _shared is None:
            _shared = ImageCacheManager.from_settings(load_settings())
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


def _close(files: FileCache, opener: FileOpener) -> None:
    files.stopping.set()
    opener.close()
    files.close()
