"""A whole vault as its users have it: gunicorn as a real process, a data folder of its own, the commands beside it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.ports import free_port
from tests.support.servers import about_to_start

ROOT = Path(__file__).resolve().parents[2]
SERVE = [sys.executable, "-OO", "-m", "gunicorn", "-c", "systemd/gunicorn.conf.py", "app:create_app()"]  # as `make run` does
READY_S = 60.0
KILLS = int(os.environ.get("KILLS", "30"))  # how often a test kills what it started; 100 in `make rehearse-long`


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request was answered. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Vault:
    """The server of one data folder. `with Vault(folder, trusted=[origin.base]) as vault:` starts it and ends all of it."""

    def __init__(self, folder: Path, *, trusted: tuple[str, ...] = (), workers: int = 1, **env: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder.parent / f"{folder.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("VINYL_VAULT_", "IMAGE_CACHE_"))}
        self.env = {
            **clean,
            "VINYL_VAULT_DATA_DIR": str(folder),
            "VINYL_VAULT_TRUSTED_ORIGINS": ",".join(trusted),
            "VINYL_VAULT_WORKERS": str(workers),
            "VINYL_VAULT_FIND_COVERS": "0",  # a test that wants covers found says where
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            **env,
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start gunicorn and wait until a page is served."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start gunicorn."""
        about_to_start()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                SERVE,
                cwd=ROOT,
                env=self.env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until a page is served. Raises `RuntimeError`."""
        assert self.process is not None
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"gunicorn ended:\n{self.log.read_text()[-3000:]}")
            try:
                self.get("/keys")
            except (urllib.error.URLError, ConnectionError, OSError):
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"gunicorn is not ready:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> int:
        """Stop it as a service manager would; returns the exit status."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.terminate()
        try:
            return process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise

    def kill(self) -> None:
        """End all its processes at once, as a power cut would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def crash(self) -> None:
        """Kill the process that serves, alone, and start it again as the service manager would."""
        process, self.process = self.process, None
        assert process is not None
        process.kill()
        process.wait()
        self.start()

    def workers(self) -> list[int]:
        """Return the process numbers of what serves: the process itself if there is one worker, else the children of the arbiter."""
        assert self.process is not None
        pid = self.process.pid
        if self.env["VINYL_VAULT_WORKERS"] == "1":
            return [pid]
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        return [int(child) for child in children]

    def command(self, *arguments: str, stdin: str = "", ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `flask --app app ARGUMENTS` on this vault."""
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app", *arguments],
            cwd=ROOT,
            env=self.env,
            input=stdin,
            text=True,
            capture_output=True,
            timeout=240,
            check=False,
        )
        assert not ok or done.returncode == 0, done.stderr
        return done

    def import_albums(self, rows: list[dict[str, object]]) -> None:
        table = self.folder.parent / f"{self.folder.name}.json"
        table.write_text(json.dumps(rows), encoding="utf-8")
        self.command("albums", "import", str(table))

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: object = None, **headers: str) -> Reply:
        """Post JSON from the machine itself, as curl would."""
        data = b"" if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        return self.request("POST", path, data, {**kind, **headers})

    def request(self, method: str, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        asked = urllib.request.Request(self.url + path, data=data, headers=named, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return _reply(answer.status, answer)
        except urllib.error.HTTPError as error:
            with error:
                return _reply(error.code, error)


def compiled_in(folder: Path) -> dict[str, str]:
    """Return the environment of a server that finds its modules compiled from its second start on, as an installed one does.

    A process that compiles its modules keeps 3 MB of the memory that this takes.
    """
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder)}


def _reply(status: int, answer: Any) -> Reply:
    return Reply(status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())


def wait_until(condition: Any, timeout_s: float = 30.0, every_s: float = 0.05) -> None:
    """Wait for something that another process does. Raises `AssertionError` when it does not happen in time.

    The pauses grow to a second, so that a long wait does not run into the server's rate limit.
    """
    began = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - began
        assert waited_s < timeout_s, f"did not happen within {timeout_s} s"
        time.sleep(max(every_s, min(1.0, waited_s / 10)))
