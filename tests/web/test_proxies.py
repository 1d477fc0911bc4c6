"""Forms behind a reverse proxy: what counts as one of our own pages, and what is said when a proxy changed the Host.

Why it is enough to believe `Sec-Fetch-Site: same-origin`: the browser computes it from the address that it was asked to open and
the page that asks; a script cannot set a header whose name starts with `Sec-`. A page of another site, also one of another port or
a sibling host, gets `same-site` or `cross-site`. After DNS rebinding the foreign page is "same-origin" with its own Host, for
which the browser has no cookie of ours. And every form still needs the token of the session, which only our own pages contain.
Browsers leave the header out over plain HTTP; there the Origin is compared, as before, and a mismatch is refused.
"""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.inside import NAME, PASSWORD, Inside, form_token

PUBLIC = "http://vault.local:7950"


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Inside]:
    with Inside(tmp_path / "vault", TRUSTED_PROXIES=1, settled=False) as inside:
        inside.account()
        yield inside


def behind(inside: Inside, host: str = "vault.local", **headers: str) -> FlaskClient:
    """Return a browser whose proxy passes `Host $host` on, without the port, as most recipes for nginx have it."""
    return inside.client(host=host, accept="text/html", x_forwarded_for="192.168.1.77", x_forwarded_proto="http", **headers)


def log_in(client: FlaskClient, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/login", data={"name": NAME, "password": PASSWORD, "csrf_token": form_token(client)}, headers=named)


def test_a_browser_that_says_same_origin_is_believed_whatever_the_proxy_did_to_the_host(proxied: Inside) -> None:
    answer = log_in(behind(proxied, "127.0.0.1:5000"), Origin=PUBLIC, Sec_Fetch_Site="same-origin")
    assert answer.status_code == 303


def test_a_trusted_proxy_tells_the_port_that_it_was_asked_at(proxied: Inside) -> None:
    assert log_in(behind(proxied, x_forwarded_port="7950"), Origin=PUBLIC).status_code == 303
    # The Host of a proxy inside a container has the outer port, its own port is another: the Host is right.
    client = behind(proxied, "vault.local:7950", x_forwarded_port="80")
    assert log_in(client, Origin=PUBLIC).status_code == 303


def test_a_port_told_by_no_trusted_proxy_is_not_believed(inside: Inside) -> None:
    inside.account()
    client = inside.client(address="192.168.1.77", host="vault.local", accept="text/html", x_forwarded_port="7950")
    assert log_in(client, Origin=PUBLIC).status_code == 403


def test_a_form_that_a_proxy_spoilt_is_told_which_addresses_differ_and_what_to_set(
    proxied: Inside, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        answer = log_in(behind(proxied), Origin=PUBLIC)
    assert answer.status_code == 403
    for text in (PUBLIC, "http://vault.local.", "proxy_set_header Host $http_host", "VINYL_VAULT_TRUSTED_PROXIES"):
        assert text in answer.text
    (line,) = [line for line in caplog.messages if line.startswith("change refused")]
    assert PUBLIC in line
    assert "http://vault.local'" in line


@pytest.mark.parametrize("site", ["cross-site", "same-site", "SAME-ORIGIN", "nonsense"])
def test_a_page_of_another_site_or_port_is_refused_also_with_the_right_token(proxied: Inside, site: str) -> None:
    answer = log_in(behind(proxied), Origin="http://vault.local:9000", Sec_Fetch_Site=site)
    assert answer.status_code == 403
    assert "TRUSTED_PROXIES" not in answer.text  # the browser is sure that it was no proxy


def test_same_origin_does_not_replace_the_token(proxied: Inside) -> None:
    client = behind(proxied)
    client.get("/login")
    data = {"name": NAME, "password": PASSWORD, "csrf_token": "guessed"}
    answer = client.post("/login", data=data, headers={"Origin": PUBLIC, "Sec-Fetch-Site": "same-origin"})
    assert answer.status_code in (400, 403)


def test_same_origin_makes_nobody_the_server_itself(inside: Inside) -> None:
    """A proxy on the server that sends no header of its own, and rewrites the Host: a rebound page must not be the operator."""
    client = inside.client(accept="text/html")
    answer = client.get("/admin/cache", headers={"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"})
    assert answer.status_code in (401, 403)


@pytest.mark.parametrize("host", ["vault.example", "VAULT.Example:5000", "Vault.example"])
def test_a_trusted_host_is_told_apart_by_its_letters_not_by_their_case(tmp_path: Path, host: str) -> None:
    with Inside(tmp_path / "vault", TRUSTED_HOSTS=("vault.example",), settled=False) as inside:
        assert inside.client(host=host, accept="text/html").get("/about").status_code == 200
        assert inside.client(host="other.example", accept="text/html").get("/about").status_code == 400


LINK = re.compile(r'(?:href|src|action|data-src)="(/[^"]*)"|(?<=[" ])(/cache/\S+)(?= \d+w)')


def links(page: str) -> list[str]:
    return [first or second for first, second in LINK.findall(page)]


@pytest.mark.parametrize(
    "path", ["/", "/about", "/more", "/search?q=x", "/streams", "/login", "/sort", "/covers/missing", "/nowhere"]
)
def test_below_a_path_every_link_of_a_page_has_it(tmp_path: Path, path: str) -> None:
    with Inside(tmp_path / "vault", TRUSTED_PROXIES=1, settled=False) as inside:
        inside.account()
        inside.album("http://cover.example/1.jpg")
        client = behind(inside, x_forwarded_prefix="/vinyl")
        found = links(client.get(path).text)
        assert len(found) > 3
        assert [link for link in found if not link.startswith("/vinyl/")] == []
        assert [link for link in found if link.startswith("/vinyl/vinyl")] == []


def test_below_a_path_redirects_and_cookies_stay_below_it(proxied: Inside) -> None:
    client = behind(proxied, x_forwarded_prefix="/vinyl/")
    page = client.get("/login")
    (cookie,) = page.headers.getlist("Set-Cookie")
    assert "Path=/vinyl;" in cookie + ";"
    secure = behind(proxied, x_forwarded_prefix="/vinyl")
    secure.environ_base["HTTP_X_FORWARDED_PROTO"] = "https"
    (cookie,) = secure.get("/login").headers.getlist("Set-Cookie")
    assert cookie.startswith("__Secure-vinylvault=")
    assert client.get("/random").headers["Location"] == "/vinyl/"


@pytest.mark.parametrize("told", ["//evil.example", 'x"onload="', "/a b", "https://evil.example", "/vinyl?x", "/<b>"])
def test_a_prefix_that_is_no_plain_path_is_ignored(proxied: Inside, told: str) -> None:
    assert 'href="/stats"' in behind(proxied, x_forwarded_prefix=told).get("/streams").text


def test_a_prefix_told_by_no_trusted_proxy_is_ignored(inside: Inside) -> None:
    assert 'href="/stats"' in inside.stranger(x_forwarded_prefix="/vinyl").get("/streams").text


@pytest.mark.parametrize("path", ["/vinyl/about", "/about"])
def test_with_the_setting_a_proxy_may_leave_the_path_or_take_it_off(tmp_path: Path, path: str) -> None:
    with Inside(tmp_path / "vault", URL_PREFIX="/vinyl", settled=False) as inside:
        page = inside.stranger().get(path)
        assert page.status_code == 200
        assert 'href="/vinyl/stats"' in page.text
        assert inside.stranger().get("/vinylvault").status_code == 404
