"""What a fetch brings, and the fetch itself made late: importing `adapters/origin.py` costs 12 MB that most processes never need."""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from config import Settings
from image_cache.net.policy import PeerPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from image_cache.net.client import HttpClient, HttpResponse


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What an origin answered. `status` is 200, or 304 with an empty body when the validators still hold.

    `url` is the address that answered, after redirects. Validators and `content_type` are "" when missing or malformed;
    `fresh_s` is what the origin says about freshness (0 for no-store and no-cache), None when it says nothing.
    """

    url: str
    status: int
    body: bytes
    etag: str = ""
    last_modified: str = ""
    content_type: str = ""
    fresh_s: float | None = None


class LazyHttpClient:
    """The guarded fetch, made with the first use. Any thread. See `HttpClient` for what its methods raise."""

    def __init__(self, make: Callable[[], "HttpClient"]) -> None:
        self._make = make
        self._fetcher: HttpClient | None = None
        self._is_closed = False
        self._lock = threading.Lock()  # while it is made: several threads begin at once

    def fetch(self, url: str, *, etag: str = "", last_modified: str = "") -> FetchResult:
        return self._made().fetch(url, etag=etag, last_modified=last_modified)

    def open(
        self, url: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> "AbstractContextManager[HttpResponse]":
        return self._made().open(url, headers=headers, **options)

    def close(self) -> None:
        """Cut what is under way; later fetches are refused."""
        with self._lock:
            self._is_closed = True
            if self._fetcher is not None:
                self._fetcher.close()

    def _made(self) -> "HttpClient":
        with self._lock:
            if self._fetcher is None:
                self._fetcher = self._make()
                if self._is_closed:
                    self._fetcher.close()
            return self._fetcher


def make_policy(settings: Settings, *also_trusted: str) -> PeerPolicy:
    """Return who may be spoken to. Raises `ConfigError` for an entry that is no host or origin."""
    return PeerPolicy((*settings.TRUSTED_ORIGINS, *also_trusted), settings.ORIGIN_ALLOWLIST, settings.ORIGIN_DENYLIST)


def make_fetcher(
    settings: Settings,
    policy: PeerPolicy | None = None,
    private_cas: "Mapping[str, Path] | None" = None,
    *,
    read_timeout_s: float = 5.0,
) -> "HttpClient":
    """Return a fetcher with the limits of pictures; `HttpClient.open` takes others for one answer."""
    from image_cache.net.client import HttpClient

    return HttpClient(
        policy or make_policy(settings),
        max_bytes=settings.max_fetch_bytes,
        deadline_s=settings.FETCH_DEADLINE_S,
        read_timeout_s=read_timeout_s,
        contact=settings.CONTACT,
        private_cas=private_cas,
    )
