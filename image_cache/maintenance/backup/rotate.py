"""Rotation: one backup file per run in a folder, of which the last few stay. A timer runs it daily."""

import contextlib
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

from image_cache.config import Settings
from image_cache.errors import StorageError
from image_cache.filesystem import is_locked, make_folder
from image_cache.maintenance.backup.archive import is_archive
from image_cache.maintenance.backup.create import BackupReport, Progress, back_up

logger = logging.getLogger(__name__)

KEEP = 7
_OURS = re.compile(r"vinylvault-\d{8}-\d{6}\.tar")
_LEFT = re.compile(r"\.?vinylvault-\d{8}-\d{6}\.tar\.part(\.catalog(\.part)?)?")


def back_up_into(
    settings: Settings,
    folder: Path,
    *,
    keep: int = KEEP,
    secrets: bool = False,
    full: bool = False,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> BackupReport:
    """Write `vinylvault-YYYYMMDD-HHMMSS.tar` (local time) into the folder, then delete the oldest of these beyond `keep`.

    Nothing is deleted before the new one is complete, and nothing that VinylVault did not write. Raises what `back_up` raises,
    and `ValueError` for a `keep` below 1.
    """
    if keep < 1:
        raise ValueError("--keep must be at least 1")
    folder = Path(folder).absolute()
    try:
        make_folder(folder)
    except OSError as error:
        raise StorageError(str(folder), error.strerror or str(error)) from error
    _clear_leftovers(folder)
    name = time.strftime("vinylvault-%Y%m%d-%H%M%S.tar", time.localtime(clock()))
    report = back_up(settings, folder / name, secrets=secrets, full=full, progress=progress, clock=clock)
    # By name, not by mtime, which a copy to another disk changes. A clock that was wrong must not cost the one just written.
    older = [path for path in sorted(folder.iterdir()) if _OURS.fullmatch(path.name) and path.name != name and is_archive(path)]
    for path in older[: max(0, len(older) - keep + 1)]:
        with contextlib.suppress(OSError):
            path.unlink()
            logger.info("old backup removed path=%s", path)
    return report


def _clear_leftovers(folder: Path) -> None:
    """Delete what a killed backup left; one that is being written is locked."""
    for path in folder.iterdir():
        if _LEFT.fullmatch(path.name) and not is_locked(folder / (path.name.lstrip(".").partition(".tar.part")[0] + ".tar.part")):
            with contextlib.suppress(OSError):
                path.unlink()
