"""What the machine allows this process: its memory, or what a service or a container gets of it. And what its clock may show."""

import contextlib
import os
from pathlib import Path

from image_cache.units import MEGABYTE

MIN_MEMORY_BYTES = 160 * MEGABYTE  # the service and a decoder with its smallest budget; a Pi Zero 2 W gives it 170
EARLIEST_AT = 1_767_225_600.0  # 2026-01-01: a clock that shows less is wrong, because this program is younger


def physical_memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def machine_memory_bytes(cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Memory that this process may count on: physical, or the limit of its control group or one above it when that is lower."""
    total = physical_memory_bytes()
    try:
        lines = own.read_text(encoding="ascii").splitlines()
    except OSError:  # no Linux
        return total
    for line in lines:  # number:controllers:path; number 0 is version 2 of control groups
        number, controllers, path = line.split(":", 2)
        if number == "0":
            root, names = cgroups, ["memory.max", "memory.high"]  # from the lower one on, pages of the program are taken away
        elif "memory" in controllers.split(","):
            root, names = cgroups / "memory", ["memory.limit_in_bytes"]
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):  # a service has its own folder there; a container sees its group as the root
            if not folder.is_relative_to(root):
                break
            for name in names:
                with contextlib.suppress(OSError):  # the root group has no limit
                    limit = (folder / name).read_text(encoding="ascii").strip()
                    total = min(total, int(limit)) if limit.isdigit() else total
    return total
