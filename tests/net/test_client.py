"""HTTP client: with an honest origin, and with every kind of hostile one."""

import os
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image_cache import __version__
from image_cache.errors import (
    CacheError,
    DecoderFailed,
    ImageRejected,
    OriginDenied,
    OriginError,
    OriginNotFound,
    OriginTooLarge,
    OriginUnavailable,
)
from image_cache.net.backoff import retry_delay_s
from image_cache.net.client import CHUNK_BYTES, HttpClient
from image_cache.net.deadline import MinimumSpeed
from image_cache.net.policy import PeerPolicy
from tests.support.origin import Asked, Origin, jpeg

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 0.4
LIMIT_BYTES = 100_000
LATE_S = 20.0  # slack for a busy machine; without the deadline a hostile origin would continue for minutes


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as served:
        yield served


@pytest.fixture
def fetcher(origin: Origin) -> Iterator[HttpClient]:
    made = HttpClient(PeerPolicy([origin.base]), max_bytes=LIMIT_BYTES, deadline_s=30)
    yield made
    made.close()


# --- an honest origin --------------------------------------------------------------------------------------------------


def test_a_body_comes_with_its_validators(origin: Origin, fetcher: HttpClient) -> None:
    date = "Tue, 03 Mar 2026 10:00:00 GMT"
    headers = {"Cache-Control": "public, max-age=600", "Age": "100", "Content-Type": "Image/JPEG; charset=x"}
    url = origin.put("/a.jpg", jpeg(), etag='"v1"', last_modified=date, headers=headers)
    fetched = fetcher.fetch(url)
    assert (fetched.url, fetched.status, fetched.body) == (url, 200, jpeg())
    assert (fetched.etag, fetched.last_modified, fetched.content_type, fetched.fresh_s) == ('"v1"', date, "image/jpeg", 500.0)


def test_validators_that_still_hold_give_a_304_without_a_body(origin: Origin, fetcher: HttpClient) -> None:
    date = "Tue, 03 Mar 2026 10:00:00 GMT"
    url = origin.put("/a.jpg", jpeg(), etag='"v1"', last_modified=date)
    assert (fetcher.fetch(url, etag='"v1"').status, fetcher.fetch(url, last_modified=date).status) == (304, 304)
    fetched = fetcher.fetch(url, etag='"v0"')
    assert (fetched.status, fetched.body, fetched.etag) == (200, jpeg(), '"v1"')


def test_an_unrequested_304_is_an_error(origin: Origin, fetcher: HttpClient) -> None:
    with pytest.raises(OriginError, match="304"):
        fetcher.fetch(origin.put("/a.jpg", status=304))


def test_invalid_validators_are_neither_kept_nor_sent(origin: Origin, fetcher: HttpClient) -> None:
    url = origin.put("/a.jpg", jpeg(), etag='"a\x7f"', last_modified="<script>", headers={"Content-Type": "a<b"})
    fetched = fetcher.fetch(url, etag='"x"\r\nX-Injected: 1', last_modified="Mon\r\nX-Injected: 1")
    assert (fetched.etag, fetched.last_modified, fetched.content_type) == ("", "", "")
    assert not {"if-none-match", "if-modified-since", "x-injected"} & set(origin.requests[0].headers)


@pytest.mark.parametrize(
    ("control", "age", "fresh_s"),
    [
        ("", "", None),
        ("public", "", None),
        ("max-age=60", "", 60.0),
        ("max-age=60", "90", 0.0),
        ('s-maxage=9, max-age="7"', "", 7.0),
        ("no-store, max-age=60", "", 0.0),
        ("no-cache", "", 0.0),
        ("max-age=" + "9" * 5000, "", 999999999.0),
        ("max-age=-1", "", None),
    ],
)
def test_freshness_is_that_of_cache_control(
    origin: Origin, fetcher: HttpClient, control: str, age: str, fresh_s: float | None
) -> None:
    headers = {key: value for key, value in (("Cache-Control", control), ("Age", age)) if value}
    assert fetcher.fetch(origin.put("/a.jpg", b"x", headers=headers)).fresh_s == fresh_s


