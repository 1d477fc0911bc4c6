"""Checks of the machine: space and inodes, who may write, how long a write takes, and the time of day."""

import errno
import os
import pwd
import stat
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from image_cache.engine.disk import MIN_FREE_INODES
from image_cache.machine import EARLIEST_AT
from image_cache.maintenance.health.check import Check
from image_cache.maintenance.readonly_vault import ReadonlyVault
from image_cache.resources import own_command
from image_cache.units import megabytes

SLOW_WRITE_S = 1.0  # a card that needs longer for 64 KB makes every request wait
PROBE_BYTES = 65536
LATEST_AT = 4_102_444_800.0  # 2100-01-01
DAY_S = 86400.0
TIME_SERVICE = Path("/run/systemd/timesync")


def space(vault: ReadonlyVault) -> Check:
    """Check free space and inodes of the disks of state and cache; the worst one decides."""
    floor = vault.cache.disk.floor_bytes
    worst: Check | None = None
    for folder in _disks(_folders(vault).values()):
        facts = os.statvfs(folder)
        free = facts.f_bavail * facts.f_frsize
        if facts.f_files and facts.f_favail < facts.f_files * MIN_FREE_INODES * 2:
            is_short = facts.f_favail < facts.f_files * MIN_FREE_INODES
            found = Check(
                "Disk",
                "failed" if is_short else "warning",
                f"Only {facts.f_favail:,} inodes left, although {megabytes(free)} are free."
                + (" Caching is stopped." if is_short else ""),
                f"Delete small files on the disk that holds {folder}. To count them: df -i {folder}",
            )
        elif free < floor:
            found = Check(
                "Disk",
                "failed",
                f"Only {megabytes(free)} free. Caching is stopped until at least {megabytes(floor)} are free.",
                f"Free up space on the disk that holds {folder} (df -h {folder}), lower VINYL_VAULT_CACHE_SIZE_GB, or run"
                f" {own_command('cleanup --days 30')}",
            )
        elif free < 2 * floor:
            found = Check(
                "Disk",
                "warning",
                f"Only {megabytes(free)} free.",
                f"Free up space on the disk that holds {folder}: df -h {folder}",
            )
        else:
            found = Check("Disk", "well", f"{megabytes(free)} free.")
        order = ("well", "warning", "failed")
        if worst is None or order.index(found.state) > order.index(worst.state):
            worst = found
    return worst or Check(
        "Disk",
        "failed",
        "None of the data folders can be reached.",
        "Check VINYL_VAULT_DATA_DIR and whether its disk is mounted.",
    )


def rights(vault: ReadonlyVault) -> Check:
    """Check that our folders exist, are ours, writable, and closed to others. The message names no path: it is public."""
    folders = _folders(vault)
    blocked = [path for path in folders.values() if path.exists() and not path.is_dir()]
    if blocked:
        return Check(
            "Rights",
            "failed",
            "A file is in the way of a VinylVault folder.",
            f"Move it away: {blocked[0]}. VinylVault creates the folder within a minute.",
            costs_pictures_only=_are_caches(vault, blocked),
        )
    missing = [name for name, path in folders.items() if not path.is_dir()]
    if missing:
        paths = ", ".join(str(folders[name]) for name in missing)
        return Check(
            "Rights",
            "failed",
            f"Missing folders: {', '.join(missing)}.",
            f"The service creates them when it starts: {paths}. If they existed before, check that their disk is mounted.",
            costs_pictures_only=_are_caches(vault, [folders[name] for name in missing]),
        )
    closed = [name for name, path in folders.items() if not os.access(path, os.R_OK | os.W_OK | os.X_OK)]
    if closed:  # the message has no paths: the page is public
        path = folders[closed[0]]
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            advice = f"The disk that holds {path} is read-only; dmesg | tail shows why. Remount it (sudo mount -o remount,rw) or replace the card."
        else:
            advice = f"sudo chown -R {_name(vault)}: {' '.join(str(folders[name]) for name in closed)}"
        return Check(
            "Rights",
            "failed",
            f"Cannot write to: {', '.join(closed)}.",
            advice,
            costs_pictures_only=_are_caches(vault, [folders[name] for name in closed]),
        )
    owner = vault.settings.state_dir.stat().st_uid
    foreign = [path for path in _ours(vault, folders) if path.stat().st_uid != owner]
    if foreign:
        return Check(
            "Rights",
            "failed",
            "Some VinylVault files belong to another user.",
            f"sudo chown -R {_name(vault)}: {' '.join(map(str, foreign[:5]))}",
        )
    secret = vault.settings.secret_key_path
    opened = [path for path in (vault.settings.state_dir, secret) if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    if opened:
        return Check(
            "Rights",
            "warning",
            "Other users of this computer can read VinylVault's private data.",
            f"chmod go= {' '.join(map(str, opened))}",
        )
    return Check("Rights", "well", "All folders are readable and writable.")


def writing(vault: ReadonlyVault) -> Check:
    """Measure how long a small write takes, with a file that has no name: it never appears in the folder."""
    worst_s = 0.0
    for folder in (vault.settings.state_dir, vault.settings.cache_dir):
        try:
            took_s = _write(folder)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):  # no such files here, or no such folder
                continue
            return Check(
                "Writing",
                "failed",
                f"Cannot write to disk ({os.strerror(error.errno or 0)}).",
                f"Folder: {folder}. If the disk is full: df -h {folder}. If it is read-only: dmesg | tail",
            )
        worst_s = max(worst_s, took_s)
    if worst_s > SLOW_WRITE_S:
        return Check(
            "Writing",
            "warning",
            f"Slow disk: a small write took {worst_s:.1f} s.",
            "Another program is using the disk (check with iostat -x 5, package sysstat), or the SD card is worn out. Replace it or use an SSD.",
        )
    return Check("Writing", "well", f"A small write took {worst_s * 1000:.0f} ms.")


