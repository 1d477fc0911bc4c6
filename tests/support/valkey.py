"""A Valkey server, or the Redis that it comes from, for tests."""

import subprocess
import tempfile
from typing import Self

from tests.support.ports import free_port
from tests.support.programs import found
from tests.support.s3 import listens
from tests.support.servers import about_to_start
from tests.support.vault import wait_until

PROGRAM = found("redis-server")


class Valkey:
    """`with Valkey() as valkey:` has an empty one on a port of its own; it writes nothing to a disk. Options are those of its command."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self.port = free_port()
        self._home = tempfile.TemporaryDirectory(prefix="vinylvault-valkey-")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._home.cleanup()

    def start(self) -> None:
        about_to_start()
        assert PROGRAM, "valkey-server is missing"
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no", "--dir", self._home.name]
        self._process = subprocess.Popen(
            [PROGRAM, *options, *self._options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: listens(self.port))

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None
