"""Uploaded covers: irreplaceable files in the state folder, named by their SHA-256.

Their URL is `own:` and that name. No table and no form can name one: only `OwnCovers.store` gives it out.
"""

import hashlib
import re

from image_cache.errors import OriginNotFound
from image_cache.net.fetch_result import FetchResult
from image_cache.storage.local import LocalStorage

SCHEME = "own:"
_OWN_URL = re.compile(r"own:([0-9a-f]{64})")


class OwnCovers:
    """Originals of uploaded covers in a folder. Any thread, several processes."""

    def __init__(self, store: LocalStorage) -> None:
        self._store = store

    def store(self, body: bytes) -> str:
        """Store an image durably; the same bytes are stored once. Returns its URL.

        Whether it is an image is for the caller to check. Raises `StorageError`.
        """
        name = hashlib.sha256(body).hexdigest()
        if self._store.get(name) is None:
            self._store.put(name, body)
        return SCHEME + name

    def fetch(self, url: str) -> FetchResult:
        """Read an image. Raises `OriginNotFound` when it is gone, `StorageError` when it cannot be read."""
        body = self._store.get(_name(url))
        if body is None:
            raise OriginNotFound(url, "the uploaded cover is missing")
        return FetchResult(url, 200, body)

    def delete(self, url: str) -> bool:
        """Delete an image that no record shows any more; return True if it existed."""
        return self._store.delete(_name(url))


def _name(url: str) -> str:
    found = _OWN_URL.fullmatch(url)
    if found is None:
        raise OriginNotFound(url, "not the URL of an uploaded cover")
    return found[1]
