"""Folders that only our own user may enter."""

from pathlib import Path


def make_folder(path: Path) -> None:
    """Create the folder and the missing ones above it, each with mode 0700 (`Path.mkdir` gives that to the last one only)."""
    try:
        path.mkdir(mode=0o700)
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError:  # on a read-only disk an existing folder is refused with another error than FileExistsError
        if not path.is_dir():
            raise
