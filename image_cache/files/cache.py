"""Read-through cache of large files: return what is stored, fetch what is missing or stale."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from image_cache.engine.flight import SingleFlight
from image_cache.errors import ChecksumMismatch
from image_cache.files.disk.index import StoredFile
from image_cache.files.disk.runtime_limits import FileLimits
from image_cache.files.disk.store import FileStore
from image_cache.files.download.bandwidth import Throttle
from image_cache.files.download.checksums import is_sha256
from image_cache.files.download.fetch_terms import Opener, Progress
from image_cache.files.download.loader import FileLoader, FileRequest

logger = logging.getLogger(__name__)


class FileCache(FileStore):
    """A `FileStore` that is filled from origins. Any thread, several processes at once."""

    def __init__(
        self,
        root: Path,
        opener: Opener,
        limits: Callable[[], FileLimits],
        *,
        base_url: str = "",
        floor_bytes: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(root, limits, base_url=base_url, floor_bytes=floor_bytes, clock=clock)
        self.opener = opener
        self.flight: SingleFlight[Path] = SingleFlight()
        self.loader = FileLoader(self, opener, Throttle(root / ".bandwidth", lambda: self.limits().speed, clock))

    def peek(self, url: str, ttl_s: float | None = None) -> Path | None:
        """Return the file if it is stored and fresh; asks no origin. Reads all of it when it has to be verified first."""
        stored = self.usable(self.remote(url))
        if stored is None or not self.is_fresh(stored, ttl_s):
            self._miss(url)
            return None
        return self._hit(stored)

    def get(
        self,
        url: str,
        ttl_s: float | None = None,
        *,
        sha256: str = "",
        mirrors: tuple[str, ...] = (),
        progress: Progress | None = None,
        is_wanted: bool = False,
        is_forced: bool = False,
        is_anew: bool = False,
    ) -> Path:
        """Return the file, fetching it when it is missing, stale, or not the one with this SHA-256. Callers of one URL share one fetch.

        `is_forced`: ask the origin also about a fresh file. `is_anew`: fetch all of it, whatever is stored. `mirrors`: further
        URLs of a file with this `sha256`; the next one is tried when one fails.

        While the origin cannot be reached a stale file is returned, but not with `is_anew`. Raises `OriginError`, `ChecksumMismatch`, `FileRejected`,
        `StorageError` or `FetchStopped`; what was stored before stays.
        """
        if sha256 and not is_sha256(sha256):
            raise ChecksumMismatch(url, "sha256", sha256[:80], "must be 64 hexadecimal digits")
        target, sha256 = self.remote(url), sha256.lower()
        stored = self.usable(target)
        is_right = stored is not None and not (is_forced or is_anew) and sha256 in ("", stored.sha256)
        if stored is not None and is_right and self.is_fresh(stored, ttl_s):
            return self._hit(stored)
        self._miss(target.shown)
        if stored is not None and is_right and self.loader.is_offline(target.host):
            return self.use(stored)
        request = FileRequest(target, ttl_s, sha256, mirrors, progress, is_wanted, is_forced, is_anew)
        return self.flight.do((target.digest, sha256, is_anew), lambda: self.loader.load(request))

    def _miss(self, url: str) -> None:
        self.usage.count("misses")
        logger.debug("Cache miss for: %s", url)

    def _hit(self, stored: StoredFile) -> Path:
        self.usage.count("hits")
        logger.debug("Cache hit for: %s", stored.remote.shown)
        return self.use(stored)
