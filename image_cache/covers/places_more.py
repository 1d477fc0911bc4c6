"""Where the bytes of a cover come from: an origin on the net, or a place on this machine, by the scheme of its address."""

from collections.abc import Mapping
from typing import Protocol

from image_cache.net.lazy_client import FetchResult, LazyHttpClient


class LocalSource(Protocol):
    """A place on this machine that answers addresses of one scheme, like `OwnCovers`."""

    def fetch(self, address: str) -> FetchResult:
        """Return the picture. Raises `OriginError` or `StorageError`."""
        ...


Here = Mapping[str, LocalSource]  # by scheme


class LocalSources:
    """Fetches by scheme: `here` first, everything else through the guarded fetch, which refuses what is not http."""

    def __init__(self, net: LazyHttpClient, here: Here) -> None:
        self._net = net
        self._here = here

    def fetch(self, url: str, *, etag: str = "", last_modified: str = "") -> FetchResult:
        place = self._here.get(url.partition(":")[0])
        return place.fetch(url) if place else self._net.fetch(url, etag=etag, last_modified=last_modified)
