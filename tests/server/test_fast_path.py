"""Fast path: the same response to the last byte as from the application, and only to plain requests."""

import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from image_cache.engine.key import Key
from image_cache.server.fast_path import MAX_PREPARED, FastPath, Stored
from tests.support.origin import Origin, jpeg
from tests.support.vault import Vault, wait_until

DIGEST = "a" * 64
PATH = f"/cache/thumbnails/{DIGEST}.webp"
DATE = re.compile(rb"Date: [^\r]+\r\n")


HEADERS = [("Content-Length", "4"), ("ETag", '"x"')]


class OneCover:
    """A source with one response, which can be dropped."""

    def __init__(self) -> None:
        self.generation = 0
        self.key = Key("covers", "thumbnails", DIGEST)
        self.body: bytes | None = b"body"
        self.found = 0
        self.uses: Counter[Key] = Counter()

    def find(self, path: str) -> Stored | None:
        self.found += 1
        return Stored(self.key, '"x"', HEADERS, HEADERS[1:], self.body) if path == PATH and self.body is not None else None

    def record_uses(self, uses: Mapping[Key, int]) -> None:
        self.uses.update(uses)


@pytest.fixture
def source() -> OneCover:
    return OneCover()


@pytest.fixture
def quick(source: OneCover) -> FastPath:
    return FastPath(source, "gunicorn")


def asked(*headers: str, path: str = PATH, line: str = "GET {} HTTP/1.1") -> bytes:
    return "\r\n".join([line.format(path), "Host: vault", *headers, "", ""]).encode("latin-1")


