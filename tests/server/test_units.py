"""systemd units and notifications, checked with systemd's tools. With a real systemd: tests/server/rehearsal.py."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.server.sd_notify import Notifier, SystemdWatchdog, responds
from image_cache.web.request_body import declared_limits
from tests.support.front import PROGRAM
from tests.support.inside import Inside
from tests.support.vault import ROOT, Vault, wait_until

SYSTEMD = ROOT / "systemd"
SERVICES = sorted(path.name for path in SYSTEMD.glob("*.service"))
MOST_EXPOSURE = 1.6
SCREEN = "vinylvault-kiosk.service"  # a browser with the screen's devices, and with a sandbox of its own that needs namespaces


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def lines_of(name: str) -> list[str]:
    return (SYSTEMD / name).read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `systemd-analyze verify` needs: our units, the programs that they start, the targets that they name."""
    root = tmp_path_factory.mktemp("root")
    units = root / "etc/systemd/system"
    units.mkdir(parents=True)
    for path in (*SYSTEMD.glob("*.service"), *SYSTEMD.glob("*.timer"), *SYSTEMD.glob("*.mount")):
        shutil.copy(path, units)
    (units / "vinylvault.service.d").mkdir()
    shutil.copy(SYSTEMD / "front.conf", units / "vinylvault.service.d")
    library = root / "usr/lib/systemd/system"
    shutil.copytree("/usr/lib/systemd/system", library, symlinks=True)
    for program in ("opt/vinylvault/current/venv/bin/python", "usr/sbin/nginx", "usr/bin/cage"):
        (root / program).parent.mkdir(parents=True, exist_ok=True)
        (root / program).write_text("#!/bin/sh\n")
        (root / program).chmod(0o755)
    (root / "etc/vinylvault.env").write_text("")
    shutil.copy(SYSTEMD / "nginx.conf", root / "etc/vinylvault-nginx.conf")
    return root