def test_the_request_has_our_user_agent_and_nothing_else(origin: Origin) -> None:
    fetcher = HttpClient(PeerPolicy([origin.base]), contact="https://vault.example\r\n(me)")
    fetcher.fetch(origin.put("/a.jpg", b"x"))
    fetcher.close()
    headers = origin.requests[0].headers
    assert headers["user-agent"] == f"VinylVault/{__version__} (+https://vault.exampleme)"
    assert set(headers) == {"host", "user-agent", "accept", "accept-encoding"}
    assert headers["accept-encoding"] == "identity"


def test_the_version_is_the_one_of_the_package() -> None:
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_one_connection_serves_many_fetches(origin: Origin, fetcher: HttpClient) -> None:
    for _ in range(5):
        fetcher.fetch(origin.put("/a.jpg", b"x"))
    assert (origin.count(), origin.connections) == (5, 1)


def test_a_connection_that_the_origin_has_closed_is_replaced(origin: Origin, fetcher: HttpClient) -> None:
    url = origin.put("/a.jpg", b"x", headers={"Connection": "close"})
    assert [fetcher.fetch(url).status for _ in range(3)] == [200] * 3
    assert origin.connections == 3


def test_many_threads_may_fetch_at_once(origin: Origin, fetcher: HttpClient) -> None:
    gate = threading.Event()
    urls = [origin.put(f"/{n}.jpg", b"%d" % n, gate=gate) for n in range(12)]
    bodies: dict[str, bytes] = {}
    threads = [threading.Thread(target=lambda url=url: bodies.update({url: fetcher.fetch(url).body})) for url in urls]
    for thread in threads:
        thread.start()
    origin.wait_for(12)
    assert sum(thread.name == "fetch-deadline" for thread in threading.enumerate()) == 1
    gate.set()
    for thread in threads:
        thread.join()
    assert bodies == {url: b"%d" % n for n, url in enumerate(urls)}


# --- the environment ----------------------------------------------------------------------------------------


def test_proxies_of_the_environment_are_not_used(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    with Origin() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.base)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        fetcher = HttpClient(PeerPolicy([origin.base]))
        assert fetcher.fetch(origin.put("/a.jpg", b"x")).body == b"x"
        with pytest.raises(OriginDenied):
            fetcher.fetch("http://127.0.0.1/a.jpg")
        fetcher.close()
        assert (proxy.count(), proxy.connections) == (0, 0)