def test_a_plain_request_gets_a_response(quick: FastPath) -> None:
    answer = quick.respond(
        asked("User-Agent: Mozilla/5.0 (X11)", "Accept: image/webp,*/*;q=0.8", "Connection: keep-alive", "Cookie: a=b")
    )
    assert answer is not None
    assert answer[0].startswith(b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: ")
    assert answer[1:] == (b'Content-Length: 4\r\nETag: "x"\r\n\r\n', b"body")


def test_a_matching_tag_gets_a_response_without_body(quick: FastPath) -> None:
    answer = quick.respond(asked('If-None-Match: "x"'))
    assert answer is not None
    assert answer[0].startswith(b"HTTP/1.1 304 NOT MODIFIED\r\n")
    assert answer[1:] == (b'ETag: "x"\r\n\r\n', b"")


@pytest.mark.parametrize(
    "request_bytes",
    [
        asked(path="/"),
        asked(path=PATH.replace("a", "b")),
        asked(path=PATH + "?x=1"),
        asked(path="http://vault" + PATH),
        asked(path="/cache/../cache/thumbnails/" + DIGEST + ".webp"),
        asked(line="HEAD {} HTTP/1.1"),
        asked(line="GET {} HTTP/1.0"),
        asked(line="GET  {} HTTP/1.1"),
        asked(line="get {} HTTP/1.1"),
        asked("Connection: close"),
        asked("Connection: keep-alive, upgrade"),
        asked("Content-Length: 5"),
        asked("content-LENGTH: 0"),
        asked("Transfer-Encoding: chunked"),
        asked("Expect: 100-continue"),
        asked("Upgrade: h2c"),
        asked("Range: bytes=0-1"),
        asked("Host: other"),
        asked('If-None-Match: "x"', 'If-None-Match: "y"'),
        asked('If-None-Match: "x"', 'if-none-match: "x"'),
        asked('If-None-Match: "x", "y"'),
        asked('If-None-Match: "y"'),
        asked('If-None-Match: "x"', " folded"),
        asked('If-None-Match: "x"\r'),
        asked() + b'If-None-Match: "x"\r\n',
        asked() + b'If-None-Match: "x"\r\n\r\n',
        asked().replace(b"Host: vault", b'If-None-Match: "x"'),
        asked("X: a\n b"),
        asked("X: a", " folded"),
        asked("X : a"),
        asked("X: a\0"),
        asked("X: \xe9"),
        asked(*["X: a"] * 60),
        asked("X: " + "a" * 3000),
        asked() + b"GET / HTTP/1.1\r\n",
        asked()[:-1],
        asked().replace(b"Host: vault\r\n", b""),
        asked().replace(b"\r\n", b"\n"),
    ],
)
def test_everything_else_is_left_to_the_application(quick: FastPath, request_bytes: bytes) -> None:
    for _ in range(2):  # what is remembered of plain requests changes nothing
        assert quick.respond(request_bytes) is None
        assert quick.respond(asked('If-None-Match: "x"')) is not None
        assert quick.respond(asked()) is not None


def test_the_source_is_asked_once_and_told_of_all_uses(quick: FastPath, source: OneCover) -> None:
    for number in range(3):
        assert quick.respond(asked(f"Cookie: {number}")) is not None
    assert quick.respond(asked('If-None-Match: "y"')) is None, "the application counts that one"
    assert source.found == 1
    assert not source.uses
    quick.flush()
    quick.flush()
    assert source.uses == {source.key: 3}


def test_a_dropped_response_is_not_sent_again(quick: FastPath, source: OneCover) -> None:
    assert quick.respond(asked()) is not None
    source.body, source.generation = None, 1
    assert quick.respond(asked()) is None
    assert source.uses == {source.key: 1}


def test_a_dropped_response_takes_no_memory_although_nobody_asks(quick: FastPath, source: OneCover) -> None:
    body = source.body = bytes(1000)
    references = sys.getrefcount(body)
    assert quick.respond(asked()) is not None
    assert sys.getrefcount(body) == references + 1
    source.body, source.generation = None, 1
    quick.flush()
    assert sys.getrefcount(body) < references


def test_no_more_headers_and_responses_are_remembered_than_fit(source: OneCover) -> None:
    class Covers(OneCover):
        def find(self, path: str) -> Stored | None:
            self.found += 1
            return Stored(Key("covers", "thumbnails", path[18:82]), '"x"', HEADERS, HEADERS[1:], b"body")

    covers = Covers()
    quick = FastPath(covers, "gunicorn")
    paths = [PATH.replace(DIGEST, f"{number:064x}") for number in range(MAX_PREPARED + 10)]
    for number, path in enumerate(paths):
        assert quick.respond(asked(f"Cookie: {number}" + "x" * 9 * (number % 2) * 100, path=path)) is not None
    assert quick.respond(asked(path=paths[0])) is not None, "prepared again"
    assert covers.found == len(paths) + 1
    quick.flush()
    assert sum(covers.uses.values()) == len(paths) + 1
    assert covers.uses[Key("covers", "thumbnails", f"{0:064x}")] == 2


def test_the_date_is_of_this_second(quick: FastPath, monkeypatch: pytest.MonkeyPatch) -> None:
    for now, date in ((0.9, b"00:00:00"), (1.0, b"00:00:01"), (86399.5, b"23:59:59"), (2.0, b"00:00:02")):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        answer = quick.respond(asked())
        assert answer is not None
        assert b"Date: Thu, 01 Jan 1970 " + date + b" GMT\r\n" in answer[0]


@pytest.fixture
def warm(vault: Vault, origin: Origin) -> tuple[Vault, str]:
    """A vault with one large cover in memory, and its path."""
    vault.import_albums([{"artist": "A", "title": "B", "cover_url": origin.put("/a.jpg", jpeg(900, 900))}])
    (digest,) = set(re.findall(r"[0-9a-f]{64}", vault.get("/", Accept="text/html").body.decode()))
    path = f"/cache/detail/{digest}.webp"
    wait_until(lambda: vault.get(path).status == 200)
    return vault, path


def read_answer(client: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        assert more, data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    while len(body) < (int(length[1]) if length else 0):
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body


def test_both_paths_give_the_same_response(warm: tuple[Vault, str]) -> None:
    vault, path = warm
    with socket.create_connection(("127.0.0.1", vault.port), timeout=30) as client:

        def ask(*headers: str) -> bytes:
            client.sendall(asked(*headers, path=path))
            return DATE.sub(b"", read_answer(client))

        usual, plain = ask("Range: bytes=0-1"), ask()
        tag = re.search(rb'ETag: ("[^"]+")', usual)
        assert tag
        assert plain == usual
        assert len(plain) > 1000
        known = f"If-None-Match: {tag[1].decode()}"
        assert ask(known) == ask(known, "Range: bytes=0-1")
        assert ask() == usual  # and the connection can still be used


def test_a_thousand_requests_on_one_connection_and_a_page_between_them(warm: tuple[Vault, str]) -> None:
    vault, path = warm
    with socket.create_connection(("127.0.0.1", vault.port), timeout=30) as client:
        for number in range(1000):
            client.sendall(asked(path="/keys" if number % 100 == 50 else path))
            assert read_answer(client).startswith(b"HTTP/1.1 200 OK")


def test_pipelined_requests_get_responses_in_order(warm: tuple[Vault, str]) -> None:
    vault, path = warm
    with socket.create_connection(("127.0.0.1", vault.port), timeout=30) as client:
        client.sendall(asked(path=path) * 3 + asked("Connection: close", path="/keys"))
        data = b""
        while more := client.recv(65536):
            data += more
    assert [part[:3] for part in re.findall(rb"HTTP/1.1 (\d+ [A-Z]+)", data)] == [b"200"] * 4
    assert data.rstrip().endswith(b"</html>")


def test_clients_that_do_not_read_block_no_others(warm: tuple[Vault, str]) -> None:
    vault, path = warm
    slow = []
    for _ in range(4):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", vault.port))
        slow.append(client)
    try:
        for client in slow:
            client.sendall(asked(path=path))
        done: list[int] = []
        threads = [threading.Thread(target=lambda: done.append(vault.get(path).status)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert done == [200] * 8
        for client in slow:  # and they get their response once they read it
            client.settimeout(60)
            assert len(read_answer(client)) > 1000
    finally:
        for client in slow:
            client.close()


@pytest.mark.server
def test_the_access_log_has_these_requests_too(tmp_path: Path, origin: Origin) -> None:
    with Vault(tmp_path / "vault", trusted=(origin.base,), VINYL_VAULT_DEBUG="true") as vault:
        vault.import_albums([{"artist": "A", "title": "B", "cover_url": origin.put("/a.jpg", jpeg(300, 300))}])
        (digest,) = set(re.findall(r"[0-9a-f]{64}", vault.get("/", Accept="text/html").body.decode()))
        wait_until(lambda: vault.get(f"/cache/detail/{digest}.webp").status == 200)
        with closing(socket.create_connection(("127.0.0.1", vault.port), timeout=30)) as client:
            client.sendall(asked("User-Agent: plain", path=f"/cache/detail/{digest}.webp"))
            read_answer(client)
        wait_until(lambda: '"plain"' in vault.log.read_text())
