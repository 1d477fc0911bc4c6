"""The benchmarks' own client, which asks where wrk is not installed: it keeps asking when a server closes the connection."""

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.client import _threads
from tests.support.front import PROGRAM
from tests.support.ports import free_port
from tests.support.servers import about_to_start
from tests.support.vault import wait_until

REQUESTS = 5  # that nginx answers on one connection; 1,000 where nothing is said
CONFIGURATION = """
daemon off; pid {folder}/pid; {user} events {{}}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fast;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {folder}/files; keepalive_requests {requests}; }} }}
"""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A real nginx that closes each connection after a few requests."""
    if PROGRAM is None:
        pytest.skip("nginx is not installed")
    (tmp_path / "files").mkdir()
    (tmp_path / "files/a.webp").write_bytes(b"x" * 2000)
    number = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    path = tmp_path / "nginx.conf"
    path.write_text(CONFIGURATION.format(folder=tmp_path, port=number, requests=REQUESTS, user=user), encoding="utf-8")
    about_to_start()
    process = subprocess.Popen([PROGRAM, "-e", str(tmp_path / "errors"), "-p", str(tmp_path), "-c", str(path)])
    try:
        wait_until((tmp_path / "pid").exists)
        yield number
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.server
def test_a_connection_that_nginx_closes_is_opened_again(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    measured = _threads(port, ["/a.webp"], 1.0, 2, {"Connection": "keep-alive"})
    assert raised == []
    assert measured.requests > 4 * REQUESTS, "of two connections"
    assert measured.errors == 0
