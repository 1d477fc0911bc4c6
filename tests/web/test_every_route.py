"""The surface as a whole: every route of the application, whatever it is, keeps the promises that hold for all of them."""

import json
import logging
import os
import random
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from image_cache.db.database import Connection, Database
from image_cache.logs import SingleLineFormatter
from image_cache.web.access import Role, declare_access
from image_cache.web.context import STATIC_DIR, TEMPLATE_DIR
from tests.support.inside import Inside, page_token
from tests.support.origin import Origin, jpeg
from tests.support.stage import stream_arguments
from tests.support.vault import wait_until

PAGE = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}
PICTURE = {"Content-Security-Policy": "default-src 'none'; sandbox"}
EVERY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
LINK = {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
NUMBERED: dict[str, object] = {
    "account_id": 1,
    "batch_id": 1,
    "crate_id": 1,
    "hidden_id": 1,
    "link_id": 1,
    "play_id": 1,
    "selection_id": 2,
    "token_id": 1,
    "view_id": 1,
    "want_id": 1,
    "number": 0,
    "year": 1971,
    "action": "pause",
}
HOSTILE = ("no-such-thing", "%00", "..%2f..%2fetc%2fpasswd", "%ff%fe", "%e2%80%ae", "'\"><script>", "9" * 30, "-1", "x" * 3000)


def routes(app: Flask, method: str) -> list[Rule]:
    return sorted((rule for rule in app.url_map.iter_rules() if method in (rule.methods or ())), key=str)


def addresses(rule: Rule, known: dict[str, object]) -> Iterator[str]:
    """Yield addresses of a route: one with arguments that exist, and some that no one would think of."""
    # A new argument needs a value here, or the route would be looked at with nonsense only.
    assert rule.arguments <= set(known), f"{rule.rule} has an argument this test has no value for"
    path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
    yield path.format(**known)
    for word in HOSTILE if rule.arguments else ():
        yield path.format(**dict.fromkeys(rule.arguments, word))


def known_arguments(inside: Inside, origin: Origin) -> dict[str, object]:
    record, digest = inside.album(origin.url("/cover.jpg")), inside.cover(origin)
    return {
        "album_id": record,
        "variant": "detail",
        "name": digest,
        "kind": "detail",
        "version": "x",
        "names": "tokens-style",
        **stream_arguments(inside),
        **NUMBERED,
        "digest": "0123456789abcdef" * 2,
        "task_id": inside.services.tasks.rows.add("nobody-runs-this", {}, 1.0)[0],
    }


def check_headers(answer: TestResponse, where: str) -> None:
    headers = answer.headers
    for name, value in (EVERY | (LINK if " /s/" in where else {})).items():
        assert headers.getlist(name) == [value], f"{where}: {name}"
    is_picture = headers["Content-Security-Policy"] == PICTURE["Content-Security-Policy"]
    assert is_picture == ((answer.mimetype or "").startswith("image/") or (answer.status_code == 304 and "/cache/" in where)), (
        where
    )
    for name, value in (PICTURE if is_picture else PAGE).items():
        assert headers.getlist(name) == [value], f"{where}: {name}"
    assert headers.get("Cache-Control"), where
    if answer.status_code >= 400:
        assert headers["Cache-Control"] == "no-store", where
    for name, value in headers.items():
        assert "evil" not in value, f"{where}: {name} says {value}"
        assert "\n" not in value


@pytest.mark.parametrize("accept", ["text/html", "application/json", "image/webp", "*/*"])
def test_every_answer_of_every_route_has_the_headers_and_tells_no_secret(inside: Inside, origin: Origin, accept: str) -> None:
    known = known_arguments(inside, origin)
    client = inside.stranger()
    seen = set()
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"):
        for rule in routes(inside.app, "GET") + routes(inside.app, "POST"):
            for path in addresses(rule, known):
                answer = client.open(path, method=method, headers={"Accept": accept})
                where = f"{method} {path[:80]} {answer.status_code}"
                check_headers(answer, where)
                assert answer.status_code < 500, where
                seen.add(answer.status_code)
                assert method != "HEAD" or not answer.data, where
                text = answer.data.decode(errors="replace")
                assert str(inside.folder) not in text, where
                assert "Traceback" not in text, where
                assert origin.base not in text or method == "GET", where
                assert "<script>" not in text.replace('<script type="module"', ""), where
    assert seen >= {200, 202, 302, 403, 404, 405} - ({202} if accept else set())


def test_head_says_what_get_says(inside: Inside, origin: Origin) -> None:
    known = known_arguments(inside, origin)
    client = inside.stranger()
    client.get("/about")  # a session, so that no answer sets a cookie
    for rule in routes(inside.app, "GET"):
        for path in addresses(rule, known):
            if path == "/random":
                continue
            got, head = client.get(path), client.head(path)
            assert head.status_code == got.status_code, path
            length = None if path.endswith(".zip") and "Content-Length" not in got.headers else str(len(got.data))
            assert head.headers.get("Content-Length") == length, path
            names = [{name for name, _ in answer.headers} for answer in (got, head)]
            assert names[0] == names[1], path


def test_no_get_of_any_route_speaks_to_anybody(inside: Inside, origin: Origin) -> None:
    """The catalogue names covers of the origin; still a request only leaves a job, and the pool fetches each one once."""
    inside.services.pool.close()  # nothing is fetched, nor two seconds later by itself: whatever connects now is a request
    urls = [origin.put(f"/{n}.jpg", jpeg(80, 80), gate=None) for n in range(3)]
    stranger_url = origin.put("/not-registered.jpg", jpeg())
    records = [inside.album(url, f"T{n}") for n, url in enumerate(urls)]
    digest = inside.services.covers.digest_of(urls[0])
    known = {"album_id": records[0], "variant": "thumbnails", "name": digest, "kind": "detail", "version": "x", "names": "tokens"}
    known |= {
        "digest": digest[:32],
        "task_id": 1,
        **NUMBERED,
    } | stream_arguments(inside)
    connects: list[object] = []
    _listen("socket.connect", lambda arguments: connects.append(arguments[1]))
    try:
        client = inside.stranger()
        for rule in routes(inside.app, "GET"):
            for path in addresses(rule, known):
                for query in ("", f"?url={quote(stranger_url)}", f"?q={quote(stranger_url)}", f"?next={quote(stranger_url)}"):
                    client.get(path + query)
                    client.head(path + query)
        token = {"X-CSRFToken": page_token(client)}
        for path in ("/api/cache/preload", "/api/cache/state"):
            client.post(path, json={"urls": [stranger_url, *urls]}, headers=token)
    finally:
        _listen("socket.connect", None)
    assert connects == []
    assert origin.count() == 0
    while inside.services.loader.run_next():
        pass
    assert sorted(asked.path for asked in origin.requests) == ["/0.jpg", "/1.jpg", "/2.jpg"]


_ears: dict[str, object] = {}


def _listen(event: str, ear: object) -> None:
    """Let `ear` hear every audit event of a kind; hooks cannot be removed, so one stays and asks whether someone listens."""
    if event not in _ears:
        sys.addaudithook(lambda name, arguments: _ears[name](arguments) if name == event and _ears[name] else None)  # type: ignore[operator]
    _ears[event] = ear


def test_500_traversals_are_404_and_open_no_file_outside(inside: Inside, origin: Origin) -> None:
    digest = inside.cover(origin)
    chance = random.Random(4)
    steps = (
        "..",
        "%2e%2e",
        "..%2f",
        "..%5c",
        "%2e%2e%2f",
        "..%c0%af",
        "..%ef%bc%8f",
        "%252e%252e%252f",
        "....//",
        "..;",
        "\u2024\u2024",
        "%00",
    )
    ends = (
        "etc/passwd",
        "state/secret_key",
        "state%2fcatalog.db",
        "index.db",
        f"{digest}.webp%00.jpg",
        f"%2e/{digest}.webp",
        "names.json",
    )
    places = ("/cache/", "/cache/detail/", "/cache/placeholders/placeholder_", "/assets/x/", "/tint/", "/album/", "/")
    opened: list[str] = []
    allowed = tuple(str(path) for path in (STATIC_DIR, TEMPLATE_DIR, inside.folder / "cache", inside.folder / "state/catalog.db"))
    client = inside.stranger()
    client.get("/nothing")  # templates, and modules that are loaded with the first page
    _listen("open", lambda arguments: opened.append(os.path.realpath(arguments[0])) if isinstance(arguments[0], str) else None)
    try:
        for number in range(500):
            steps_here = "/".join(chance.choice(steps) for _ in range(chance.randint(1, 6)))
            path = f"{chance.choice(places)}{steps_here}/{chance.choice(ends)}"
            if number % 5 == 0:
                path += chance.choice((".webp", ".jpg", "%00.webp", ".css"))
            answer = client.get(path)
            assert answer.status_code == 404, path
            assert b"root:" not in answer.data
    finally:
        _listen("open", None)
    # The folder itself is opened, and locked, whenever another connection to the catalogue is.
    assert [path for path in opened if not path.startswith(allowed) and path != str(inside.folder / "state")] == []
    assert not any(path.endswith(("secret_key", "names.json")) for path in opened)


def test_every_change_needs_a_page_of_ours(inside: Inside, origin: Origin) -> None:
    known = known_arguments(inside, origin)
    inside.account()
    foreign = (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://vault.local"},  # another port
        {"Origin": "http://vault.local:5000.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    )  # "same-origin" of a browser is believed whatever a proxy did to the Host: tests/web/test_proxies.py says why
    client = inside.logged_in_again()
    token = page_token(client)
    changes = [(method, rule) for method in ("POST", "PUT", "PATCH", "DELETE") for rule in routes(inside.app, method)]
    assert {method for method, _ in changes} >= {"POST", "PATCH", "DELETE"}
    for method, rule in changes:
        path = next(addresses(rule, known))
        for headers in foreign:
            answer = client.open(path, method=method, headers={**headers, "X-CSRFToken": token})
            assert answer.status_code == 403, f"{method} {path} {headers}"
        for wrong in ({}, {"X-CSRFToken": "x"}, {"X-CSRFToken": page_token(inside.stranger())}):
            assert client.open(path, method=method, headers=wrong).status_code == 403, f"{method} {path}"
        own = {"Origin": "http://vault.local:5000"}
        assert client.open(path, method=method, data={"csrf_token": "x"}, headers=own).status_code == 403, f"{method} {path}"
    assert inside.client().get(f"/cache/detail/{known['name']}.webp").status_code == 200
    assert client.get("/api/cache/stats").json["total_entries"] == 3
    album = inside.services.library.album(int(str(known["album_id"])))
    assert album is not None
    assert album.plays == 0
    assert client.post("/api/cache/state", json={}, headers={"X-CSRFToken": token}).status_code == 200
    ours = {"Origin": "http://vault.local:5000", "Sec-Fetch-Site": "same-origin", "X-CSRFToken": token}
    assert client.post("/api/cache/state", json={}, headers=ours).status_code == 200
    behind_tls = {**ours, "Origin": "https://vault.local:5000"}
    assert client.post("/api/cache/state", json={}, headers=behind_tls).status_code == 200


LOCAL = {"address": "127.0.0.1", "host": "localhost:5000"}


@pytest.mark.parametrize(
    ("who", "headers", "status"),
    [
        (LOCAL, {}, 200),
        ({"address": "127.0.0.1", "host": "127.0.0.1:5000"}, {}, 200),
        ({"address": "::1", "host": "[::1]:5000"}, {}, 200),
        ({"address": "::ffff:127.0.0.1", "host": "localhost"}, {}, 200),
        ({"address": "192.168.1.77", "host": "localhost:5000"}, {}, 403),
        ({"address": "127.0.0.1", "host": "evil.example:5000"}, {}, 403),  # a name that was bent to this address
        ({"address": "127.0.0.1", "host": "localhost.evil.example"}, {}, 403),
        ({"address": "127.0.0.1", "host": "vault.local:5000"}, {}, 403),
        ({"address": "127.0.0.1", "host": ""}, {}, 403),
        (LOCAL, {"X-Forwarded-For": "127.0.0.1"}, 403),
        (LOCAL, {"X-Forwarded-For": ""}, 403),
        (LOCAL, {"X-Forwarded-Proto": "http"}, 403),
        (LOCAL, {"X-Forwarded-Server": "a"}, 403),
        (LOCAL, {"Forwarded": "for=127.0.0.1"}, 403),
        (LOCAL, {"X-Real-IP": "127.0.0.1"}, 403),
        (LOCAL, {"X-Client-IP": "127.0.0.1"}, 403),
        (LOCAL, {"CF-Connecting-IP": "127.0.0.1"}, 403),
        (LOCAL, {"Via": "1.1 proxy"}, 403),
        (LOCAL, {"Origin": "http://localhost:8080"}, 403),  # another program on this server
        (LOCAL, {"Origin": "http://evil.example"}, 403),
        (LOCAL, {"Origin": "null"}, 403),
        (LOCAL, {"Origin": "http://localhost:5000"}, 403),  # a page of ours, which has to send its token
        (LOCAL, {"Referer": "http://evil.example/"}, 403),  # a form in a browser of long ago
        (LOCAL, {"Sec-Fetch-Site": "cross-site"}, 403),
        (LOCAL, {"Sec-Fetch-Site": "none"}, 403),
        (LOCAL, {"Cookie": "vinylvault=x"}, 403),
    ],
    ids=str,
)
def test_a_clear_without_login_is_for_curl_on_the_machine_itself(
    inside: Inside, origin: Origin, who: dict[str, str], headers: dict[str, str], status: int
) -> None:
    digest = inside.cover(origin)
    client = inside.client(**who, cookies=False)  # type: ignore[arg-type]
    assert client.post("/api/cache/clear", headers=headers).status_code == status
    assert inside.client().get(f"/cache/detail/{digest}.webp").status_code == (404 if status == 200 else 200)


def test_with_trusted_proxies_somebody_behind_one_is_not_on_this_machine(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", TRUSTED_PROXIES=1) as inside:
        client = inside.client(cookies=False)
        assert client.post("/api/cache/clear", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 403
        assert client.post("/api/cache/clear", headers={"X-Forwarded-For": "192.168.1.5"}).status_code == 403
        assert client.post("/api/cache/clear").status_code == 200


def test_forwarding_headers_are_believed_only_from_as_many_proxies_as_were_named(tmp_path: Path) -> None:
    def limited(client: FlaskClient) -> bool:
        answers = [
            client.get("/api/cache/stats", headers={"X-Forwarded-For": f"10.{n // 250}.{n % 250}.1, 198.51.100.7"})
            for n in range(125)
        ]
        return any(answer.status_code == 429 for answer in answers)

    with Inside(tmp_path / "none") as inside:
        assert limited(inside.stranger()), "whoever invents addresses is still one visitor"
    with Inside(tmp_path / "one", TRUSTED_PROXIES=1) as inside:
        assert limited(inside.client()), "the last proxy says who asked it, what stands before is invented"
    with Inside(tmp_path / "two", TRUSTED_PROXIES=2) as inside:
        assert not limited(inside.client())


def test_only_named_hosts_are_answered_when_some_are_named(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", TRUSTED_HOSTS=("vault.local", ".home.example")) as inside:
        for host, status in (
            ("vault.local:5000", 200),
            ("a.home.example", 200),
            ("evil.example", 400),
            ("vault.local.evil.example", 400),
        ):
            answer = inside.client(host=host, accept="text/html").get("/about")
            assert answer.status_code == status, host
            check_headers(answer, host)


def test_an_unexpected_error_carries_a_reference_and_tells_nothing_else(inside: Inside, caplog: pytest.LogCaptureFixture) -> None:
    @declare_access(read=Role.VISITOR)
    def broken() -> Response:
        raise RuntimeError(f"the secret is in {inside.folder}")

    inside.app.add_url_rule("/broken", view_func=broken)
    page = inside.stranger().get("/broken")
    check_headers(page, "/broken")
    script = inside.client().get("/broken", headers={"Accept": "application/json"})
    for answer in (page, script):
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert "RuntimeError" not in answer.text
        reference = re.search(r'(?:Reference: <code id="reference">|"reference":")([0-9a-f]{8})\b', answer.text)
        assert reference
        assert reference[1] in caplog.text
    assert "the secret is in" in caplog.text


def test_pages_and_json_are_kept_by_nobody_else_and_pictures_and_files_for_ever(inside: Inside, origin: Origin) -> None:
    digest = inside.cover(origin)
    client = inside.stranger()
    page = client.get("/about")
    assert page.headers["Cache-Control"] in ("private, no-cache", "no-store")
    address = re.search(r'href="(/assets/[0-9a-f]{8}/sheets/tokens[^"]+\.css)"', page.text)
    assert address
    for path in (address[1], f"/cache/detail/{digest}.webp"):
        assert client.get(path).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert client.get(re.sub("[0-9a-f]{8}", "00000000", address[1])).headers["Cache-Control"] == "no-cache"


class Elements(HTMLParser):
    """What a browser would find on a page."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action", "formaction")]


def test_titles_from_elsewhere_are_text_and_nothing_else(inside: Inside) -> None:
    strings = (
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "</title><svg/onload=alert(1)>",
        "{{7*7}}{% raw %}",
        "javascript:alert(1)",
        "\u202egnp.exe",
        "&lt;b&gt;",
    )
    table = inside.folder.parent / "x.json"
    table.write_text(
        json.dumps([{"artist": text, "title": text, "year": 1970, "notes": text, "label": text} for text in strings])
    )
    inside.services.library.import_table(table)
    client = inside.stranger()
    paths = [
        "/",
        "/sort",
        *(f"/album/{album.id}" for album in inside.services.library.albums()),
        *(f"/search?q={quote(t)}" for t in strings),
    ]
    for path in paths:
        found, text = Elements(), client.get(path).text
        found.feed(text)
        assert not [name for name in found.attributes if name.startswith("on")], path
        assert found.scripts == text.count('<script type="module" src="/assets/') > 0, path
        assert not [value for value in found.addresses if not value.startswith(("/", "#"))], path


def test_a_log_record_is_one_line_whatever_it_quotes() -> None:
    formatter = SingleLineFormatter()
    for text in ("a\nb", "a\r\nERROR forged", "\x1b[31mred", "a\u2028b", "\x00", "\x85"):
        record = logging.LogRecord("x", logging.WARNING, "", 0, "quoted=%s", (text,), None)
        line = formatter.format(record)
        assert len(line.splitlines()) == 1
        assert line.isprintable()
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    assert len(formatter.format(record).splitlines()) == 1


def test_a_log_record_names_no_query_string() -> None:
    record = logging.LogRecord("x", logging.WARNING, "", 0, "failed url=%s next", ("https://a.example/p?token=secret&x=1",), None)
    assert SingleLineFormatter().format(record) == "WARNING x failed url=https://a.example/p?… next"


def test_nothing_starts_a_thread_before_the_first_request(tmp_path: Path) -> None:
    import threading

    before = set(threading.enumerate())  # some of other tests may be ending
    with Inside(tmp_path / "vault", settled=False) as inside:
        assert set(threading.enumerate()) <= before
        inside.client().get("/about")
        assert inside.services.pool.is_running
    wait_until(lambda: set(threading.enumerate()) <= before)


@pytest.mark.parametrize("role", ["visitor", "operator"])
def test_no_get_writes_to_a_database(inside: Inside, origin: Origin, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    """Every write transaction of the request's own thread is traced, on both databases. What the pool does later is its own."""
    known = known_arguments(inside, origin)
    client = inside.logged_in() if role == "operator" else inside.stranger()
    written: list[str] = []
    write, here = Database.write, threading.get_ident()

    def traced(database: Database, **options: bool) -> AbstractContextManager[Connection]:
        if threading.get_ident() == here:
            written.append(database.path.name)
        return write(database, **options)

    monkeypatch.setattr(Database, "write", traced)
    wrong = []
    for rule in routes(inside.app, "GET"):
        for address in list(addresses(rule, known))[:2]:
            written.clear()
            client.get(address)
            # A cover that no one saw before is registered and enqueued in the index, once.
            if "catalog.db" in written:
                wrong.append(f"{address[:80]}: {written}")
            written.clear()
            client.get(address)
            if written:
                wrong.append(f"{address[:80]} again: {written}")
    assert wrong == []
