"""Mounts at and below a folder, from the kernel's list. Reads no disk, so a network share that hangs blocks nothing."""

from pathlib import Path

TABLE = Path("/proc/self/mountinfo")
_ESCAPES = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}


def mounts_of(folder: str, table: Path = TABLE) -> tuple[str, ...]:
    """Return the mount that a folder is on and all mounts below it, each as "device mount-point".

    `folder` is an absolute path without links. Empty if the system has no such list.
    """
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ()
    on, below = "", []
    device_on = ""
    for line in lines:  # later mounts cover earlier ones
        fields = line.split(" ")
        if len(fields) < 5:
            continue
        device, point = fields[2], _plain(fields[4])
        if point == folder or folder.startswith(point.rstrip("/") + "/"):
            if len(point) >= len(on):
                on, device_on = point, device
        elif point.startswith(folder.rstrip("/") + "/"):
            below.append(f"{device} {point}")
    return tuple(([f"{device_on} {on}"] if on else []) + sorted(set(below)))


def point_of(mount: str) -> str:
    """Return the mount point of a mount of `mounts_of`."""
    return mount.partition(" ")[2]


def _plain(text: str) -> str:
    for escaped, char in _ESCAPES.items():
        text = text.replace(escaped, char)
    return text