def test_passwords_of_a_netrc_file_are_not_sent(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n", encoding="ascii")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    fetcher = HttpClient(PeerPolicy([origin.base]))
    fetcher.fetch(origin.put("/a.jpg", b"x"))
    fetcher.close()
    assert "authorization" not in origin.requests[0].headers


def test_cookies_are_not_kept_not_even_between_hops(origin: Origin, fetcher: HttpClient) -> None:
    cookie = {"Set-Cookie": "who=me; Path=/"}
    origin.put("/a.jpg", b"x", headers=cookie)
    url = origin.put("/r", status=302, headers={"Location": "/a.jpg", **cookie})
    fetcher.fetch(url)
    fetcher.fetch(url)
    assert origin.count() == 4
    assert not any("cookie" in asked.headers for asked in origin.requests)


# --- redirects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_and_the_final_url_returned(origin: Origin, fetcher: HttpClient, status: int) -> None:
    origin.put("/b/a.jpg", b"x", etag='"1"')
    fetched = fetcher.fetch(origin.redirect("/b/r", "./../b/a.jpg?x=%2F", status), etag='"0"')
    assert (fetched.body, fetched.url) == (b"x", origin.url("/b/a.jpg?x=%2F"))
    assert [asked.headers["if-none-match"] for asked in origin.requests] == ['"0"', '"0"']


def test_a_redirect_may_be_written_in_utf8_bytes(origin: Origin, fetcher: HttpClient) -> None:
    origin.put("/bj%C3%B6rk.jpg", b"x")
    url = origin.script("/r", lambda sock, _: sock.sendall("HTTP/1.1 302 Found\r\nLocation: /björk.jpg\r\n\r\n".encode()))
    assert fetcher.fetch(url).body == b"x"


def test_ten_redirects_are_followed_and_no_more(origin: Origin, fetcher: HttpClient) -> None:
    origin.put("/0", b"x")
    for n in range(1, 12):
        origin.redirect(f"/{n}", f"/{n - 1}")
    assert fetcher.fetch(origin.url("/10")).body == b"x"
    with pytest.raises(OriginError, match="more than 10 redirects"):
        fetcher.fetch(origin.url("/11"))
    assert origin.count() == 11 + 11


def test_a_space_in_an_address_is_quoted_as_a_browser_does(origin: Origin, fetcher: HttpClient) -> None:
    origin.put("/Low%20Water%20Mark%20(front).jpg", b"x")
    assert fetcher.fetch(origin.url("/Low Water Mark (front).jpg")).body == b"x"
    assert fetcher.fetch(origin.redirect("/r", "/Low Water Mark (front).jpg")).body == b"x"


@pytest.mark.parametrize(
    "location", ["", "http://[::1", "http:\\\\127.0.0.1\\", "file:///etc/passwd", "//127.0.0.1/", "http://u:p@127.0.0.1/"]
)
def test_a_redirect_to_a_forbidden_address_is_denied(origin: Origin, fetcher: HttpClient, location: str) -> None:
    with pytest.raises(OriginDenied):
        fetcher.fetch(origin.redirect("/r", location))


def test_a_redirect_from_outside_does_not_reach_a_trusted_origin(origin: Origin) -> None:
    """The operator trusts the local server with our own requests, not with those of any origin that can redirect."""
    with Origin() as house:
        house.put("/reboot", b"x")
        away = origin.redirect("/r", house.url("/reboot"))

        def connect(address: str, port: int, timeout_s: float) -> socket.socket:
            sock = Pretended()
            sock.settimeout(timeout_s)
            sock.connect(("127.0.0.1", origin.port if address == "93.184.216.34" else port))
            sock.pretended = (address, port)
            return sock

        fetcher = HttpClient(PeerPolicy([house.base, origin.base], connect=connect))
        with pytest.raises(OriginDenied, match="from outside"):
            fetcher.fetch("http://93.184.216.34/r")
        assert house.count() == 0
        assert fetcher.fetch(away).body == b"x"  # from one trusted origin to another
        fetcher.close()


class Pretended(socket.socket):
    pretended: tuple[str, int]

    def getpeername(self) -> tuple[str, int]:
        return self.pretended


# --- statuses and encodings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, OriginNotFound) for status in (404, 410)),
        *((status, OriginUnavailable) for status in (408, 425, 429, 500, 502, 503, 599)),
        *((status, OriginError) for status in (204, 206, 300, 401, 403, 451)),
    ],
)
def test_a_status_becomes_its_error(origin: Origin, fetcher: HttpClient, status: int, error: type[OriginError]) -> None:
    with pytest.raises(OriginError) as caught:
        fetcher.fetch(origin.put("/a.jpg", b"" if status == 204 else b"body", status=status))
    assert type(caught.value) is error
    assert caught.value.status == status
    assert caught.value.retryable == (error is OriginUnavailable)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": "Fri, 06 Mar 2026 10:10:00 GMT", "Date": "Fri, 06 Mar 2026 10:00:00 GMT"}, 600.0),
        ({"Retry-After": "Fri, 06 Mar 2026 09:00:00 GMT", "Date": "Fri, 06 Mar 2026 10:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({}, None),
    ],
)
def test_retry_after_is_relative_to_the_clock_of_the_origin(
    origin: Origin, fetcher: HttpClient, headers: dict[str, str], seconds: float | None
) -> None:
    def busy(sock: socket.socket, asked: Asked) -> None:
        lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        sock.sendall(f"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n{lines}\r\n".encode())

    with pytest.raises(OriginUnavailable) as caught:
        fetcher.fetch(origin.script("/a.jpg", busy))
    assert caught.value.retry_after_s == seconds


@pytest.mark.parametrize(
    "headers", [{"Content-Encoding": "gzip"}, {"Content-Encoding": "br, identity"}, {"Transfer-Encoding": "gzip, chunked"}]
)
def test_an_unrequested_encoding_is_refused(origin: Origin, fetcher: HttpClient, headers: dict[str, str]) -> None:
    with pytest.raises(OriginUnavailable, match="encoding"):
        fetcher.fetch(origin.put("/a.jpg", b"x", headers=headers))


