"""Files on disk within a budget: their rows, their places, and whether their bytes may be handed out. Asks no origin."""

import contextlib
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from image_cache.errors import StorageError
from image_cache.files.disk.index import FileIndex, StoredFile
from image_cache.files.disk.runtime_limits import FileLimits
from image_cache.files.disk.usage import UsageCounters
from image_cache.files.download.checksums import hash_file
from image_cache.files.download.partial import read_note
from image_cache.files.paths import Remote, note_path, parse_file_name, parse_remote, part_path
from image_cache.filesystem import is_locked, lock_file, make_folder, open_lock_file, try_lock

logger = logging.getLogger(__name__)

VICTIMS_AT_A_TIME = 20
SHUTDOWN_MARKER = ".session"


class FileStore:
    """The files of one folder. Any thread, several processes at once; after a fork it opens its database again.

    `limits` is asked whenever it matters, so that a change applies at once and in every process. Nothing is opened before the
    first use. `base_url` is what relative addresses are joined to.
    """

    def __init__(
        self,
        root: Path,
        limits: Callable[[], FileLimits],
        *,
        base_url: str = "",
        floor_bytes: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.root = root
        self.limits = limits
        self.clock = clock
        self.floor_bytes = floor_bytes
        self.index = FileIndex(root / "files.db", clock)
        self.usage = UsageCounters(self.index, clock)
        self.epoch = 0  # raised after an unclean stop: files verified in an earlier one are verified again
        self.stopping = threading.Event()  # ends every fetch under way
        self._base_url = base_url
        self._opening = threading.Lock()  # held while the first user opens the folder
        self._marker: ShutdownMarker | None = None

    def exists(self) -> bool:
        """Return True if the folder was ever used. Opens nothing."""
        return (self.root / "files.db").exists()

    def remote(self, url: str) -> Remote:
        return parse_remote(url, self._base_url)

    def is_fresh(self, stored: StoredFile, ttl_s: float | None = None) -> bool:
        """Return True if a file is within its TTL: the caller's, else its own, else the default. A clock set back ages nothing."""
        if ttl_s is None:
            ttl_s = self.limits().ttl_s if stored.ttl_s is None else stored.ttl_s
        return self.clock() - stored.checked_at < ttl_s

    def usable(self, target: Remote) -> StoredFile | None:
        """Return the file of a URL if its bytes may be handed out: whole, and compared with their hash when that is due."""
        self.open()
        stored = self.index.find(target.digest)
        if stored is None or stored.is_corrupt:
            return None
        try:
            facts = (self.root / stored.path).stat(follow_symlinks=False)
        except FileNotFoundError:
            self.index.forget(stored)
            return None
        if facts.st_size == stored.size_bytes and facts.st_mtime_ns == stored.mtime_ns and stored.epoch == self.epoch:
            return stored
        return stored if self.verify(stored) else None

    def verify(self, stored: StoredFile, step: Callable[[int], object] | None = None) -> bool:
        """Read a file and compare it with its hash; one that differs is never handed out again, and stays until it is replaced.

        `step` is called with the size of each read.
        """
        path = self.root / stored.path
        try:
            found, mtime_ns = hash_file(path, step)
        except OSError as error:
            logger.warning("file not readable path=%s reason=%s", path, error)
            return False
        if found != stored.sha256:
            logger.warning("file corrupt url=%s expected=%s found=%s", stored.remote.shown, stored.sha256, found)
            self.index.update(stored.digest, is_corrupt=1)
            self.usage.count("corrupt")
            return False
        self.index.update(stored.digest, mtime_ns=mtime_ns, epoch=self.epoch, verified_at=self.clock(), is_corrupt=0)
        return True

    def use(self, stored: StoredFile) -> Path:
        """Count a use in memory, and return the path of the file."""
        self.usage.use(stored.digest)
        return self.root / stored.path

    def invalidate(self, url: str) -> bool:
        """Remove the file of a URL and its partial download; return True if there was one."""
        return self.remove(self.remote(url).digest)

    def remove(self, digest: str) -> bool:
        self.open()
        stored = self.index.find(digest)
        if stored is not None:
            self.delete(stored)
        self.discard_part(digest)
        return stored is not None

    def clear(self) -> int:
        """Remove all files and return how many there were. Fetches under way continue."""
        self.open()
        files = self.index.files()
        for stored in files:
            self.delete(stored)
        return len(files)

    def evict_to(self, budget_bytes: int, *, keep: str = "") -> None:
        """Remove the least recently used files until the rest fits; never a pinned one or that of digest `keep`.

        The caller is `alone`.
        """
        self.usage.flush()  # the uses of the last minute count too
        while self.index.totals()[1] > budget_bytes:
            victims = self.index.victims(VICTIMS_AT_A_TIME, keep)
            if not victims:
                return
            for stored in victims:
                if self.index.totals()[1] <= budget_bytes:
                    return
                if self.delete(stored):
                    self.usage.count("evictions")
                    logger.info("file evicted url=%s bytes=%s", stored.remote.shown, stored.size_bytes)

    def room_bytes(self, digest: str) -> int:
        """Return how large the file of a digest can be: the budget without the other pinned files."""
        return max(0, self.limits().budget_bytes - self.index.pinned(besides=digest)[1])

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Exclude all other threads and processes from making room. Hold it for moments only."""
        path = self.root / ".room"
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(lock_file(path))
            except OSError as error:
                raise StorageError(str(path), error.strerror or str(error)) from error
            yield

    def discard_part(self, digest: str) -> None:
        """Remove the partial download of a file unless a fetch has it locked."""
        path = part_path(self.root, digest)
        if path.exists() and not is_locked(path):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                note_path(path).unlink(missing_ok=True)

    def delete(self, stored: StoredFile) -> bool:
        """Remove a file, then its row: a full disk refuses the row. Return False if another process was faster."""
        self.unlink(stored)
        return self.index.forget(stored)

    def unlink(self, stored: StoredFile) -> None:
        path = self.root / stored.path
        try:
            path.unlink(missing_ok=True)
            note_path(path).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(str(path), error.strerror or str(error)) from error

    def totals(self) -> tuple[int, int]:
        """Return the number of files and their bytes."""
        self.open()
        return self.index.totals()

    def counts(self) -> dict[str, int]:
        """Return the counters of all processes, including what this one has not written yet."""
        self.open()
        return self.usage.counts()

    def open(self) -> None:
        """Create the folder and check how its last use ended. Idempotent. Raises `StorageError`."""
        if self._marker is None:
            with self._opening:
                self._open()

    def repair(self, *, is_after_crash: bool = False) -> None:
        """Rebuild an index that was lost; after a crash have every file verified before it is handed out."""
        self.index.db.drop_if_replaced()
        epoch = self.index.meta("epoch")
        if epoch is None:
            rebuild_index(self.root, self.index, self.clock())
        if epoch is None or is_after_crash:
            self.index.set_meta("epoch", (epoch or 0) + 1)
        self.epoch = self.index.meta("epoch") or 0

    def close(self) -> None:
        """Stop fetches, write what is in memory, mark the folder as closed. Idempotent."""
        self.stopping.set()
        if self._marker is not None:
            self.usage.flush()
            self.index.close()
            self._marker.close()
            self._marker = None

    def _open(self) -> None:
        if self._marker is not None:  # another thread was faster
            return
        try:
            make_folder(self.root)
            marker = ShutdownMarker(self.root)
        except OSError as error:
            raise StorageError(str(self.root), error.strerror or str(error)) from error
        self.repair(is_after_crash=not marker.was_clean)
        self._marker = marker


class ShutdownMarker:
    """Marks a folder as in use by this process. `was_clean` is False if earlier users ended without closing: a power cut, a kill.

    Users share a lock that ends with their process; the first one alone reads the mark that the last one left.
    """

    def __init__(self, root: Path) -> None:
        self.was_clean = True
        self._owner = os.getpid()
        self._fd = open_lock_file(root / SHUTDOWN_MARKER)
        if try_lock(self._fd):
            self.was_clean = os.pread(self._fd, 16, 0) != b"open"
            self._write(b"open")
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def close(self) -> None:
        if self._fd < 0 or self._owner != os.getpid():
            return
        with contextlib.suppress(OSError):
            if try_lock(self._fd):
                self._write(b"closed")
        os.close(self._fd)
        self._fd = -1

    def _write(self, mark: bytes) -> None:
        os.pwrite(self._fd, mark, 0)
        os.ftruncate(self._fd, len(mark))
        os.fsync(self._fd)  # the one write that must survive a power cut


def rebuild_index(root: Path, index: FileIndex, now: float) -> int:
    """Write the rows of a new index from the notes beside the files; return how many. Each file is verified before it is used."""
    count = 0
    for path in files_below(root):
        stored = _stored_file(path, now) if parse_file_name(path.name) else None
        if stored is None:
            continue
        other = index.find(stored.digest)
        if other is None or other.stored_at <= stored.stored_at:
            index.insert(stored)
            count += 1
    if count:
        logger.info("file index rebuilt files=%s", count)
    return count


def files_below(root: Path) -> Iterator[Path]:
    """Yield everything in the shards of a folder: files, notes and partial downloads."""
    with contextlib.suppress(FileNotFoundError):
        for shard in sorted(root.iterdir()):
            if len(shard.name) == 2 and shard.is_dir() and not shard.is_symlink():
                yield from sorted(shard.iterdir())


def _stored_file(path: Path, now: float) -> StoredFile | None:
    named, note = parse_file_name(path.name), read_note(note_path(path))
    try:
        facts = path.stat(follow_symlinks=False)
        if named is None or note["sha256"] != named[1] or facts.st_size != int(note["size_bytes"]):
            return None
        return StoredFile(
            digest=named[0],
            url=str(note["url"]),
            name=str(note["name"]),
            path=f"{path.parent.name}/{path.name}",
            sha256=named[1],
            size_bytes=facts.st_size,
            mtime_ns=facts.st_mtime_ns,
            etag=str(note["etag"]),
            last_modified=str(note["last_modified"]),
            stored_at=float(note["stored_at"]),
            checked_at=min(now, float(note["checked_at"])),
            ttl_s=None if note["ttl_s"] is None else float(note["ttl_s"]),
            used_at=min(now, float(note["stored_at"])),
            hits=0,
            verified_at=0.0,
            epoch=-1,
            is_corrupt=False,
            is_pinned=note.get("is_pinned") is True,
        )
    except (OSError, KeyError, TypeError, ValueError, StorageError):
        return None
