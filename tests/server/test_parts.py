"""A ZIP over the wire: whole, of the promised length, to a client that takes it slowly while others are served by one thread."""

import contextlib
import io
import os
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.db.catalog import CatalogDatabase
from image_cache.models import StreamImage
from image_cache.streams.table import StreamTable
from tests.support.pictures import encoded, noise
from tests.support.vault import Vault
from tests.support.visitor import SLUG, Browser, prepared

pytestmark = [pytest.mark.slow, pytest.mark.server]

COUNT = 24
SIDE_PX = 1200  # of noise: about 2 MB each as JPEG


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """A server with two threads."""
    folder = tmp_path_factory.mktemp("parts") / "vault"
    with Vault(folder, VINYL_VAULT_THREADS="2", VINYL_VAULT_MAX_STREAM_IMAGES_PER_STREAM="100") as running:
        yield running


@pytest.fixture(scope="module")
def owner(vault: Vault) -> Browser:
    """The owner of a stream that is full of images."""
    found = prepared(vault)
    fill(vault.folder)
    return found


def fill(folder: Path) -> None:
    """Put originals into the storage and the catalogue without rendering them: they are read, not shown."""
    body = encoded(noise("RGB", SIDE_PX, SIDE_PX, 1), "JPEG")
    storage = folder / "state/stream_images"
    (storage / SLUG).mkdir(parents=True)
    with contextlib.closing(CatalogDatabase(folder / "state/catalog.db")) as catalog:
        rows = StreamTable(catalog)
        stream = rows.stream(SLUG)
        assert stream is not None
        for number in range(COUNT):
            image = StreamImage(
                image_id=f"00000000-0000-4000-8000-{number:012}",
                stream_id=SLUG,
                filename=f"{number}.jpg",
                file_path=f"{SLUG}/{number:04}_original.jpg",
                size_bytes=len(body) + 4,
                dimensions=(SIDE_PX, SIDE_PX),
                created_at="2026-07-11T21:40:00+00:00",
                format="JPEG",
            )
            (storage / image.file_path).write_bytes(body + number.to_bytes(4, "big"))  # each is another file
            with catalog.write() as conn:
                rows.add_image(conn, stream.id, image, number.to_bytes(32, "big"))


def request(vault: Vault, owner: Browser, *, buffer_bytes: int = 0) -> socket.socket:
    """Ask for the ZIP, and read nothing yet."""
    client = socket.socket()
    if buffer_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    client.settimeout(30)
    client.connect(("127.0.0.1", vault.port))
    client.sendall(f"GET /streams/{SLUG}/images.zip HTTP/1.1\r\nHost: vault.local\r\nCookie: {owner.cookie}\r\n\r\n".encode())
    return client


def read_head(client: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65_536)
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def length_of(head: bytes) -> int:
    return int(next(line.split(b":")[1] for line in head.splitlines() if line.lower().startswith(b"content-length")))


def read_body(client: socket.socket, rest: bytes, length: int) -> bytes:
    body = bytearray(rest)
    while len(body) < length and (data := client.recv(1_000_000)):
        body += data
    return bytes(body)


def test_a_zip_arrives_whole_and_the_connection_takes_the_next_request(vault: Vault, owner: Browser) -> None:
    with request(vault, owner) as client:
        head, rest = read_head(client)
        length = length_of(head)
        body = read_body(client, rest, length)
        assert len(body) == length
        found = zipfile.ZipFile(io.BytesIO(body))
        assert found.testzip() is None
        assert len(found.namelist()) == COUNT
        client.sendall(b"GET /keys HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_head(client)[0].startswith(b"HTTP/1.1 200")


def test_clients_that_take_nothing_hold_no_thread_and_no_memory(vault: Vault, owner: Browser) -> None:
    """More of them than there are threads: pages come all the same, and the bytes stay where they are."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(request(vault, owner, buffer_bytes=4096)) for _ in range(6)]
        heads = [read_head(client) for client in clients]
        assert all(head.startswith(b"HTTP/1.1 200") for head, _ in heads)
        before = resident_bytes(vault)
        for _ in range(10):
            assert vault.get("/", Accept="text/html").status == 200
        assert resident_bytes(vault) - before < 30_000_000
        head, rest = heads[0]
        body = read_body(clients[0], rest, length_of(head))
        assert zipfile.ZipFile(io.BytesIO(body)).testzip() is None


def test_an_image_that_is_deleted_meanwhile_cuts_the_zip(vault: Vault, owner: Browser) -> None:
    """The length was promised: what cannot be kept ends the connection, so that the client does not take a part for the whole."""
    with request(vault, owner, buffer_bytes=4096) as client:
        head, rest = read_head(client)
        last = f"/api/images/00000000-0000-4000-8000-{COUNT - 1:012}"
        assert owner.ask("DELETE", last, None, {}).status == 200
        with contextlib.suppress(ConnectionResetError):
            rest = read_body(client, rest, length_of(head))
        assert len(rest) < length_of(head)


def resident_bytes(vault: Vault) -> int:
    (pid,) = vault.workers()
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