def clock(vault: ReadonlyVault) -> Check:
    """Check that the time is plausible: a Pi has no battery-backed clock and starts in the past."""
    now = vault.clock()
    newest = max((path.stat().st_mtime for path in _databases(vault) if path.exists()), default=0.0)
    if not EARLIEST_AT < now < LATEST_AT or now < newest - DAY_S:
        since = "" if now < EARLIEST_AT or now > LATEST_AT else ", earlier than the newest data"
        return Check(
            "Clock",
            "failed",
            f"The clock is wrong: {_date(now)}{since}. Nothing is removed because of it, but HTTPS downloads may fail.",
            "Check timedatectl. To set the clock from the network: sudo timedatectl set-ntp true",
        )
    if TIME_SERVICE.is_dir() and not (TIME_SERVICE / "synchronized").exists():
        return Check(
            "Clock",
            "waiting",
            "The clock has not been synchronised since boot.",
            "Run timedatectl to see whether time synchronisation is on.",
        )
    return Check("Clock", "well", f"{_date(now)} UTC.")


def _folders(vault: ReadonlyVault) -> dict[str, Path]:
    settings = vault.settings
    folders = {"state": settings.state_dir, "cache": settings.cache_dir, "covers": settings.covers_dir}
    if settings.STORAGE == "local" and settings.stream_images_dir.exists():
        folders["originals"] = settings.stream_images_dir
    return folders


def _are_caches(vault: ReadonlyVault, paths: Iterable[Path]) -> bool:
    """Return True if nothing irreplaceable is in there."""
    settings = vault.settings
    return all(path in (settings.cache_dir, settings.covers_dir) for path in paths)


def _databases(vault: ReadonlyVault) -> list[Path]:
    bases = (vault.settings.catalog_path, vault.settings.index_path)
    return [path.with_name(path.name + suffix) for path in bases for suffix in ("", "-wal")]


def _ours(vault: ReadonlyVault, folders: dict[str, Path]) -> list[Path]:
    shm = [path.with_name(path.name + "-shm") for path in (vault.settings.catalog_path, vault.settings.index_path)]
    variants = [vault.settings.covers_dir / name for name in vault.variants]
    others = [*_databases(vault), *shm, vault.settings.secret_key_path, *variants]
    return [*folders.values(), *(path for path in others if path.exists())]


def _disks(folders: Iterable[Path]) -> list[Path]:
    """Return one folder that exists on each disk."""
    found: dict[int, Path] = {}
    for folder in folders:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        found.setdefault(there.stat().st_dev, there)
    return list(found.values())


def _write(folder: Path) -> float:
    started = time.monotonic()
    fd = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, b"?" * PROBE_BYTES) < PROBE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(fd)
    finally:
        os.close(fd)
    return time.monotonic() - started


def _name(vault: ReadonlyVault) -> str:
    """Return the name of the user who owns the vault."""
    uid = vault.settings.state_dir.stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _date(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return "a year out of range"
