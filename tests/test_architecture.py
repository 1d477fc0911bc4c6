"""Architecture: imports go down only, siblings do not import each other, files form no cycles, each library has one home."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


# The rooms from the ground up, as `docs/ARCHITECTURE.md` shows them. Rooms on one line are siblings: they do not import each other.
# The longest prefix of a module counts.
def layers() -> list[set[str]]:
    document = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = document.split("```layers\n", 1)[1].split("```", 1)[0]
    rooms = [{f"image_cache.{name}" for name in line.split()} for line in block.strip().splitlines()]
    return [{"image_cache"}, *rooms, {"app", "cache_monitor", "config"}]


LAYERS = layers()
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

# Library -> the modules that may import it, at their top or inside a function.
HOMES = {
    "sqlite3": {"image_cache.db"},
    "flask": {"image_cache.web", "image_cache.wsgi"},
    "werkzeug": {"image_cache.web", "image_cache.accounts"},  # accounts: the password hash
    "flask_limiter": {"image_cache.web"},
    "limits": {"image_cache.web"},
    "gunicorn": {"image_cache.server"},
    "flask_wtf": {"image_cache.web"},
    "PIL": {
        "image_cache.imaging.pillow",
        "image_cache.imaging.color_profiles",
        "image_cache.imaging.barcode",
        "image_cache.imaging.placeholders",
        "image_cache.demo",
    },
    "requests": set(),  # urllib3 below it is enough (0005)
    "urllib3": {"image_cache.net.transport", "image_cache.net.client"},
    "mutagen": {"image_cache.importers.music.tags.formats"},
    "obstore": {"image_cache.storage.s3"},
    "psycopg": {"image_cache.db.postgres.connection", "image_cache.db.postgres.server"},
    "valkey": {"image_cache.cluster.valkey_counters"},
    "dotenv": {"image_cache.config"},
    "prometheus_client": {"image_cache.web.admin.prometheus"},
    "nibabel": {"image_cache.imaging.volume.worker"},
    "zxingcpp": {"image_cache.imaging.barcode"},
    "segno": {"image_cache.web.qr"},
    "numpy": {"image_cache.imaging.volume.worker"},
}


def modules() -> dict[str, Path]:
    paths = [ROOT / "app.py", ROOT / "cache_monitor.py", ROOT / "config.py", *sorted((ROOT / "image_cache").rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


MODULES = modules()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path, *, with_types: bool = False) -> tuple[tuple[str, int, bool], ...]:
    """Return (module, line, whether it is loaded with the file). Imports for type checkers are left out unless requested."""
    tree, found = tree_of(path), []
    checking = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    lazy = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in checking and not with_types:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.append((alias.name, node.lineno, id(node) not in lazy))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports by dots"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.append((full if full in MODULES else str(node.module), node.lineno, id(node) not in lazy))
    return tuple(found)


def layer_of(module: str) -> str | None:
    """Return the room in the table that the module belongs to."""
    parts = module.split(".")
    return next((name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in LEVEL), None)


def test_every_module_has_a_layer() -> None:
    lost = [module for module in MODULES if layer_of(module) == "image_cache" and module != "image_cache"]
    assert lost == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down_only(module: str) -> None:
    mine = layer_of(module)
    assert mine is not None
    wrong = []
    for target, line, _ in imports(MODULES[module]):
        theirs = layer_of(target)
        if theirs is None or theirs == mine or target == "image_cache" or module == "image_cache":
            continue
        if LEVEL[theirs] >= LEVEL[mine]:
            wrong.append(f"{module}:{line} imports {target}")
    assert wrong == []


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_library_has_one_home(library: str) -> None:
    wrong = [
        f"{module}:{line}"
        for module, path in MODULES.items()
        for target, line, _ in imports(path)
        if target.split(".")[0] == library and not any(module == home or module.startswith(home + ".") for home in HOMES[library])
    ]
    assert wrong == []


# The demo sets it for the server that it starts; `sudo` says in it who called.
READ_ENVIRONMENT = {"image_cache.config", "image_cache.cli.demo", "image_cache.cli.system_user"}


def test_only_the_settings_read_the_environment() -> None:
    wrong = [
        module
        for module, path in MODULES.items()
        if module not in READ_ENVIRONMENT
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb") and ast.unparse(node.value) == "os"
    ]
    assert wrong == []


TABLES = {
    "image_cache.config": 880,
    "image_cache.db.catalog_schema": 800,
    "image_cache.errors": 500,
    "image_cache.models": 420,
    "image_cache.services": 450,
}  # tables that grow with their entries


def test_no_module_is_longer_than_330_lines() -> None:
    counts = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    long = {name: count for name, count in counts.items() if count > TABLES.get(name, 330)}
    assert long == {}


def test_no_style_sheet_is_longer_than_330_lines() -> None:
    sheets = [path for path in (ROOT / "static").rglob("*.css") if "vendor" not in path.parts]
    counts = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in sheets}
    assert {name: count for name, count in counts.items() if count > 330} == {}


def test_a_class_name_is_used_once() -> None:
    """One word for one concept: two classes of a name would be found by the same search."""
    homes: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(module)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


@pytest.mark.slow
def test_files_do_not_import_each_other_in_a_circle() -> None:
    """Imports for type checkers count: a reader follows them as well."""
    edges = {
        module: {
            target
            for target, _, _ in imports(path, with_types=True)
            if target in MODULES and module not in (target, "image_cache") and target != "image_cache"
        }
        for module, path in MODULES.items()
    }
    done: set[str] = set()
    circles: list[list[str]] = []

    def walk(module: str, trail: list[str]) -> None:
        if module in trail:
            circles.append(trail[trail.index(module) :])
        elif module not in done:
            for target in sorted(edges[module]):
                walk(target, [*trail, module])
            done.add(module)

    for module in sorted(edges):
        walk(module, [])
    assert circles == []


def loaded(program: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.slow
def test_the_web_process_starts_without_what_it_may_never_need() -> None:
    """urllib3 and Pillow would be 11 MB: the first fetch imports urllib3, child processes import Pillow and mutagen."""
    assert not {"requests", "urllib3", "PIL", "mutagen", "obstore", "numpy", "prometheus_client", "psycopg"} & loaded(
        "import app"
    )


def test_the_package_is_light_until_it_is_used() -> None:
    assert not {"sqlite3", "flask", "config", "image_cache.services", "image_cache.covers.build"} & loaded("import image_cache")


def test_files_can_be_used_without_flask() -> None:
    found = loaded("from image_cache import ImageCacheManager, get_cached_file, get_cache_manager, clear_cache, get_cache_stats")
    assert "image_cache.files.disk.store" in found
    assert not {"flask", "werkzeug", "urllib3", "PIL", "nibabel", "numpy"} & found


def test_covers_can_be_used_without_flask() -> None:
    found = loaded("from image_cache import initialize_image_cache, get_image_cache")
    assert "image_cache.covers.service" in found
    assert not {"flask", "werkzeug", "urllib3", "PIL"} & found


def writes(module: str) -> Iterator[tuple[int, str, set[str]]]:
    """Yield (line, text, names of the parameters) for each attribute of another object that is set, in a constructor or anywhere else.

    The parameters are those of the constructor around it, empty outside of one.
    """
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    around: dict[int, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            names = {argument.arg for argument in (*node.args.args[1:], *node.args.kwonlyargs)}
            around |= {id(inner): names for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) != "self") or (
            isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr"
        ):
            yield node.lineno, ast.unparse(node), around.get(id(node), set())


@pytest.mark.slow
def test_objects_are_complete_when_they_are_constructed() -> None:
    """What an object needs is passed to its constructor: no one completes it later, and no constructor completes another object."""
    wrong = []
    for module in MODULES:
        is_building = module == "image_cache.services" or module.endswith(".build")
        for line, text, parameters in writes(module):
            if is_building or text.removeprefix("setattr(").split(".")[0] in parameters:
                wrong.append(f"{module}:{line} sets {text}")
    assert wrong == []
