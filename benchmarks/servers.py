"""Starts what is measured: the vault, filled from an origin of ours, and the baseline beside it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import adapter
from tests.support.ports import free_port
from tests.support.vault import ROOT, Vault


@contextmanager
def origin(count: int) -> Iterator[str]:
    """Serve `count` covers; yields the address to put `/N.jpg` behind."""
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
def baseline(folder: Path) -> Iterator[tuple[int, int]]:
    """Serve the files of a folder by Flask's `send_file` on the same gunicorn; yields (port, process number)."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-k", "gthread", "--threads", "6"]
    command += ["--no-control-socket", "--log-level", "warning", "benchmarks.baseline:files_app()"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "BASELINE_FOLDER": str(folder)}) as process:
        try:
            time.sleep(2)
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
