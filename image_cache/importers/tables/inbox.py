"""Tables that wait for their import: uploads, and the watched folder `imports`.

A table that is put into `imports` is imported, then moved to `done` or `refused` with a report beside it.
"""

import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from image_cache.errors import StorageError
from image_cache.filesystem import create_file, make_folder
from image_cache.models import TaskState
from image_cache.tasks.runner import TaskRunner

logger = logging.getLogger(__name__)

KEPT_S = 86400.0  # an upload that was not imported within a day is deleted
SUFFIXES = (".csv", ".json", ".db", ".txt", ".tsv")
QUIET_S = 5.0  # a file that was not written to for this long is complete
RETRY_S = 600.0  # before a file is imported again that stayed in the folder because of a full or broken disk

_Shape = tuple[int, int]  # size and time of a file


class UploadInbox:
    """The folder of uploads. Any thread, several processes."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time, *, floor_bytes: int = 0) -> None:
        self.folder = folder
        self._clock = clock
        self._floor_bytes = floor_bytes

    def store(self, file: IO[bytes]) -> Path:
        """Copy an upload into the folder, readable by its owner only, and delete expired ones. Raises `StorageError`."""
        path = self.folder / f"{secrets.token_hex(8)}.table"
        try:
            make_folder(self.folder)
            self.delete_expired()
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if shutil.disk_usage(self.folder).free - size < self._floor_bytes:
                raise StorageError(
                    str(path), f"not enough disk space (at least {self._floor_bytes / 1e6:,.0f} MB must stay free)"
                )
            try:
                with create_file(path) as target:
                    shutil.copyfileobj(file, target, 1 << 20)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StorageError(str(path), error.strerror or "the upload could not be saved") from error
        return path

    def has(self, path: str) -> bool:
        """Return True if a path is that of an upload that still exists."""
        return Path(path).parent == self.folder and Path(path).is_file()

    def delete(self, path: str) -> None:
        """Delete an upload. Does nothing for any other path."""
        if Path(path).parent == self.folder:
            with suppress(OSError):
                Path(path).unlink(missing_ok=True)

    def delete_expired(self) -> None:
        for path in self.folder.glob("*.table"):
            with suppress(OSError):
                if self._clock() - path.stat().st_mtime > KEPT_S:
                    path.unlink(missing_ok=True)


def is_waiting(tasks: TaskRunner, uploads: UploadInbox, preview: TaskState | None, imported: TaskState | None) -> bool:
    """Return True if the upload of a preview was neither imported nor discarded. One of another node cannot be looked at."""
    if preview is None or preview.state != "done":
        return False
    path = preview.wanted.get("path")
    return uploads.has(str(path)) if tasks.is_here(preview) else imported is None or imported.wanted.get("path") != path


class ImportsFolder:
    """Finds tables in a folder. For one thread. `start` starts the import of one, and returns False if another is in progress."""

    def __init__(self, folder: Path, start: Callable[[Path], bool], clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._start = start
        self._clock = clock
        self._is_made = False
        self._seen: dict[str, tuple[_Shape, float]] = {}  # the shape of each file, and since when
        self._tried: dict[str, tuple[_Shape, float]] = {}

    def poll(self) -> None:
        """Start the import of the first complete file, one at a time."""
        if not self._is_made:
            self._is_made = True
            with suppress(OSError):  # a disk that refuses the folder has no tables either
                make_folder(self._folder)
        shapes, before, now = _shapes(self._folder), self._seen, self._clock()
        self._seen = {name: (shape, self._since(name, shape, now)) for name, shape in shapes.items()}
        self._tried = {name: tried for name, tried in self._tried.items() if name in shapes}
        for name, (shape, since) in sorted(self._seen.items()):
            tried = self._tried.get(name)
            is_waiting = tried is not None and tried[0] == shape and now - tried[1] < RETRY_S
            # Seen twice at least: the clock of a Pi jumps, and a new file may seem to be a year old.
            is_quiet = name in before and before[name][0] == shape and max(now - since, now - shape[1] / 1e9) >= QUIET_S
            if is_quiet and not is_waiting:
                if self._start(self._folder / name):
                    self._tried[name] = (shape, now)
                    logger.info("table found name=%s", ascii(name))
                return

    def _since(self, name: str, shape: _Shape, now: float) -> float:
        known = self._seen.get(name)
        return known[1] if known and known[0] == shape else now


def file_away(path: Path, *, is_refused: bool, report: str) -> None:
    """Move a file to `done` or `refused`, with its report beside it. One that cannot be moved stays, with a line in the log."""
    folder = path.parent / ("refused" if is_refused else "done")
    try:
        make_folder(folder)
        target = _free(folder, path.name)
        path.replace(target)
        target.with_name(f"{target.name}.report.txt").write_text(report, encoding="utf-8", errors="replace")
    except OSError as error:
        logger.warning("table not moved name=%s reason=%s", ascii(path.name), error.strerror or error)


def _shapes(folder: Path) -> dict[str, _Shape]:
    """Return size and time of the tables in a folder. Hidden files are left out: some programs copy into them."""
    found: dict[str, _Shape] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if (
                    entry.name.lower().endswith(SUFFIXES)
                    and not entry.name.startswith(".")
                    and entry.is_file(follow_symlinks=False)
                ):
                    stat = entry.stat(follow_symlinks=False)
                    found[entry.name] = (stat.st_size, stat.st_mtime_ns)
    except OSError:  # not created yet, missing with its disk, or not readable: nothing to import
        return {}
    return found


def _free(folder: Path, name: str) -> Path:
    """Return an unused path in the folder: a table of the same name may come every month."""
    target, number = folder / name, 2
    while target.exists():
        target = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
        number += 1
    return target
