"""A disk that can be full or read-only: a file system of its own in memory, where mounting one is permitted."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def disk_of(megabytes: int, folder: Path) -> Iterator[Path]:
    """Mount a file system of this size on a new folder; skips the test where that is not permitted."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no permission to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["mount", "-o", "remount,rw", folder], check=False, capture_output=True)
        subprocess.run(["umount", "-l", folder], check=True)  # lazily: a server that still ends has files open in it
