"""A file cache from the settings: its folder, its guarded way to the origins, and the one server that relative addresses mean."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from config import Settings
from image_cache.errors import ConfigError, OriginDenied
from image_cache.files.store import FileCache, FileLimits
from image_cache.net.lazy_client import LazyHttpClient
from image_cache.net.opening import make_fetcher, make_policy
from image_cache.net.url import parse_url

if TYPE_CHECKING:
    from image_cache.net.client import HttpResponse

MEGABYTE = 1_000_000


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
        floor_bytes=int(settings.FREE_SPACE_FLOOR_MB * MEGABYTE),
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
