"""Starts what is measured: the vault, filled from an origin of ours, and the baseline beside it."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import adapter
from tests.support.ports import free_port
from tests.support.vault import ROOT, Vault


@contextmanager
def origin(count: int) -> Iterator[str]:
    """Serve `count` covers; yields the URL to which `/N.jpg` is appended."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.origin", str(count)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@contextmanager
def baseline(folder: Path, app: str = "files_app") -> Iterator[tuple[int, int]]:
    """Serve the files of a folder by Flask's `send_file`, or another application, on the same gunicorn; yields (port, process number)."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-k", "gthread", "--threads", "6"]
    command += ["--no-control-socket", "--log-level", "warning", f"benchmarks.baseline:{app}()"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "BASELINE_FOLDER": str(folder)}) as process:
        try:
            time.sleep(2)
            yield port, process.pid
        finally:
            process.terminate()


NGINX = """daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit; events {{ worker_connections 1024; }}
http {{
  types {{ image/webp webp; }} sendfile on; tcp_nopush on; access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  proxy_cache_path {folder}/kept keys_zone=kept:10m;
  server {{ listen 127.0.0.1:{port}; {serve} }}
}}
"""


@contextmanager
def nginx_static(folder: Path) -> Iterator[tuple[int, int]]:
    """Serve the files of a folder by nginx, as fast as it can; yields (port, process number)."""
    with _nginx(folder, f"root {folder};") as served:
        yield served


@contextmanager
def nginx_proxy_cache(folder: Path, behind: int) -> Iterator[tuple[int, int]]:
    """Serve what another port answers from the proxy cache of nginx; yields (port, process number)."""
    folder.mkdir()
    serve = f"location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_cache kept; proxy_cache_valid 200 1d; }}"
    with _nginx(folder, serve) as served:
        yield served


@contextmanager
def _nginx(folder: Path, serve: str) -> Iterator[tuple[int, int]]:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    assert program, "nginx is not installed"
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, serve=serve), encoding="utf-8")
    owner = ["-g", "user root;"] if os.geteuid() == 0 else []
    with subprocess.Popen([program, "-p", folder, "-c", folder / "nginx.conf", *owner]) as process:
        try:
            time.sleep(1)
            yield port, process.pid
        finally:
            process.terminate()


THUMBOR = """
UPLOAD_ENABLED = True
UPLOAD_MAX_SIZE = 50000000
ALLOW_UNSAFE_URL = True
STORAGE = 'thumbor.storages.file_storage'
FILE_STORAGE_ROOT_PATH = '{folder}/store'
UPLOAD_PHOTO_STORAGE = 'thumbor.storages.file_storage'
RESULT_STORAGE = 'thumbor.result_storages.file_storage'
RESULT_STORAGE_FILE_STORAGE_ROOT_PATH = '{folder}/results'
RESULT_STORAGE_STORES_UNSAFE = True
MAX_PIXELS = 2e8
"""


@contextmanager
def thumbor(program: Path, folder: Path) -> Iterator[tuple[int, int]]:
    """Run thumbor with one process, storing what it fetched and rendered in files; yields (port, process number)."""
    port = free_port()
    conf = folder / "thumbor.conf"
    conf.write_text(THUMBOR.format(folder=folder), encoding="utf-8")
    command = [program, "-i", "127.0.0.1", "-p", str(port), "-c", conf, "--processes", "1", "-l", "error"]
    with subprocess.Popen(command) as process:
        try:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield port, process.pid
        finally:
            process.terminate()


def pid_of(vault: Vault) -> int:
    """Return the process number of the server: its decoder and all that it starts hang below it."""
    assert vault.process is not None
    return vault.process.pid


def fill(vault: Vault, urls: Sequence[str]) -> list[str]:
    """Have the vault load the covers; returns their digests, in order."""
    digests = adapter.load(vault.url, list(urls))
    return [digests[url] for url in urls]
