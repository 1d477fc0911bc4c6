"""Links for nginx: symbolic links, in a folder on tmpfs, to the folders that it may serve. `systemd/nginx.conf` uses them.

Covers are public, so nginx serves them directly, without verifying their hashes as we do. Their link therefore disappears with a
restart of the server, and is only created again once truncated files were dropped. nginx serves private files only for single responses
that the application has authorised.
"""

import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from image_cache.db.database import DatabaseError
from image_cache.engine import maintenance
from image_cache.engine.cache import Cache
from image_cache.engine.pool import PeriodicJob
from image_cache.errors import StorageError
from image_cache.filesystem import make_folder

logger = logging.getLogger(__name__)

COVERS = "covers"
CHECK_S = 15.0


class NginxLinks:
    """Maintains the links of one folder. `areas` maps further names, of internal locations of nginx, to their folders."""

    def __init__(self, folder: Path, covers: Cache, areas: Mapping[str, Path]) -> None:
        self.folder = folder
        self._covers = covers
        self._areas = areas

    def periodic_jobs(self) -> list[PeriodicJob]:
        return [PeriodicJob("front", CHECK_S, self.open)]

    def open(self) -> None:
        """Create links that are missing or wrong. Idempotent. On errors log a warning: the application serves everything itself."""
        try:
            make_folder(self.folder)
            for area, path in self._areas.items():
                self._link(area, path)
            root = self._covers.disk.root
            if not self._points_to(COVERS, root) and not self._covers.is_adopting:
                maintenance.drop_torn(self._covers)
                self._link(COVERS, root)
                logger.info("nginx serving enabled path=%s", self.folder)
        except (OSError, StorageError, DatabaseError) as error:
            logger.warning("nginx serving disabled path=%s reason=%s", self.folder, error)

    def _points_to(self, name: str, target: Path) -> bool:
        link = self.folder / name
        return link.is_symlink() and link.readlink() == target

    def _link(self, name: str, target: Path) -> None:
        if not self._points_to(name, target):
            temp = self.folder / f".{name}-{secrets.token_hex(4)}"
            temp.symlink_to(target)
            os.replace(temp, self.folder / name)
