"""The test origin itself: what the other tests believe of it is true."""

import http.client
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.origin import ANY, Asked, Origin, jpeg


def get(origin: Origin, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", origin.port, timeout=30)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_it_serves_what_was_put_and_keeps_what_was_asked() -> None:
    with Origin() as origin:
        picture = jpeg()
        assert origin.put("/a.jpg", picture) == f"http://127.0.0.1:{origin.port}/a.jpg"
        assert get(origin, "/a.jpg", {"X-Probe": "1"}) == (200, picture)
        assert get(origin, "/a.jpg?size=2", method="HEAD") == (200, b"")
        assert get(origin, "/b.jpg")[0] == 404
        assert (origin.count("/a.jpg"), origin.count("/b.jpg"), origin.count()) == (1, 1, 3)
        assert origin.requests[0].headers["x-probe"] == "1"
        origin.put(ANY, b"rest")
        assert get(origin, "/b.jpg") == (200, b"rest")


def test_it_knows_validators_and_failures_before_success() -> None:
    with Origin() as origin:
        origin.put("/a.jpg", b"a", etag='"1"', last_modified="Tue, 03 Mar 2026 10:00:00 GMT", fail_first=[503])
        assert get(origin, "/a.jpg")[0] == 503
        assert get(origin, "/a.jpg", {"If-None-Match": '"0", "1"'}) == (304, b"")
        assert get(origin, "/a.jpg", {"If-None-Match": '"2"'}) == (200, b"a")
        assert get(origin, "/a.jpg", {"If-Modified-Since": "Wed, 04 Mar 2026 10:00:00 GMT"}) == (304, b"")
        assert get(origin, "/a.jpg", {"If-Modified-Since": "Mon, 02 Mar 2026 10:00:00 GMT"}) == (200, b"a")


def test_a_gate_holds_answers_and_the_peak_is_counted() -> None:
    gate = threading.Event()
    with Origin() as origin, ThreadPoolExecutor(3) as pool:
        origin.put("/a.jpg", b"a", gate=gate)
        answers = [pool.submit(get, origin, "/a.jpg") for _ in range(3)]
        origin.wait_for(3, "/a.jpg")
        assert origin.active() == 3
        gate.set()
        assert [answer.result() for answer in answers] == [(200, b"a")] * 3
        assert (origin.peak("/a.jpg"), origin.peak(), origin.peak("/b.jpg")) == (3, 3, 0)


def test_a_script_sends_raw_bytes_and_closing_releases_held_clients() -> None:
    before = set(threading.enumerate())  # some of other tests may be ending

    def drip(sock: socket.socket, asked: Asked) -> None:
        while not origin.closing.wait(0.01):
            sock.sendall(b"H")

    with Origin() as origin, ThreadPoolExecutor(2) as pool:
        origin.script("/drip", drip)
        origin.put("/held", b"", gate=threading.Event())
        lost = [pool.submit(get, origin, "/drip"), pool.submit(get, origin, "/held")]
        origin.wait_for(2)
        origin.closing.set()
        for answer in lost:
            with pytest.raises((http.client.HTTPException, OSError)):
                answer.result()
    assert set(threading.enumerate()) <= before