@pytest.mark.parametrize(
    ("answer", "is_host_fault"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n", True),
        (b"", True),
    ],
)
def test_a_fault_of_one_response_is_none_of_its_host(
    origin: Origin, fetcher: HttpClient, answer: bytes, is_host_fault: bool
) -> None:
    with pytest.raises(OriginUnavailable) as caught:
        fetcher.fetch(origin.script("/a.jpg", lambda sock, _: sock.sendall(answer)))
    assert caught.value.is_host_fault is is_host_fault


def test_chunked_bodies_and_bodies_ended_by_the_connection_are_accepted(origin: Origin, fetcher: HttpClient) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
    chunked = origin.script(
        "/c",
        lambda sock, _: sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: y\r\n\r\n"),
    )
    until_end = origin.script("/e", lambda sock, _: sock.sendall(head + b"\r\nabcde"))
    early_hints = origin.script(
        "/h", lambda sock, _: sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + head + b"Content-Length: 5\r\n\r\nabcde")
    )
    assert [fetcher.fetch(url).body for url in (chunked, until_end, early_hints)] == [b"abcde"] * 3


def test_a_body_of_exactly_the_limit_is_accepted_and_one_byte_more_is_not(origin: Origin, fetcher: HttpClient) -> None:
    assert len(fetcher.fetch(origin.put("/a", b"x" * LIMIT_BYTES)).body) == LIMIT_BYTES
    with pytest.raises(OriginTooLarge) as caught:
        fetcher.fetch(origin.put("/b", b"x" * (LIMIT_BYTES + 1)))
    assert (caught.value.limit_bytes, caught.value.got_bytes) == (LIMIT_BYTES, LIMIT_BYTES + 1)


# --- hostile origins ---------------------------------------------------------------------------------------------------

Script = Callable[[socket.socket, threading.Event], None]
OK = b"HTTP/1.1 200 OK\r\n"


def drip(head: bytes, piece: bytes, every_s: float = 0.02) -> Script:
    """Send `head`, then `piece` again and again, each well within the read timeout."""

    def run(sock: socket.socket, closing: threading.Event) -> None:
        sock.sendall(head)
        while not closing.wait(every_s):
            sock.sendall(piece)

    return run


def flood(head: bytes, piece: bytes) -> Script:
    """Send `head`, then `piece` as fast as possible."""

    def run(sock: socket.socket, closing: threading.Event) -> None:
        sock.sendall(head)
        while not closing.is_set():
            sock.sendall(piece)

    return run


def say(text: bytes, *, then_hang: bool = False, reset: bool = False) -> Script:
    def run(sock: socket.socket, closing: threading.Event) -> None:
        sock.sendall(text)
        if then_hang:
            closing.wait(120)
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            sock.close()

    return run


HOSTILE: dict[str, tuple[Script, str]] = {
    "silence": (say(b"", then_hang=True), "unavailable"),
    "header line, a byte at a time": (drip(OK + b"X: ", b"a"), "unavailable"),
    "header lines, one at a time": (drip(OK, b"X: a\r\n", 0.05), "unavailable"),
    "endless 1xx": (drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "unavailable"),
    "flood of 1xx": (flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "unavailable"),
    "flood of headers": (flood(OK, b"X: a\r\n" * 1000), "unavailable"),
    "one endless header line": (flood(OK + b"X: ", b"a" * 65536), "unavailable"),
    "body, a byte at a time": (drip(OK + b"Content-Length: 9000\r\n\r\n", b"a"), "unavailable"),
    "chunks, a byte at a time": (drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"), "unavailable"),
    "body without length, a byte at a time": (drip(OK + b"\r\n", b"a"), "unavailable"),
    "body that stops": (say(OK + b"Content-Length: 9000\r\n\r\nabc", then_hang=True), "unavailable"),
    "endless body": (flood(OK + b"\r\n", b"a" * 65536), "too-large"),
    "endless chunks": (flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b"a" * 1024 + b"\r\n"), "too-large"),
    "endless chunk size": (flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65536), "unavailable"),
    "endless trailers": (flood(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"X: a\r\n" * 1000), "unavailable"),
    "one huge chunk announced": (
        say(OK + b"Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\nabc", then_hang=True),
        "unavailable",
    ),
    "huge length announced": (say(OK + b"Content-Length: 99999999999\r\n\r\n", then_hang=True), "too-large"),
    "less than announced": (say(OK + b"Content-Length: 9000\r\n\r\nabc"), "unavailable"),
    "chunked and cut": (say(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), "unavailable"),
    "two lengths": (say(OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), "unavailable"),
    "a length that is not a number": (say(OK + b"Content-Length: 0x3\r\n\r\nabc"), "unavailable"),
    "headers cut short": (say(OK + b"Content-Type: image/jp"), "unavailable"),
    "reset in the middle": (say(OK + b"Content-Length: 9000\r\n\r\nabc", reset=True), "unavailable"),
    "not HTTP": (say(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "unavailable"),
    "binary": (say(bytes(range(256)) * 8), "unavailable"),
    "gzip bomb": (flood(OK + b"Content-Encoding: gzip\r\n\r\n", b"\x1f\x8b\x08" + b"\0" * 65536), "encoding"),
    "redirect with an endless body": (flood(b"HTTP/1.1 302 Found\r\nLocation: /hostile\r\n\r\n", b"a" * 65536), "failed"),
    "error page without end": (flood(b"HTTP/1.1 503 Busy\r\n\r\n", b"a" * 65536), "unavailable"),
}


