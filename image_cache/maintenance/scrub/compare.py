"""The entries of a disk tier, both ways: every row has its file as it says, every file has its row, and nothing else is there."""

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

Mend = Callable[[Key, str], str]  # what is done about an entry, given what is wrong with it; returns what became of it

_FOLDER = re.compile(r"[a-z0-9_-]+")
# What stands beside the folders of the variants: hidden notes of ours, the mirror of names, the recipe, an index.
_OURS = re.compile(r"\..*|names\.json|recipe|[a-z]+\.db(\..*|-.*)?|lost\+found")


def check_shard(walk: ScrubPass, where: str, cache: Cache, shard: str, mend: Mend) -> None:
    """Compare the rows and the files of one shard. Raises `ScrubStopped`, `DatabaseError` or `StorageError`."""
    if not cache.disk.root.is_dir():
        raise StorageError(str(cache.disk.root), "the folder is not there")
    if shard == "00":
        _check_folders(walk, where, cache.disk.root)
    known: list[tuple[Key, bytes]] = []
    rows = cache.index.shard(cache.namespace, shard)
    for key in rows:
        walk.rest()
        what, found, body = _look(walk, cache, key)
        if what is None:
            continue
        walk.saw(where, len(body))
        if what:
            walk.damaged(where, key.path, what, lambda key=key, what=what: _mended(cache, key, what, mend))  # type: ignore[misc]
        elif found is not None and found.sha256 is None:
            known.append((key, hashlib.sha256(body).digest()))
    if known and walk.is_repair:
        with cache.index.database.write() as conn:
            cache.index.mark_verified(conn, known)
    for key, name in _without_row(walk, where, cache, shard, rows):
        walk.damaged(where, name, "orphan", lambda key=key: mend(key, "orphan"))  # type: ignore[misc]


def _look(walk: ScrubPass, cache: Cache, key: Key) -> tuple[str | None, IndexEntry | None, bytes]:
    """Return what is wrong with an entry ("" for nothing, None when it is gone), its row, and its bytes."""
    what, found, body = _state(cache, key)
    if what:
        # Another process may have removed it, or put it anew, between its row and its file: look once more.
        what, found, body = _state(cache, key)
    if what == "" and not walk.is_picture(body):
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
    # The order of price: the size, what the bytes are, and (later) whether they can be decoded.
    if is_intact(body, found):
        return "", found, body
    return "torn" if found.sha256 is None or len(body) != found.size_bytes else "altered", found, body


def _mended(cache: Cache, key: Key, what: str, mend: Mend) -> str:
    if what == "link":
        cache.disk.delete(key)  # the link, never what it leads to
    return mend(key, what)


def _without_row(walk: ScrubPass, where: str, cache: Cache, shard: str, rows: Container[Key]) -> Iterator[tuple[Key, str]]:
    """Yield the entries of the shard that no row speaks of, each with its path; what is no entry at all is told on the way."""
    now = cache.clock()
    for folder in _folders(cache.disk.root):
        for key, path, facts in cache.disk.files(folder.name, folder / shard):
            name = str(path.relative_to(cache.disk.root))
            if key is None:
                if is_leftover(path, facts.st_mtime, now):
                    walk.damaged(where, name, "leftover", lambda path=path: _removed(path))  # type: ignore[misc]
                elif not path.name.startswith("."):
                    walk.damaged(where, name, "link" if path.is_symlink() else "foreign", _unlink_of(path))
            elif key not in rows and not is_young(facts.st_mtime, now) and cache.index.find(key) is None:
                walk.rest()
                yield key, name


def _check_folders(walk: ScrubPass, where: str, root: Path) -> None:
    """Look for what is not ours among the folders themselves."""
    for entry in sorted(root.iterdir()):
        if entry.is_symlink() or not (entry.is_dir() and _FOLDER.fullmatch(entry.name)):
            if entry.is_symlink() or not _OURS.fullmatch(entry.name):
                walk.damaged(where, entry.name, "link" if entry.is_symlink() else "foreign", _unlink_of(entry))
            continue
        for shard in sorted(entry.iterdir()):
            if shard.is_symlink() or not (SHARD.fullmatch(shard.name) and shard.is_dir()):
                name = f"{entry.name}/{shard.name}"
                walk.damaged(where, name, "link" if shard.is_symlink() else "foreign", _unlink_of(shard))


def _folders(root: Path) -> Iterator[Path]:
    with os.scandir(root) as entries:
        names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False) and _FOLDER.fullmatch(e.name))
    for name in names:
        yield root / name


def _unlink_of(path: Path) -> Callable[[], str] | None:
    """What is done about a stranger: a link of somebody is taken away (it leads out of here), a file of somebody stays."""
    return (lambda: _removed(path)) if path.is_symlink() else None


def _removed(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    return "removed"
