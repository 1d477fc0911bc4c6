"""The scan of music folders, a task: walks, reads what changed, makes albums of it, marks what is gone. Writes to no folder.

What was read is remembered by folder, so that a scan that was stopped begins again from the front and reads nothing twice. Memory
does not grow with the collection but for some bytes a folder.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import DecoderFailed, FolderRejected
from image_cache.importers.music.folders import MusicRoots, below, has_lost
from image_cache.importers.music.mounts import point_of
from image_cache.importers.music.save import MusicRoot
from image_cache.importers.music.scan_folder import COUNTS, RootWalk, ScanContext, ScanStats
from image_cache.importers.music.tag_reader import TagReader
from image_cache.importers.music.walk import Names, holds_anything, opened, opened_root, reason_of
from image_cache.tasks.runner import Task

EMPTY = "It is empty. When its disk is plugged in again, it is looked at again; what is on the wall stays."
FIXED = "Read only, which is fine: nothing is written there."
STRANGE = "Nothing of what was there is there now, and another disk is: nothing was marked as gone."
HINT = "Set VINYL_VAULT_MUSIC_DIRS, or choose a folder on the page of the import."
BARE = "There is no music in it, and its disk is another one. When the right one is plugged in, it is looked at again."
CHANGED = "A disk came or went meanwhile: nothing was marked as gone."


class MusicScan:
    """Runs scans. `remember` gets the addresses of pictures as they are found. One scan at a time, in one thread."""

    def __init__(
        self,
        catalog: CatalogDatabase,
        roots: MusicRoots,
        reader: TagReader,
        *,
        remember: Callable[[Iterable[str | None]], object] = lambda urls: None,
        max_picture_bytes: int = 20_000_000,
    ) -> None:
        self._roots = roots
        self._rows = roots.rows
        self._means = ScanContext(catalog, roots.rows, reader, remember, max_picture_bytes, tuple(roots.own_folders()))

    def run(self, task: Task) -> Mapping[str, Any]:
        """Scan all roots, or the folder that `wanted` names as `dir`. Raises `FolderRejected` when there is none."""
        roots = self._roots.sync()
        only = str(task.wanted.get("dir") or "")
        chosen = [(root, names) for root in roots if (names := below(root.path, only) if only else ()) is not None]
        if not chosen:
            raise FolderRejected(only, "it lies in no music folder." if only else "No music folder is set.", hint=HINT)
        if only:
            self._check(chosen[0][0], chosen[0][1])
        seen = ScanStats(total=sum(self._rows.files(root.id) for root, _ in chosen) or None)
        seen.counts |= {name: int(task.position.get(name, 0)) for name in COUNTS}
        seen.problems = list(task.position.get("problems", []))
        for root, names in chosen:
            task.check()
            try:
                self._scan_root(task, root, names, seen)
            except DecoderFailed:
                task.check()  # the reader is closed when the program stops: then nothing has failed
                raise
        known = [root for root in self._roots.known() if root.id in {one.id for one, _ in chosen}]
        missing = [root.path for root in known if root.state == "gone"]
        left_out = sum(root.left_out for root in known)
        return {
            "says": _sentence(seen, left_out, missing),
            **seen.counts,
            "files": seen.files,
            "folders": seen.folders,
            "links": seen.links,
            "unread": seen.unread,
            "albums": sum(root.albums for root in known),
            "left_out": left_out,
            "problems": seen.problems,
        }

    def _scan_root(self, task: Task, root: MusicRoot, names: Names, seen: ScanStats) -> None:
        mounts = self._roots.mounts(root)
        try:
            self._roots.check(root.path)
            with opened_root(Path(root.real_path)) as top:
                says, lost = self._walk(task, root, names, top=top, seen=seen)
        except FolderRejected as error:
            says, lost = f"{error.reason[:1].upper()}{error.reason[1:]}.", None
        except OSError as error:
            says, lost = f"It cannot be looked into: {reason_of(error)}. What is on the wall stays.", None
        if lost is None:
            self._rows.looked(root.id, mounts, "gone", says)
        elif not names:
            kept = [mount for mount in root.whole_mounts if point_of(mount) in lost]
            state = "well" if says in ("", FIXED) else "part"
            self._rows.scanned(replace(root, state=state, says=says, mounts=mounts, whole_mounts=(*mounts, *kept)), task.clock())

    def _walk(self, task: Task, root: MusicRoot, names: Names, *, top: int, seen: ScanStats) -> tuple[str, list[str] | None]:
        """Walk through an open root. Returns a sentence about it, and which mounts in it are missing; None: all of it is."""
        mounts = self._roots.mounts(root)
        has_known = next(self._rows.folders(root.id), None) is not None
        if has_known and not holds_anything(top):
            return EMPTY, None
        says = FIXED if os.fstatvfs(top).f_flag & os.ST_RDONLY else ""
        self._rows.looked(root.id, mounts, "well", says)
        walk = RootWalk(self._means, task, root, top=top, seen=seen)
        walk.walk(names)
        lost = has_lost(root.whole_mounts[1:], mounts)
        if not (walk.has_met or mounts == root.whole_mounts or not has_known):
            return (STRANGE, lost) if walk.has_found else (BARE, None)
        if mounts != self._roots.mounts(root):
            return CHANGED, lost
        walk.mark_gone(names, [tuple(inside) for point in lost if (inside := below(root.real_path, point))])
        if lost:
            says = f"Not there: {', '.join(lost)}. What is on the wall of it stays. {says}".strip()
        return says, lost

    def _check(self, root: MusicRoot, names: Names) -> None:
        try:
            with opened_root(Path(root.real_path)) as top, opened(top, names):
                pass
        except OSError as error:
            raise FolderRejected("/".join((root.path, *names)), reason_of(error)) from error


def _sentence(seen: ScanStats, left_out: int, missing: list[str]) -> str:
    """Say what a scan did, in a line."""
    counts = seen.counts
    done = [f"{counts[name]:,} {name}" for name in ("new", "changed", "moved", "back", "gone") if counts[name]]
    files = f"{seen.files:,} {'file' if seen.files == 1 else 'files'} in {seen.folders:,} {'folder' if seen.folders == 1 else 'folders'}"
    text = f"{files}: {', '.join(done) or 'nothing changed'}."
    if seen.links:
        text += f" {seen.links:,} {'link was' if seen.links == 1 else 'links were'} not followed."
    if left_out:
        text += f" {left_out:,} without tags left out."
    if seen.unread:
        text += f" {seen.unread:,} {'folder' if seen.unread == 1 else 'folders'} could not be looked into."
    if missing:
        text += f" Not there: {', '.join(missing)}."
    return text
