"""Second tier: rendered covers in the S3 store, from where a node takes what another has rendered. Knows no SQL and no job.

An object's name has the hash of the fetched body, the variant and the digest. So a node that died before it wrote the row, or that
fetched after the origin's image had changed, never writes other bytes under a name that others read.
"""

import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from image_cache.engine.index import file_is_plausible
from image_cache.engine.key import Key
from image_cache.errors import StorageError
from image_cache.frozen import frozen
from image_cache.storage.s3 import S3Storage

T = TypeVar("T")

logger = logging.getLogger(__name__)

PREFIX = "r"
TIMEOUT_S = 4.0  # of one request: a job waits for it, with a lease and a slot of a host, and for a short one after it if it fails
PAUSE_S = 10.0  # after the store did not answer it is not asked for so long, then by one thread
MAX_BYTES = 20_000_000  # a rendered cover has some hundred thousand at most
BODY_DIGITS = 32  # of the hash of the body, in a name
_NAME = re.compile(PREFIX + r"/([0-9a-f]{32})/([a-z0-9_-]{1,40})/([0-9a-f]{64})\.webp")


@frozen
class SharedObject:
    """One object of the second tier. `body` is the beginning of the SHA-256 of the fetched bytes, in hex."""

    name: str
    body: str
    variant: str
    digest: str
    size_bytes: int
    stored_at: float


class SecondTier:
    """The objects below `r/`. Any thread. While the store does not answer it gets one request in ten seconds, however many jobs need it."""

    def __init__(self, store: S3Storage, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._probe = threading.Lock()  # held by the one thread that asks whether the store answers again
        self._away_until: float | None = None  # unlocked, because a lost race costs one more request

    def is_away(self) -> bool:
        """Return True while the store is not asked."""
        return self._away_until is not None and self._clock() < self._away_until

    def get(self, body_sha256: bytes, key: Key) -> bytes | None:
        """Return a variant; None if the store does not have it, or other bytes than were stored. Raises `StorageError`: it is away."""
        name = object_name(body_sha256, key)
        with self._asking():
            found = self._or_none(name, lambda: self._store.get_hashed(name, MAX_BYTES))
        if found is None:
            return None
        body, sha256 = found
        # As a file from the disk is checked: by its hash, by its shape if there is none.
        is_intact = hashlib.sha256(body).hexdigest() == sha256 if sha256 else True
        if is_intact and file_is_plausible(body[:32], body[-32:], len(body)):
            return body
        logger.warning("stored cover corrupt, ignored name=%s", name)
        return None

    def put(self, body_sha256: bytes, bodies: Mapping[Key, bytes]) -> bool:
        """Store rendered variants; return False if the store does not take them or is away. Then some of them may be there."""
        try:
            for key, body in bodies.items():
                name = object_name(body_sha256, key)
                with self._asking():
                    if self._or_none(name, lambda name=name, body=body: self._store.put_hashed(name, body)) is None:  # type: ignore[misc]
                        return False
        except StorageError:
            return False
        return True

    def objects_of(self, body_sha256: bytes) -> list[SharedObject]:
        """Return what was rendered of one body. Raises `StorageError`."""
        return list(self.objects(f"{PREFIX}/{_short(body_sha256)}"))

    def delete(self, name: str) -> bool:
        """Delete an object by its name; False if there was none. Raises `StorageError`, also for a name of anything else."""
        if _NAME.fullmatch(name) is None:
            raise StorageError(name[:200], "not a rendered cover")
        with self._asking():
            return self._store.delete(name)

    def objects(self, prefix: str = PREFIX) -> Iterator[SharedObject]:
        """Yield the objects; what is below `r/` and is none is left out, such as an original of a stream with that address.

        Raises `StorageError`.
        """
        with self._asking():
            for name, size_bytes, stored_at in self._store.objects(prefix):
                if found := _NAME.fullmatch(name):
                    yield SharedObject(name, found[1], found[2], found[3], size_bytes, stored_at)

    def _or_none(self, name: str, ask: Callable[[], T]) -> T | None:
        """Return the answer; None if the store refuses this object alone, which says nothing about the others.

        Raises `StorageError` if it does not answer to anything.
        """
        try:
            return ask()
        except StorageError as error:
            self._store.exists(f"{PREFIX}/probe")
            logger.warning("rendered cover refused by the store name=%s reason=%s", name, error.reason)
            return None

    @contextmanager
    def _asking(self) -> Iterator[None]:
        until, is_probing = self._away_until, False
        if until is not None:
            is_probing = self._clock() >= until and self._probe.acquire(blocking=False)
            if not is_probing:
                raise StorageError(self._store.name, "the S3 storage did not respond a moment ago")
        try:
            yield
        except StorageError as error:
            if self._away_until is None:
                logger.warning("second tier away reason=%s", error.reason)
            self._away_until = self._clock() + PAUSE_S
            raise
        else:
            if self._away_until is not None:
                logger.info("second tier back")
            self._away_until = None
        finally:
            if is_probing:
                self._probe.release()


def object_name(body_sha256: bytes, key: Key) -> str:
    """Return the name of a rendered variant in the store."""
    return f"{PREFIX}/{_short(body_sha256)}/{key.variant}/{key.digest}.webp"


def _short(body_sha256: bytes) -> str:
    return body_sha256.hex()[:BODY_DIGITS]
