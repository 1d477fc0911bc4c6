"""The name of this node: as it is set, else the host name and six letters, which stay the same as long as the cache folder does."""

import contextlib
import logging
import re
import secrets
import socket
import string
from pathlib import Path

from image_cache.filesystem import lock_folder, make_folder, replacing

logger = logging.getLogger(__name__)

LETTERS = 6


def node_name(configured: str, cache_dir: Path, *, is_kept: bool = True) -> str:
    """Return the name of the settings; else one that is made once, and kept in the file `node` of the cache folder if it may be."""
    if configured:
        return configured
    path = cache_dir / "node"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if known := path.read_text(encoding="utf-8").strip():
            return known
    host = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:40] or "node"
    name = f"{host}-{''.join(secrets.choice(string.ascii_lowercase) for _ in range(LETTERS))}"
    if not is_kept:
        return name
    try:
        make_folder(cache_dir)
        with lock_folder(cache_dir):
            if path.exists() and (known := path.read_text(encoding="utf-8").strip()):
                return known
            with replacing(path) as file:
                file.write(f"{name}\n".encode())
    except (OSError, UnicodeDecodeError) as error:  # it has another name after the next start
        logger.warning("node name not kept path=%s reason=%s", path, error)
    return name
