"""A miss: one fetch per file across threads and processes, published when it is whole and checked, else nothing changes."""

import contextlib
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from image_cache.errors import CacheError, OriginTooLarge, OriginUnavailable, StorageError
from image_cache.files.control import RowControl
from image_cache.files.fetch import Fetch, FetchOutcome, Progress
from image_cache.files.index import StoredFile
from image_cache.files.partial import PartialFile
from image_cache.files.paths import Remote, file_path, part_path

if TYPE_CHECKING:
    from image_cache.files.store import FileCache

logger = logging.getLogger(__name__)

OFFLINE_PAUSE_S = 30.0  # after an origin did not answer, its stale files are handed out at once for so long
PATIENCE, PATIENCE_WITH_STALE = 2, 1  # attempts before giving up; one is enough when there is something to hand out
NOTED = ("url", "name", "sha256", "size_bytes", "etag", "last_modified", "stored_at", "checked_at", "ttl_s")


@dataclass(frozen=True, slots=True)
class FileRequest:
    """What a caller wants: which file, how long it shall be fresh (None: as before), which content (empty: any).

    `is_wanted`: the background goes on with it when this fetch ends early. `is_forced`: the origin is asked although the file
    is fresh.
    """

    remote: Remote
    ttl_s: float | None = None
    sha256: str = ""
    progress: Progress | None = None
    is_wanted: bool = False
    is_forced: bool = False

    def fits(self, kept: StoredFile) -> bool:
        return self.sha256 in ("", kept.sha256)


def load(cache: "FileCache", order: FileRequest) -> Path:
    """Bring the file, or see that another process just did. While the origin cannot be reached, hand out the stale one."""
    remote = order.remote
    before = cache.index.find(remote.digest)
    control = RowControl(cache.index, remote, cache.stopping)
    _expect(cache, order)
    try:
        with PartialFile.locked(part_path(cache.root, remote.digest), control.wait, cache.floor_bytes) as part:
            # Whoever had the part may have brought the file: look again, once its row is written.
            with cache.alone():
                pass
            kept = cache.usable(remote)
            is_new = kept is not None and (before is None or kept.checked_at != before.checked_at)
            if kept is not None and order.fits(kept) and (is_new or (cache.is_fresh(kept, order.ttl_s) and not order.is_forced)):
                cache.index.drop([remote.digest])
                return cache.use(kept)
            _expect(cache, order)  # the other one dropped the row when it was done
            return _fetch(cache, order, part, kept, control)
    except CacheError as error:
        control.finish(error)
        if getattr(error, "reason", "") == "cancelled":
            cache.discard_part(remote.digest)
        raise


def _fetch(cache: "FileCache", order: FileRequest, part: PartialFile, kept: StoredFile | None, control: RowControl) -> Path:
    remote = order.remote
    stale = kept if kept is not None and order.fits(kept) else None
    control.begin(part.size, part.note.total_bytes)
    fetch = Fetch(
        remote,
        part,
        cache.opener,
        control,
        max_bytes=cache.bounds().budget_bytes,
        sha256=order.sha256,
        conditions=(stale.etag, stale.last_modified) if stale is not None else ("", ""),
        patience=PATIENCE if stale is None else PATIENCE_WITH_STALE,
        progress=control.telling(order.progress),
    )
    try:
        arrived = fetch.run()
    except OriginUnavailable as error:
        if stale is None:
            raise
        logger.warning("origin not reached, stale file used url=%s reason=%s", remote.shown, error.reason)
        cache.offline_until[remote.host] = time.monotonic() + OFFLINE_PAUSE_S
        cache.tally.count("stale")
        control.finish(error)
        return cache.use(stale)
    finally:
        if part.size and not part.is_published:
            with contextlib.suppress(StorageError):
                part.sync()
    cache.offline_until.pop(remote.host, None)
    if arrived.is_unchanged and stale is not None:
        cache.index.update(remote.digest, checked_at=cache.clock(), **({} if order.ttl_s is None else {"ttl_s": order.ttl_s}))
        cache.index.drop([remote.digest])
        cache.tally.count("revalidated")
        return cache.use(stale)
    return _keep(cache, order, part, arrived)


def _keep(cache: "FileCache", order: FileRequest, part: PartialFile, arrived: FetchOutcome) -> Path:
    """Take a part that is whole and checked into the cache."""
    remote = order.remote
    before = cache.index.find(remote.digest)
    now = cache.clock()
    path = publish(
        cache,
        part,
        StoredFile(
            digest=remote.digest,
            url=remote.url,
            name=remote.name,
            path=file_path(remote.digest, remote.name, arrived.sha256),
            sha256=arrived.sha256,
            size_bytes=part.size,
            mtime_ns=0,
            etag=arrived.etag,
            last_modified=arrived.last_modified,
            stored_at=now,
            checked_at=now,
            ttl_s=order.ttl_s if order.ttl_s is not None or before is None else before.ttl_s,
            used_at=now,
            hits=before.hits if before else 0,
            verified_at=now,
            epoch=cache.epoch,
            is_corrupt=False,
        ),
    )
    cache.tally.count("downloads")
    cache.tally.count("downloaded_bytes", part.size)
    logger.info("Cached file: %s (%s bytes)", path, part.size)
    return path


def publish(cache: "FileCache", part: PartialFile, new: StoredFile) -> Path:
    """Make room, give the file its place, write its row, remove the version before it: a crash after any step is harmless.

    Raises `OriginTooLarge` when it is larger than the budget is by now.
    """
    with cache.alone():  # two at a time would each make room, and together pass the budget
        budget_bytes = cache.bounds().budget_bytes
        if new.size_bytes > budget_bytes:
            raise OriginTooLarge(new.url, budget_bytes, new.size_bytes)
        before = cache.index.find(new.digest)
        cache.evict_to(budget_bytes - new.size_bytes + (before.size_bytes if before else 0), but=new.digest)
        path = cache.root / new.path
        mtime_ns = part.publish(path, {name: getattr(new, name) for name in NOTED})
        with cache.index.db.write() as conn:
            cache.index.record(conn, replace(new, mtime_ns=mtime_ns))
            conn.execute("DELETE FROM fetches WHERE digest = ?", (new.digest,))
        if before is not None and before.path != new.path:
            cache.unlink(before)
    return path


def _expect(cache: "FileCache", order: FileRequest) -> None:
    cache.index.add_pending(order.remote, sha256=order.sha256, ttl_s=order.ttl_s, is_wanted=order.is_wanted, state="working")
