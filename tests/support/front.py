"""A real nginx in front of a vault, with the project's own configuration on free ports; the vault runs as a process beside it."""

import os
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.ports import free_port
from tests.support.servers import about_to_start
from tests.support.vault import ROOT, Reply, Vault, _reply, wait_until

PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
LISTENS = "listen 80 default_server;"
LISTENS_6 = "listen [::]:80 default_server;"


def configuration(port: int, service_port: int, front: Path) -> str:
    """Return `systemd/nginx.conf` with the places of a test. What is replaced must be there, or the test tries something else."""
    text = (ROOT / "systemd/nginx.conf").read_text(encoding="utf-8")
    for old, new in (
        (LISTENS, f"listen 127.0.0.1:{port};"),
        (LISTENS_6, ""),
        ("server 127.0.0.1:5000;", f"server 127.0.0.1:{service_port};"),
        ("/run/vinylvault/", f"{front}/"),
        ("/etc/vinylvault-nginx.d/*.conf", f"{front}.d/*.conf"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


class Front:
    """`with Front(vault) as front:` starts nginx; the vault must have been made with `VINYL_VAULT_FRONT_DIR` and one proxy."""

    def __init__(self, vault: Vault) -> None:
        if PROGRAM is None:
            pytest.skip("nginx is not installed")
        self.vault = vault
        self.folder = Path(vault.env["VINYL_VAULT_FRONT_DIR"])
        self.prefix = self.folder.parent / "nginx"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.prefix.parent / "nginx.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        about_to_start()
        self.prefix.mkdir(exist_ok=True)
        path = self.prefix / "nginx.conf"
        path.write_text(configuration(self.port, self.vault.port, self.folder), encoding="utf-8")
        # Started as root it would switch its workers to another user; the unit starts it as the user of the service.
        owner = ["-g", "user root;"] if os.geteuid() == 0 else []
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(PROGRAM), "-e", "stderr", "-p", f"{self.prefix}/", "-c", str(path), *owner], stdout=log, stderr=log
            )
        wait_until(self._is_up)

    def stop(self) -> None:
        """Stop it as a service manager would. What it has not written of its list, it writes."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def request(self, method: str, path: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        asked = urllib.request.Request(self.url + path, data=data, headers=headers or {}, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return _reply(answer.status, answer)
        except urllib.error.HTTPError as error:
            with error:
                return _reply(error.code, error)

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            self.get("/keys")
        except OSError:
            return False
        return True


def vault_behind(folder: Path, **named: Any) -> Vault:
    """Return a vault that gives what it may to a server in front."""
    return Vault(folder / "vault", VINYL_VAULT_FRONT_DIR=str(folder / "front"), VINYL_VAULT_TRUSTED_PROXIES="1", **named)
