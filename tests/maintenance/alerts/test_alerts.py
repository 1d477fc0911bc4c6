"""Alerts, over real sockets: each destination gets one message per change of health, and another attempt if it is away; secrets stay here."""

import hashlib
import hmac
import json
import logging
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import FieldRejected
from image_cache.maintenance.alerts.destinations import AlertDestination, read_destination
from image_cache.maintenance.alerts.service import AlertChoices, Alerts, lasting, text_of
from image_cache.maintenance.alerts.table import AlertDraft, AlertMessage, AlertTable, Turn
from image_cache.maintenance.health.check import Check
from tests.support.catalogs import Catalogs, catalog_at
from tests.support.clock import FakeClock
from tests.support.inside import Inside
from tests.support.mail import MailServer
from tests.support.origin import Origin
from tests.support.vault import wait_until

NOW = 1_800_000_000.0
WELL = [Check("Disk", "well", "12 GB free.")]
FULL = [
    Check("Queue", "well", "Empty."),
    Check("Disk", "warning", "The disk is nearly full.", "Delete /data/files/sub-012.nii.gz."),
]
DEAD = [Check("Catalogue", "failed", "Cannot be read.", "See /data/state/catalog.db.")]
SECRET = "s3cr3t-key-of-the-hook"


class Watch:
    """The alerts of a folder as a process has them: `restart` is another process after the first one ended."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.settings = Settings(DATA_DIR=folder)
        self.clock = clock
        self.state = WELL
        self.open()

    def open(self) -> None:
        self.catalog = catalog_at(self.settings.catalog_path)
        self.alerts = Alerts(self.settings, self.catalog, lambda: self.state, clock=self.clock)

    def close(self) -> None:
        assert self.alerts.close(30)
        self.catalog.close()

    def restart(self) -> None:
        self.close()
        self.open()

    def look(self, state: list[Check], *, minutes: int = 1) -> None:
        """Let the housekeeping look once a minute, with nothing being sent between the looks."""
        self.state = state
        for _ in range(minutes):
            self.clock.advance(60)
            self.alerts.run_maintenance()
            self.settle()

    def settle(self) -> None:
        wait_until(lambda: self.alerts._thread is None)

    def add(self, kind: str = "webhook", **typed: str) -> AlertDestination:
        destination = read_destination(kind, typed)
        self.alerts.add(destination)
        return destination

    def last(self) -> AlertMessage:
        last = self.alerts.destinations()[-1].last
        assert last is not None
        return last


@pytest.fixture
def watch(catalogs: Catalogs, tmp_path: Path) -> Iterator[Watch]:
    (tmp_path / "vault" / "state").mkdir(parents=True)
    with closing(Watch(tmp_path / "vault", FakeClock(NOW))) as found:
        yield found


def bodies(origin: Origin) -> list[dict[str, object]]:
    return [json.loads(asked.body) for asked in origin.requests]


def test_a_turn_is_told_once_and_the_way_back_with_how_long_it_took(watch: Watch, origin: Origin) -> None:
    origin.put("/hook", status=204)
    watch.add(url=origin.url("/hook"))
    watch.look(WELL, minutes=3)
    watch.look(FULL)
    assert origin.count() == 0, "held for one look only"
    watch.look(FULL, minutes=125)
    assert [body["text"] for body in bodies(origin)] == ["VinylVault is degraded: Disk: The disk is nearly full. See /health."]
    watch.look(WELL, minutes=5)
    told = bodies(origin)
    assert [(body["state"], body["was"], body["what"]) for body in told] == [
        ("degraded", "healthy", ["Disk"]),
        ("healthy", "degraded", []),
    ]
    assert told[1]["text"] == told[1]["content"] == "VinylVault is healthy again after 2 h 6 min."
    assert told[0]["since"] == told[1]["since"] == "2027-01-15T08:04:00Z"
    assert {asked.method for asked in origin.requests} == {"POST"}
    assert watch.last().state == "sent"


def test_a_flicker_says_nothing(watch: Watch, origin: Origin) -> None:
    origin.put("/hook")
    watch.add(url=origin.url("/hook"))
    for _ in range(5):
        watch.look(FULL)
        watch.look(WELL)
        watch.look(DEAD)
        watch.look(FULL)
        watch.look(WELL, minutes=2)
    assert origin.count() == 0


def test_nothing_is_sent_again_after_a_restart(watch: Watch, origin: Origin) -> None:
    origin.put("/hook")
    watch.add(url=origin.url("/hook"))
    watch.look(FULL, minutes=2)
    for _ in range(3):
        watch.restart()
        watch.look(FULL, minutes=3)
    assert origin.count() == 1
    watch.restart()
    watch.look(WELL, minutes=3)
    assert [body["state"] for body in bodies(origin)] == ["degraded", "healthy"]


def test_two_processes_tell_a_turn_once(watch: Watch, origin: Origin, tmp_path: Path) -> None:
    origin.put("/hook")
    watch.add(url=origin.url("/hook"))
    with closing(Watch(tmp_path / "vault", watch.clock)) as other:
        other.state = FULL
        for _ in range(4):
            watch.look(FULL)
            other.alerts.run_maintenance()
            other.settle()
    assert origin.count() == 1


def test_what_was_being_sent_when_the_process_died_is_not_sent_twice(watch: Watch, origin: Origin) -> None:
    """It may have arrived: the page says so instead."""
    origin.put("/hook")
    watch.add(url=origin.url("/hook"))
    rows = AlertTable(watch.catalog)
    rows.add_test(watch.alerts.destinations()[0].destination.id, AlertDraft("health.changed", "It was full.", {}), NOW)
    assert rows.claim(NOW) is not None
    watch.restart()
    watch.look(WELL, minutes=10)
    assert origin.count() == 0
    assert (watch.last().state, watch.last().reason) == ("failed", "VinylVault was stopped while it was sending this.")


def test_a_destination_that_is_away_is_tried_three_times(watch: Watch, origin: Origin) -> None:
    origin.put("/hook", fail_first=[503, 503])
    watch.add(url=origin.url("/hook"))
    watch.look(FULL, minutes=2)
    assert (origin.count(), watch.last().state, watch.last().reason) == (1, "waiting", "HTTP 503.")
    watch.look(FULL)
    assert origin.count() == 2, "again after a minute"
    watch.look(FULL, minutes=9)
    assert origin.count() == 2, "then after ten"
    watch.look(FULL)
    assert (origin.count(), watch.last().state, watch.last().reason) == (3, "sent", "")
    origin.put("/hook", status=500)
    watch.look(WELL, minutes=60)
    assert (origin.count(), watch.last().state, watch.last().reason) == (6, "failed", "HTTP 500.")


def test_news_of_trouble_never_arrive_after_those_of_its_end(watch: Watch, origin: Origin) -> None:
    origin.put("/hook", fail_first=[503, 503])
    watch.add(url=origin.url("/hook"))
    watch.look(FULL, minutes=3)
    assert (origin.count(), watch.last().state) == (2, "waiting")
    watch.look(WELL, minutes=30)
    assert [body["state"] for body in bodies(origin)] == ["degraded", "degraded", "healthy"]
    assert watch.last().state == "sent"


def test_a_refusal_is_not_tried_again(watch: Watch, origin: Origin) -> None:
    origin.put("/topic", status=401)
    origin.put("/", status=401)
    watch.add("ntfy", url=origin.url("/vault-7Q"), secret="tk_old")
    watch.look(FULL, minutes=30)
    assert (origin.count(), watch.last().state) == (1, "failed")
    assert watch.last().reason == "The server refused the token or key (HTTP 401)."


def test_a_redirect_leads_nowhere(watch: Watch, origin: Origin) -> None:
    with Origin() as elsewhere:
        elsewhere.put("/taken")
        origin.redirect("/hook", elsewhere.url("/taken"), 307)
        watch.add(url=origin.url("/hook"), secret=SECRET)
        watch.look(FULL, minutes=2)
        assert (origin.count(), elsewhere.count(), watch.last().reason) == (1, 0, "Unexpected redirect.")


def test_a_webhook_is_signed_and_only_with_a_secret(watch: Watch, origin: Origin) -> None:
    origin.put("/a"), origin.put("/b")
    watch.add(url=origin.url("/a"), secret=SECRET)
    watch.add(url=origin.url("/b"))
    watch.look(FULL, minutes=2)
    signed, plain = sorted(origin.requests, key=lambda asked: asked.path)
    right = hmac.new(SECRET.encode(), signed.body, hashlib.sha256).hexdigest()
    assert signed.headers["x-vinylvault-signature"] == f"sha256={right}"
    assert "x-vinylvault-signature" not in plain.headers
    assert signed.headers["content-type"] == "application/json"


def test_ntfy_gets_json_at_its_root_with_the_token(watch: Watch, origin: Origin) -> None:
    origin.put("/push/")
    watch.add("ntfy", url=origin.url("/push/vault-7Q"), secret="tk_abc")
    watch.look(DEAD, minutes=2)
    (asked,) = origin.requests
    assert (asked.path, asked.headers["authorization"]) == ("/push/", "Bearer tk_abc")
    assert json.loads(asked.body) == {
        "topic": "vault-7Q",
        "title": "VinylVault",
        "message": "VinylVault is unhealthy: Catalogue: Cannot be read. See /health.",
        "priority": 5,
        "tags": ["rotating_light"],
    }


def test_files_and_addresses_are_named_only_with_details(watch: Watch, origin: Origin) -> None:
    origin.put("/hook")
    watch.add(url=origin.url("/hook"))
    watch.look(FULL, minutes=2)
    assert b"/data" not in origin.requests[0].body
    watch.look(WELL, minutes=2)
    watch.alerts.choose(AlertChoices(details=True))
    watch.look(FULL, minutes=2)
    assert b"Delete /data/files/sub-012.nii.gz." in origin.requests[-1].body


def test_only_chosen_turns_are_sent_and_the_end_only_of_what_was_told(watch: Watch, origin: Origin) -> None:
    origin.put("/hook")
    watch.add(url=origin.url("/hook"))
    watch.alerts.choose(AlertChoices(degraded=False))
    watch.look(FULL, minutes=3)
    watch.look(WELL, minutes=3)
    assert origin.count() == 0
    watch.look(FULL, minutes=3)
    watch.look(DEAD, minutes=3)
    watch.look(WELL, minutes=3)
    assert [body["state"] for body in bodies(origin)] == ["unhealthy", "healthy"]
    watch.alerts.choose(AlertChoices(recovered=False))
    watch.look(FULL, minutes=3)
    watch.look(WELL, minutes=3)
    assert [body["state"] for body in bodies(origin)] == ["unhealthy", "healthy", "degraded"]


def test_a_destination_that_hangs_holds_neither_the_housekeeping_nor_a_request(watch: Watch, origin: Origin) -> None:
    import threading

    gate = threading.Event()
    origin.put("/hook", gate=gate)
    destination = watch.add(url=origin.url("/hook"))
    watch.state = FULL
    for _ in range(3):  # returns although the first message is being held
        watch.clock.advance(60)
        watch.alerts.run_maintenance()
    origin.wait_for(1)
    assert watch.alerts.enqueue_test(destination.id)
    assert watch.last().event == "test"
    gate.set()
    watch.settle()
    assert [body["event"] for body in bodies(origin)] == ["health.changed", "test"]


def test_a_test_is_sent_once_and_says_when_nothing_listens(watch: Watch, origin: Origin) -> None:
    origin.put("/hook")
    watch.add(url=origin.url("/hook"))
    assert watch.alerts.enqueue_test(watch.alerts.destinations()[0].destination.id)
    watch.settle()
    assert (origin.count(), watch.last().state) == (1, "sent")
    gone = watch.add(url="http://127.0.0.1:9/hook")
    assert watch.alerts.enqueue_test(gone.id)
    watch.settle()
    assert watch.last().state == "failed"
    assert watch.last().reason.startswith("Cannot connect to http://127.0.0.1:9: ")
    assert not watch.alerts.enqueue_test("unknown")


def test_secrets_stay_in_one_file_of_mode_0600(watch: Watch, origin: Origin, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    origin.put("/hook", status=500)
    destination = watch.add(url=origin.url("/hook?key=also-secret"), secret=SECRET)
    watch.look(FULL, minutes=20)
    path = watch.settings.alerts_path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SECRET in path.read_text()
    watch.close()
    others = [file.read_bytes() for file in path.parent.iterdir() if file.is_file() and file != path]
    assert not any(text in body for body in others for text in (SECRET.encode(), b"also-secret"))
    assert SECRET not in caplog.text
    assert "also-secret" not in caplog.text
    assert SECRET not in repr(destination)
    assert destination.name == origin.base.partition("//")[2]
    watch.open()


def test_a_destination_that_was_removed_gets_nothing(watch: Watch, origin: Origin) -> None:
    origin.put("/hook", status=500)
    destination = watch.add(url=origin.url("/hook"))
    watch.look(FULL, minutes=2)
    assert watch.alerts.remove(destination.id)
    assert not watch.alerts.remove(destination.id)
    origin.put("/hook")
    watch.look(WELL, minutes=20)
    assert origin.count() == 1
    assert SECRET not in watch.settings.alerts_path.read_text()


@pytest.mark.parametrize(
    ("kind", "typed", "field"),
    [
        ("webhook", {"url": "ftp://a.example/"}, "url"),
        ("webhook", {"url": ""}, "url"),
        ("webhook", {"url": "https://user:pass@a.example/"}, "url"),
        ("webhook", {"url": "https://a.example/", "secret": "ü"}, "secret"),
        ("ntfy", {"url": "https://ntfy.example/"}, "url"),
        ("ntfy", {"url": "https://ntfy.example/a topic"}, "url"),
        ("mail", {"recipient": "nobody"}, "recipient"),
        ("mail", {"recipient": "a@b.example", "sender": "a@b.example\r\nBcc: c@d.example"}, "sender"),
        ("mail", {"recipient": "a@b.example", "sender": "a@b.example", "host": "a b"}, "host"),
        ("mail", {"recipient": "a@b.example", "sender": "a@b.example", "host": "b.example", "port": "0"}, "port"),
        ("mail", {"recipient": "a@b.example", "sender": "a@b.example", "host": "b.example", "login": "a"}, "secret"),
        ("mail", {"recipient": "ä@b.example", "sender": "a@b.example", "host": "b.example"}, "recipient"),
        (
            "mail",
            {"recipient": "a@b.example", "sender": "a@b.example", "host": "b.example", "login": "a", "secret": "ü"},
            "secret",
        ),
        ("pigeon", {}, "kind"),
    ],
)
def test_a_destination_that_cannot_work_is_refused_by_its_field(kind: str, typed: dict[str, str], field: str) -> None:
    with pytest.raises(FieldRejected) as caught:
        read_destination(kind, typed)
    assert caught.value.field == field


def test_a_host_on_the_denylist_is_refused_when_it_is_added(tmp_path: Path) -> None:
    settings = Settings(DATA_DIR=tmp_path, ORIGIN_DENYLIST=("evil.example",))
    with closing(CatalogDatabase(settings.catalog_path)) as catalog:
        alerts = Alerts(settings, catalog, lambda: WELL)
        with pytest.raises(FieldRejected) as caught:
            alerts.add(read_destination("webhook", {"url": "https://evil.example/hook"}))
    assert caught.value.reason == "Enter another URL: evil.example is on the denylist."
    assert not settings.alerts_path.exists()


def test_a_message_is_one_line_because_it_is_the_subject_of_a_mail() -> None:
    turn = Turn("healthy", "degraded", NOW, NOW)
    checks = [Check("Disk", "warning", "Nearly\r\nfull.", "Delete\nsomething.")]
    text = text_of(turn, checks, has_details=True)
    assert text == "VinylVault is degraded: Disk: Nearly full. Delete something. See /health."


def test_durations_are_said_in_two_units() -> None:
    seconds = [0, 59, 60, 3599, 3600, 7500, 172_800, 180_000]
    assert [lasting(one) for one in seconds] == ["0 s", "59 s", "1 min", "59 min", "1 h", "2 h 5 min", "2 days", "2 days 2 h"]


# --- mail ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of `mail.pem` and `mail.key`, for localhost, which is its own authority."""
    folder = tmp_path_factory.mktemp("mail")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout mail.key -out mail.pem"
    rest = [
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "keyUsage=critical,keyCertSign,digitalSignature",
    ]
    subprocess.run([*command.split(), *rest], cwd=folder, check=True, capture_output=True)
    return folder


