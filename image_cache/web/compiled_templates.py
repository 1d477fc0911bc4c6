"""Templates that were compiled at the installation: `install.sh` and the container image write them, the service reads them.

Jinja compiles a template when a process shows it first: a page takes 50 ms then and 20 later, and eight of them leave 1.5 MB.
In a checkout there is no such folder, and nothing that could be out of date.
"""

from typing import TYPE_CHECKING

from flask import Flask
from jinja2 import FileSystemBytecodeCache

from image_cache.web.context import TEMPLATE_DIR

if TYPE_CHECKING:
    from jinja2.bccache import Bucket

FOLDER = TEMPLATE_DIR / "compiled"
NAMES = "%s.pyc"  # left out where a program is copied, as all that was compiled


class _Kept(FileSystemBytecodeCache):
    """What is in the folder, as long as a template has not changed since. The service may not write where its code is."""

    def dump_bytecode(self, bucket: "Bucket") -> None:
        pass


def use_compiled_templates(app: Flask) -> None:
    """Have the application load what was compiled, if there is any."""
    if FOLDER.is_dir():
        app.jinja_env.bytecode_cache = _Kept(str(FOLDER), NAMES)


def compile_templates(app: Flask) -> int:
    """Compile all templates into the folder, for every user; return how many there are. Raises `OSError`."""
    FOLDER.mkdir(exist_ok=True)
    FOLDER.chmod(0o755)
    environment = app.jinja_env.overlay(bytecode_cache=FileSystemBytecodeCache(str(FOLDER), NAMES))
    names = environment.list_templates()
    for name in names:
        environment.get_template(name)
    for path in FOLDER.iterdir():
        path.chmod(0o644)
    return len(names)
