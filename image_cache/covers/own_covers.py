"""Uploaded covers: irreplaceable, named by their SHA-256; files in the state folder, or with several nodes objects in the store.

Their URL is `own:` and that name. No table and no form can name one: only `OwnCovers.store` gives it out.
"""

import hashlib
import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from image_cache.engine.key import Key
from image_cache.errors import OriginNotFound, StorageError
from image_cache.net.fetch_result import FetchResult
from image_cache.storage.base import Storage

if TYPE_CHECKING:
    from image_cache.covers.service import ImageCache

logger = logging.getLogger(__name__)

SCHEME = "own:"
FOLDER = "own"  # of the store
_NAME = re.compile(r"[0-9a-f]{64}")
_OWN_URL = re.compile(r"own:([0-9a-f]{64})")


class OwnCovers:
    """Originals of uploaded covers. Any thread, several processes. `former` is where they were before, until `move` has moved them."""

    def __init__(self, store: Storage, former: Storage | None = None) -> None:
        self._store, self._former = store, former

    def store(self, body: bytes) -> str:
        """Store an image durably; the same bytes are stored once. Returns its URL.

        Whether it is an image is for the caller to check. Raises `StorageError`.
        """
        name = hashlib.sha256(body).hexdigest()
        if not self._store.exists(name):
            self._store.put(name, body)
        return SCHEME + name

    def fetch(self, url: str) -> FetchResult:
        """Read an image. Raises `OriginNotFound` when it is gone, `StorageError` when it cannot be read."""
        body = self._store.get(_name(url))
        if body is None and self._former is not None:
            body = self._former.get(_name(url))
        if body is None:
            raise OriginNotFound(url, "the uploaded cover is missing")
        return FetchResult(url, 200, body)

    def delete(self, url: str) -> bool:
        """Delete an image that no record shows any more; return True if it existed."""
        was_there = self._former is not None and self._former.delete(_name(url))
        return self._store.delete(_name(url)) or was_there

    def move(self) -> None:
        """Move what lies where it was before; what the store does not take stays there until the next time. A periodic job."""
        if self._former is None:
            return
        moved = 0
        try:
            for name, _ in list(self._former.list()):
                body = self._former.get(name) if _NAME.fullmatch(name) else None
                if body is not None and hashlib.sha256(body).hexdigest() == name:
                    self.store(body)
                    moved += self._former.delete(name)
        except StorageError as error:
            logger.warning("own covers not moved to the store reason=%s", error)
        if moved:
            logger.info("own covers moved to the store count=%d", moved)


def forget_rendered(covers: "ImageCache", urls: Sequence[str]) -> None:
    """Remove what was rendered of uploaded covers that nothing shows any more: here, in the register, in the store of all nodes.

    Raises `StorageError` if this disk refuses, `DatabaseError`. A store that does not answer is asked again later.
    """
    digests = [covers.digests.of(url)[1] for url in urls]
    names = [*covers.variants, *(f"{name}.jpg" for name in covers.variants)]
    covers.cache.delete([Key(covers.cache.namespace, name, digest) for digest in digests for name in names])
    with covers.registry.database.write() as conn:
        covers.registry.remove(conn, digests)  # so that a job which has read the original already publishes nothing
    if covers.shared is not None:
        covers.shared.forget(bytes.fromhex(_name(url)) for url in urls)


def _name(url: str) -> str:
    found = _OWN_URL.fullmatch(url)
    if found is None:
        raise OriginNotFound(url, "not the URL of an uploaded cover")
    return found[1]