def mail_to(server: MailServer, password: str = "pass word") -> dict[str, str]:
    typed = {"recipient": "ada@vault.example", "sender": "vault@vault.example", "host": "localhost", "port": str(server.port)}
    return {**typed, "login": "ada", "secret": password}


def test_a_mail_is_sent_encrypted_with_a_login(watch: Watch, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "mail.pem"))
    with MailServer(certificate / "mail.pem", certificate / "mail.key", login=("ada", "pass word")) as server:
        watch.add("mail", **mail_to(server))
        watch.look(FULL, minutes=2)
        assert (watch.last().state, watch.last().reason) == ("sent", "")
        (mail,) = server.mails
        secret_words = [is_encrypted for word, is_encrypted in server.commands if word in ("AUTH", "MAIL", "RCPT", "DATA")]
        assert secret_words == [True] * 4
    assert (mail["Subject"], mail["To"]) == ("VinylVault is degraded", "ada@vault.example")
    assert mail["Message-ID"]
    assert mail["Date"]
    assert mail.get_content().splitlines()[0] == "VinylVault is degraded: Disk: The disk is nearly full. See /health."


def test_a_wrong_login_is_said_and_not_tried_again(watch: Watch, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "mail.pem"))
    with MailServer(certificate / "mail.pem", certificate / "mail.key", login=("ada", "another")) as server:
        watch.add("mail", **mail_to(server))
        watch.look(FULL, minutes=20)
        assert [word for word, _ in server.commands].count("AUTH") == 1
    assert (watch.last().state, watch.last().reason) == ("failed", "localhost refused the login.")


