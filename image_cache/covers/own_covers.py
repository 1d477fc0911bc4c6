"""Covers that people uploaded for a record: precious files in the state folder, named by their SHA-256.

Their address is `own:` and that name. No table and no form can say it: only `OwnCovers.keep` gives one out.
"""

import hashlib
import re

from image_cache.errors import OriginNotFound
from image_cache.net.fetch_result import FetchResult
from image_cache.storage.local import LocalStorage

SCHEME = "own:"
_ADDRESS = re.compile(r"own:([0-9a-f]{64})")


class OwnCovers:
    """Originals of covers in a folder. Any thread, several processes."""

    def __init__(self, store: LocalStorage) -> None:
        self._store = store

    def store(self, body: bytes) -> str:
        """Store a picture, on the disk for good when this returns; the same bytes are stored once. Returns its address.

        Whether it is a picture is the caller's business. Raises `StorageError`.
        """
        name = hashlib.sha256(body).hexdigest()
        if self._store.get(name) is None:
            self._store.put(name, body)
        return SCHEME + name

    def fetch(self, address: str) -> FetchResult:
        """Read a picture. Raises `OriginNotFound` when it is gone, `StorageError` when the disk refuses."""
        body = self._store.get(_name(address))
        if body is None:
            raise OriginNotFound(address, "the uploaded cover is gone")
        return FetchResult(address, 200, body)

    def delete(self, address: str) -> bool:
        """Delete a picture that no record shows any more; tell whether it was there."""
        return self._store.delete(_name(address))


def _name(address: str) -> str:
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise OriginNotFound(address, "not the address of an uploaded cover")
    return found[1]
