"""Bodies over the limit, sent to a real server: refused from their head, none of them stored, and the client hears why."""

import http.client
import os
import re
import socket
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stage import multipart, photo
from tests.support.vault import Vault
from tests.support.visitor import Browser, prepared

pytestmark = pytest.mark.server

LIMIT_MB = 2


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Vault, dict[str, Browser]]]:
    folder = tmp_path_factory.mktemp("bodies") / "vault"
    with Vault(
        folder,
        VINYL_VAULT_MAX_IMPORT_MB=str(LIMIT_MB),
        VINYL_VAULT_MAX_UPLOAD_REQUEST_MB="30",
        VINYL_VAULT_MAX_VIDEO_UPLOAD_SIZE_MB="0",
    ) as vault:
        owner = prepared(vault)
        yield vault, {"operator": Browser(vault, "operator"), "owner": owner, "visitor": Browser(vault)}


def head(browser: Browser, path: str, framing: str) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: vault.local",
        f"Cookie: {browser.cookie}",
        f"X-CSRFToken: {browser.token}",
        "Accept: text/html",
        "Content-Type: multipart/form-data; boundary=b",
        framing,
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def answer_of(client: socket.socket) -> bytes:
    answer = b""
    while data := client.recv(65536):
        answer += data
    return answer


def written_bytes(vault: Vault) -> int:
    """Return what the workers gave to the disk, by the kernel's count."""
    total = 0
    for pid in vault.workers():
        facts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
        total += int(facts["wchar"])
    return total


@pytest.mark.parametrize(
    ("who", "path", "words"),
    [
        ("operator", "/import/table", b"This file is too large. The limit is 2 MB. For larger files, use the command line"),
        ("owner", "/api/streams/evening/images", b"This is too much at once. Send at most 30 MB at a time."),
        ("owner", "/streams/evening/images", b"This is too much at once. Send at most 30 MB at a time."),
        ("visitor", "/s/{code}/add", b"This is too much at once. Send at most 30 MB at a time."),
        ("operator", "/add", b"This file is too large. The limit is"),
    ],
)
def test_a_length_over_the_limit_is_answered_before_the_body(
    served: tuple[Vault, dict[str, Browser]], who: str, path: str, words: bytes
) -> None:
    """Twice the limit was received, and written to the card, before it was refused."""
    vault, people = served
    if "{code}" in path:
        path = path.format(code=link_to_add(people["owner"]))
    with socket.create_connection(("127.0.0.1", vault.port), timeout=30) as client:
        client.sendall(head(people[who], path, f"Content-Length: {40_000_000}"))
        answer = answer_of(client)
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:200]
    assert words in answer
    if path == "/streams/evening/images":
        assert b'href="/streams/evening">Back to the stream' in answer


def link_to_add(owner: Browser) -> str:
    form = urllib.parse.urlencode({"create": "1", "days": "1", "uploads": "1", "csrf_token": owner.token}).encode()
    page = owner.ask("POST", "/streams/evening/share", form, {"Content-Type": "application/x-www-form-urlencoded"})
    found = re.search(rb"/s/([2-9A-Z-]{19})", page.body)
    assert found, page.body
    return found[1].decode()


def test_a_form_within_the_limit_names_the_file_that_is_too_large_and_stores_the_others(
    served: tuple[Vault, dict[str, Browser]],
) -> None:
    """What the page says was stored is stored, also after the server was killed as soon as it had said so."""
    vault, people = served
    owner = people["owner"]
    large = photo(1) + bytes(21_000_000)
    data, kind = multipart({"csrf_token": owner.token}, (photo(2), large, photo(3)))
    before = written_bytes(vault)
    page = owner.ask("POST", "/streams/evening/images", data, {"Content-Type": kind, "Accept": "text/html"})
    assert page.status == 200
    assert b"2 of 3 uploaded" in page.body
    row = page.body.split(b'class="is-refused"')[1].split(b"</li>")[0]
    assert b"1.jpg" in row
    assert b"This file is 21.0 MB. The limit is 20 MB." in row
    assert written_bytes(vault) - before < 2 * len(data) + 5_000_000, "received once, and the large file not kept"
    vault.crash()
    facts = owner.get("/api/streams/evening/images").json()
    assert [image["filename"] for image in facts["images"]] == ["0.jpg", "2.jpg"]
    for image in facts["images"]:
        assert owner.get(image["original_url"]).body in (photo(2), photo(3))


def test_a_form_for_a_full_stream_is_refused_before_it_is_received(tmp_path: Path) -> None:
    """Up to 220 MB were received, and then each file was refused."""
    with Vault(tmp_path / "vault", VINYL_VAULT_MAX_STREAM_IMAGES_PER_STREAM="1") as vault:
        owner = prepared(vault)
        code = link_to_add(owner)
        assert owner.upload(photo(1)).status == 201
        for who, path, words in (
            (owner, "/streams/evening/images", b"This stream is full (1 image, with its trash)"),
            (owner, "/api/streams/evening/images", b"This stream is full"),
            (Browser(vault), f"/s/{code}/add", b"This stream accepts no more images."),
        ):
            with socket.create_connection(("127.0.0.1", vault.port), timeout=30) as client:
                client.sendall(head(who, path, "Content-Length: 5000000"))
                answer = answer_of(client)
            assert answer.split()[1] in (b"409", b"400"), answer[:200]
            assert words in answer


def test_chunks_are_received_up_to_the_limit(served: tuple[Vault, dict[str, Browser]]) -> None:
    vault, people = served
    chunk = b"10000\r\n" + os.urandom(65536) + b"\r\n"
    with socket.create_connection(("127.0.0.1", vault.port), timeout=30) as client:
        client.sendall(head(people["operator"], "/import/table", "Transfer-Encoding: chunked"))
        before = written_bytes(vault)
        for _ in range(400):  # 26 MB, without an end; the server stops reading and closes
            try:
                client.sendall(chunk)
            except OSError:
                break
        client.shutdown(socket.SHUT_WR)
        answer = answer_of(client)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert written_bytes(vault) - before < 2 * LIMIT_MB * 1_000_000


def test_a_client_that_sends_everything_first_reads_why_it_was_refused(served: tuple[Vault, dict[str, Browser]]) -> None:
    """Browsers do. Their connection was reset two seconds after the response, which they had not read yet."""
    vault, people = served
    connection = http.client.HTTPConnection("127.0.0.1", vault.port, timeout=30)
    try:
        connection.putrequest("POST", "/import/table", skip_host=True)
        for line in head(people["operator"], "/import/table", "Content-Length: 8000000").decode().split("\r\n")[1:-2]:
            name, _, value = line.partition(": ")
            connection.putheader(name, value)
        connection.endheaders()
        before = written_bytes(vault)
        for _ in range(20):
            connection.send(b"x" * 400_000)
            time.sleep(0.2)  # a line of 2 MB/s: longer than the server waits for a client that is silent
        answer = connection.getresponse()
        assert answer.status == 413
        assert b"The limit is 2 MB." in answer.read()
    finally:
        connection.close()
    assert written_bytes(vault) - before < 1_000_000
