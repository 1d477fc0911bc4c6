"""Files below `static/` for templates: versioned addresses, style sheets, scripts with the modules they import."""

import hashlib
import posixpath
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from image_cache.web.context import STATIC_DIR

SHEETS, JOIN, MOST_SHEETS = "sheets", "-", 8  # a folder of addresses; there is none on the disk
SHEET_URL = re.compile(r"""url\("((?!data:|/|#)[^"]+)\"""")
SHEET_IMPORT = re.compile(r"""^@import "([^"]+)";$""", re.MULTILINE)
STATIC_IMPORT = re.compile(r"""^import\s+(?:[^"';]+\s+from\s+)?["'](\.{1,2}/[^"']+)["']""", re.MULTILINE)


def asset(name: str) -> str:
    """Return the address of a file below `static/`. It contains a digest of all of them, so browsers may keep it forever."""
    return f"/assets/{assets_version()}/{quote(name)}"


@lru_cache(maxsize=1)
def assets_version() -> str:
    """Return eight hex digits that change with any file below `static/`: modules that import each other must match."""
    digest = hashlib.sha256()
    for path in sorted(STATIC_DIR.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(STATIC_DIR).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def stylesheet(*names: str) -> Markup:
    """Return the link to style sheets, for example `css/records.css`: one file, because a browser shows nothing before it has all.

    A long sheet is divided into a folder of its name: it imports them in the order of their rules, and its place takes their text.
    """
    joined = JOIN.join(_short_name(name) for name in names)
    return Markup('<link rel="stylesheet" href="{}">').format(asset(f"{SHEETS}/{joined}.css"))


def joined_sheets(names: str) -> str | None:
    """Return the text of the style sheets that an address of `stylesheet` names and of those that they import, in their order.

    None if one of the names does not exist.
    """
    wanted = names.split(JOIN)
    if len(wanted) > MOST_SHEETS:
        return None
    paths = {_short_name(path.relative_to(STATIC_DIR).as_posix()): path for path in STATIC_DIR.rglob("*.css")}
    if any(name not in paths for name in wanted):
        return None
    return "\n".join(_whole(paths[name]) for name in wanted)


def _short_name(name: str) -> str:
    """Return `components.sleeve` for `css/components/sleeve.css`."""
    return name.removeprefix("css/").removesuffix(".css").replace("/", ".")


def _whole(sheet: Path) -> str:
    """Return the text of a sheet and of those that it imports, with the addresses that they name as seen from the folder `SHEETS`."""
    folder = sheet.parent.relative_to(STATIC_DIR).as_posix()
    text = SHEET_URL.sub(
        lambda found: f'url("../{posixpath.normpath(posixpath.join(folder, found[1]))}"', sheet.read_text("utf-8")
    )
    return SHEET_IMPORT.sub(lambda found: _whole(sheet.parent / found[1]), text)


def script(*names: str, blocks_render: bool = False) -> Markup:
    """Return the tags of entry modules, for example `js/records/wall.js`, and links that preload what they import.

    Without these links a browser learns of an import only when it has read the module before it, one round trip for each step.
    With `blocks_render` nothing is shown before they have run: for a page that they scroll.
    """
    imports = dict.fromkeys(module for name in names for module in imported_modules(name))
    tag = Markup('<script type="module" src="{}"{}></script>')
    tags = (tag.format(asset(name), Markup(' blocking="render"') if blocks_render else "") for name in names)
    return _lines([*map(_preload, imports), *tags])


def preload(name: str) -> Markup:
    """Return the links that preload a module, which a script of the page imports later, and what it imports."""
    return _lines(_preload(module) for module in (name, *imported_modules(name)))


@lru_cache(maxsize=64)
def imported_modules(name: str) -> tuple[str, ...]:
    """Return the modules that `name` imports statically, directly or through others, each once and without `name` itself."""
    found = [name]
    for module in found:  # grows while it is read
        text = (STATIC_DIR / module).read_text(encoding="utf-8")
        imports = [posixpath.normpath(posixpath.join(posixpath.dirname(module), path)) for path in STATIC_IMPORT.findall(text)]
        found += [path for path in dict.fromkeys(imports) if path not in found]
    return tuple(found[1:])


def _preload(module: str) -> Markup:
    return Markup('<link rel="modulepreload" href="{}">').format(asset(module))


def _lines(tags: Iterable[Markup]) -> Markup:
    return Markup("\n").join(tags)
