"""Where the files are that come with the program: templates, style sheets, units, documents.

In a checkout they lie beside the package; in a wheel they travel inside it, in `data`.
"""

import re
import sys
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SITE = PACKAGE.parent  # the folder to import `image_cache` from, for the processes that are started
BUNDLED = PACKAGE / "data"
CHECKOUT = None if BUNDLED.is_dir() else SITE
_IMAGE_MARK = Path(sys.prefix) / "container-image"  # the Containerfile makes it
_UNIT = Path("/etc/systemd/system/vinylvault.service")  # the installer makes it
_COMPOSE = {"start": "up -d", "stop": "stop", "restart": "restart"}


def resource(name: str) -> Path:
    """Return a file or folder that comes with the program, such as `templates` or `systemd/gunicorn.conf.py`."""
    return (CHECKOUT or BUNDLED) / name


def is_container_image() -> bool:
    """Return whether this runs in the image of the Containerfile."""
    return _IMAGE_MARK.exists()


def service_command(verb: str) -> str:
    """Return the command that makes the service start, stop or restart, as it is typed on the server itself."""
    if is_container_image():
        return f"docker compose {_COMPOSE[verb]}"
    if _UNIT.exists():
        return f"sudo systemctl {verb} vinylvault"
    start = "vinylvault run" if CHECKOUT is None else "make run"
    return {"start": start, "stop": "press Ctrl-C where it runs", "restart": f"press Ctrl-C where it runs, then {start}"}[verb]


def own_command(words: str) -> str:
    """Return a command of VinylVault such as `health`, as it is typed on the server itself."""
    if is_container_image():
        return f"docker exec vinylvault vinylvault {words}"
    if _UNIT.exists():
        return f"sudo vinylvault {words}"
    return f"vinylvault {words}" if CHECKOUT is None else f".venv/bin/python -m image_cache.cli {words}"


def log_command() -> str:
    """Return the command, or the place, that shows what the service said last."""
    if is_container_image():
        return "docker compose logs vinylvault"
    return "sudo journalctl -u vinylvault -n 50" if _UNIT.exists() else "the terminal where it was started"


@cache
def version() -> str:
    """Return the version that `pyproject.toml` names, directly or as the metadata of the installed package."""
    if CHECKOUT is None:
        from importlib.metadata import version as installed

        return installed("vinylvault")
    found = re.search(r'^version = "([^"]+)"$', (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise LookupError("pyproject.toml names no version")
    return found[1]
