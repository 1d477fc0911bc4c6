"""What is kept and what is on its way, as one list for the page, the API and the command."""

import time
from dataclasses import dataclass

from image_cache.files.index import PendingFile, StoredFile
from image_cache.files.paths import part_path
from image_cache.files.store import FileCache
from image_cache.filesystem import is_locked


@dataclass(frozen=True, slots=True)
class Fetching:
    """How far a fetch is. `state`: waiting, working, paused, cut (whoever fetched it is gone) or failed.

    `bytes_per_s` and `eta_s` None while nothing can be said; `place` counts those that wait, from 1.
    """

    state: str
    reason: str
    done_bytes: int
    total_bytes: int | None
    bytes_per_s: float | None
    eta_s: float | None
    retry_at: float
    place: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One file. `state` of what is kept: fresh, stale or corrupt; "" when nothing is. `expires_at` 0 without a file."""

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
    fetch: Fetching | None


def entries(files: FileCache) -> list[Entry]:
    """Return all files: those on their way first, then the kept ones, the last used first. URLs are without their query."""
    files.open()
    kept = {one.digest: one for one in files.index.files()}
    coming = files.index.fetches()
    place = 0
    listed = []
    for one in coming:
        place += one.state == "waiting" and not one.retry_at
        listed.append(_entry(files, one, kept.pop(one.digest, None), one, place))
    return listed + [_entry(files, one, one, None, 0) for one in kept.values()]


def entry(files: FileCache, digest: str) -> Entry | None:
    """Return one file, None when it is neither kept nor on its way."""
    files.open()
    kept, coming = files.index.find(digest), files.index.pending(digest)
    one = coming or kept
    return None if one is None else _entry(files, one, kept, coming, 0)


def _entry(
    files: FileCache, one: StoredFile | PendingFile, kept: StoredFile | None, coming: PendingFile | None, place: int
) -> Entry:
    state, expires_at = "", 0.0
    if kept is not None:
        state = "corrupt" if kept.is_corrupt else "fresh" if files.is_fresh(kept) else "stale"
        expires_at = kept.checked_at + (files.bounds().ttl_s if kept.ttl_s is None else kept.ttl_s)
    return Entry(
        digest=one.digest,
        name=one.name,
        host=one.remote.host,
        url=one.remote.shown,
        state=state,
        size_bytes=kept.size_bytes if kept else 0,
        sha256=kept.sha256 if kept else "",
        stored_at=kept.stored_at if kept else 0.0,
        expires_at=expires_at,
        ttl_s=kept.ttl_s if kept else one.ttl_s,
        used_at=kept.used_at if kept else 0.0,
        hits=kept.hits if kept else 0,
        fetch=_fetching(files, coming, place) if coming else None,
    )


def _fetching(files: FileCache, coming: PendingFile, place: int) -> Fetching:
    part = part_path(files.root, coming.digest)
    try:
        done = part.stat().st_size
    except FileNotFoundError:
        done = 0
    state = coming.state
    now = time.time()
    if state == "working" and not is_locked(part) and now - coming.began_at > 2:
        state = "cut"
    speed = eta_s = None
    if state == "working" and done > coming.began_bytes and now > coming.began_at > 0:
        speed = (done - coming.began_bytes) / (now - coming.began_at)
        if coming.total_bytes:
            eta_s = max(0.0, (coming.total_bytes - done) / speed)
    return Fetching(state, coming.reason, done, coming.total_bytes, speed, eta_s, coming.retry_at, place)