def test_a_mail_that_is_put_off_is_tried_again(watch: Watch, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "mail.pem"))
    with MailServer(
        certificate / "mail.pem", certificate / "mail.key", login=("ada", "pass word"), refuses=b"451 later"
    ) as server:
        watch.add("mail", **mail_to(server))
        watch.look(FULL, minutes=2)
        assert (watch.last().state, watch.last().reason) == ("waiting", "localhost refused the mail (451).")
        server.refuses = b""
        watch.look(FULL)
        assert (watch.last().state, len(server.mails)) == ("sent", 1)


def test_an_unknown_certificate_gets_no_password(watch: Watch, certificate: Path) -> None:
    with MailServer(certificate / "mail.pem", certificate / "mail.key", login=("ada", "pass word")) as server:
        watch.add("mail", **mail_to(server))
        watch.look(FULL, minutes=2)
        assert "AUTH" not in [word for word, _ in server.commands]
    assert watch.last().reason == "Invalid TLS certificate or connection of localhost."


def test_a_real_turn_of_health_is_one_webhook_and_the_way_back_another(tmp_path: Path, origin: Origin) -> None:
    """All parts real: the checks of the service, the housekeeping that looks, a receiver over HTTP, and a restart in the trouble."""
    clock, state = FakeClock(NOW), tmp_path / "vault/state"
    origin.put("/hook", status=204)

    def look(inside: Inside, minutes: int) -> None:
        for _ in range(minutes):
            clock.advance(60)
            inside.services.alerts.run_maintenance()
            wait_until(lambda: inside.services.alerts._thread is None)

    with Inside(tmp_path / "vault", clock=clock, FREE_SPACE_FLOOR_MB=0) as inside:
        inside.services.alerts.add(read_destination("webhook", {"url": origin.url("/hook")}))
        look(inside, 3)
        assert origin.count() == 0
        state.chmod(0o755)  # private data that other users can read
        look(inside, 30)
        assert [(body["state"], body["what"]) for body in bodies(origin)] == [("degraded", ["Rights"])]
    with Inside(tmp_path / "vault", clock=clock, FREE_SPACE_FLOOR_MB=0) as inside:
        state.chmod(0o755)  # the start closes it
        look(inside, 30)
        assert origin.count() == 1, "the same trouble after a restart"
        state.chmod(0o700)
        look(inside, 30)
    assert [(body["state"], body["was"]) for body in bodies(origin)] == [("degraded", "healthy"), ("healthy", "degraded")]


@pytest.mark.postgres_only
def test_the_node_that_leads_speaks_for_all(watch: Watch, origin: Origin) -> None:
    """Of two nodes of which one is healthy, there is one message, not one after the other for ever."""
    origin.put("/hook", status=204)
    watch.add(url=origin.url("/hook"))
    watch.look(FULL)
    catalog = catalog_at(watch.settings.catalog_path)
    other = Alerts(watch.settings, catalog, lambda: WELL, clock=watch.clock)
    for _ in range(4):
        other.run_maintenance()
        watch.look(FULL)
        other.run_maintenance()
    assert [body["text"] for body in bodies(origin)] == ["VinylVault is degraded: Disk: The disk is nearly full. See /health."]
    watch.alerts._locks.close()  # type: ignore[attr-defined]  # its node ends
    for _ in range(3):
        watch.clock.advance(60)
        other.run_maintenance()
    wait_until(lambda: origin.count() == 2)
    assert other.close(30)
    catalog.close()
