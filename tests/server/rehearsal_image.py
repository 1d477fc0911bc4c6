"""The container image as compose.yaml runs it: `make rehearse-image`, as root. Each step continues where the previous one ended.

Needs podman, podman-compose, runc and debootstrap, and no registry: the base is a Debian made by debootstrap, with its own Python.
Takes three minutes, and three more for debootstrap once a day, so it is not part of `make test`.

Not covered: the network of the engine (the container uses the host's), its own calls of the health check, the base image of the registry, ARM.
"""

import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.machine import SUITE, SUITES, base
from tests.support.ports import free_port
from tests.support.vault import ROOT, Vault, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server]

TOOLS = ("podman", "podman-compose", "runc", "debootstrap")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
if MISSING or os.geteuid() != 0:
    pytest.skip(f"needs root, and {', '.join(MISSING or TOOLS)}", allow_module_level=True)

IMAGE, BASE = "localhost/vinylvault", "localhost/vinylvault-base"
PACKAGES = "python3,python3-venv,ca-certificates"
MEMORY_BYTES = 600 << 20  # as compose.yaml limits it
COMPOSE_NETWORK = ("--net", "--network-alias", "-p")
CONTAINERS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=512:512"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Engine:
    """podman with its own store. `up` starts what compose.yaml describes."""

    request = Vault.request
    get = Vault.get

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        storage = f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/store"\nrunroot = "{folder}/run"\n'
        (folder / "storage.conf").write_text(storage)
        (folder / "containers.conf").write_text(CONTAINERS)
        self.env = {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "CONTAINERS_CONF": str(folder / "containers.conf"),
        }

    def run(self, *command: str, ok: bool = True, timeout_s: float = 900) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert not ok or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    def podman(self, *arguments: str, ok: bool = True) -> str:
        return self.run("podman", *arguments, ok=ok).stdout.strip()

    def inside(self, *command: str, ok: bool = True) -> str:
        return self.podman("exec", "vinylvault", *command, ok=ok)

    def inspect(self, name: str = "vinylvault") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.podman("inspect", name))[0]
        return found

    def build(self, wheels: Path, **labels: str) -> float:
        """Build the image and return the seconds that it took."""
        began = time.monotonic()
        arguments = {"BASE": BASE, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
        self.podman(
            *("build", "--isolation", "chroot", "--format", "docker", "-t", IMAGE, "--volume", f"{wheels}:/wheels:ro"),
            *(word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")),
            *(word for name, value in labels.items() for word in ("--label", f"{name}={value}")),
            ".",
        )
        return time.monotonic() - began

    def command(self, *, name: str, background: bool) -> list[str]:
        """Return the `podman run` of compose.yaml, in the network of the host."""
        planned = self.run("podman-compose", "-p", "rehearsal", "-f", "compose.yaml", "--dry-run", "up", "-d")
        line = next(line for line in (planned.stdout + planned.stderr).splitlines() if line.startswith("podman run"))
        words, kept = iter(shlex.split(line)), []
        for word in words:
            if word in COMPOSE_NETWORK:
                next(words)
            elif word == "--name=vinylvault":
                kept.append(f"--name={name}")
            elif not (word == "-d" and not background):
                kept.append(word)
        kept[2:2] = ["--network", "host", "--no-healthcheck", "-e", f"PORT={self.port}", "-e", "VINYL_VAULT_FIND_COVERS=0"]
        return kept

    def up(self) -> float:
        """Start the service and return the seconds until it serves a page."""
        began = time.monotonic()
        self.run(*self.command(name="vinylvault", background=True))
        wait_until(self._serves, 90)
        return time.monotonic() - began

    def once(self, *arguments: str) -> str:
        """Run one command on the volume while the service is stopped, as `compose run --rm` does."""
        words = self.command(name="vinylvault-once", background=False)
        words = [word for word in words if word not in ("--restart", "unless-stopped")]
        return self.run(*words[:2], "--rm", *words[2:], *arguments).stdout

    def stop(self) -> tuple[int, float]:
        """Stop the service as an engine does; returns its exit status and the seconds that it took."""
        began = time.monotonic()
        self.podman("stop", "-t", "40", "vinylvault")
        return int(self.inspect()["State"]["ExitCode"]), time.monotonic() - began

    def _serves(self) -> bool:
        try:
            return self.get("/").status == 200
        except OSError:
            assert self.inspect()["State"]["Status"] == "running", self.podman("logs", "vinylvault")
            return False


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given") / "wheels"
    command = ["make", "-s", "wheelhouse", f"WHEELHOUSE={folder}", f"ARCH={platform.machine()}", f"FOR_PYTHON={SUITES[SUITE]}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("engine")
    engine = Engine(folder)
    with subprocess.Popen(["tar", "-C", str(base(f"image-{SUITE}", PACKAGES)), "-c", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run(["podman", "import", "-", BASE], stdin=tar.stdout, env=engine.env, capture_output=True, check=True)
    yield engine
    engine.podman("rm", "-f", "-a", "-t", "0", ok=False)
    engine.podman("rmi", "-f", "-a", ok=False)
    shutil.rmtree(folder, ignore_errors=True)


def records(engine: Engine) -> list[str]:
    return [
        row["title"] for row in json.loads(engine.inside("sh", "-c", "vinylvault export /tmp/o.json >/dev/null; cat /tmp/o.json"))
    ]


def test_01_it_is_built_and_serves_a_page(engine: Engine, wheels: Path) -> None:
    built_s = engine.build(wheels)
    size, below = (int(engine.inspect(name)["Size"]) for name in (IMAGE, BASE))
    up_s = engine.up()
    print(f"\nbuilt in {built_s:.0f} s: {size / 1e6:.0f} MB, {(size - below) / 1e6:.0f} MB above its base; up in {up_s:.1f} s")
    assert size - below < 120e6
    assert b"VinylVault" in engine.get("/").body
    printed = engine.podman("logs", "vinylvault")
    assert "Create it at /claim with this setup code" in printed
    assert ".local" not in printed, "the name of the container, which no browser can reach"
    planned = engine.run("podman-compose", "-f", "compose.yaml", "--dry-run", "build")
    assert "EXTRAS= " in planned.stdout + planned.stderr, "podman-compose 1.0 reads no empty default"


def test_02_it_has_no_rights_and_cannot_write_beside_its_volume(engine: Engine) -> None:
    assert engine.inside("id", "-u") == "10001"
    facts = dict(line.split(":\t", 1) for line in engine.inside("cat", "/proc/1/status").splitlines() if ":\t" in line)
    assert (int(facts["CapEff"], 16), int(facts["CapBnd"], 16), facts["NoNewPrivs"]) == (0, 0, "1")
    for place in ("/x", "/opt/vinylvault/x", "/etc/x"):
        assert engine.run("podman", "exec", "vinylvault", "touch", place, ok=False).returncode != 0
    engine.inside("touch", "/data/x", "/tmp/x")
    assert engine.inspect()["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_03_it_shares_out_the_memory_of_the_container_not_of_the_machine(engine: Engine) -> None:
    seen = engine.inside("python", "-c", "from image_cache.machine import machine_memory_bytes as seen; print(seen())")
    assert int(seen) == MEMORY_BYTES


def test_04_its_health_check_tells_up_from_down(engine: Engine) -> None:
    check = engine.inspect(IMAGE)["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    assert "VinylVault is healthy" in engine.inside(*check[1:])
    down = engine.run("podman", "exec", "-e", f"PORT={free_port()}", "vinylvault", *check[1:], ok=False)
    assert down.returncode != 0
    assert "does not answer" in down.stderr


def test_05_its_modules_are_compiled_for_the_server(engine: Engine) -> None:
    """A read-only root keeps no compiled modules: each start would compile all of them again."""
    script = (
        "import gunicorn, flask, json, sqlite3, image_cache.wsgi, sys, os; "
        "print([m.__name__ for m in list(sys.modules.values()) if getattr(m, '__cached__', None) and m.__file__.endswith('.py') "
        "and not os.path.exists(m.__cached__)])"
    )
    for level in ("-OO", "-B"):
        assert engine.inside("python", level, "-c", script) == "[]"
    there = "from image_cache.web.compiled_templates import FOLDER; print(len(list(FOLDER.iterdir())))"
    assert int(engine.inside("python", "-c", there)) > 100


def test_06_the_engine_starts_it_again_after_a_crash(engine: Engine) -> None:
    pid = engine.inspect()["State"]["Pid"]
    os.kill(pid, signal.SIGKILL)

    def is_back() -> bool:
        state = engine.inspect()["State"]
        if state["Status"] in ("exited", "stopped"):
            engine.podman("container", "cleanup", "vinylvault", ok=False)  # what conmon calls, where it finds the store
        return bool(state["Running"] and state["Pid"] != pid)

    wait_until(is_back, 30)
    wait_until(engine._serves, 90)


def test_07_records_survive_an_update_of_the_image(engine: Engine, wheels: Path) -> None:
    table = json.dumps(
        [{"title": "Blue Train", "artist": "John Coltrane"}, {"title": "Maiden Voyage", "artist": "Herbie Hancock"}]
    )
    engine.inside("sh", "-c", f"echo {shlex.quote(table)} > /data/records.json && vinylvault import /data/records.json")
    assert sorted(records(engine)) == ["Blue Train", "Maiden Voyage"]
    before = engine.inspect()["Image"]
    status, stopped_s = engine.stop()
    print(f"\nstopped in {stopped_s:.1f} s")
    assert status == 0
    built_s = engine.build(wheels, release="next")
    engine.podman("rm", "vinylvault")
    print(f"built again in {built_s:.0f} s, up in {engine.up():.1f} s")
    assert engine.inspect()["Image"] != before
    assert sorted(records(engine)) == ["Blue Train", "Maiden Voyage"]
    assert b"Blue Train" in engine.get("/").body


def test_08_a_backup_is_restored_into_the_volume(engine: Engine) -> None:
    engine.inside("vinylvault", "backup", "/data/backups/")
    (file,) = engine.inside("ls", "/data/backups").split()
    engine.inside(
        "sh", "-c", 'echo \'[{"title": "Later", "artist": "B"}]\' > /data/later.json && vinylvault import /data/later.json'
    )
    assert "Later" in records(engine)
    assert engine.stop()[0] == 0
    restored = engine.once("restore", "--force", f"/data/backups/{file}")
    assert "2 records" in restored
    assert "Now start the service: docker compose up -d." in " ".join(restored.split())
    engine.podman("start", "vinylvault")
    wait_until(engine._serves, 90)
    assert sorted(records(engine)) == ["Blue Train", "Maiden Voyage"]


def test_09_a_user_of_the_nas_can_run_it_on_a_folder_of_theirs(engine: Engine, tmp_path: Path) -> None:
    os.chown(tmp_path, 1026, 100)
    words = [f"{tmp_path}:/data" if word.endswith(":/data") else word for word in engine.command(name="other", background=False)]
    words[2:2] = ["--rm", "--user", "1026:100"]
    words = [word for word in words if word not in ("--restart", "unless-stopped")]
    assert "7 of 7 tests passed" in engine.run(*words, "selftest").stdout
    (tmp_path / "records.json").write_text(json.dumps([{"title": "Blue Train", "artist": "John Coltrane"}]))
    engine.run(*words, "import", "/data/records.json")
    facts = (tmp_path / "state/catalog.db").stat()
    assert (facts.st_uid, facts.st_gid) == (1026, 100)
