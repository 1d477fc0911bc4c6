"""Scan of music folders, a task: walks the folders, reads changed files, saves albums, marks missing ones. Writes to no folder.

Folders are saved as they are read: a scan that was stopped starts again at the first folder and reads no file twice. Memory grows
with the collection only by some bytes per folder.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import DecoderFailed, FolderRejected
from image_cache.import_models import RowLoss
from image_cache.importers.music.folders import MusicRoots, below, lost_mount_points
from image_cache.importers.music.mounts import point_of
from image_cache.importers.music.names import Names
from image_cache.importers.music.report import COUNTS, ScanStats
from image_cache.importers.music.scan_folder import RootScan, ScanContext
from image_cache.importers.music.table import MusicRoot
from image_cache.importers.music.tags.reader import TagReader
from image_cache.importers.music.walk import holds_anything, opened, opened_root, reason_of
from image_cache.tasks.runner import Task
from image_cache.units import counted

EMPTY = "This folder is empty. Is its drive unplugged? Your records stay; VinylVault scans again when the drive is back."
READ_ONLY = "Read-only. That is fine: VinylVault never writes here."
OTHER_MUSIC = "A different drive is mounted here, so no records were marked as missing."
HINT = "Set VINYL_VAULT_MUSIC_DIRS, or add a folder on the import page."
OTHER_DISK = "A different drive is mounted here and it has no music. VinylVault scans again when the right drive is plugged in."
CHANGED = "A drive was plugged in or removed during the scan, so no records were marked as missing."

MAX_KINDS = 6  # of music that cannot be read, in the sentence of a scan


class MusicScan:
    """Runs scans. `register` is called with cover addresses as they are found. One scan at a time, in one thread."""

    def __init__(
        self,
        catalog: CatalogDatabase,
        roots: MusicRoots,
        reader: TagReader,
        *,
        register: Callable[[Iterable[str | None]], object] = lambda urls: None,
        max_picture_bytes: int = 20_000_000,
    ) -> None:
        self._roots = roots
        self._rows = roots.rows
        self._context = ScanContext(catalog, roots.rows, reader, register, max_picture_bytes, tuple(roots.own_folders()))

    def run(self, task: Task) -> Mapping[str, Any]:
        """Scan all roots, or the folder `dir` of `wanted`. Raises `FolderRejected` if there is none."""
        roots = self._roots.sync()
        only = str(task.wanted.get("dir") or "")
        chosen = [(root, names) for root in roots if (names := below(root.path, only) if only else ()) is not None]
        if not chosen:
            raise FolderRejected(only, "it is not inside a music folder." if only else "No music folders are set up.", hint=HINT)
        if only:
            self._check(chosen[0][0], chosen[0][1])
        stats = ScanStats(total=sum(self._rows.files(root.id) for root, _ in chosen) or None)
        stats.counts |= {name: int(task.position.get(name, 0)) for name in COUNTS}
        stats.problems = list(task.position.get("problems", []))
        stats.losses = [RowLoss(*line) for line in task.position.get("report", [])]
        for root, names in chosen:
            task.check()
            try:
                self._scan_root(task, root, names, stats)
            except DecoderFailed:
                task.check()  # the reader is closed when the service stops: then nothing has failed
                raise
        known = [root for root in self._roots.known() if root.id in {scanned.id for scanned, _ in chosen}]
        missing = [root.path for root in known if root.state == "gone"]
        left_out = sum(root.left_out for root in known)
        return {
            "says": _summary(stats, left_out, missing),
            **stats.counts,
            "files": stats.files,
            "folders": stats.folders,
            "links": stats.links,
            "unread": stats.unread,
            "albums": sum(root.albums for root in known),
            "left_out": left_out,
            "problems": stats.problems,
            "others": dict(stats.others.most_common()),
            "report": list(map(astuple, stats.losses)),
        }

    def _scan_root(self, task: Task, root: MusicRoot, names: Names, stats: ScanStats) -> None:
        mounts = self._roots.mounts(root)
        try:
            self._roots.check(root.path)
            with opened_root(Path(root.real_path)) as top:
                message, lost = self._walk(task, root, names, top=top, stats=stats)
        except FolderRejected as error:
            message, lost = f"{error.reason[:1].upper()}{error.reason[1:]}.", None
        except OSError as error:
            message, lost = f"Cannot read this folder: {reason_of(error)}. Your records stay.", None
        if lost is None:
            self._rows.record_check(root.id, mounts, "gone", message)
        elif not names:
            kept = [mount for mount in root.whole_mounts if point_of(mount) in lost]
            state = "well" if message in ("", READ_ONLY) else "part"
            scanned = replace(root, state=state, message=message, mounts=mounts, whole_mounts=(*mounts, *kept))
            self._rows.record_scan(scanned, task.clock())

    def _walk(self, task: Task, root: MusicRoot, names: Names, *, top: int, stats: ScanStats) -> tuple[str, list[str] | None]:
        """Walk an open root. Return a message about it, and which mounts in it are missing; None if the root itself is missing."""
        mounts = self._roots.mounts(root)
        has_known = next(self._rows.folders(root.id), None) is not None
        if has_known and not holds_anything(top):
            return EMPTY, None
        message = READ_ONLY if os.fstatvfs(top).f_flag & os.ST_RDONLY else ""
        self._rows.record_check(root.id, mounts, "well", message)
        walk = RootScan(self._context, task, root, top=top, stats=stats)
        walk.walk(names)
        lost = lost_mount_points(root.whole_mounts[1:], mounts)
        if not (walk.has_known or mounts == root.whole_mounts or not has_known):
            return (OTHER_MUSIC, lost) if walk.has_music else (OTHER_DISK, None)
        if mounts != self._roots.mounts(root):
            return CHANGED, lost
        walk.mark_gone(names, [tuple(inside) for point in lost if (inside := below(root.real_path, point))])
        if lost:
            message = f"Not mounted: {', '.join(lost)}. Records from there stay. {message}".strip()
        return message, lost

    def _check(self, root: MusicRoot, names: Names) -> None:
        try:
            with opened_root(Path(root.real_path)) as top, opened(top, names):
                pass
        except OSError as error:
            raise FolderRejected("/".join((root.path, *names)), reason_of(error)) from error


def _summary(stats: ScanStats, left_out: int, missing: list[str]) -> str:
    counts = stats.counts
    done = [f"{counts[name]:,} {name}" for name in ("new", "changed", "moved", "back", "gone") if counts[name]]
    files = f"{stats.files:,} {'file' if stats.files == 1 else 'files'} in {stats.folders:,} {'folder' if stats.folders == 1 else 'folders'}"
    text = f"{files}: {', '.join(done) or 'no changes'}."
    if stats.links:
        text += f" {stats.links:,} {'link was' if stats.links == 1 else 'links were'} not followed."
    if left_out:
        text += f" Skipped {left_out:,} without tags."
    for kind, count in stats.others.most_common(MAX_KINDS):
        text += f" {counted(count, f'{kind} file')} skipped: this format has no tags that VinylVault reads."
    if counts["lossy"]:
        text += f" {counted(counts['lossy'], 'record')} with a shortened text."
    if stats.unread:
        text += f" Could not read {counted(stats.unread, 'folder')}."
    if missing:
        text += f" Missing: {', '.join(missing)}."
    return text
