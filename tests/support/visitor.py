"""A browser that is logged in at a running vault, by plain HTTP: a session, a token for forms, uploads."""

import http.client
import json
import re
import urllib.parse
from typing import Protocol

from tests.support.inside import PASSWORD
from tests.support.stage import multipart
from tests.support.vault import Reply, Vault

TOKEN = re.compile(r'name="csrf(?:_|-)token" (?:value|content)="([^"]+)"')
SLUG = "evening"


class HasPort(Protocol):
    """Something that serves on a port of this server."""

    port: int


class Browser:
    """A client with a session at a running vault, by plain HTTP."""

    def __init__(self, vault: HasPort, name: str = "") -> None:
        self.vault = vault
        self.cookie = ""
        self.token = ""
        self.address = "127.0.0.1"  # where requests come from; all of 127.0.0.0/8 is this server
        self.timeout_s = 60.0
        if name:
            self.log_in(name)

    def log_in(self, name: str) -> None:
        self._read(self.get("/login", accept="text/html"))
        form = urllib.parse.urlencode({"name": name, "password": PASSWORD, "csrf_token": self.token}).encode()
        answer = self.ask("POST", "/login", form, {"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status == 303, answer.body
        self._read(self.get("/about", accept="text/html"))

    def get(self, path: str, accept: str = "*/*") -> Reply:
        return self.ask("GET", path, None, {"Accept": accept})

    def upload(self, *bodies: bytes, chunked: bool = False, **fields: str) -> Reply:
        data, kind = multipart({**fields}, bodies)
        return self.ask("POST", f"/api/streams/{SLUG}/images", data, {"Content-Type": kind}, chunked=chunked)

    def ask(self, method: str, path: str, data: bytes | None, headers: dict[str, str], *, chunked: bool = False) -> Reply:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.vault.port, timeout=self.timeout_s, source_address=(self.address, 0)
        )
        try:
            sent = {**headers, "Cookie": self.cookie, "X-CSRFToken": self.token, "Host": "vault.local"}
            body = (data[at : at + 60_000] for at in range(0, len(data), 60_000)) if chunked and data is not None else data
            connection.request(method, path, body=body, headers=sent, encode_chunked=chunked)
            answer = connection.getresponse()
            for value in answer.headers.get_all("Set-Cookie") or []:
                self.cookie = value.partition(";")[0]
            return Reply(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
        finally:
            connection.close()

    def _read(self, page: Reply) -> None:
        found = TOKEN.search(page.body.decode())
        assert found
        self.token = found[1]


def prepared(vault: Vault) -> Browser:
    """Make an operator and an owner; return the owner with a stream that is named `SLUG`."""
    vault.command("users", "add", "operator", "--role", "operator", stdin=PASSWORD)
    vault.command("users", "add", "owner", "--role", "owner", stdin=PASSWORD)
    owner = Browser(vault, "owner")
    answer = owner.ask("POST", "/api/streams", json.dumps({"title": "Evening"}).encode(), {"Content-Type": "application/json"})
    assert answer.status == 201, answer.body
    return owner