def no_fetch_threads() -> bool:
    return not any(thread.name.startswith("fetch-") for thread in threading.enumerate())


def wait_until(is_so: Callable[[], bool], within_s: float = 30.0) -> bool:
    end = time.monotonic() + within_s
    while not is_so() and time.monotonic() < end:
        time.sleep(0.005)
    return is_so()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_origin_ends_within_the_deadline_and_leaves_nothing(origin: Origin, name: str) -> None:
    script, kind = HOSTILE[name]
    url = origin.script("/hostile", lambda sock, _: script(sock, origin.closing))
    # What ends for another reason must not exceed the time.
    deadline_s, read_timeout_s = (DEADLINE_S, 0.3) if kind == "unavailable" else (LATE_S, LATE_S)
    fetcher = HttpClient(PeerPolicy([origin.base]), max_bytes=LIMIT_BYTES, deadline_s=deadline_s, read_timeout_s=read_timeout_s)
    start = time.monotonic()
    with pytest.raises(OriginError) as caught:
        fetcher.fetch(url)
    assert time.monotonic() - start <= LATE_S
    assert kind in {caught.value.kind, type(caught.value).kind}
    assert caught.value.reason.isprintable()
    assert "SSH" not in caught.value.reason
    assert wait_until(no_fetch_threads)
    fetcher.close()


def test_sockets_and_threads_are_flat_after_many_failures(origin: Origin) -> None:
    fetcher = HttpClient(PeerPolicy([origin.base]), max_bytes=LIMIT_BYTES, deadline_s=30)
    fetcher.fetch(origin.put("/warm", b"x"))
    urls = [
        origin.put("/404", status=404),
        origin.put("/503", status=503),
        origin.put("/big", b"x" * 200_000),
        origin.redirect("/loop", "/loop"),
    ]
    for name in ("less than announced", "reset in the middle", "not HTTP", "endless body", "two lengths", "gzip bomb"):
        script = HOSTILE[name][0]
        urls.append(origin.script(f"/{len(urls)}", lambda sock, _, script=script: script(sock, origin.closing)))
    before = (len(os.listdir("/proc/self/fd")), threading.active_count())
    for _ in range(5):
        for url in urls:
            with pytest.raises(OriginError):
                fetcher.fetch(url)
    fetcher.fetch(origin.url("/warm"))
    assert wait_until(lambda: (len(os.listdir("/proc/self/fd")), threading.active_count()) <= before)
    fetcher.close()


def test_a_304_with_truncated_headers_is_not_accepted(origin: Origin) -> None:
    url = origin.script("/a.jpg", lambda sock, _: drip(b"HTTP/1.1 304 Not Modified\r\n", b"X: a\r\n")(sock, origin.closing))
    fetcher = HttpClient(PeerPolicy([origin.base]), deadline_s=DEADLINE_S)
    with pytest.raises(OriginUnavailable, match=r"within 0\.4 s"):
        fetcher.fetch(url, etag='"1"')
    fetcher.close()


