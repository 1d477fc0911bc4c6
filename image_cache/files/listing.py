"""Overview of a file cache: its files and fetches in one list for page, API and command, and its figures."""

import time
from typing import Any

from image_cache.files.cache import FileCache
from image_cache.files.disk.index import PendingFile, StoredFile
from image_cache.files.paths import part_path
from image_cache.filesystem import is_locked
from image_cache.frozen import frozen
from image_cache.units import MEGABYTE


@frozen
class Fetching:
    """The progress of a fetch. `state`: waiting, working, paused, cut (its process is gone) or failed.

    `bytes_per_s` and `eta_s` are None while they are unknown; `place` counts the waiting ones, from 1.
    """

    state: str
    reason: str
    done_bytes: int
    total_bytes: int | None
    bytes_per_s: float | None
    eta_s: float | None
    retry_at: float
    place: int


@frozen
class Entry:
    """One file. `state` of a stored one: fresh, stale or corrupt, "" without one. `expires_at` is 0 without a stored file."""

    digest: str
    name: str
    host: str
    url: str
    state: str
    size_bytes: int
    sha256: str
    stored_at: float
    expires_at: float
    ttl_s: float | None
    used_at: float
    hits: int
    is_pinned: bool
    fetch: Fetching | None


def entries(cache: FileCache) -> list[Entry]:
    """Return all files: those being fetched first, then the stored ones, the most recently used first. URLs are without their query."""
    cache.open()
    stored = {file.digest: file for file in cache.index.files()}
    place = 0
    listed = []
    for pending in cache.index.fetches():
        place += pending.state == "waiting" and not pending.retry_at
        listed.append(_entry(cache, pending, stored.pop(pending.digest, None), pending, place))
    return listed + [_entry(cache, file, file, None, 0) for file in stored.values()]


def entry(cache: FileCache, digest: str) -> Entry | None:
    """Return one file; None if it is neither stored nor to be fetched."""
    cache.open()
    stored, pending = cache.index.find(digest), cache.index.pending(digest)
    known = pending or stored
    return None if known is None else _entry(cache, known, stored, pending, 0)


def stats(cache: FileCache) -> dict[str, Any]:
    """Return the documented figures of a file cache, and some more."""
    return figures(cache, cache.totals(), cache.counts(), cache.index.pinned())


def figures(
    cache: FileCache, totals: tuple[int, int], counts: dict[str, int], pinned: tuple[int, int] = (0, 0)
) -> dict[str, Any]:
    """Return the figures of so many files, of so many bytes, with these counters. Opens nothing.

    `totals` and `pinned`: number of files and their bytes.
    """
    (count, used_bytes), limits = totals, cache.limits()
    hits, misses = counts.get("hits", 0), counts.get("misses", 0)
    return {
        "entries_count": count,
        "current_size_mb": used_bytes / MEGABYTE,
        "max_size_mb": limits.budget_bytes / MEGABYTE,
        "default_ttl_hours": limits.ttl_s / 3600,
        "hit_rate": hits / (hits + misses) if hits + misses else 0.0,
        "hits": hits,
        "misses": misses,
        "evictions": counts.get("evictions", 0),
        "total_downloads": counts.get("downloads", 0),
        "total_bytes_cached": counts.get("downloaded_bytes", 0),
        "revalidated": counts.get("revalidated", 0),
        "served_stale": counts.get("stale", 0),
        "corrupt": counts.get("corrupt", 0),
        "pinned_count": pinned[0],
        "pinned_mb": pinned[1] / MEGABYTE,
        "coalesced": cache.flight.coalesced,
        "cache_dir": str(cache.root),
    }


def _entry(
    cache: FileCache, known: StoredFile | PendingFile, stored: StoredFile | None, pending: PendingFile | None, place: int
) -> Entry:
    state, expires_at = "", 0.0
    if stored is not None:
        state = "corrupt" if stored.is_corrupt else "fresh" if cache.is_fresh(stored) else "stale"
        expires_at = stored.checked_at + (cache.limits().ttl_s if stored.ttl_s is None else stored.ttl_s)
    return Entry(
        digest=known.digest,
        name=known.name,
        host=known.remote.host,
        url=known.remote.shown,
        state=state,
        size_bytes=stored.size_bytes if stored else 0,
        sha256=stored.sha256 if stored else "",
        stored_at=stored.stored_at if stored else 0.0,
        expires_at=expires_at,
        ttl_s=stored.ttl_s if stored else known.ttl_s,
        used_at=stored.used_at if stored else 0.0,
        hits=stored.hits if stored else 0,
        is_pinned=any(file is not None and file.is_pinned for file in (stored, pending)),
        fetch=_fetching(cache, pending, place) if pending else None,
    )


def _fetching(cache: FileCache, pending: PendingFile, place: int) -> Fetching:
    part = part_path(cache.root, pending.digest)
    try:
        done = part.stat().st_size
    except FileNotFoundError:
        done = 0
    state = pending.state
    now = time.time()
    if state == "working" and not is_locked(part) and now - pending.began_at > 2:
        state = "cut"
    speed = eta_s = None
    if state == "working" and done > pending.began_bytes and now > pending.began_at > 0:
        speed = (done - pending.began_bytes) / (now - pending.began_at)
        if pending.total_bytes:
            eta_s = max(0.0, (pending.total_bytes - done) / speed)
    return Fetching(state, pending.reason, done, pending.total_bytes, speed, eta_s, pending.retry_at, place)
