"""A file cache from the settings: its folder, its guarded way to the origins, and the one server that relative addresses mean."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from config import Settings
from image_cache.adapters.address import parse_url
from image_cache.adapters.policy import PeerPolicy
from image_cache.errors import ConfigError, OriginDenied
from image_cache.files.store import Bounds, FileCache

if TYPE_CHECKING:
    from image_cache.adapters.origin import Answer, OriginFetcher

MEGABYTE = 1_000_000


class FileOpener:
    """The guarded fetch, made with the first use: it brings requests, 12 MB that most processes never need.

    Beside the trusted origins it may speak to IMAGE_SERVER; covers may not.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        trusted = (*settings.TRUSTED_ORIGINS, *image_server(settings.IMAGE_SERVER))
        self._policy = PeerPolicy(trusted, settings.ORIGIN_ALLOWLIST, settings.ORIGIN_DENYLIST)
        self._fetcher: OriginFetcher | None = None
        self._is_closed = False
        self._lock = threading.Lock()  # while it is made: several threads begin at once

    def check(self, url: str) -> None:
        self._policy.check(url)

    def open(self, url: str, **options: Any) -> "AbstractContextManager[Answer]":
        return self._made().open(url, **options)

    def close(self) -> None:
        """Cut what is under way; later fetches are refused."""
        with self._lock:
            self._is_closed = True
            if self._fetcher is not None:
                self._fetcher.close()

    def _made(self) -> "OriginFetcher":
        with self._lock:
            if self._fetcher is None:
                from image_cache.adapters.origin import OriginFetcher

                known = self._settings
                host = urlsplit(known.IMAGE_SERVER).hostname
                self._fetcher = OriginFetcher(
                    self._policy,
                    contact=known.CONTACT,
                    private_cas={host: known.IMAGE_SERVER_CA} if host and known.IMAGE_SERVER_CA else None,
                )
                if self._is_closed:
                    self._fetcher.close()
            return self._fetcher


def open_files(
    settings: Settings, opener: FileOpener, bounds: Callable[[], Bounds], clock: Callable[[], float] = time.time
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
