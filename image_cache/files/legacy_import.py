"""Imports a cache folder of the original layout, described by its `cache_metadata.json`: copies and verifies, fetches nothing."""

import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_cache.errors import CacheError, FileRejected, StorageError, TableRejected
from image_cache.files.disk.index import StoredFile
from image_cache.files.disk.store import FileStore
from image_cache.files.download.loader import publish
from image_cache.files.download.partial import PartialFile, PartialMetadata
from image_cache.files.paths import file_path, part_path

TABLE = "cache_metadata.json"
MAX_TABLE_BYTES = 64 << 20
READ_BYTES = 1 << 20
_HEX64 = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True)
class LegacyFileReport:
    """Result of an import: files listed, imported, already stored, and (name, reason) of the rejected ones."""

    read: int = 0
    new: int = 0
    same: int = 0
    rejected: list[tuple[str, str]] = field(default_factory=list)


def import_layout(store: FileStore, folder: Path, *, dry_run: bool = False) -> LegacyFileReport:
    """Import the files that the table of `folder` lists, the most recently used first, as long as the budget has room.

    The folder is not changed, and a second run changes nothing. Raises `TableRejected` if there is no such table.
    """
    store.open()
    report = LegacyFileReport()
    room = store.limits().budget_bytes - store.totals()[1]
    for url, facts in sorted(_entries(folder), key=lambda pair: -_number(pair[1].get("last_accessed"))):
        report.read += 1
        try:
            room -= _import_file(store, folder, url, facts, room=room, report=report, dry_run=dry_run)
        except CacheError as error:
            report.rejected.append((url.partition("?")[0][:200], str(getattr(error, "reason", "") or error)))
    return report


def _import_file(
    store: FileStore, folder: Path, url: str, facts: dict[str, Any], *, room: int, report: LegacyFileReport, dry_run: bool
) -> int:
    """Import one file and return how many bytes of the budget it uses."""
    remote = store.remote(url)
    if store.index.find(remote.digest) is not None:
        report.same += 1
        return 0
    # The table may come from another machine: only the file name of its path is used, and looked up in this folder.
    path = folder / Path(str(facts.get("local_path", ""))).name
    with _opened(path) as fd:
        size = os.fstat(fd).st_size
        if size > room:
            raise CacheError(f"file too large: {size:,} bytes, but only {max(room, 0):,} bytes of cache space are left")
        if facts.get("file_size") not in (None, size):
            raise FileRejected(remote.name, f"{facts['file_size']} bytes", f"{size}")
        with PartialFile.locked(part_path(store.root, remote.digest), _refuse, 0 if dry_run else store.floor_bytes) as part:
            part.begin(PartialMetadata())
            if not dry_run:
                part.check_room(size)
            while data := os.read(fd, READ_BYTES):
                (part.hasher.feed if dry_run else part.append)(data)
            sha256 = part.hasher.sha256
            expected = str(facts.get("content_hash", "")).lower()
            try:
                if not _HEX64.fullmatch(expected) or expected != sha256:
                    raise FileRejected(remote.name, f"SHA-256 {expected[:64] or 'in the table'}", sha256)
                if not dry_run:
                    publish(store, part, _stored_file(store, remote.url, facts, sha256, size))
            finally:
                if not part.is_published:
                    part.begin(PartialMetadata())
    report.new += 1
    return size


def _stored_file(store: FileStore, url: str, facts: dict[str, Any], sha256: str, size: int) -> StoredFile:
    remote, now = store.remote(url), store.clock()
    created_at = min(now, _number(facts.get("created_at")))
    ttl_s = _number(facts.get("ttl_seconds"), -1.0)
    return StoredFile(
        digest=remote.digest,
        url=remote.url,
        name=remote.name,
        path=file_path(remote.digest, remote.name, sha256),
        sha256=sha256,
        size_bytes=size,
        mtime_ns=0,
        etag="",
        last_modified="",
        stored_at=created_at,
        checked_at=created_at,
        ttl_s=ttl_s if ttl_s >= 0 else None,
        used_at=min(now, max(created_at, _number(facts.get("last_accessed")))),
        hits=max(0, int(_number(facts.get("access_count")))),
        verified_at=now,
        epoch=store.epoch,
        is_corrupt=False,
    )


def _entries(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    path = folder / TABLE
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise TableRejected(str(path), f"more than {MAX_TABLE_BYTES >> 20} MB")
        table = json.loads(path.read_text(encoding="utf-8"))
        entries = table["entries"]
        pairs = list(entries.items())
    except OSError as error:
        raise TableRejected(str(path), error.strerror or str(error)) from error
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise TableRejected(str(path), "expected JSON with an `entries` object keyed by URL") from error
    for url, facts in pairs:
        yield str(url), facts if isinstance(facts, dict) else {}


def _number(value: object, default: float = 0.0) -> float:
    """Return a number from a table that may have been edited by hand, the default if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e12 < value < 1e12:
        return default
    return float(value)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(str(path), error.strerror or str(error)) from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise StorageError(str(path), "not a file")
        yield fd
    finally:
        os.close(fd)


def _refuse(_: float) -> None:
    raise CacheError("it is being downloaded right now")
