"""The operator's command, run on a vault as over SSH: its output and its exit status."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from image_cache.cli.cache_monitor import main
from tests.support.vault import ROOT


@dataclass(frozen=True, slots=True)
class Said:
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def check(self, name: str) -> dict[str, str]:
        """Return one of the checks of an answer in JSON."""
        (found,) = [check for check in self.json()["checks"] if check["name"] == name]
        return dict(found)


def environment(folder: Path, **env: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("VINYL_VAULT_", "IMAGE_CACHE_"))}
    return {**clean, "VINYL_VAULT_DATA_DIR": str(folder), **env}


def operate(
    env: Mapping[str, str], action: str, *arguments: str, clock: Callable[[], float] | None = None, stream: Any = None
) -> Said:
    """Run an action in this process: quick, and the same code as the script's."""
    out, err = stream or io.StringIO(), io.StringIO()
    mask = os.umask(0o077)
    try:
        with mock.patch.dict(os.environ, env, clear=True), contextlib.redirect_stderr(err):
            status = main(["--action", action, *arguments], stream=out, **({"clock": clock} if clock else {}))
    finally:
        os.umask(mask)
    return Said(status, out.getvalue(), err.getvalue())


def command(env: Mapping[str, str], *arguments: str) -> Said:
    """Run the script itself, as its own process."""
    done = subprocess.run(
        [sys.executable, "cache_monitor.py", *arguments],
        cwd=ROOT,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)
