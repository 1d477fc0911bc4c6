"""Loads a missing file: one fetch per file across threads and processes, published once it is whole and verified."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from image_cache.errors import (
    CacheError,
    ChecksumMismatch,
    FetchStopped,
    OriginCut,
    OriginTooLarge,
    OriginUnavailable,
    StorageError,
)
from image_cache.files.disk.index import FileIndex, StoredFile
from image_cache.files.disk.store import FileStore
from image_cache.files.download.attempts import AttemptTable
from image_cache.files.download.bandwidth import Throttle
from image_cache.files.download.fetch import Fetch
from image_cache.files.download.fetch_terms import FetchOutcome, Opener, Progress
from image_cache.files.download.partial import FetchEffort, PartialFile
from image_cache.files.paths import Remote, file_path, part_path
from image_cache.frozen import frozen
from image_cache.net.backoff import retry_delay_s

logger = logging.getLogger(__name__)

OFFLINE_PAUSE_S = 30.0  # after an origin did not answer, its stale files are handed out at once for so long
ATTEMPTS, ATTEMPTS_WITH_STALE = 2, 1  # without progress, before giving up; one is enough if there is a stale file to hand out
MAX_PATIENT = 1  # of the fetches at a time, may be slower than a large file should be: the others keep the queue moving
CHECK_EVERY_S = 0.5  # how often a fetch looks at its row
NOTED = ("url", "name", "sha256", "size_bytes", "etag", "last_modified", "stored_at", "checked_at", "ttl_s", "is_pinned")


@frozen
class FileRequest:
    """The file a caller requests, its TTL (None: as before) and its content (SHA-256, empty: any).

    `is_wanted`: the queue continues when this fetch ends early. `is_forced`: ask the origin although the file is fresh. `is_anew`:
    fetch all of it, without conditions, and never return the stale file instead.
    """

    remote: Remote
    ttl_s: float | None = None
    sha256: str = ""
    mirrors: tuple[str, ...] = ()
    progress: Progress | None = None
    is_wanted: bool = False
    is_forced: bool = False
    is_anew: bool = False

    def fits(self, stored: StoredFile) -> bool:
        return self.sha256 in ("", stored.sha256)


class FileLoader:
    """Fetches files into a store. Any thread, several processes."""

    def __init__(self, store: FileStore, opener: Opener, throttle: Throttle) -> None:
        self.offline_until: dict[str, float] = {}  # by host, monotonic
        self._patience = threading.Semaphore(MAX_PATIENT)
        self._store = store
        self._opener = opener
        self._throttle = throttle

    def is_offline(self, host: str) -> bool:
        """Return True if an origin did not answer a moment ago."""
        return self.offline_until.get(host, 0) > time.monotonic()

    def load(self, request: FileRequest) -> Path:
        """Fetch the file unless another process just did. While the origin cannot be reached, return the stale one."""
        store, remote = self._store, request.remote
        before = store.index.find(remote.digest)
        control = RowControl(store.index, remote, store.stopping, is_wanted=request.is_wanted)
        self._announce(request)
        try:
            with PartialFile.locked(part_path(store.root, remote.digest), control.wait, store.floor_bytes) as part:
                # The process that had the part locked may have fetched the file: look again, once its row is written.
                with store.alone():
                    pass
                stored = store.usable(remote)
                is_new = stored is not None and (before is None or stored.checked_at != before.checked_at)
                is_fresh = (
                    stored is not None and store.is_fresh(stored, request.ttl_s) and not (request.is_forced or request.is_anew)
                )
                if stored is not None and request.fits(stored) and (is_new or is_fresh):
                    store.index.drop([remote.digest])
                    return store.use(stored)
                self._announce(request)  # the other process dropped the row when it was done
                return self._fetch(request, part, stored, control)
        except CacheError as error:
            if not isinstance(error, FetchStopped):
                store.usage.count("failures")
            control.finish(error)
            if getattr(error, "reason", "") == "cancelled":
                store.discard_part(remote.digest)
            raise

    def _fetch(self, request: FileRequest, part: PartialFile, stored: StoredFile | None, control: "RowControl") -> Path:
        store, remote = self._store, request.remote
        stale = stored if stored is not None and request.fits(stored) and not request.is_anew else None
        control.begin(part.size, part.note.total_bytes)
        fetch = Fetch(
            remote,
            part,
            self._opener,
            control,
            max_bytes=store.room_bytes(remote.digest),
            sha256=request.sha256,
            mirrors=request.mirrors,
            attempts=AttemptTable(store.index, remote.digest),
            conditions=(stale.etag, stale.last_modified) if stale is not None else ("", ""),
            max_idle_attempts=ATTEMPTS if stale is None else ATTEMPTS_WITH_STALE,
            progress=control.reporting(request.progress),
            effort=control.effort,
            patience=self._patience,
            throttle=self._throttle.delay_s,
        )
        try:
            outcome = fetch.run()
        except OriginTooLarge as error:
            raise too_large(store, remote, error.got_bytes) from error
        except OriginUnavailable as error:
            if stale is None:
                raise
            logger.warning("origin unavailable, serving stale file url=%s reason=%s", remote.shown, error.reason)
            if not isinstance(error, OriginCut):
                self.offline_until[remote.host] = time.monotonic() + OFFLINE_PAUSE_S
            store.usage.count("stale")
            store.usage.count("failures")
            control.finish(error)
            return store.use(stale)
        finally:
            if part.size and not part.is_published:
                with contextlib.suppress(StorageError):
                    part.sync()
        self.offline_until.pop(remote.host, None)
        if outcome.is_unchanged and stale is not None:
            store.index.update(
                remote.digest, checked_at=store.clock(), **({} if request.ttl_s is None else {"ttl_s": request.ttl_s})
            )
            store.index.drop([remote.digest])
            store.usage.count("revalidated")
            return store.use(stale)
        return self._publish(request, part, outcome)

    def _publish(self, request: FileRequest, part: PartialFile, outcome: FetchOutcome) -> Path:
        store, remote = self._store, request.remote
        before, pending = store.index.find(remote.digest), store.index.pending(remote.digest)
        now = store.clock()
        path = publish(
            store,
            part,
            StoredFile(
                digest=remote.digest,
                url=remote.url,
                name=remote.name,
                path=file_path(remote.digest, remote.name, outcome.sha256),
                sha256=outcome.sha256,
                size_bytes=part.size,
                mtime_ns=0,
                etag=outcome.etag,
                last_modified=outcome.last_modified,
                stored_at=now,
                checked_at=now,
                ttl_s=request.ttl_s if request.ttl_s is not None or before is None else before.ttl_s,
                used_at=now,
                hits=before.hits if before else 0,
                verified_at=now,
                epoch=store.epoch,
                is_corrupt=False,
                is_pinned=any(known is not None and known.is_pinned for known in (before, pending)),
            ),
        )
        store.usage.count("downloads")
        store.usage.count("downloaded_bytes", part.size)
        logger.info("Cached file: %s (%s bytes)", path, part.size)
        return path

    def _announce(self, request: FileRequest) -> None:
        self._store.index.add_pending(
            request.remote,
            sha256=request.sha256,
            ttl_s=request.ttl_s,
            is_wanted=request.is_wanted,
            state="working",
            mirrors=request.mirrors,
        )


def publish(store: FileStore, part: PartialFile, new: StoredFile) -> Path:
    """Make room, move the file to its place, write its row, remove the version before: a crash after any step is harmless.

    Raises `OriginTooLarge` if it is larger than the budget is by now.
    """
    with store.alone():  # two at a time would each make room, and together exceed the budget
        budget_bytes = store.limits().budget_bytes
        if new.size_bytes > store.room_bytes(new.digest):
            raise too_large(store, new.remote, new.size_bytes)
        before = store.index.find(new.digest)
        store.evict_to(budget_bytes - new.size_bytes + (before.size_bytes if before else 0), keep=new.digest)
        path = store.root / new.path
        mtime_ns = part.publish(path, {name: getattr(new, name) for name in NOTED})
        store.index.insert(replace(new, mtime_ns=mtime_ns), ends_fetch=True)
        if before is not None and before.path != new.path:
            store.unlink(before)
    return path


def too_large(store: FileStore, remote: Remote, size_bytes: int) -> OriginTooLarge:
    """Return the error for a file that does not fit, although everything that can be evicted would be."""
    room_bytes, budget_bytes = store.room_bytes(remote.digest), store.limits().budget_bytes
    return OriginTooLarge(remote.url, room_bytes, size_bytes, of_bytes=budget_bytes if room_bytes < budget_bytes else None)


class RowControl:
    """Links a fetch to its row: ends it when the row says so, or when `stopping` is set, and writes its progress there.

    A fetch of the queue (`is_wanted`) continues with the effort of its earlier attempts; a waiting caller has a separate count.
    """

    def __init__(self, index: FileIndex, remote: Remote, stopping: threading.Event, *, is_wanted: bool) -> None:
        self.effort = FetchEffort()
        self._is_wanted = is_wanted
        self._began_furthest = 0
        self._index = index
        self._remote = remote
        self._stopping = stopping
        self._checked_at = 0.0
        self._written_total: int | None = None

    def check(self) -> None:
        """Raise `FetchStopped` if the fetch was paused or cancelled, or VinylVault is shutting down."""
        if self._stopping.is_set():
            raise FetchStopped(self._remote.shown, "VinylVault is shutting down")
        now = time.monotonic()
        if now - self._checked_at < CHECK_EVERY_S:
            return
        self._checked_at = now
        row = self._index.pending(self._remote.digest)
        if row is None:
            raise FetchStopped(self._remote.shown, "cancelled")
        if row.state == "paused":
            raise FetchStopped(self._remote.shown, "paused")

    def pause(self, seconds: float) -> None:
        """Wait, unless the fetch is to end."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.check()
            self._stopping.wait(min(left, CHECK_EVERY_S))
        self.check()

    def wait(self, seconds: float) -> None:
        """Wait for another fetch of the same file; only the end of the program ends that."""
        if self._stopping.wait(seconds):
            raise FetchStopped(self._remote.shown, "VinylVault is shutting down")

    def must_yield(self) -> bool:
        """Return True if this fetch is one of the queue and another one is due."""
        return self._is_wanted and self._index.is_another_due(self._remote.digest)

    def begin(self, size: int, total: int | None) -> None:
        row = self._index.pending(self._remote.digest)
        if row is not None and self._is_wanted:
            self.effort = FetchEffort(row.furthest_bytes, row.received_bytes, row.cuts)
        self._began_furthest = max(self.effort.furthest_bytes, size)
        self._index.change(self._remote.digest, began_at=time.time(), began_bytes=size, total_bytes=total)

    def reporting(self, progress: Progress | None) -> Callable[[int, int | None], None]:
        """Return a progress callback that also writes the total to the row whenever it changes."""

        def report(done: int, total: int | None) -> None:
            if total is not None and total != self._written_total:
                self._written_total = total
                self._index.change(self._remote.digest, total_bytes=total)
            if progress is not None:
                progress(done, total)

        return report

    def finish(self, error: CacheError) -> None:
        """Write how the fetch ended: to be retried at a time, paused, or failed."""
        row = self._index.pending(self._remote.digest)
        if row is None or row.state == "paused":
            return
        failures = 1 if self.effort.furthest_bytes > self._began_furthest else row.failures + 1  # after progress: as if new
        is_other = isinstance(error, ChecksumMismatch)
        reason = "checksum mismatch, discarded" if is_other else str(getattr(error, "reason", "") or error)[:300]
        if isinstance(error, FetchStopped):
            state = {"state": "waiting", "retry_at": 0.0, "reason": ""}
        elif row.is_wanted and error.retryable:
            state = {
                "state": "waiting",
                "reason": reason,
                "failures": failures,
                "retry_at": time.time() + retry_delay_s(failures, error),
            }
        else:
            state = {"state": "failed", "reason": reason, "failures": failures}
        self._index.change(self._remote.digest, **state, **asdict(self.effort))
