"""Background queue of file downloads: enqueue, pause, resume, cancel. A `Pool` runs it."""

import logging
import threading
import time

from image_cache.errors import CacheError, FetchStopped, UnknownFile
from image_cache.files.cache import FileCache
from image_cache.files.disk.index import PendingFile
from image_cache.files.download.checksums import is_sha256
from image_cache.files.paths import part_path
from image_cache.filesystem import is_locked

logger = logging.getLogger(__name__)

# A person's new request resets what it has cost so far.
FIRST_ATTEMPT = {"failures": 0, "furthest_bytes": 0, "received_bytes": 0, "cuts": 0}
GRACE_S = 2.0  # between the claim of a fetch by another process and its lock of the part


class FileQueue:
    """The queue of one file cache. Any thread, several processes; `run_next` is the work of a `Pool`."""

    def __init__(self, cache: FileCache) -> None:
        self._cache = cache
        self._lock = threading.Lock()  # protects _claimed
        self._claimed: set[str] = set()  # digests that threads of this process work on

    def enqueue(self, url: str, *, sha256: str = "", ttl_s: float | None = None, is_pinned: bool = False) -> str:
        """Queue a file and return its digest; with `is_pinned` it is pinned when it arrives. Raises `OriginDenied`, or `CacheError` for a malformed checksum."""
        if sha256 and not is_sha256(sha256):
            raise CacheError("A SHA-256 checksum has 64 hexadecimal digits (0-9, a-f).")
        remote = self._cache.remote(url)
        self._cache.opener.check(remote.url)
        self._cache.open()
        self._cache.index.add_pending(remote, sha256=sha256.lower(), ttl_s=ttl_s, is_wanted=True, state="waiting")
        self._cache.index.change(remote.digest, **FIRST_ATTEMPT, **({"is_pinned": 1} if is_pinned else {}))
        return remote.digest

    def enqueue_again(self, digest: str) -> None:
        """Resume a fetch that was paused, cut or failed, or fetch a stored file again. Raises `UnknownFile`."""
        self._cache.open()
        if self._cache.index.change(digest, state="waiting", is_wanted=1, reason="", retry_at=0.0, **FIRST_ATTEMPT):
            return
        stored = self._cache.index.find(digest)
        if stored is None:
            raise UnknownFile("No such file.")
        self._cache.index.add_pending(stored.remote, sha256="", ttl_s=stored.ttl_s, is_wanted=True, state="waiting")

    def pause(self, digest: str) -> None:
        """Pause a fetch; the bytes received so far stay. Raises `UnknownFile`."""
        self._cache.open()
        if not self._cache.index.change(digest, state="paused", reason="", retry_at=0.0):
            raise UnknownFile("This file is not being downloaded.")

    def cancel(self, digest: str) -> None:
        """Cancel a fetch and remove the bytes received so far. Raises `UnknownFile`."""
        self._cache.open()
        if self._cache.index.pending(digest) is None:
            raise UnknownFile("This file is not being downloaded.")
        self._cache.index.drop([digest])
        self._cache.discard_part(digest)  # that of a running fetch is removed by the fetch itself

    def run_next(self) -> bool:
        """Fetch the next file of the queue; return False if there is none."""
        self._cache.open()
        with self._lock:
            pending = self._cache.index.claim(self._is_abandoned)
            if pending is None:
                return False
            self._claimed.add(pending.digest)
        try:
            mirrors = tuple(pending.mirrors.split())
            self._cache.get(pending.url, pending.ttl_s, sha256=pending.sha256, mirrors=mirrors, is_wanted=True, is_forced=True)
        except FetchStopped as error:
            logger.info("fetch stopped url=%s reason=%s", pending.remote.shown, error.reason)
        except CacheError as error:
            logger.warning("fetch failed url=%s reason=%s", pending.remote.shown, getattr(error, "reason", error))
        finally:
            with self._lock:
                self._claimed.discard(pending.digest)
        return True

    def has_work(self) -> bool:
        """Return True if anything is queued, also for later. Opens nothing if the folder was never used."""
        if not self._cache.exists():
            return False
        self._cache.open()
        return any(pending.is_wanted and pending.state in ("waiting", "working") for pending in self._cache.index.fetches())

    def _is_abandoned(self, pending: PendingFile) -> bool:
        if pending.digest in self._claimed or time.time() - pending.began_at < GRACE_S:
            return False
        return not is_locked(part_path(self._cache.root, pending.digest))
