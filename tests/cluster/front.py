"""A real nginx in front of the nodes of a cluster, with the project's own configuration on free ports."""

import http.client
import os
import re
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import pytest

from tests.cluster.cluster import Cluster
from tests.support.front import LISTENS, PROGRAM
from tests.support.ports import free_port
from tests.support.servers import about_to_start
from tests.support.vault import ROOT, Reply, Vault, wait_until

BEHIND = {"VINYL_VAULT_TRUSTED_PROXIES": "1"}  # what nodes have to be told
CONFIGURATION = ROOT / "systemd/nginx-cluster.conf"


class ClusterFront:
    """`with ClusterFront(cluster) as front:` spreads requests over its nodes, which are told so by `BEHIND`."""

    def __init__(self, cluster: Cluster) -> None:
        if PROGRAM is None:
            pytest.skip("needs nginx: apt install nginx-light")
        self.cluster = cluster
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = cluster.folder / "nginx"
        self.log = cluster.folder / "nginx.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        about_to_start()
        self.folder.mkdir()
        path = self.folder / "nginx.conf"
        path.write_text(self._configuration(), encoding="utf-8")
        owner = ["-g", "user root;"] if os.geteuid() == 0 else []
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(PROGRAM), "-e", "stderr", "-p", f"{self.folder}/", "-c", str(path), *owner], stdout=log, stderr=log
            )
        wait_until(self._is_up)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)

    def get(self, path: str, **headers: str) -> Reply:
        return Vault.request(self, "GET", path, headers=headers)  # type: ignore[arg-type]

    def _configuration(self) -> str:
        text = CONFIGURATION.read_text(encoding="utf-8")
        servers = re.findall(r"^ *server node\d+:5000 (.+;)\n", text, re.MULTILINE)
        assert len(servers) == 2
        ours = "".join(f"server 127.0.0.1:{node.port} {servers[0]}\n" for node in self.cluster.nodes)
        text = re.sub(r"^ *server node2:5000 .+;\n", "", text, flags=re.MULTILINE)
        text = re.sub(r"^ *server node1:5000 .+;\n", ours, text, flags=re.MULTILINE)
        for old, new in (
            (LISTENS, f"listen 127.0.0.1:{self.port};"),
            ("/tmp/", f"{self.folder}/"),
            ("/var/cache/nginx/", f"{self.folder}/"),
        ):
            assert old in text
            text = text.replace(old, new)
        return text

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            return self.get("/keys").status == 200
        except OSError:
            return False


class Load:
    """`with Load(front, paths) as load:` gets the paths again and again, by several visitors, until the block ends."""

    def __init__(self, front: ClusterFront, paths: list[str], visitors: int = 4) -> None:
        self._front, self._paths = front, paths
        self._stop = threading.Event()
        self._lock = threading.Lock()  # answers, slowest_s
        self._pool = ThreadPoolExecutor(visitors)
        self._visitors = visitors
        self.answers: Counter[str] = Counter()
        self.slowest_s = 0.0

    def __enter__(self) -> Self:
        for number in range(self._visitors):
            self._pool.submit(self._visit, number)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    @property
    def count(self) -> int:
        return self.answers.total()

    @property
    def failed(self) -> dict[str, int]:
        """Return what was answered by anything but 200, or not at all, with the path."""
        return {answer: count for answer, count in self.answers.items() if not answer.startswith("200 ")}

    def _visit(self, number: int) -> None:
        while not self._stop.is_set():
            path = self._paths[number % len(self._paths)]
            number += 1
            began = time.monotonic()
            try:
                answer = str(self._front.get(path, Accept="text/html").status)
            except (OSError, http.client.HTTPException) as error:
                answer = type(error).__name__
            with self._lock:
                self.answers[f"{answer} {path}"] += 1
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self._stop.wait(0.02)  # the page's own rate limits are not what is tried
