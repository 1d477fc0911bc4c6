"""The login of the demo: one click on the server itself, in a demo only, and nowhere else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.support.inside import Inside, form_token, page_token

AWAY = "http://127.0.0.1:9"


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with Inside(tmp_path / "vault", DEMO_ORIGIN=AWAY) as opened:
        opened.services.tasks.run("demo", {})
        assert opened.services.demo_vault.prepare()
        yield opened


def click(client: FlaskClient) -> int:
    """Press the button, whether the page has one or not."""
    return client.post("/login/demo", data={"csrf_token": page_token(client)}).status_code


def test_one_click_on_the_machine_itself_logs_in(inside: Inside) -> None:
    client = inside.client(accept="text/html")
    assert "log in with one click" in client.get("/").text
    assert "Log in to the demo" in client.get("/login").text
    answer = client.post("/login/demo", data={"csrf_token": form_token(client), "next": "/streams"})
    assert (answer.status_code, answer.location) == (303, "/streams")
    assert client.get("/account").status_code == 200
    assert "log in with one click" not in client.get("/").text
    assert "At home" not in inside.stranger().get("/streams").text


def test_from_anywhere_else_there_is_no_such_login(inside: Inside) -> None:
    for client in (
        inside.stranger(),
        inside.client(accept="text/html", x_forwarded_for="127.0.0.1"),
        inside.client(accept="text/html", via="1.1 proxy"),
        inside.client(accept="text/html", host="evil.example"),
        inside.client(address="192.168.1.9", accept="text/html"),
    ):
        assert "Log in to the demo" not in client.get("/login").text
        assert "one click" not in client.get("/").text
        assert click(client) == 404


def test_a_click_on_the_page_of_another_site_does_nothing(inside: Inside) -> None:
    client = inside.client(accept="text/html")
    data = {"csrf_token": page_token(client)}
    assert client.post("/login/demo", data=data, headers={"Origin": "https://evil.example"}).status_code in (400, 403, 404)
    assert client.get("/account").status_code == 401


def test_a_vault_that_is_no_demo_has_neither_button_nor_hint_nor_login(tmp_path: Path) -> None:
    with Inside(tmp_path / "mine", DEMO_ORIGIN=AWAY) as mine:
        mine.album()
        assert not mine.services.demo_vault.prepare()
        mine.account()
        client = mine.client(accept="text/html")
        assert "Log in to the demo" not in client.get("/login").text
        assert click(client) == 404
    with Inside(tmp_path / "vault") as plain:
        plain.album()
        client = plain.client(accept="text/html")
        assert "This is the demo" not in client.get("/").text
        assert click(client) == 404


def test_removing_it_asks_once_and_then_lets_its_user_claim_the_vault(inside: Inside) -> None:
    client = inside.client(accept="text/html")
    assert click(client) == 303
    asked = client.get("/import/demo/remove").text
    assert "This removes 240 invented records, a month of figures and the account demo" in asked
    assert inside.services.library.count() == 240
    answer = client.post("/import/demo/remove", data={"csrf_token": page_token(client)})
    assert answer.status_code == 303
    assert answer.location.startswith("/claim?code=")
    assert inside.services.library.count() == 0
    code = inside.services.accounts.setup_code()
    assert code is not None
    assert f'value="{code}"' in client.get(answer.location).text
    assert "Nothing in this vault is made up." in client.get("/import/demo/remove").text
    assert click(client) == 404
