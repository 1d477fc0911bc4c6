"""Files that come without anybody waiting: the wishes of operators, brought by a pool, paused, resumed and cancelled."""

import logging
import threading
import time

from image_cache.errors import CacheError, FetchStopped, UnknownFile
from image_cache.files.checksums import is_sha256
from image_cache.files.index import PendingFile
from image_cache.files.paths import part_path
from image_cache.files.store import FileCache
from image_cache.filesystem import is_locked

logger = logging.getLogger(__name__)

GRACE_S = 2.0  # between the claim of a fetch by another process and its lock of the part


class FileQueue:
    """The wishes of one file cache. Any thread and process may ask; `run_next` is the work of a `Pool`."""

    def __init__(self, files: FileCache) -> None:
        self.files = files
        self._lock = threading.Lock()  # protects _mine
        self._mine: set[str] = set()  # what threads of this process work on

    def enqueue(self, url: str, *, sha256: str = "", ttl_s: float | None = None) -> str:
        """Queue a file and return its digest. Raises `OriginDenied`, or `CacheError` for a checksum that can be none."""
        if sha256 and not is_sha256(sha256):
            raise CacheError("A SHA-256 has 64 hexadecimal digits.")
        remote = self.files.remote(url)
        self.files.opener.check(remote.url)
        self.files.open()
        self.files.index.add_pending(remote, sha256=sha256.lower(), ttl_s=ttl_s, is_wanted=True, state="waiting")
        return remote.digest

    def enqueue_again(self, digest: str) -> None:
        """Go on with a fetch that was paused, cut or failed, or fetch a file that is kept once more. Raises `UnknownFile`."""
        self.files.open()
        if self.files.index.change(digest, state="waiting", is_wanted=1, reason="", retry_at=0.0):
            return
        kept = self.files.index.find(digest)
        if kept is None:
            raise UnknownFile("No file of this name is kept or on its way.")
        self.files.index.add_pending(kept.remote, sha256="", ttl_s=kept.ttl_s, is_wanted=True, state="waiting")

    def pause(self, digest: str) -> None:
        """Let a fetch rest; what came stays. Raises `UnknownFile`."""
        self.files.open()
        if not self.files.index.change(digest, state="paused", reason="", retry_at=0.0):
            raise UnknownFile("No file of this name is on its way.")

    def cancel(self, digest: str) -> None:
        """Give a fetch up and remove what came of it. Raises `UnknownFile`."""
        self.files.open()
        if self.files.index.pending(digest) is None:
            raise UnknownFile("No file of this name is on its way.")
        self.files.index.drop([digest])
        self.files.discard_part(digest)  # one that is being fetched is removed by whoever fetches it

    def run_next(self) -> bool:
        """Bring the next wanted file; False when there is none."""
        files = self.files
        files.open()
        with self._lock:
            coming = files.index.claim(self._is_left)
            if coming is None:
                return False
            self._mine.add(coming.digest)
        try:
            files.get(coming.url, coming.ttl_s, sha256=coming.sha256, is_wanted=True, is_forced=True)
        except FetchStopped as error:
            logger.info("fetch stopped url=%s reason=%s", coming.remote.shown, error.reason)
        except CacheError as error:
            logger.warning("fetch failed url=%s reason=%s", coming.remote.shown, getattr(error, "reason", error))
        finally:
            with self._lock:
                self._mine.discard(coming.digest)
        return True

    def has_work(self) -> bool:
        """Tell whether anything is wanted, now or later. Opens nothing when the folder was never used."""
        if not (self.files.root / "files.db").exists():
            return False
        self.files.open()
        return any(coming.is_wanted and coming.state in ("waiting", "working") for coming in self.files.index.fetches())

    def _is_left(self, coming: PendingFile) -> bool:
        if coming.digest in self._mine or time.time() - coming.began_at < GRACE_S:
            return False
        return not is_locked(part_path(self.files.root, coming.digest))
