"""What a web server in front may send: links in a folder in memory, put there once it is safe. `systemd/nginx.conf` reads them.

Covers are public, so nginx sends them unasked, and without comparing their hashes as we do. The link to them therefore vanishes
with the memory it lies in, and comes back after a start only when the files have been looked through. What is private is sent
by nginx for a single answer, which the application gave after asking the policy.
"""

import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from image_cache.db.database import DatabaseError
from image_cache.engine import maintenance as upkeep
from image_cache.engine.cache import Cache
from image_cache.engine.pool import PeriodicJob
from image_cache.errors import StorageError
from image_cache.filesystem import make_folder

logger = logging.getLogger(__name__)

COVERS = "covers"
LOOK_S = 15.0


class NginxLinks:
    """Keeps the links of one folder. `kept` names further folders: area of an internal address -> where it lies."""

    def __init__(self, folder: Path, covers: Cache, kept: Mapping[str, Path]) -> None:
        self.folder = folder
        self._covers = covers
        self._kept = kept

    def periodic_jobs(self) -> list[PeriodicJob]:
        return [PeriodicJob("front", LOOK_S, self.open)]

    def open(self) -> None:
        """Put the links that are missing or lead elsewhere; again is fine. Trouble is a warning: everything is served without."""
        try:
            make_folder(self.folder)
            for area, path in self._kept.items():
                self._link(area, path)
            root = self._covers.disk.root
            if not self._leads(COVERS, root) and not self._covers.is_adopting:
                upkeep.drop_torn(self._covers)
                self._link(COVERS, root)
                logger.info("covers open to the server in front path=%s", self.folder)
        except (OSError, StorageError, DatabaseError) as error:
            logger.warning("nothing given to the server in front path=%s reason=%s", self.folder, error)

    def _leads(self, name: str, target: Path) -> bool:
        link = self.folder / name
        return link.is_symlink() and link.readlink() == target

    def _link(self, name: str, target: Path) -> None:
        if not self._leads(name, target):
            temp = self.folder / f".{name}-{secrets.token_hex(4)}"
            temp.symlink_to(target)
            os.replace(temp, self.folder / name)
