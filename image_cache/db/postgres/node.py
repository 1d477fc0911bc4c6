"""The name of this node: as it is set, else the host name and six letters, which stay the same as long as the cache folder does."""

import os
import re
import secrets
import socket
import string
from contextlib import suppress

from image_cache.config import Settings
from image_cache.filesystem import create_file, make_folder, temp_path

FILE = "node"  # in the cache folder
LETTERS = 6


def node_name(settings: Settings) -> str:
    """Return the name of this node. Raises `OSError` if a new one cannot be kept."""
    if settings.NODE:
        return settings.NODE
    path = settings.cache_dir / FILE
    if not path.exists():
        make_folder(path.parent)
        host = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().split(".")[0].lower()).strip("-")[:40].strip("-") or "node"
        name = f"{host}-{''.join(secrets.choice(string.ascii_lowercase) for _ in range(LETTERS))}"
        temp = temp_path(path)
        with create_file(temp) as file:
            file.write(f"{name}\n".encode())
        with suppress(FileExistsError):  # another process was faster
            os.link(temp, path)
        temp.unlink()
    return path.read_text(encoding="utf-8").strip()
