"""What is done now and then with the files of a folder: rebuild a lost index, sweep leftovers, remove the expired."""

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from image_cache.errors import OriginError, StorageError
from image_cache.files.index import FileIndex, StoredFile
from image_cache.files.partial import read_note
from image_cache.files.paths import digest_of_file, note_path
from image_cache.filesystem import is_locked

if TYPE_CHECKING:
    from image_cache.files.store import FileCache

logger = logging.getLogger(__name__)

DAY_S = 86400.0
FORGOTTEN_S = 7 * DAY_S  # a part that nobody went on with, a failure that nobody looked at
PROBE_BYTES = 1 << 62  # a reachability test reads no body, so any announced length will do


def rebuild(root: Path, index: FileIndex, now: float) -> int:
    """Write the rows of a new index from the notes beside the files; each file is verified before it is handed out."""
    count = 0
    for path in _files(root):
        kept = _kept_of(root, path, now)
        if kept is None:
            continue
        other = index.find(kept.digest)
        if other is None or other.stored_at <= kept.stored_at:
            with index.db.write() as conn:
                index.record(conn, kept)
            count += 1
    if count:
        logger.info("file index rebuilt files=%s", count)
    return count


def sweep(cache: "FileCache") -> int:
    """Remove what belongs to no row: files and notes of a version before, parts that nobody went on with. Returns how many."""
    cache.open()
    now = time.time()
    rows = {kept.path for kept in cache.index.files()}
    waiting = {coming.digest for coming in cache.index.fetches()}
    removed = 0
    for path in _files(cache.root, everything=True):
        name = path.name.removesuffix(".new").removesuffix(".note")
        with contextlib.suppress(OSError):
            age_s = now - path.stat(follow_symlinks=False).st_mtime
            if name.endswith(".part"):
                part = path.with_name(name)
                is_idle = part.stem not in waiting and age_s > FORGOTTEN_S and not is_locked(part)
                is_orphan = not part.exists() and age_s > 60
                is_left = is_idle or is_orphan
            else:
                # A publisher writes note, file and row in this order, within moments.
                is_left = f"{path.parent.name}/{name}" not in rows and not -60 < age_s < 60
            if is_left:
                path.unlink()
                removed += 1
    old = [c.digest for c in cache.index.fetches() if c.state == "failed" and now - c.added_at > FORGOTTEN_S]
    if old:
        cache.index.drop(old)
    if removed:
        logger.info("files swept leftovers=%s", removed)
    return removed


def remove_expired(cache: "FileCache", is_reachable: Callable[[StoredFile], bool]) -> int:
    """Remove the files past their time whose origin answers; without a network nothing goes. Returns how many went."""
    cache.open()
    hosts: dict[str, bool] = {}
    removed = 0
    for kept in cache.index.files():
        if cache.is_fresh(kept):
            continue
        host = kept.remote.host
        if host not in hosts:
            hosts[host] = is_reachable(kept)
        if hosts[host]:
            cache.remove(kept.digest)
            removed += 1
    return removed


def answers(cache: "FileCache", kept: StoredFile) -> bool:
    """Tell whether the origin of a file says anything at all."""
    try:
        with cache.opener.open(
            kept.url, headers={"Range": "bytes=0-0"}, accepted=frozenset(range(200, 500)), max_bytes=PROBE_BYTES
        ):
            return True
    except OriginError as error:
        return error.status is not None


def _files(root: Path, *, everything: bool = False) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):
        for shard in sorted(root.iterdir()):
            if len(shard.name) == 2 and shard.is_dir() and not shard.is_symlink():
                for path in sorted(shard.iterdir()):
                    if everything or digest_of_file(path.name):
                        yield path


def _kept_of(root: Path, path: Path, now: float) -> StoredFile | None:
    named, note = digest_of_file(path.name), read_note(note_path(path))
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
        )
    except (OSError, KeyError, TypeError, ValueError, StorageError):
        return None


READ_BYTES = 1 << 20


def verify(cache: "FileCache", kept: StoredFile, step: Callable[[int], object] | None = None) -> bool:
    """Read a file and compare it with its hash; one that differs is never handed out again, and stays until it is replaced."""
    path = cache.root / kept.path
    try:
        found, mtime_ns = hash_file(path, step)
    except OSError as error:
        logger.warning("file not readable path=%s reason=%s", path, error)
        return False
    if found != kept.sha256:
        logger.warning("file corrupt url=%s expected=%s found=%s", kept.remote.shown, kept.sha256, found)
        cache.index.update(kept.digest, is_corrupt=1)
        cache.tally.count("corrupt")
        return False
    cache.index.update(kept.digest, mtime_ns=mtime_ns, epoch=cache.epoch, verified_at=cache.clock(), is_corrupt=0)
    return True


def hash_file(path: Path, step: Callable[[int], object] | None = None) -> tuple[str, int]:
    """Return the SHA-256 of a file and when it was changed, in nanoseconds. `step` is called with the size of each read."""
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(READ_BYTES))
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
        mtime_ns = os.fstat(file.fileno()).st_mtime_ns
        while count := file.readinto(buffer):
            sha256.update(buffer[:count])
            if step is not None:
                step(count)
    return sha256.hexdigest(), mtime_ns
