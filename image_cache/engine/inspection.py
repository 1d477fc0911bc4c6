"""Inspection of a cache folder: compares the files with the rows of the index. Changes nothing."""

import os
import stat
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from image_cache.engine.disk import SHARD, DiskTier
from image_cache.engine.index import Index
from image_cache.engine.key import Key, key_of_path
from image_cache.filesystem import TEMP_PREFIX

YOUNG_S = 120.0  # during a put a file has no row yet, and a temporary file not its name
SHARDS = tuple(f"{number:02x}" for number in range(256))
EXAMPLES = 5  # of each kind, unless more are requested


@dataclass(slots=True)
class DiskInspection:
    """Result. Kinds: `torn` (another size than in its row), lost (a row without a file), orphan (a file without a row),
    temporary (left by a killed process), foreign (not ours), link. `is_whole` is False if the time ran out before the end.
    """

    files: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    is_whole: bool = True
    max_examples: int = EXAMPLES

    def add(self, kind: str, path: str) -> None:
        self.counts[kind] += 1
        if len(named := self.examples.setdefault(kind, [])) < self.max_examples:
            named.append(path)


def inspect_disk(
    disk: DiskTier,
    index: Index | None,
    known_names: frozenset[str],
    *,
    now: float,
    timeout_s: float = 10.0,
    max_examples: int = EXAMPLES,
) -> DiskInspection:
    """Inspect the folder of a cache, for at most `timeout_s`. `known_names` belong at its top beside the folders of variants.

    Without an index only foreign and temporary files are found. Raises `OSError`, and `DatabaseError` of the index.
    """
    found, deadline = DiskInspection(max_examples=max_examples), time.monotonic() + timeout_s
    shards = _shards(disk.root, known_names, found)
    for name in sorted({*shards, *(SHARDS if index is not None else ())}):
        if time.monotonic() > deadline:
            found.is_whole = False
            break
        rows = index.sizes_of_shard(disk.namespace, name) if index is not None else None
        for path in shards.get(name, []):
            _inspect_shard(disk.namespace, path, rows, found, now)
        for key in rows or ():
            if not os.path.lexists(disk.root / key.path):  # else it was stored in the meantime
                found.add("lost", key.path)
    return found


def _shards(root: Path, known_names: frozenset[str], found: DiskInspection) -> dict[str, list[Path]]:
    """Return the folders of each shard, one per variant; add what does not belong there to `found`."""
    shards: dict[str, list[Path]] = {}
    for entry in _scan(root):
        if entry.is_dir(follow_symlinks=False):
            if entry.name.startswith("."):
                continue
            for shard in _scan(Path(entry.path)):
                if SHARD.fullmatch(shard.name) and shard.is_dir(follow_symlinks=False):
                    shards.setdefault(shard.name, []).append(Path(shard.path))
                else:
                    found.add("link" if shard.is_symlink() else "foreign", f"{entry.name}/{shard.name}")
        elif entry.is_symlink():
            found.add("link", entry.name)
        elif entry.name not in known_names and not entry.name.startswith("."):
            found.add("foreign", entry.name)
    return shards


def _inspect_shard(namespace: str, shard: Path, rows: dict[Key, int] | None, found: DiskInspection, now: float) -> None:
    """Inspect the files of one shard. Rows that have a file are removed from `rows`."""
    for entry in _scan(shard):
        shown = f"{shard.parent.name}/{shard.name}/{entry.name}"
        key = key_of_path(namespace, shard.parent.name, entry.name)
        try:
            facts = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        is_young = abs(now - facts.st_mtime) < YOUNG_S
        is_known = rows is not None and key in rows
        row_size = rows.pop(key) if rows is not None and key is not None and is_known else None
        if stat.S_ISLNK(facts.st_mode):
            found.add("link", shown)
        elif entry.name.startswith(TEMP_PREFIX):
            if not is_young:
                found.add("temporary", shown)
        elif key is None or not stat.S_ISREG(facts.st_mode):
            found.add("foreign", shown)
        else:
            found.files += 1
            if row_size is not None and row_size != facts.st_size:
                found.add("torn", shown)
            elif rows is not None and row_size is None and not is_young:
                found.add("orphan", shown)


def _scan(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
