"""Uploaded tables until their import ends: files in the state folder under names that nobody chose."""

import os
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from image_cache.errors import StorageError
from image_cache.filesystem import make_folder

KEPT_S = 86400.0  # a table that nobody took in after a day was forgotten


class UploadInbox:
    """The folder of uploads. Any thread, several processes."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time, *, floor_bytes: int = 0) -> None:
        self.folder = folder
        self._clock = clock
        self._floor_bytes = floor_bytes

    def keep(self, file: IO[bytes]) -> Path:
        """Copy an upload into the folder, readable by its owner only. What lies there from before is cleared away, when it is old.

        Raises `StorageError`.
        """
        path = self.folder / f"{secrets.token_hex(8)}.table"
        try:
            make_folder(self.folder)
            self.forget_old()
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if shutil.disk_usage(self.folder).free - size < self._floor_bytes:
                raise StorageError(str(path), f"less than {self._floor_bytes / 1e6:,.0f} MB would be free")
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with open(handle, "wb") as target:
                    shutil.copyfileobj(file, target, 1 << 20)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StorageError(str(path), error.strerror or "the upload cannot be kept") from error
        return path

    def has(self, path: str) -> bool:
        """Tell whether a path is that of an upload that is still here."""
        return Path(path).parent == self.folder and Path(path).is_file()

    def forget(self, path: str) -> None:
        """Delete an upload. Any other path is left alone."""
        if Path(path).parent == self.folder:
            with suppress(OSError):
                Path(path).unlink(missing_ok=True)

    def forget_old(self) -> None:
        for path in self.folder.glob("*.table"):
            with suppress(OSError):
                if self._clock() - path.stat().st_mtime > KEPT_S:
                    path.unlink(missing_ok=True)
