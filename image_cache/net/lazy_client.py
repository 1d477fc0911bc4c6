"""The guarded HTTP client, made on first use: importing `net/client.py` loads urllib3, which most processes never need."""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_cache.config import Settings
from image_cache.net.fetch_result import FetchResult
from image_cache.net.policy import PeerPolicy

if TYPE_CHECKING:
    from image_cache.net.client import HttpClient, HttpResponse


class LazyHttpClient:
    """An `HttpClient` that is made on first use. Any thread. See there for what the methods raise."""

    def __init__(self, make: Callable[[], "HttpClient"]) -> None:
        self._make = make
        self._client: HttpClient | None = None
        self._is_closed = False
        self._lock = threading.Lock()  # protects the two above; held while the client is made

    def fetch(self, url: str, *, etag: str = "", last_modified: str = "") -> FetchResult:
        return self._made().fetch(url, etag=etag, last_modified=last_modified)

    def open(
        self, url: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> "AbstractContextManager[HttpResponse]":
        return self._made().open(url, headers=headers, **options)

    def close(self) -> None:
        """Abort running fetches; later ones are refused."""
        with self._lock:
            self._is_closed = True
            if self._client is not None:
                self._client.close()

    def _made(self) -> "HttpClient":
        with self._lock:
            if self._client is None:
                self._client = self._make()
                if self._is_closed:
                    self._client.close()
            return self._client


def make_policy(settings: Settings, *also_trusted: str) -> PeerPolicy:
    """Return which hosts may be fetched from. Raises `ConfigError` for an entry that is not a host or an origin."""
    return PeerPolicy((*settings.TRUSTED_ORIGINS, *also_trusted), settings.ORIGIN_ALLOWLIST, settings.ORIGIN_DENYLIST)


def make_fetcher(
    settings: Settings,
    policy: PeerPolicy | None = None,
    private_cas: Mapping[str, Path] | None = None,
    *,
    read_timeout_s: float = 5.0,
) -> "HttpClient":
    """Return a client with the limits of covers; `HttpClient.open` takes others for a single response."""
    from image_cache.net.client import HttpClient  # imports urllib3

    return HttpClient(
        policy or make_policy(settings),
        max_bytes=settings.max_fetch_bytes,
        deadline_s=settings.FETCH_DEADLINE_S,
        read_timeout_s=read_timeout_s,
        contact=settings.CONTACT,
        private_cas=private_cas,
    )
