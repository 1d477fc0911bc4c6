"""Music folders: those of the settings and those that operators chose, on disks that come and go."""

import json
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase, SettingsTable
from image_cache.errors import FolderRejected
from image_cache.importers.music.mounts import TABLE, mounts_of, point_of
from image_cache.importers.music.table import MusicRoot, MusicTable
from image_cache.models import TaskState
from image_cache.text import fold

CHOSEN = "music.dirs"  # the stored setting with the folders that operators chose, a JSON list; with `@` and a name: of a node
NO_PARENT = "none"
MAX_CHOSEN = 20
_SYSTEM = ("/proc", "/sys", "/dev")


class MusicRoots:
    """The roots of music folders. Any thread, several processes: its state is in the catalogue. `table` is the kernel's list of mounts."""

    def __init__(
        self, settings: Settings, catalog: CatalogDatabase, *, clock: Callable[[], float] = time.time, table: Path = TABLE
    ) -> None:
        self.rows = MusicTable(catalog)
        self.table = table
        self._chosen = f"{CHOSEN}@{catalog.node}" if catalog.node else CHOSEN  # a folder belongs to the node that sees it
        self._settings = settings
        self._stored = SettingsTable(catalog)
        self._clock = clock

    def configured(self) -> list[str]:
        """Return the folders of the settings."""
        return [_plain(path) for path in self._settings.MUSIC_DIRS]

    def chosen(self) -> list[str]:
        """Return the folders that operators chose, without those of the settings."""
        found = json.loads(self._stored.values(self._chosen).get(self._chosen, "[]"))
        configured = self.configured()
        return [path for path in found if path not in configured]

    def dirs(self) -> list[str]:
        return [*self.configured(), *self.chosen()]

    def known(self) -> list[MusicRoot]:
        """Return the roots in use, in order; those that were never scanned have no id yet."""
        by_path = {root.path: root for root in self.rows.roots()}
        return [by_path.get(path) or MusicRoot(0, "", path, path) for path in self.dirs()]

    def active(self) -> dict[str, Path]:
        """Return the path of each root by its name, free of links: where images may be read."""
        dirs = set(self.dirs())
        return {root.name: Path(root.real_path) for root in self.rows.root_paths() if root.path in dirs}

    def sync(self) -> list[MusicRoot]:
        """Give every folder a permanent name and return the roots. A folder that moved keeps the name of its old path."""
        dirs, configured = self.dirs(), set(self.configured())
        # A folder of the settings may be a link, which is followed. One that was chosen on a page was free of links and has to stay
        # so: a user who can write to that disk must not lead the scan elsewhere.
        real = {path: os.path.realpath(path) if path in configured else path for path in dirs}
        with self.rows.db.write() as conn:
            roots = {root.name: root for root in self.rows.root_paths()}
            for path in dirs:
                name = next((root.name for root in roots.values() if root.path == path), "")
                if not name:
                    name = _free(slug_of(path), {root.name for root in roots.values() if root.path in dirs})
                if name not in roots or (roots[name].path, roots[name].real_path) != (path, real[path]):
                    self.rows.save_root(conn, name, path, real[path])
                    roots[name] = MusicRoot(0, name, path, real[path])
        return [root for root in self.known() if root.id]

    def choose(self, text: str, *, is_trusted: bool = False) -> str:
        """Add a folder; return its path. Only below the folders of the settings, unless `is_trusted`: for the command line.

        Raises `FolderRejected` with the reason.
        """
        path = _plain(text)
        self.check(path)
        path = os.path.realpath(path)
        if not is_trusted and not any(_is_below(path, parent) for parent in self.parents()):
            where = ", ".join(self.parents())
            raise FolderRejected(
                text,
                f"choose a folder inside {where}" if where else "adding folders is turned off (VINYL_VAULT_MUSIC_PARENTS=none)",
            )
        try:
            if not os.path.isdir(path):
                raise FolderRejected(text, "this folder does not exist")
            os.scandir(path).close()
        except OSError as error:
            raise FolderRejected(text, (error.strerror or str(error)).lower()) from error
        dirs = self.dirs()
        for other in dirs:
            if path == other or _is_below(path, other) or _is_below(other, path):
                raise FolderRejected(text, "this folder is already in the list" if path == other else f"it overlaps with {other}")
        chosen = self.chosen()
        if len(chosen) >= MAX_CHOSEN:
            raise FolderRejected(text, f"you can add up to {MAX_CHOSEN} folders")
        self._stored.set({self._chosen: json.dumps([*chosen, path])})
        return path

    def drop(self, path: str) -> bool:
        """Stop using a chosen folder; return False if it is none. Its records stay on the wall."""
        chosen = self.chosen()
        if path not in chosen:
            return False
        self._stored.set({self._chosen: json.dumps([other for other in chosen if other != path])})
        return True

    def check(self, path: str) -> None:
        """Raise `FolderRejected` for a path that cannot be a root."""
        try:
            path.encode()
        except UnicodeEncodeError:
            raise FolderRejected("", "the folder name is not valid UTF-8; rename the folder or mount it elsewhere") from None
        if not path.startswith("/") or "\0" in path or len(path) > 1000 or not path.isprintable():
            raise FolderRejected(path[:100], "enter the full path, for example /media/disk/music")
        real = os.path.realpath(path)
        if real == "/" or any(real == system or _is_below(real, system) for system in _SYSTEM):
            raise FolderRejected(path, "this is a system folder")
        for own in self.own_folders():
            if real == own or _is_below(real, own):
                raise FolderRejected(path, "VinylVault stores its own data there")

    def own_folders(self) -> list[str]:
        """Return the folders of VinylVault itself, in which no music is looked for."""
        settings = self._settings
        folders = (settings.state_dir, settings.cache_dir, settings.covers_dir, settings.files_dir, settings.stream_images_dir)
        return [os.path.realpath(folder) for folder in folders]

    def offers(self) -> list[str]:
        """Return disks that could be chosen: what is mounted below the folders of the settings. Reads no disk."""
        dirs, found = self.dirs(), list[str]()
        for parent in self.parents():
            points = [point_of(mount) for mount in mounts_of(parent, self.table)]
            found += [point for point in points if _is_below(point, parent) and point.isprintable()]
        return [
            point
            for point in dict.fromkeys(found)
            if not any(point == d or _is_below(point, d) or _is_below(d, point) for d in dirs)
        ]

    def mounts(self, root: MusicRoot) -> tuple[str, ...]:
        """Return the current mounts of a root; see `mounts_of`."""
        return mounts_of(root.real_path, self.table)

    def is_scan_due(self, latest: TaskState | None) -> bool:
        """Return True if a disk came or went since the latest scan, or if that was long ago. Reads no disk: one could hang."""
        dirs = self.dirs()
        if not dirs or (latest is not None and not latest.is_over):
            return False
        age_s = None if latest is None else self._clock() - latest.updated_at
        every_s = self._settings.MUSIC_RESCAN_HOURS * 3600
        known = {root.path: root for root in self.rows.roots()}
        if age_s is None or (every_s > 0 and not 0 <= age_s < every_s) or any(path not in known for path in dirs):
            return True
        return any(mounts_of(known[path].real_path, self.table) != known[path].mounts for path in dirs)

    def parents(self) -> list[str]:
        """Return the folders below which operators may choose on a page."""
        return [_plain(parent) for parent in self._settings.MUSIC_PARENTS if parent != NO_PARENT]


def slug_of(path: str) -> str:
    """Return the name of a root for addresses: letters, digits and hyphens."""
    slug = re.sub(r"[^a-z0-9]+", "-", fold(os.path.basename(path))).strip("-")[:40].strip("-")
    return slug or "music"


def _free(slug: str, taken: set[str]) -> str:
    name, number = slug, 1
    while name in taken:
        number += 1
        name = f"{slug}-{number}"
    return name


def below(root: str, path: str) -> tuple[str, ...] | None:
    """Return the path from a root to a folder in it as names, or None if it is not in it."""
    if path == root:
        return ()
    return tuple(path[len(root.rstrip("/")) + 1 :].split("/")) if _is_below(path, root) else None


def lost_mount_points(mounts: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return the mount points of `mounts` where nothing is mounted now."""
    points = {point_of(mount) for mount in now}
    return [point for point in map(point_of, mounts) if point not in points]


def _plain(path: str) -> str:
    return os.path.normpath(os.path.expanduser(path.strip())) if path.strip() else ""


def _is_below(path: str, parent: str) -> bool:
    return path.startswith(parent.rstrip("/") + "/")
