"""`/admin/alerts`: add, test, choose, remove; what is wrong with a form is said at its field; no secret is shown again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.maintenance.alerts.service import AlertChoices
from tests.support.inside import Inside, form_token
from tests.support.origin import Origin
from tests.support.vault import wait_until

HERE = "/admin/alerts"
SECRET = "s3cr3t-key-of-the-hook"


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with Inside(tmp_path / "vault", FREE_SPACE_FLOOR_MB=0) as running:
        running.services.pool.close()
        yield running


def test_a_destination_is_added_tested_and_removed(inside: Inside, origin: Origin) -> None:
    client = inside.logged_in("operator")
    token = form_token(client, HERE)

    def post(way: str, **fields: str) -> int:
        return client.post(f"{HERE}/{way}", data={**fields, "csrf_token": token}).status_code

    assert "There are no destinations yet." in client.get(HERE).text
    origin.put("/hook/with-a-secret-path", status=204)
    assert post("add", kind="webhook", url=origin.url("/hook/with-a-secret-path"), secret=SECRET) == 303
    page = client.get(HERE).text
    assert origin.base.partition("//")[2] in page
    assert "Nothing sent yet." in page
    (one,) = inside.services.alerts.destinations()
    assert post("test", destination=one.destination.id) == 303
    wait_until(lambda: "a test" in client.get(HERE).text and "Sent today" in client.get(HERE).text)
    assert origin.count() == 1
    origin.remove("/hook/with-a-secret-path")
    assert post("test", destination=one.destination.id) == 303
    wait_until(lambda: "Not sent today" in client.get(HERE).text)
    page = client.get(HERE).text
    assert "HTTP 404." in page
    assert SECRET not in page
    assert "secret-path" not in page
    assert post("remove", destination=one.destination.id) == 303
    assert "There are no destinations yet." in client.get(HERE).text
    assert post("remove", destination=one.destination.id) == 404


def test_a_wrong_form_keeps_what_was_typed_but_no_secret(inside: Inside) -> None:
    client = inside.logged_in("operator")
    typed = {
        "kind": "mail",
        "recipient": "ada@vault.example",
        "sender": "x",
        "host": "smtp.example.com",
        "secret": SECRET,
        "login": "ada",
    }
    answer = client.post(f"{HERE}/add", data={**typed, "csrf_token": form_token(client, HERE)})
    assert answer.status_code == 400
    assert "Enter a mail address, for example ada@example.com." in answer.text
    assert 'value="ada@vault.example"' in answer.text
    assert SECRET not in answer.text
    assert inside.services.alerts.destinations() == []


def test_choices_are_kept(inside: Inside) -> None:
    client = inside.logged_in("operator")
    assert inside.services.alerts.choices() == AlertChoices(degraded=True, unhealthy=True, recovered=True, details=False)
    fields = {"unhealthy": "on", "details": "on", "csrf_token": form_token(client, HERE)}
    assert client.post(f"{HERE}/when", data=fields).status_code == 303
    assert inside.services.alerts.choices() == AlertChoices(degraded=False, unhealthy=True, recovered=False, details=True)