@pytest.mark.parametrize("name", [*SERVICES, *sorted(p.name for p in SYSTEMD.glob("*.timer")), "run-vinylvault.mount"])
def test_systemd_finds_nothing_wrong_with_a_unit(root: Path, name: str) -> None:
    done = subprocess.run(
        [tool("systemd-analyze"), "verify", f"--root={root}", "--man=no", "--recursive-errors=no", name],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "vinylvault" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.parametrize("name", [name for name in SERVICES if name != SCREEN])
def test_a_service_is_exposed_no_more_than_its_limit(name: str) -> None:
    """Out of ten; a unit with only its own user has 9.2."""
    done = subprocess.run(
        [tool("systemd-analyze"), "security", "--offline=true", f"--threshold={MOST_EXPOSURE * 10:.0f}", str(SYSTEMD / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= MOST_EXPOSURE
    assert done.returncode == 0


@pytest.mark.parametrize("name", [name for name in SERVICES if name != SCREEN])
def test_a_service_starts_on_a_card_that_became_read_only(name: str) -> None:
    """PrivateDevices needs a `/tmp` that can be written, before the unit has its own: systemd 252, started as process 1 in
    namespaces with everything read-only, refused the unit with it ("Failed to set up mount namespacing") and ran it without.
    """
    lines = lines_of(name)
    assert not [line for line in lines if line.startswith("PrivateDevices=") and line != "PrivateDevices=no"]
    assert "DevicePolicy=closed" in lines


@pytest.mark.parametrize("name", ["vinylvault-cleanup.service", "vinylvault-backup.service"])
def test_the_nightly_units_are_as_sandboxed_as_the_service(name: str) -> None:
    def bolts(unit: str) -> set[str]:
        lines = lines_of(unit)
        start = lines.index("NoNewPrivileges=yes")
        return {
            line
            for line in lines[start:]
            if "=" in line and not line.startswith(("#", "WantedBy", "SocketBindAllow", "NoExecPaths"))
        }

    assert bolts(name) == bolts("vinylvault.service")


def test_the_user_and_private_folders_are_created(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for program, source in (("systemd-sysusers", "sysusers.conf"), ("systemd-tmpfiles", "tmpfiles.conf")):
        more = ["--create"] if program == "systemd-tmpfiles" else []
        done = subprocess.run(
            [tool(program), f"--root={tmp_path}", *more, str(SYSTEMD / source)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    row = next(line for line in (tmp_path / "etc/passwd").read_text().splitlines() if line.startswith("vinylvault:"))
    _, _, number, group, _, home, shell = row.split(":")
    assert (home, shell) == ("/var/lib/vinylvault", "/usr/sbin/nologin")
    assert 0 < int(number) < 1000
    folders = ("var/lib/vinylvault", "var/lib/vinylvault/state/stream_images", "var/cache/vinylvault", "var/backups/vinylvault")
    for folder in folders:
        facts = (tmp_path / folder).stat()
        assert (facts.st_mode & 0o777, facts.st_uid, facts.st_gid) == (0o700, int(number), int(group)), folder


def test_nginx_finds_nothing_wrong_with_its_configuration(tmp_path: Path) -> None:
    if PROGRAM is None:
        pytest.skip("nginx is not installed")
    text = (SYSTEMD / "nginx.conf").read_text(encoding="utf-8").replace("/run/vinylvault/", f"{tmp_path}/")
    (tmp_path / "nginx.conf").write_text(text)
    arguments = ["-t", "-e", "stderr", "-p", f"{tmp_path}/", "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


# --- notifications


class Manager:
    """The socket on which a service manager listens."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)
        self.said: list[str] = []

    def close(self) -> None:
        self._socket.close()

    def hear(self) -> list[str]:
        while True:
            try:
                self.said.extend(self._socket.recv(4096).decode().splitlines())
            except BlockingIOError:
                return self.said

    def wait_for(self, word: str, count: int = 1) -> None:
        wait_until(lambda: self.hear().count(word) >= count, 60)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    listening = Manager(tmp_path)
    yield listening
    listening.close()


@pytest.mark.slow
def test_the_service_notifies_when_it_is_ready_alive_and_stopping(tmp_path: Path, manager: Manager) -> None:
    vault = Vault(tmp_path / "vault", NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="400000")
    with vault:
        manager.wait_for("READY=1")
        assert f"STATUS=Serving on port {vault.port}" in manager.said
        assert not [line for line in manager.said if "arbiter" in line], "not when gunicorn is, when we are"
        manager.wait_for("WATCHDOG=1", 3)
        (worker,) = vault.workers()
        os.kill(worker, signal.SIGSTOP)
        try:
            wait_until(lambda: _is_stopped(worker))
            heard = manager.hear().count("WATCHDOG=1")
            time.sleep(0.6)
            assert manager.hear().count("WATCHDOG=1") == heard, "a worker that does nothing feeds no watchdog"
        finally:
            os.kill(worker, signal.SIGCONT)
        manager.wait_for("WATCHDOG=1", heard + 2)
        assert "STOPPING=1" not in manager.hear()
        assert vault.process is not None
        vault.process.send_signal(signal.SIGHUP)  # a reload is not a stop, and must keep the socket
        manager.wait_for("READY=1", 2)
        manager.wait_for("WATCHDOG=1", manager.hear().count("WATCHDOG=1") + 2)
        assert "STOPPING=1" not in manager.said
        assert vault.stop() == 0
        assert "STOPPING=1" in manager.hear()


def _is_stopped(pid: int) -> bool:
    """Return True if the kernel has stopped every thread of a process."""
    states = [path.read_text(encoding="ascii").rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


@pytest.mark.slow
def test_a_broken_catalogue_does_not_trigger_the_watchdog(tmp_path: Path, manager: Manager) -> None:
    """A restart would repair nothing, and interrupt the covers that are still served."""
    environment = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "400000"}
    vault = Vault(tmp_path / "vault", **environment)
    vault.start()
    vault.stop()
    for path in (vault.folder / "state").glob("catalog.db*"):
        path.unlink()
    (vault.folder / "state/catalog.db").write_bytes(b"no database" * 1000)
    with vault:
        assert vault.get("/health").status == 503
        manager.wait_for("WATCHDOG=1", manager.hear().count("WATCHDOG=1") + 3)


def test_a_service_that_accepts_requests_and_never_responds_triggers_the_watchdog(manager: Manager) -> None:
    """As if every request thread were blocked: the kernel still accepts the connection."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        assert not responds("127.0.0.1", port, timeout_s=0.2)
        asked = threading.Event()

        def is_well() -> bool:
            asked.set()
            return responds("127.0.0.1", port, timeout_s=0.2)

        watchdog = SystemdWatchdog(Notifier(str(manager.path)), 0.2, is_well)
        watchdog.start()
        assert asked.wait(60)
        watchdog.close()
    assert manager.hear() == []
    assert not responds("127.0.0.1", port, timeout_s=0.2)


@pytest.mark.slow
def test_a_missing_service_manager_is_not_an_error(tmp_path: Path) -> None:
    with Vault(tmp_path / "vault", NOTIFY_SOCKET=str(tmp_path / "nobody"), WATCHDOG_USEC="1000000") as vault:
        assert vault.get("/health").status == 200
        assert vault.stop() == 0


def health(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SYSTEMD / "health.py"), *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_the_health_check_reports_the_state_and_follows_its_options(tmp_path: Path) -> None:
    with Vault(tmp_path / "vault", VINYL_VAULT_TRUSTED_HOSTS="pictures.example") as vault:
        well = health("--wait", "60", "--strict", **vault.env)
        assert (well.returncode, well.stdout, well.stderr) == (0, "VinylVault is healthy.\n", "")
        vault.stop()
        gone = health("--wait", "0.3", **vault.env)
        assert gone.returncode == 2
        assert gone.stderr.startswith(f"VinylVault does not answer on port {vault.port} (")
        for path in (vault.folder / "state").glob("catalog.db*"):
            path.unlink()
        (vault.folder / "state/catalog.db").write_bytes(b"no database" * 1000)
        vault.start()
        assert health(**vault.env).returncode == 0, "it responds"
        strict = health("--strict", **vault.env)
        assert strict.returncode == 2
        assert strict.stdout.startswith("VinylVault is unhealthy. Catalogue: Cannot be read.")
    wrong = health(PORT="many")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "VinylVault was not asked, because a setting is wrong. PORT: 'many' is invalid; use a whole number.\n",
    )


def test_nginx_lets_everything_through_that_may_be_large(tmp_path: Path) -> None:
    """What the service itself reads beyond a megabyte, as its views declare."""
    (pattern,) = re.findall(r"location ~ (\^/\(\(api/\)\?streams\S+) \{", (SYSTEMD / "nginx.conf").read_text(encoding="utf-8"))
    with Inside(tmp_path, settled=False) as inside:
        rules = list(inside.app.url_map.iter_rules())
        paths = [rule.rule for rule in rules if declared_limits(inside.app.view_functions[rule.endpoint]) is not None]
    assert len(paths) == 9
    for path in paths:
        assert re.search(
            pattern, re.sub(r"<int:\w+>", "12", path).replace("<slug>", "evening").replace("<code>", "4T6C-8E4Y-7YEP-KJ4B")
        ), path
