"""Comparison of a disk tier with its index, both ways: each row has its file, each file its row, and there is nothing else."""

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Container, Iterator
from pathlib import Path

from image_cache.engine.cache import Cache, is_intact
from image_cache.engine.disk import SHARD
from image_cache.engine.index import IndexEntry
from image_cache.engine.key import Key
from image_cache.engine.maintenance import is_leftover, is_young
from image_cache.errors import StorageError
from image_cache.maintenance.scrub.checker import ScrubPass

Repair = Callable[[Key, str], str]  # repairs an entry, given what is wrong with it; returns the outcome

_FOLDER = re.compile(r"[a-z0-9_-]+")
# Beside the folders of the variants: our hidden files, the mirror of names, the recipe, an index.
_OURS = re.compile(r"\..*|names\.json|recipe|[a-z]+\.db(\..*|-.*)?|lost\+found")


def check_shard(scrub: ScrubPass, where: str, cache: Cache, shard: str, repair: Repair) -> None:
    """Compare the rows and the files of one shard. Raises `ScrubStopped`, `DatabaseError` or `StorageError`."""
    if not cache.disk.root.is_dir():
        raise StorageError(str(cache.disk.root), "the folder is missing")
    if shard == "00":
        _check_folders(scrub, where, cache.disk.root)
    known: list[tuple[Key, bytes]] = []
    rows = cache.index.sizes_of_shard(cache.namespace, shard)
    for key in rows:
        scrub.report_and_throttle()
        what, found, body = _check(scrub, cache, key)
        if what is None:
            continue
        scrub.count(where, len(body))
        if what:
            scrub.record(where, key.path, what, lambda key=key, what=what: _repaired(cache, key, what, repair))  # type: ignore[misc]
        elif found is not None and found.sha256 is None:
            known.append((key, hashlib.sha256(body).digest()))
    if known and scrub.is_repair:
        with cache.index.database.write() as conn:
            cache.index.mark_verified(conn, known)
    for key, name in _without_row(scrub, where, cache, shard, rows):
        scrub.record(where, name, "orphan", lambda key=key: repair(key, "orphan"))  # type: ignore[misc]


def _check(scrub: ScrubPass, cache: Cache, key: Key) -> tuple[str | None, IndexEntry | None, bytes]:
    """Return what is wrong with an entry ("" for nothing, None if it was removed), its row, and its bytes."""
    what, found, body = _state(cache, key)
    if what:
        # Another process may have removed or replaced it between the read of its row and its file: check again.
        what, found, body = _state(cache, key)
    if what == "" and not scrub.is_picture(body):
        what = "torn" if found is None or found.sha256 is None else "undecodable"
    return what, found, body


def _state(cache: Cache, key: Key) -> tuple[str | None, IndexEntry | None, bytes]:
    found = cache.index.find(key)
    if found is None:
        return None, None, b""
    if (cache.disk.root / key.path).is_symlink():
        return "link", found, b""
    try:
        body = cache.disk.get(key)
    except StorageError:
        return "unreadable", found, b""
    if body is None:
        return "missing", found, b""
    # Cheapest first: the size, the hash, and (later) whether the bytes can be decoded.
    if is_intact(body, found):
        return "", found, body
    return "torn" if found.sha256 is None or len(body) != found.size_bytes else "altered", found, body


def _repaired(cache: Cache, key: Key, what: str, repair: Repair) -> str:
    if what == "link":
        cache.disk.delete(key)  # the link, never its target
    return repair(key, what)


def _without_row(scrub: ScrubPass, where: str, cache: Cache, shard: str, rows: Container[Key]) -> Iterator[tuple[Key, str]]:
    """Yield the entries of the shard that have no row, each with its path; record the files that are no entries at all."""
    now = cache.clock()
    for folder in _folders(cache.disk.root):
        for key, path, facts in cache.disk.files(folder.name, folder / shard):
            name = str(path.relative_to(cache.disk.root))
            if key is None:
                if is_leftover(path, facts.st_mtime, now):
                    scrub.record(where, name, "leftover", lambda path=path: _removed(path))  # type: ignore[misc]
                elif not path.name.startswith("."):
                    scrub.record(
                        where, name, "link" if path.is_symlink() else "foreign", _repair_of(scrub, cache.disk.root, path)
                    )
            elif key not in rows and not is_young(facts.st_mtime, now) and cache.index.find(key) is None:
                scrub.report_and_throttle()
                yield key, name


def _check_folders(scrub: ScrubPass, where: str, root: Path) -> None:
    """Record folders and links that VinylVault did not create."""
    for entry in sorted(root.iterdir()):
        if entry.is_symlink() or not (entry.is_dir() and _FOLDER.fullmatch(entry.name)):
            if entry.is_symlink() or not _OURS.fullmatch(entry.name):
                scrub.record(where, entry.name, "link" if entry.is_symlink() else "foreign", _repair_of(scrub, root, entry))
            continue
        for shard in sorted(entry.iterdir()):
            if shard.is_symlink() or not (SHARD.fullmatch(shard.name) and shard.is_dir()):
                name = f"{entry.name}/{shard.name}"
                scrub.record(where, name, "link" if shard.is_symlink() else "foreign", _repair_of(scrub, root, shard))


def _folders(root: Path) -> Iterator[Path]:
    with os.scandir(root) as entries:
        names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False) and _FOLDER.fullmatch(e.name))
    for name in names:
        yield root / name


def _repair_of(scrub: ScrubPass, root: Path, path: Path) -> Callable[[], str] | None:
    """Return the repair of a foreign entry: a link is removed, as it leads out of the cache; a file is set aside, or stays."""
    return (lambda: _removed(path)) if path.is_symlink() else scrub.setting_aside(root, path)


def _removed(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    return "removed"
