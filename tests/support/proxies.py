"""A real proxy in front of a vault with settings that people have, and a browser that fills in forms through it."""

import http.cookiejar
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.front import PROGRAM
from tests.support.ports import free_port
from tests.support.servers import about_to_start
from tests.support.vault import Vault, wait_until

PASSWORD = "correct horse"
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; {locations} }}
}}
"""
ORDINARY = """location / {{ proxy_pass http://127.0.0.1:{vault}; proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; {more} }}"""


@contextmanager
def running(port: int, *arguments: object) -> Iterator[str]:
    """Run a proxy for the block; yields its address."""
    about_to_start()
    with subprocess.Popen([str(part) for part in arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        url = f"http://127.0.0.1:{port}"

        def is_up() -> bool:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            try:
                urllib.request.urlopen(url, timeout=5).close()
            except urllib.error.HTTPError:
                return True
            except OSError:
                return False
            return True

        try:
            wait_until(is_up)
            yield url
        finally:
            process.terminate()


def nginx(folder: Path, locations: str) -> "contextmanager[str]":  # type: ignore[valid-type]
    if PROGRAM is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    path = folder / "nginx.conf"
    path.write_text(NGINX.format(folder=folder, port=port, locations=locations), encoding="utf-8")
    owner = ["-g", "user root;"] if os.geteuid() == 0 else []
    return running(port, PROGRAM, "-e", "stderr", "-p", f"{folder}/", "-c", path, *owner)  # type: ignore[return-value]


class Browser:
    """Keeps cookies by their path and sends the Origin of the page, as browsers do over plain HTTP."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def open(self, path: str, data: dict[str, str] | None = None) -> tuple[int, str, str]:
        body = urllib.parse.urlencode(data).encode() if data is not None else None
        headers = {"Accept": "text/html", **({"Origin": self.origin} if data is not None else {})}
        try:
            with self._opener.open(urllib.request.Request(self.origin + path, body, headers), timeout=30) as answer:
                return answer.status, answer.url, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.url, error.read().decode()

    def log_in(self, prefix: str = "") -> tuple[int, str, str]:
        _, _, page = self.open(f"{prefix}/login")
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert found
        return self.open(f"{prefix}/login", {"name": "Vera", "password": PASSWORD, "csrf_token": found[1]})


def proxied_vault(folder: Path) -> Vault:
    """Return a vault behind one proxy, with an operator who can log in; it is not started yet."""
    vault = Vault(folder, VINYL_VAULT_TRUSTED_PROXIES="1")
    vault.command("users", "add", "Vera", "--role", "operator", stdin=f"{PASSWORD}\n")
    return vault


RECIPE = """location /vinyl/ {{ proxy_pass http://127.0.0.1:{vault}/; proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Prefix /vinyl; }}
  location / {{ return 404 "another program"; }}"""


def try_below_a_path(url: str) -> None:
    browser = Browser(url)
    status, address, page = browser.log_in("/vinyl")
    assert (status, address) == (200, f"{url}/vinyl/")
    _, _, page = browser.open("/vinyl/about")
    assert "Log out" in page
    links = set(re.findall(r'(?:href|src)="(/[^"]+)"', page))
    assert len(links) > 8
    for link in links:
        assert link.startswith("/vinyl/")
        assert browser.open(link)[0] in (200, 404), link
        if "/assets/" in link:
            assert browser.open(link)[0] == 200, link
    assert browser.open("/vinyl/random")[1].startswith(f"{url}/vinyl/")
