"""A real Caddy in front of a vault, below a path of another site. nginx is in `tests/test_cases.py`."""

import shutil
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.proxies import proxied_vault, running, try_below_a_path

pytestmark = pytest.mark.server

CADDY = shutil.which("caddy")


def test_below_a_path_of_caddy_pages_scripts_and_forms_work(tmp_path: Path) -> None:
    if CADDY is None:
        pytest.skip("Caddy is not installed")
    port, vault = free_port(), proxied_vault(tmp_path / "vault")
    path = tmp_path / "Caddyfile"
    path.write_text(
        "{\n admin off\n auto_https off\n}\n"
        f"http://127.0.0.1:{port} {{\n handle_path /vinyl/* {{\n  reverse_proxy 127.0.0.1:{vault.port} {{\n"
        "   header_up X-Forwarded-Prefix /vinyl\n  }\n }\n}\n",
        encoding="utf-8",
    )
    with vault, running(port, CADDY, "run", "--config", path, "--adapter", "caddyfile") as url:
        try_below_a_path(url)
