"""Comparison of large files with their checksums. A corrupt one is not served any more, stays, and is fetched again."""

import contextlib
from pathlib import Path

from image_cache.files.cache import FileCache
from image_cache.files.disk.index import StoredFile
from image_cache.files.disk.maintenance import leftovers
from image_cache.files.download.checksums import hash_file
from image_cache.maintenance.scrub.checker import ScrubPass


def check_shard(scrub: ScrubPass, cache: FileCache, shard: str) -> bool:
    """Compare the files of one shard; return True if one is to be fetched again.

    Raises `ScrubStopped`, `DatabaseError` or `StorageError`.
    """
    if not (cache.root / "files.db").exists():
        return False
    if scrub.is_repair:
        cache.open()
    is_queued = False
    for kept in cache.index.files():
        if not kept.digest.startswith(shard):
            continue
        scrub.report_and_throttle()
        scrub.count("files", kept.size_bytes)
        what = _damage_of(scrub, cache, kept)
        now = cache.index.find(kept.digest)
        if (
            what and now is not None and (now.path, now.stored_at) == (kept.path, kept.stored_at)
        ):  # else it was removed or replaced meanwhile
            scrub.record("files", kept.path, what, lambda kept=kept, what=what: _repair(cache, kept, what))  # type: ignore[misc]
            is_queued = scrub.is_repair
    for path in leftovers(cache, shard):
        scrub.record("files", f"{shard}/{path.name}", "orphan", lambda path=path: _remove(path))  # type: ignore[misc]
    return is_queued


def _damage_of(scrub: ScrubPass, cache: FileCache, kept: StoredFile) -> str:
    path = cache.root / kept.path
    try:
        if path.is_symlink():
            return "link"
        if path.stat().st_size != kept.size_bytes:
            return "torn"
        if scrub.is_repair and cache.verify(kept, lambda _: scrub.report_and_throttle()):  # which also updates its row
            return ""
        return "" if hash_file(path, lambda _: scrub.report_and_throttle())[0] == kept.sha256 else "altered"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "unreadable"


def _remove(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    return "removed"


def _repair(cache: FileCache, kept: StoredFile, what: str) -> str:
    if what == "link":
        cache.unlink(kept)
    if what in ("missing", "link"):
        cache.index.forget(kept)
    else:
        cache.index.update(kept.digest, is_corrupt=1)  # not served any more, also if it cannot be read
    cache.index.add_pending(kept.remote, sha256="", ttl_s=kept.ttl_s, is_wanted=True, state="waiting")
    return "queued"
