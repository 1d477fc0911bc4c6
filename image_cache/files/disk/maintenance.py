"""Maintenance of stored files: remove leftovers, and files past their TTL."""

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from image_cache.engine.maintenance import ORPHAN_GRACE_S
from image_cache.errors import OriginError
from image_cache.files.cache import FileCache
from image_cache.files.disk.index import StoredFile
from image_cache.files.disk.store import FileStore, files_below
from image_cache.files.download.attempts import drop_orphans
from image_cache.filesystem import is_locked

logger = logging.getLogger(__name__)

DAY_S = 86400.0
ABANDONED_S = 7 * DAY_S  # a partial download that nothing continues, a failure that was not retried
PROBE_BYTES = 1 << 62  # a reachability test reads no body, so any announced length will do


def sweep(store: FileStore) -> int:
    """Remove files and notes that no row names, abandoned partial downloads and old failures. Returns how many files."""
    store.open()
    removed = 0
    for path in leftovers(store):
        with contextlib.suppress(OSError):
            path.unlink()
            removed += 1
    now = time.time()
    old = [fetch.digest for fetch in store.index.fetches() if fetch.state == "failed" and now - fetch.added_at > ABANDONED_S]
    if old:
        store.index.drop(old)
    drop_orphans(store.index)
    if removed:
        logger.info("leftover files removed leftovers=%s", removed)
    return removed


def leftovers(store: FileStore, shard: str = "") -> Iterator[Path]:
    """Yield the files and notes that no row names, and abandoned partial downloads; of one shard, or of all. Changes nothing."""
    now = time.time()
    rows = {stored.path for stored in store.index.files()}
    pending = {fetch.digest for fetch in store.index.fetches()}
    for path in sorted((store.root / shard).glob("*")) if shard else files_below(store.root):
        name = path.name.removesuffix(".new").removesuffix(".note")
        try:
            age_s = now - path.stat(follow_symlinks=False).st_mtime
        except FileNotFoundError:
            continue
        if name.endswith(".part"):
            part = path.with_name(name)
            is_idle = part.stem not in pending and age_s > ABANDONED_S and not is_locked(part)
            is_leftover = is_idle or (not part.exists() and age_s > ORPHAN_GRACE_S)
        else:
            # Publishing writes note, file and row in this order, within moments.
            is_leftover = f"{path.parent.name}/{name}" not in rows and abs(age_s) >= ORPHAN_GRACE_S
        if is_leftover:
            yield path


def remove_expired(cache: FileCache) -> int:
    """Remove the files past their TTL whose origin answers; without a network none: they could not be fetched again.

    Pinned files stay. Returns how many were removed.
    """
    cache.open()
    hosts: dict[str, bool] = {}
    removed = 0
    for stored in cache.index.files():
        if stored.is_pinned or cache.is_fresh(stored):
            continue
        host = stored.remote.host
        if host not in hosts:
            hosts[host] = _answers(cache, stored)
        if hosts[host]:
            cache.remove(stored.digest)
            removed += 1
    return removed


def _answers(cache: FileCache, stored: StoredFile) -> bool:
    """Return True if the origin of a file answers at all, whatever it says."""
    try:
        with cache.opener.open(
            stored.url, headers={"Range": "bytes=0-0"}, accepted=frozenset(range(200, 500)), max_bytes=PROBE_BYTES
        ):
            return True
    except OriginError as error:
        return error.status is not None
