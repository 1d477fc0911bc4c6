"""The package: a wheel that runs in any folder with nothing of the checkout beside it, and is the same whenever it is built."""

import hashlib
import os
import re
import signal
import site
import subprocess
import sys
import tarfile
import tomllib
import urllib.request
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from image_cache import __version__
from tests.support.ports import free_port
from tests.support.servers import about_to_start
from tests.support.vault import ROOT, wait_until

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


def build(folder: Path) -> dict[str, Path]:
    """Build into `folder`; returns the archives by their suffix."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(
        command, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {path.suffix: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of an environment that holds the wheel, and the libraries of this one."""
    folder = tmp_path_factory.mktemp("elsewhere") / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()))
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(built[".whl"])], check=True)
    return folder / "bin"


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_all_that_it_reads(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built[".whl"]) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0] for name in names} == {"image_cache", f"vinylvault-{__version__}.dist-info"}
    for folder in ("templates", "static", "systemd"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"image_cache/data/{path.relative_to(ROOT)}" in names
    assert any(name.startswith("image_cache/demo/fonts/") for name in names)


@pytest.mark.slow
def test_the_archives_are_the_same_whenever_they_are_built(built: dict[str, Path], tmp_path: Path) -> None:
    again = build(tmp_path)
    assert set(built) == {".whl", ".gz"}
    for suffix, path in built.items():
        assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(again[suffix].read_bytes()).digest()


@pytest.mark.slow
@pytest.mark.server
def test_the_wheel_alone_shows_the_demo_and_backs_it_up(installed: Path, tmp_path: Path) -> None:
    about_to_start()
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("VINYL_VAULT_", "IMAGE_CACHE_", "PYTHON"))}
    env = {
        **clean,
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": "",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DEMO_ORIGIN_PORT": str(free_port()),
    }
    said = subprocess.run(
        [installed / "vinylvault", "--version"], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert __version__ in said.stdout
    log = tmp_path / "demo.log"
    with log.open("wb") as out:
        demo = subprocess.Popen([installed / "vinylvault", "demo"], cwd=tmp_path, env=env, stdout=out, stderr=out)

    def found(path: str, pattern: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as page:
                return len(set(re.findall(pattern, page.read().decode())))
        except OSError:
            assert demo.poll() is None, log.read_text()
            return 0

    try:
        wait_until(lambda: found("/", r"/cache/thumbnails/[0-9a-f]{64}") >= 60, 120)
        wait_until(lambda: found("/streams/evening-of-live-music", r"/images/[0-9a-f-]{36}") >= 2, 240)
        wait_until(lambda: found("/files", r"seashell\.nii\.gz|snail\.nii") == 2, 120)
        assert found("/login", "Log in to the demo") == 1
    finally:
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(60) == 0
    env["VINYL_VAULT_DATA_DIR"] = str(tmp_path / ".local/share/vinylvault/var-demo")
    subprocess.run([installed / "vinylvault", "backup", str(tmp_path / "demo.tar.gz")], cwd=tmp_path, env=env, check=True)
    with tarfile.open(tmp_path / "demo.tar.gz") as archive:
        names = archive.getnames()
    assert sum(name.endswith("_original.jpg") for name in names) >= 4, "photographs of all three streams"
    gone = subprocess.run(
        [installed / "vinylvault", "demo", "--remove", "--yes"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (gone.returncode, gone.stderr) == (0, "")
    assert "240 invented records, 8 wanted records, 3 crates, 3 streams" in gone.stdout
    assert "the code is " in gone.stdout


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_what_the_package_needs_is_pinned_for_the_installer(extra: str) -> None:
    wanted = [*PROJECT["project"]["dependencies"], *EXTRAS.get(extra, ())]
    path = ROOT / (f"requirements-{extra}.txt" if extra else "requirements.txt")
    pinned = set(re.findall(r"^([a-z0-9-]+)==", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert {re.split(r"[<>=~ \[]", name)[0].lower() for name in wanted} <= pinned


def test_the_tests_have_every_extra() -> None:
    """`make test` installs one file: what an extra brings is tested with it, never skipped."""
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements-dev.txt").read_text(encoding="utf-8"), re.MULTILINE))
    assert {re.split(r"[<>=~ \[]", name)[0].lower() for names in EXTRAS.values() for name in names} <= pinned


def test_the_wheel_pulls_only_what_it_declares(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built[".whl"]) as wheel:
        facts = wheel.read(f"vinylvault-{__version__}.dist-info/METADATA").decode()
    required = re.findall(r"^Requires-Dist: (.*)$", facts, re.MULTILINE)
    plain = [line for line in required if "extra ==" not in line]
    assert {name_of(line) for line in plain} == {name_of(line) for line in PROJECT["project"]["dependencies"]}
    assert {name_of(line) for line in required if line not in plain} == {
        name_of(line) for lines in EXTRAS.values() for line in lines
    }


def test_the_pinned_libraries_are_those_that_the_service_needs_and_no_others() -> None:
    """What is declared, and what that requires in its turn, as it is installed here."""
    wanted, known = list(map(Requirement, PROJECT["project"]["dependencies"])), set()
    while wanted:
        name = name_of(str(wanted.pop()))
        if name not in known:
            known.add(name)
            needs = map(Requirement, metadata.requires(name) or ())
            wanted += [one for one in needs if one.marker is None or one.marker.evaluate({"extra": ""})]
    pinned = {}
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([a-z0-9-]+)==[^ ]+(?: ; (.*?))?(?: \\)?$", line):
            pinned[found[1]] = found[2] is None or Marker(found[2]).evaluate()
    assert known == {name for name, is_for_this_python in pinned.items() if is_for_this_python}


def name_of(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)