def test_redirects_share_one_deadline(origin: Origin) -> None:
    origin.put("/0", b"x")
    for n in range(1, 4):
        origin.put(f"/{n}", status=302, headers={"Location": f"/{n - 1}"}, delay_s=0.25)
    fetcher = HttpClient(PeerPolicy([origin.base]), deadline_s=DEADLINE_S)
    with pytest.raises(OriginUnavailable, match=r"within 0\.4 s"):  # each of them alone would be in time
        fetcher.fetch(origin.url("/3"))
    fetcher.close()


def test_a_fetch_after_an_aborted_one_gets_a_new_connection(origin: Origin) -> None:
    fetcher = HttpClient(PeerPolicy([origin.base]), deadline_s=60, read_timeout_s=60)
    slow, good = origin.put("/slow", b"x", gate=threading.Event()), origin.put("/good", b"x")
    for _ in range(2):
        assert fetcher.fetch(good).body == b"x"
        with pytest.raises(OriginUnavailable), fetcher.open(slow, deadline_s=0.2):
            pass
    fetcher.close()


def test_closing_aborts_running_fetches(origin: Origin) -> None:
    fetcher = HttpClient(PeerPolicy([origin.base]), deadline_s=90, read_timeout_s=90)
    url = origin.script("/half", lambda sock, _: (sock.sendall(OK + b"\r\nhalf a picture"), origin.closing.wait(120)))
    errors: list[CacheError] = []

    def run() -> None:
        try:
            fetcher.fetch(url)
        except CacheError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    origin.wait_for(1)
    fetcher.close()
    thread.join(20)
    assert [type(error) for error in errors] == [OriginUnavailable]
    assert wait_until(no_fetch_threads)


def test_a_body_can_be_read_in_chunks_with_its_own_limits(origin: Origin, fetcher: HttpClient) -> None:
    """As for large files: more bytes, more time, and the caller decides where they go."""
    url = origin.put("/large", b"x" * 400_000)
    with fetcher.open(
        url, headers={"Range": "bytes=0-"}, accepted=frozenset({200, 206}), max_bytes=400_000, deadline_s=9
    ) as answer:
        assert (answer.status, answer.length) == (200, 400_000)
        sizes = [len(chunk) for chunk in answer.chunks()]
    assert sum(sizes) == 400_000
    assert max(sizes) <= CHUNK_BYTES
    assert origin.requests[0].headers["range"] == "bytes=0-"
    with pytest.raises(OriginTooLarge), fetcher.open(url):
        pass
    with fetcher.open(url, max_bytes=400_000) as answer:  # not read to its end
        next(answer.chunks())
    assert wait_until(no_fetch_threads)


@pytest.mark.slow
def test_memory_stays_bounded_with_endless_bodies() -> None:
    """In a separate process, because the peak of this one is too high already. The limit of a body is 20 MB; 30 MB may be used."""
    program = textwrap.dedent("""
        import re
        from image_cache.net.client import HttpClient
        from image_cache.net.policy import PeerPolicy
        from image_cache.errors import OriginError
        from tests.support.origin import Origin
        from tests.net.test_client import HOSTILE

        with Origin() as origin:
            fetcher = HttpClient(PeerPolicy([origin.base]), deadline_s=1, read_timeout_s=0.5)
            fetcher.fetch(origin.put("/warm", b"x"))
            # Not ru_maxrss: it is inherited from whoever started the process.
            peak_kb = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
            before = peak_kb()
            for name, (script, _) in HOSTILE.items():
                if "endless" in name or "flood" in name or "bomb" in name:
                    try:
                        fetcher.fetch(origin.script("/hostile", lambda sock, _: script(sock, origin.closing)))
                    except OriginError:
                        pass
            fetcher.close()
            print(peak_kb() - before)
    """)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    grown_mb = int(done.stdout) / 1024
    print(f"\nendless bodies: peak RSS grew by {grown_mb:.1f} MB")
    assert grown_mb < 30


def test_importing_the_light_parts_does_not_import_requests() -> None:
    program = "import sys, image_cache.net.policy, image_cache.net.backoff; sys.exit('requests' in sys.modules or 'urllib3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


