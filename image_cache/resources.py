"""Where the files are that come with the program: templates, style sheets, units, documents.

In a checkout they lie beside the package; in a wheel they travel inside it, in `data`.
"""

import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SITE = PACKAGE.parent  # the folder to import `image_cache` from, for the processes that are started
BUNDLED = PACKAGE / "data"
CHECKOUT = None if BUNDLED.is_dir() else SITE


def resource(name: str) -> Path:
    """Return a file or folder that comes with the program, such as `templates` or `systemd/gunicorn.conf.py`."""
    return (CHECKOUT or BUNDLED) / name


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
