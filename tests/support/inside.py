"""The application inside the test's own process: real databases, real files, real services, no server around it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import Client, TestResponse

from app import application, create_app
from image_cache.bootstrap import ensure_directories
from image_cache.config import Settings
from image_cache.services import Services, open_services
from tests.support.origin import Origin, jpeg
from tests.support.vault import wait_until

LAN = "192.168.1.77"
NAME, PASSWORD = "Vera", "correct horse"
FORM_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
PAGE_TOKEN = re.compile(r'name="csrf-token" content="([^"]+)"')


class Visitor(FlaskClient):
    """A client that reads every answer to its end, as a server would, and requests one host."""

    host = "localhost:5000"

    def open(self, *arguments: Any, buffered: bool = True, **named: Any) -> TestResponse:
        named.setdefault("environ_overrides", {"HTTP_HOST": self.host})
        return super().open(*arguments, buffered=buffered, **named)


class Inside:
    """`with Inside(folder, trusted=[origin.base]) as inside:` opens a vault and closes it again."""

    def __init__(
        self,
        folder: Path,
        *,
        trusted: tuple[str, ...] = (),
        clock: Callable[[], float] | None = None,
        settled: bool = True,
        **settings: Any,
    ) -> None:
        self.folder = folder
        settings.setdefault("FIND_COVERS", False)  # a test that wants covers found says where
        chosen = Settings(DATA_DIR=folder, TRUSTED_ORIGINS=trusted, **settings)
        if clock is None:
            self.app: Flask = create_app(chosen)
        else:
            ensure_directories(chosen)
            self.app = application(open_services(chosen, clock=clock))
        self.app.test_client_class = Visitor
        self.services: Services = self.app.extensions["vinylvault"]
        if settled:
            self.services.start()
            wait_until(lambda: not self.services.covers.cache.is_adopting)  # the index is new; what is not there is not known yet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.services.close()

    def client(
        self, *, address: str = "127.0.0.1", host: str = "localhost:5000", cookies: bool = True, **headers: str
    ) -> FlaskClient:
        """Return a client that sends requests: from the server itself unless another address is given."""
        client = self.app.test_client(use_cookies=cookies)
        assert isinstance(client, Visitor)
        client.host = host
        client.environ_base["REMOTE_ADDR"] = address
        client.environ_base.update({f"HTTP_{name.upper()}": value for name, value in headers.items()})
        return client

    def stranger(self, **headers: str) -> FlaskClient:
        """Return a browser on the local network, without an account."""
        return self.client(address=LAN, host="vault.local:5000", accept="text/html", **headers)

    def slow_way(self) -> Client:
        """Return a client of the application without the short way for warm covers in front of it."""
        return Client(lambda environ, start_response: Flask.wsgi_app(self.app, environ, start_response))

    def account(self, role: str = "operator", name: str = NAME) -> None:
        self.services.accounts.add(name, PASSWORD, role)

    def logged_in(self, role: str = "operator") -> FlaskClient:
        """Return a browser on the local network that is logged in."""
        self.account(role)
        return self.logged_in_again()

    def logged_in_again(self) -> FlaskClient:
        client = self.stranger()
        answer = client.post("/login", data={"name": NAME, "password": PASSWORD, "csrf_token": form_token(client)})
        assert answer.status_code == 303, answer.text
        return client

    def album(self, cover_url: str | None = None, title: str = "Title") -> int:
        """Put a record on the shelf and return its id."""
        table = self.folder.parent / f"{title}.csv"
        table.write_text(f"artist,title,cover_url\nArtist,{title},{cover_url or ''}\n", encoding="utf-8")
        self.services.library.import_table(table)
        self.services.covers.register(self.services.library.cover_urls())
        return max(album.id for album in self.services.library.albums())

    def cover(self, origin: Origin, path: str = "/cover.jpg", edge_px: int = 300) -> str:
        """Fetch a cover from the origin into the cache and return its digest."""
        url = origin.put(path, jpeg(edge_px, edge_px))
        assert self.services.covers.get_image(url) is not None
        return self.services.covers.digest_of(url)


def form_token(client: FlaskClient, page: str = "/login") -> str:
    """Return the token in the form of a page that this client looks at."""
    found = FORM_TOKEN.search(client.get(page, follow_redirects=True).text)
    assert found, f"{page} has no form with a token"
    return found[1]


def page_token(client: FlaskClient) -> str:
    found = PAGE_TOKEN.search(client.get("/about", headers={"Accept": "text/html"}).text)
    assert found
    return found[1]


def shape(answer: TestResponse) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return everything of a response that its reader can see."""
    return answer.status_code, sorted(answer.headers.items()), answer.data
