"""The cache of large files: hand out what is here, fetch what is not, keep it all within a budget. Knows no Flask."""

import contextlib
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from image_cache.engine.flight import SingleFlight
from image_cache.errors import ChecksumMismatch, StorageError
from image_cache.files.checksums import is_sha256
from image_cache.files.fetch import Opener, Progress
from image_cache.files.index import FileIndex, StoredFile, UsageCounters
from image_cache.files.loader import FileRequest, load
from image_cache.files.maintenance import rebuild, verify
from image_cache.files.paths import Remote, note_path, part_path, remote
from image_cache.filesystem import is_locked, lock_file, make_folder, open_lock_file, try_lock

logger = logging.getLogger(__name__)

VICTIMS_AT_A_TIME = 20


@dataclass(frozen=True, slots=True)
class FileLimits:
    """What the operator may change while the cache runs: the disk budget, and how long a file is fresh."""

    budget_bytes: int
    ttl_s: float


class FileCache:
    """The files of one folder. Any thread, several processes at once; used in a fork, it opens its database anew.

    `bounds` is asked whenever it matters, so that a change holds at once and in every process. Nothing is opened before the
    first use. `base_url` is what relative addresses are joined to.
    """

    def __init__(
        self,
        root: Path,
        opener: Opener,
        bounds: Callable[[], FileLimits],
        *,
        base_url: str = "",
        floor_bytes: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.root = root
        self.bounds = bounds
        self.clock = clock
        self.index = FileIndex(root / "files.db", clock)
        self.tally = UsageCounters(self.index, clock)
        self.epoch = 0  # raised after an unclean stop: files verified in an earlier one are verified again
        self.offline_until: dict[str, float] = {}  # by host: how long its stale files are handed out without asking
        self.stopping = threading.Event()
        self.flight: SingleFlight[Path] = SingleFlight()
        self.opener = opener
        self._base_url = base_url
        self.floor_bytes = floor_bytes
        self._opening = threading.Lock()  # held while the folder is made ready, by the first who needs it
        self._session: ShutdownMarker | None = None

    def remote(self, url: str) -> Remote:
        return remote(url, self._base_url)

    def peek(self, url: str, ttl_s: float | None = None) -> Path | None:
        """Return the file when it is here and fresh; asks no origin. Reads all of it when it has to be verified first."""
        kept = self.usable(self.remote(url))
        if kept is None or not self.is_fresh(kept, ttl_s):
            self.tally.count("misses")
            return None
        return self._hit(kept)

    def get(
        self,
        url: str,
        ttl_s: float | None = None,
        *,
        sha256: str = "",
        progress: Progress | None = None,
        is_wanted: bool = False,
        is_forced: bool = False,
    ) -> Path:
        """Return the file, fetching it when it is missing, stale, or not the one with this SHA-256. Callers of one URL share one fetch.

        While the origin cannot be reached a stale file is handed out. Raises `OriginError`, `ChecksumMismatch`, `FileRejected`,
        `StorageError` or `FetchStopped`; what was there before stays.
        """
        if sha256 and not is_sha256(sha256):
            raise ChecksumMismatch(url, "sha256", sha256[:80], "not 64 hexadecimal digits")
        target, sha256 = self.remote(url), sha256.lower()
        kept = self.usable(target)
        if kept is not None and self.is_fresh(kept, ttl_s) and not is_forced and sha256 in ("", kept.sha256):
            return self._hit(kept)
        self.tally.count("misses")
        is_right = kept is not None and not is_forced and sha256 in ("", kept.sha256)
        if kept is not None and is_right and self.offline_until.get(target.host, 0) > time.monotonic():
            return self.use(kept)
        order = FileRequest(target, ttl_s, sha256, progress, is_wanted, is_forced)
        return self.flight.do((target.digest, sha256), lambda: load(self, order))

    def is_fresh(self, kept: StoredFile, ttl_s: float | None = None) -> bool:
        """Tell whether a file is within its time: the caller's, else its own, else the default. A clock set back ages nothing."""
        if ttl_s is None:
            ttl_s = self.bounds().ttl_s if kept.ttl_s is None else kept.ttl_s
        return self.clock() - kept.checked_at < ttl_s

    def usable(self, target: Remote) -> StoredFile | None:
        """Return what is kept of a URL when its bytes may be handed out: whole, and compared with their hash when that is due."""
        self.open()
        kept = self.index.find(target.digest)
        if kept is None or kept.is_corrupt:
            return None
        try:
            facts = (self.root / kept.path).stat(follow_symlinks=False)
        except FileNotFoundError:
            self.index.forget(kept)
            return None
        if facts.st_size == kept.size_bytes and facts.st_mtime_ns == kept.mtime_ns and kept.epoch == self.epoch:
            return kept
        return kept if verify(self, kept) else None

    def invalidate(self, url: str) -> bool:
        """Remove the file of a URL, and what came of it so far; tells whether there was one."""
        return self.remove(self.remote(url).digest)

    def remove(self, digest: str) -> bool:
        self.open()
        kept = self.index.find(digest)
        if kept is not None:
            self.delete(kept)
        self.discard_part(digest)
        return kept is not None

    def clear(self) -> int:
        """Remove all files; what is being fetched goes on. Returns how many there were."""
        self.open()
        files = self.index.files()
        for kept in files:
            self.delete(kept)
        return len(files)

    def evict_to(self, budget_bytes: int, *, but: str = "") -> None:
        """Remove the least recently used files until the rest fits. The caller is `alone`."""
        self.tally.flush()  # the uses of a minute decide who goes
        while self.index.totals()[1] > budget_bytes:
            victims = self.index.victims(VICTIMS_AT_A_TIME, but)
            if not victims:
                return
            for kept in victims:
                if self.index.totals()[1] <= budget_bytes:
                    return
                if self.delete(kept):
                    self.tally.count("evictions")
                    logger.info("file evicted url=%s bytes=%s", kept.remote.shown, kept.size_bytes)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others, in this process and in others, from making room meanwhile. For moments only."""
        path = self.root / ".room"
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(lock_file(path))
            except OSError as error:
                raise StorageError(str(path), error.strerror or str(error)) from error
            yield

    def discard_part(self, digest: str) -> None:
        """Remove what came so far of a file that nobody is fetching."""
        path = part_path(self.root, digest)
        if path.exists() and not is_locked(path):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                note_path(path).unlink(missing_ok=True)

    def totals(self) -> tuple[int, int]:
        """Return how many files there are, and their bytes."""
        self.open()
        return self.index.totals()

    def counts(self) -> dict[str, int]:
        """Return the counters of all processes, with what this one has not written yet."""
        self.open()
        return self.tally.counts()

    def open(self) -> None:
        """Make the folder and see how the last use of it ended. Later calls do nothing. Raises `StorageError`."""
        if self._session is None:
            with self._opening:
                self._open()

    def repair(self, *, is_after_crash: bool = False) -> None:
        """Rebuild an index that was lost; after a crash make sure that every file is verified before it is handed out."""
        self.index.db.notice_replacement()
        epoch = self.index.meta("epoch")
        if epoch is None:
            rebuild(self.root, self.index, self.clock())
        if epoch is None or is_after_crash:
            self.index.set_meta("epoch", (epoch or 0) + 1)
        self.epoch = self.index.meta("epoch") or 0

    def close(self) -> None:
        """End what is being fetched, write what is in memory, leave the folder in order. Again is fine."""
        self.stopping.set()
        if self._session is not None:
            self.tally.flush()
            self.index.close()
            self._session.close()
            self._session = None

    def _hit(self, kept: StoredFile) -> Path:
        self.tally.count("hits")
        logger.debug("Cache hit for: %s", kept.remote.shown)
        return self.use(kept)

    def _open(self) -> None:
        if self._session is not None:  # another thread was faster
            return
        try:
            make_folder(self.root)
            session = ShutdownMarker(self.root)
        except OSError as error:
            raise StorageError(str(self.root), error.strerror or str(error)) from error
        self.repair(is_after_crash=not session.was_clean)
        self._session = session

    def use(self, kept: StoredFile) -> Path:
        """Note a use in memory, and return where the file is."""
        self.tally.use(kept.digest)
        return self.root / kept.path

    def delete(self, kept: StoredFile) -> bool:
        """Remove a file, then its row: a full disk refuses the row. False when another one was faster."""
        self.unlink(kept)
        return self.index.forget(kept)

    def unlink(self, kept: StoredFile) -> None:
        path = self.root / kept.path
        try:
            path.unlink(missing_ok=True)
            note_path(path).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(str(path), error.strerror or str(error)) from error


NAME = ".session"


class ShutdownMarker:
    """One process's use of a folder. `was_clean` is False when those before ended without closing: a power cut, a kill.

    Users share a lock that ends with their process; whoever finds nobody else reads what the last one left behind.
    """

    def __init__(self, root: Path) -> None:
        self.was_clean = True
        self._owner = os.getpid()
        self._fd = open_lock_file(root / NAME)
        if try_lock(self._fd):
            self.was_clean = os.pread(self._fd, 16, 0) != b"open"
            self._say(b"open")
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def close(self) -> None:
        if self._fd < 0 or self._owner != os.getpid():
            return
        with contextlib.suppress(OSError):
            if try_lock(self._fd):
                self._say(b"closed")
        os.close(self._fd)
        self._fd = -1

    def _say(self, word: bytes) -> None:
        os.pwrite(self._fd, word, 0)
        os.ftruncate(self._fd, len(word))
        os.fsync(self._fd)  # the one that must outlive a power cut
