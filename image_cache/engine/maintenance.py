"""Maintenance of a cache: clear, sweep, rebuild. Works shard by shard, so that memory does not grow with the cache."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from image_cache.engine.cache import UNKNOWN, Cache
from image_cache.engine.index import file_is_plausible
from image_cache.engine.key import Key
from image_cache.filesystem import TEMP_PREFIX
from image_cache.frozen import frozen

logger = logging.getLogger(__name__)

# Files stored in the last minutes before a power cut may be truncated; the kernel writes back after half a minute.
UNSURE_S = 600.0
ORPHAN_GRACE_S = 60.0  # a file has no row until its put ends, which takes much less than a minute
SHARDS = tuple(f"{number:02x}" for number in range(256))


@frozen
class SweepReport:
    """What a sweep removed: files without rows, leftover temporary files, rows without a file of their size."""

    orphans: int = 0
    temporaries: int = 0
    lost: int = 0


def clear(cache: Cache) -> int:
    """Remove every entry and its file; return how many. Shard by shard, to keep memory and transactions small."""
    cache.memory.clear()
    folders = _folders(cache)
    count = 0
    for shard in SHARDS:
        for folder, shards in folders.items():
            if shard in shards:
                for key, _, _ in cache.disk.files(folder, shards[shard]):
                    if key is not None:
                        cache.disk.delete(key)
        with cache.index.database.write() as conn:
            count += cache.index.remove_shard(conn, cache.namespace, shard)
    return count


def clear_variant(cache: Cache, variant: str) -> int:
    """Remove the entries of one variant, in all formats; return how many."""
    count = 0
    for shard in SHARDS:
        keys = [k for k in cache.index.sizes_of_shard(cache.namespace, shard) if k.variant.partition(".")[0] == variant]
        if keys:
            cache.delete(keys)
            count += len(keys)
    return count


def sweep(cache: Cache) -> SweepReport:
    """Remove orphans, leftover temporary files, and rows without a file of their size.

    Does nothing while the index is being rebuilt.
    """
    orphans = temporaries = lost = 0
    if cache.is_adopting:
        return SweepReport()
    now = cache.clock()
    folders = _folders(cache)
    for shard in SHARDS:
        rows = cache.index.sizes_of_shard(cache.namespace, shard)
        for folder, shards in folders.items():
            if shard not in shards:
                continue
            for key, path, facts in cache.disk.files(folder, shards[shard]):
                if key is None:
                    if is_leftover(path, facts.st_mtime, now):
                        path.unlink(missing_ok=True)
                        temporaries += 1
                elif rows.get(key) == facts.st_size:
                    del rows[key]
                elif key not in rows and not is_young(facts.st_mtime, now):
                    cache.disk.delete(key)
                    orphans += 1
        # The file of a row may have been stored after the folder was read: check again.
        gone = [key for key, size in rows.items() if _size(cache.disk.root / key.path) != size]
        if gone:
            cache.delete(gone)
            lost += len(gone)
    report = SweepReport(orphans, temporaries, lost)
    if report != SweepReport():
        logger.info("leftover files removed orphans=%s temporaries=%s lost=%s", orphans, temporaries, lost)
    return report


def drop_torn(cache: Cache) -> int:
    """Remove files that a power cut may have truncated, before the reverse proxy serves them without verification; return how many.

    All sizes are compared, and the contents of the files from the last minutes before the newest one.
    """
    folders, dropped = _folders(cache), 0
    newest = max((facts.st_mtime for _, _, _, facts in _files(cache, folders)), default=0.0)
    rows: dict[Key, int] = {}
    read = ""
    for shard, key, path, facts in _files(cache, folders):
        if shard != read:
            rows, read = cache.index.sizes_of_shard(cache.namespace, shard), shard
        if key is None:
            continue
        if key not in rows:  # its row was lost, or is about to be written: a file appears with all of its bytes
            if not _file_is_plausible(path, facts.st_size):
                cache.disk.delete(key)
                dropped += 1
        elif rows[key] != facts.st_size or facts.st_mtime >= newest - UNSURE_S:
            dropped += not cache.check(key)
    if dropped:
        logger.warning("truncated files dropped count=%s", dropped)
    return dropped


def rebuild_from_files(cache: Cache) -> int:
    """Write rows for the files that have none, after the index was lost. Return how many. Idempotent."""
    adopted = 0
    for folder, _, shard in cache.disk.shards():
        found = [
            (key, facts.st_size, facts.st_mtime)
            for key, path, facts in cache.disk.files(folder, shard)
            if key is not None and _file_is_plausible(path, facts.st_size)
        ]
        with cache.index.database.write() as conn:
            adopted += cache.index.rebuild_from_files(conn, found)
    cache.index.mark_complete()
    if adopted:
        logger.info("index rebuilt adopted=%s", adopted)
    return adopted


def is_young(changed_at: float, now: float) -> bool:
    """Return True if the file may be about to get its row."""
    return now - ORPHAN_GRACE_S < changed_at <= now + ORPHAN_GRACE_S


def is_leftover(path: Path, changed_at: float, now: float) -> bool:
    """Return True if it is a temporary file whose writer has ended."""
    return path.name.startswith(TEMP_PREFIX) and not (is_young(changed_at, now) and _is_writer_alive(path.name))


def _files(cache: Cache, folders: dict[str, dict[str, Path]]) -> Iterator[tuple[str, Key | None, Path, os.stat_result]]:
    """Yield (shard, key, path, facts) of every file, one shard after the other."""
    for shard in SHARDS:
        for folder, shards in folders.items():
            if shard in shards:
                for key, path, facts in cache.disk.files(folder, shards[shard]):
                    yield shard, key, path, facts


def _folders(cache: Cache) -> dict[str, dict[str, Path]]:
    folders: dict[str, dict[str, Path]] = {}
    for folder, shard, path in cache.disk.shards():
        folders.setdefault(folder, {})[shard] = path
    return folders


def _file_is_plausible(path: Path, size: int) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(32)
            file.seek(max(size - 32, 0))
            return file_is_plausible(head, file.read(32), size)
    except OSError:
        return False


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return UNKNOWN


def _is_writer_alive(name: str) -> bool:
    pid = name.removeprefix(TEMP_PREFIX).partition("-")[0]
    return pid.isdigit() and os.path.exists(f"/proc/{pid}")