# --- TLS ---------------------------------------------------------------------------------------------------------------


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test authority (`ca.pem`), its certificate for covers.example.test, and a self-signed certificate."""
    folder = tmp_path_factory.mktemp("tls")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    names = ("-addext", "subjectAltName=DNS:covers.example.test")
    authority = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # Python 3.13 takes no other for an authority
    openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority", *authority)
    openssl(folder, "req", "-x509", *key, "-keyout", "self.key", "-out", "self.pem", "-subj", "/CN=covers.example.test", *names)
    openssl(
        folder, "req", "-x509", *key, "-keyout", "good.key", "-out", "good.pem", "-subj", "/CN=covers.example.test", *names,
        "-addext", "basicConstraints=CA:FALSE", "-CA", "ca.pem", "-CAkey", "ca.key",
    )  # fmt: skip
    return folder


def tls_context(certificates: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return context


def tls_fetcher(origin: Origin, *names: str, **options: object) -> HttpClient:
    """A client that resolves the given names to the loopback address."""
    trusted = [f"https://{name}:{origin.port}" for name in names]
    return HttpClient(PeerPolicy(trusted, resolve=lambda host, port: ["127.0.0.1"]), deadline_s=30, read_timeout_s=20, **options)


def test_the_right_name_of_a_private_authority_is_accepted_for_its_host_only(certificates: Path) -> None:
    with Origin(tls=tls_context(certificates, "good"), name="covers.example.test") as origin:
        url = origin.put("/a.jpg", b"x")
        ours = tls_fetcher(origin, "covers.example.test", private_cas={"covers.example.test": certificates / "ca.pem"})
        assert [ours.fetch(url).body for _ in range(2)] == [b"x"] * 2
        ours.close()
        elsewhere = tls_fetcher(origin, "covers.example.test", private_cas={"other.example.test": certificates / "ca.pem"})
        with pytest.raises(OriginUnavailable) as caught:
            elsewhere.fetch(url)
        elsewhere.close()
        assert (caught.value.kind, origin.count()) == ("tls", 2)


def test_a_wrong_name_is_refused(certificates: Path) -> None:
    with Origin(tls=tls_context(certificates, "good"), name="other.example.test") as origin:
        fetcher = tls_fetcher(origin, "other.example.test", private_cas={"other.example.test": certificates / "ca.pem"})
        with pytest.raises(OriginUnavailable) as caught:
            fetcher.fetch(origin.put("/a.jpg", b"x"))
        fetcher.close()
        assert (caught.value.kind, origin.count()) == ("tls", 0)


def test_a_self_signed_certificate_is_refused(certificates: Path) -> None:
    with Origin(tls=tls_context(certificates, "self"), name="covers.example.test") as origin:
        fetcher = tls_fetcher(origin, "covers.example.test")
        with pytest.raises(OriginUnavailable) as caught:
            fetcher.fetch(origin.put("/a.jpg", b"x"))
        fetcher.close()
        assert (caught.value.kind, origin.count()) == ("tls", 0)


def test_a_redirect_from_https_to_http_is_denied(certificates: Path) -> None:
    with Origin(tls=tls_context(certificates, "good"), name="covers.example.test") as origin, Origin() as plain:
        plain.put("/a.jpg", b"x")
        cas = {"covers.example.test": certificates / "ca.pem"}
        policy = PeerPolicy([origin.base, plain.base], resolve=lambda host, port: ["127.0.0.1"])
        fetcher = HttpClient(policy, private_cas=cas)
        with pytest.raises(OriginDenied, match="https to http"):
            fetcher.fetch(origin.redirect("/r", plain.url("/a.jpg")))
        fetcher.close()
        assert plain.count() == 0


@pytest.mark.parametrize("head", [OK + b"\r\n", OK + b"X: "])
def test_a_slow_body_over_tls_is_aborted_and_never_taken_for_a_complete_one(certificates: Path, head: bytes) -> None:
    """An aborted socket must stay a TLS socket: its remaining bytes are ciphertext."""
    with Origin(tls=tls_context(certificates, "good"), name="covers.example.test") as origin:
        url = origin.script("/drip", lambda sock, _: drip(head, b"a")(sock, origin.closing))
        policy = PeerPolicy([origin.base], resolve=lambda host, port: ["127.0.0.1"])
        fetcher = HttpClient(policy, deadline_s=DEADLINE_S, private_cas={"covers.example.test": certificates / "ca.pem"})
        with pytest.raises(OriginUnavailable, match=r"within 0\.4 s"):
            fetcher.fetch(url)
        fetcher.close()


def test_a_missing_handshake_ends_with_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        policy = PeerPolicy([f"https://127.0.0.1:{port}"])
        fetcher = HttpClient(policy, deadline_s=DEADLINE_S, connect_timeout_s=120, read_timeout_s=120)
        start = time.monotonic()
        with pytest.raises(OriginUnavailable):
            fetcher.fetch(f"https://127.0.0.1:{port}/")
        assert time.monotonic() - start < LATE_S
        fetcher.close()


def test_verification_cannot_be_switched_off_anywhere() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "image_cache").rglob("*.py")]
    for forbidden in ("verify=" + "False", "CERT_" + "NONE", "check_hostname = " + "False"):
        assert not any(forbidden in source for source in sources)


# --- backoff -------------------------------------------------------------------------------------------------


def delays(error: CacheError, failures: range = range(1, 13), chance: float = 0.5) -> list[float]:
    return [retry_delay_s(n, error, lambda: chance) for n in failures]


def test_delays_double_up_to_the_longest_of_their_kind() -> None:
    busy = OriginUnavailable("u", "busy")
    assert delays(busy)[:4] == [2.0, 4.0, 8.0, 16.0]
    assert delays(busy)[-1] == 900.0
    assert delays(OriginNotFound("u", "gone"))[:3] == [3600.0, 7200.0, 14400.0]
    assert delays(OriginNotFound("u", "gone"))[-1] == 7 * 86400.0
    for other in (
        OriginError("u", "403"),
        OriginDenied("u", "no"),
        OriginTooLarge("u", 1, 2),
        ImageRejected("svg"),
        DecoderFailed("too large", retryable=False),
    ):
        assert delays(other)[:3] == [60.0, 120.0, 240.0]
        assert delays(other)[-1] == 86400.0
    assert delays(busy, range(10**6, 10**6 + 1)) == [900.0]


def test_jitter_spreads_retries_of_simultaneous_failures() -> None:
    busy = OriginUnavailable("u", "busy")
    assert (retry_delay_s(1, busy, lambda: 0.0), retry_delay_s(1, busy, lambda: 1.0)) == (1.5, 2.5)
    assert len({retry_delay_s(3, busy) for _ in range(50)}) > 40


@pytest.mark.parametrize(("asked_s", "delay_s"), [(120.0, 120.0), (0.5, 2.0), (86400.0, 3600.0)])
def test_retry_after_is_honoured_up_to_an_hour(asked_s: float, delay_s: float) -> None:
    assert retry_delay_s(1, OriginUnavailable("u", "busy", status=503, retry_after_s=asked_s), lambda: 0.5) == delay_s


@pytest.mark.parametrize("kind", ["dns", "tls"])
def test_dns_and_tls_failures_are_retried_soon_because_the_clock_may_be_wrong(kind: str) -> None:
    assert max(delays(OriginUnavailable("u", "no", kind=kind))) == 300.0


@pytest.mark.slow
def test_a_large_body_may_take_long_if_it_is_fast_enough(origin: Origin, fetcher: HttpClient) -> None:
    """A gigabyte over a slow connection has no total deadline, only a minimum speed."""
    pace = MinimumSpeed(bytes_per_s=2000, window_s=0.5)

    def send(sock: socket.socket, asked: Asked, piece_bytes: int, every_s: float) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 12000\r\n\r\n")
        for _ in range(12_000 // piece_bytes):
            sock.sendall(b"x" * piece_bytes)
            if origin.closing.wait(every_s):
                return

    steady = origin.script("/steady", lambda sock, asked: send(sock, asked, 1000, 0.06))  # eight times the minimum speed
    start = time.monotonic()
    with fetcher.open(steady, min_speed=pace) as answer:
        assert sum(map(len, answer.chunks())) == 12_000
    assert time.monotonic() - start > 0.6  # longer than its window
    slow = origin.script("/slow", lambda sock, asked: send(sock, asked, 100, 0.3))
    with pytest.raises(OriginUnavailable, match="less than 2 KB/s"), fetcher.open(slow, min_speed=pace) as answer:
        for _ in answer.chunks():
            pass
