"""The server process: starting, refusing to start, slow clients, stopping. Real gunicorn, real signals."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.origin import Origin, jpeg
from tests.support.vault import ROOT, SERVE, Vault, compiled_in, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server]

WAIT_S = 60.0
LATE_S = 10.0  # slack for a busy machine; waiting for one of the slow clients below would take 15 s
PSS_LIMIT_MB = 48  # of 2^20 bytes


def refused(folder: Path, **env: str) -> str:
    """Start a server that must refuse to start; return its output."""
    vault = Vault(folder, **env)
    done = subprocess.run(
        SERVE,
        cwd=ROOT,
        env=vault.env,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    said = done.stderr.strip()
    assert len(said.splitlines()) == 1, said
    return said


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("VINYL_VAULT_THREADS", "many", "VINYL_VAULT_THREADS: 'many' is invalid; use a whole number."),
        ("VINYL_VAULT_THREADS", "0", "VINYL_VAULT_THREADS: 0 must be between 1 and 64."),
        ("VINYL_VAULT_TREADS", "4", "VINYL_VAULT_TREADS: unknown setting"),
        ("PORT", "99999", "PORT: 99999 must be between 1 and 65535."),
        ("HOST", "198.51.100.7", "HOST: 198.51.100.7 is not an address of this server"),
        ("VINYL_VAULT_STATE_DIR", "/proc/nothing", "/proc/nothing: cannot use this folder"),
        ("VINYL_VAULT_SECRET_KEY_FILE", "/dev/null", "VINYL_VAULT_SECRET_KEY_FILE: the key in /dev/null is too short (0 bytes"),
    ],
)
def test_a_server_that_cannot_start_says_why_in_one_sentence(tmp_path: Path, name: str, value: str, says: str) -> None:
    said = refused(tmp_path / "vault", **{name: value})
    assert said.startswith("VinylVault could not start. ")
    assert says in said


def test_a_port_in_use_is_reported_at_once(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert refused(tmp_path / "vault", PORT=str(port)) == (
            f"VinylVault could not start. PORT: port {port} is in use by another program."
        )


def test_a_start_prints_the_url_and_the_setup_code(vault: Vault) -> None:
    said = vault.log.read_text()
    assert f"http://127.0.0.1:{vault.port}/" in said
    code = re.search(r"/claim with this setup code: ([0-9A-Z]{4}-[0-9A-Z]{4})", said)
    assert code
    assert vault.stop() == 0
    vault.command("users", "add", "Vera", "--role", "operator", stdin="correct horse\n")
    vault.log.write_text("")
    vault.start()
    assert "claim" not in vault.log.read_text()


@pytest.fixture
def fetching(tmp_path: Path) -> Iterator[tuple[Vault, Origin]]:
    """A vault that is fetching: the origin holds back every response."""
    with Origin() as origin:
        gate = threading.Event()
        rows = [
            {"artist": f"A{n}", "title": "T", "cover_url": origin.put(f"/{n}.jpg", jpeg(200, 200, (n, 0, 0)), gate=gate)}
            for n in range(30)
        ]
        with Vault(tmp_path / "vault", trusted=(origin.base,), VINYL_VAULT_FETCH_DEADLINE_S="600") as vault:
            vault.import_albums(rows)
            vault.get("/", Accept="text/html")
            wait_until(lambda: origin.count() >= 2)
            yield vault, origin
            gate.set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_stop_in_the_middle_of_fetching_is_clean_and_loses_nothing(fetching: tuple[Vault, Origin], number: int) -> None:
    vault, origin = fetching
    assert vault.process is not None
    process, vault.process = vault.process, None
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as from a terminal: the decoder gets it too
    else:
        process.send_signal(number)
    assert process.wait(WAIT_S) == 0
    assert not re.search("Traceback|ERROR|busy", vault.log.read_text())
    with sqlite3.connect(vault.folder / "cache/index.db") as index:
        jobs = index.execute("SELECT holder, leased_until, attempts FROM jobs").fetchall()
    index.close()
    assert len(jobs) == 30
    assert set(jobs) == {("", 0.0, 0)}, "given back, and the attempt is not counted"
    for page in origin._pages.values():
        page.gate.set()  # type: ignore[union-attr]
    vault.start()
    wait_until(lambda: vault.get("/api/cache/stats").json()["total_entries"] == 60, WAIT_S)


def test_a_stop_does_not_wait_for_idle_connections(vault: Vault) -> None:
    with socket.create_connection(("127.0.0.1", vault.port)) as idle, socket.create_connection(("127.0.0.1", vault.port)) as half:
        idle.sendall(b"GET /keys HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(100).startswith(b"HTTP/1.1 200")
        half.sendall(b"GET /keys HT")
        started = time.monotonic()
        assert vault.stop() == 0
        assert time.monotonic() - started < LATE_S


def test_no_control_socket_and_nothing_outside_the_data_folder_is_created(tmp_path: Path) -> None:
    home, run = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    run.mkdir()
    with Vault(tmp_path / "vault", HOME=str(home), XDG_RUNTIME_DIR=str(run), PYTHONDONTWRITEBYTECODE="1") as vault:
        vault.get("/", Accept="text/html")
        assert list(home.rglob("*")) == []
        assert list(run.rglob("*")) == []


def test_files_and_folders_are_private(tmp_path: Path, origin: Origin) -> None:
    vault = Vault(tmp_path / "vault", trusted=(origin.base,))
    previous = os.umask(0o000)  # the most permissive umask
    try:
        vault.start()
    finally:
        os.umask(previous)
    try:
        vault.import_albums([{"artist": "A", "title": "B", "cover_url": origin.put("/a.jpg", jpeg(700, 700))}])
        (digest,) = set(re.findall(r"[0-9a-f]{64}", vault.get("/", Accept="text/html").body.decode()))
        for suffix in ("webp", "jpg"):
            wait_until(lambda suffix=suffix: vault.get(f"/cache/detail-2x/{digest}.{suffix}").status == 200)
        vault.post("/api/cache/clear", {"size_type": "detail"})
        open_to_others = [path for path in (vault.folder, *vault.folder.rglob("*")) if path.stat().st_mode & 0o077]
        assert open_to_others == []
    finally:
        vault.stop()


SLOW = {
    "sends nothing": b"",
    "half a head": b"GET /keys HTTP/1.1\r\nHost: x\r\nX-A: ",
    "half a body": b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nname=",
    "half a chunk": b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "announces 99 MB": b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
    "asks for leave": b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\nExpect: 100-continue\r\n\r\n",
    "does not hang up": b"GET /keys HTTP/1.0\r\n\r\n",
    "asks once and a half": b"GET /keys HTTP/1.1\r\nHost: x\r\n\r\nGET /keys HT",
    "does not read": b"GET /assets/x/fonts/archivo-latin.woff2 HTTP/1.1\r\nHost: x\r\n\r\n" * 3,
    "is no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


def test_100_slow_clients_of_any_kind_do_not_delay_a_normal_one(vault: Vault) -> None:
    """gunicorn's own threaded worker stopped responding after six clients that sent nothing."""
    for what, data in SLOW.items():
        clients = []
        for _ in range(100):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect(("127.0.0.1", vault.port))
            client.sendall(data)
            clients.append(client)
        for _ in range(3):
            started = time.monotonic()
            assert vault.get("/keys").status == 200
            assert time.monotonic() - started < LATE_S, f"a client that {what}"
        for client in clients:
            client.close()


def test_clients_that_send_too_much_together_make_room_for_each_other(vault: Vault) -> None:
    """Each may send 1 MB before it gets a thread: without a limit for all of them a few hundred would take all memory."""
    head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(20):  # 19.6 MB of 16
            client = stack.enter_context(socket.create_connection(("127.0.0.1", vault.port), timeout=60))
            with contextlib.suppress(ConnectionError):
                client.sendall(head + bytes(980_000))
            clients.append(client)
        assert clients[0].recv(16).startswith(b"HTTP/1.1 503"), "the one that has waited longest is told to come again"
        assert not select.select([clients[-1]], [], [], 0)[0], "and not all of them"
        clients[-1].sendall(bytes(19_000))
        assert clients[-1].recv(16).startswith(b"HTTP/1.1 ")


def talk(vault: Vault, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Send chunks over a raw connection and return everything received until it is closed."""
    with socket.create_connection(("127.0.0.1", vault.port), timeout=30) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(pause_s)
        answer = b""
        while data := client.recv(65536):
            answer += data
        return answer


def test_requests_that_arrive_in_pieces_are_assembled(vault: Vault) -> None:
    head = b"POST /api/cache/state HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    body = b'{"digests": ["' + b"0" * 64 + b'"]}'
    sized = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunks = b"".join(b"%x;note=1\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:8], body[8:]))
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX-Trailer: 1\r\n\r\n"
    for whole in (sized, chunked):
        for step in (1, 7, len(whole)):
            parts = [whole[at : at + step] for at in range(0, len(whole), step)]
            answer = talk(vault, *parts, pause_s=0.0 if step == 1 else 0.001)
            assert answer.startswith(b"HTTP/1.1 200 OK"), (step, answer)
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["none"] == ["0" * 64]
    two = b"GET /keys HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = talk(vault, two * 3 + two.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answer.count(b"HTTP/1.1 200 OK") == 4
    polite = talk(vault, sized.partition(b"\r\n\r\n")[0] + b"\r\nExpect: 100-continue\r\n\r\n", body, pause_s=0.1)
    assert polite.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert b"HTTP/1.1 200 OK" in polite


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 100 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"x" * 40_000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX A: b\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST /api/cache/state HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000001\r\n\r\n", 413),
        (
            b"POST /api/cache/state HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"10000\r\n"
            + b"x" * 65536
            + b"\r\n",
            413,
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_malformed_requests_are_rejected_with_all_headers(vault: Vault, request_line: bytes, status: int) -> None:
    if status == 413 and b"chunked" in request_line:
        head, _, chunk = request_line.partition(b"\r\n\r\n")
        request_line = head + b"\r\n\r\n" + chunk * 17 + b"0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", vault.port), timeout=30) as client:
        client.sendall(request_line)
        answer = b""
        while b"\r\n\r\n" not in answer and (data := client.recv(65536)):
            answer += data
    head = answer.partition(b"\r\n\r\n")[0].decode()
    assert head.startswith(f"HTTP/1.1 {status} "), head
    for line in ("X-Content-Type-Options: nosniff", "Content-Security-Policy: default-src", "Cache-Control: no-store"):
        assert line in head
    assert vault.get("/keys").status == 200


def test_beyond_the_limit_the_connections_waiting_longest_are_closed(tmp_path: Path) -> None:
    with Vault(tmp_path / "vault", VINYL_VAULT_THREADS="2") as vault:
        clients = [socket.create_connection(("127.0.0.1", vault.port)) for _ in range(600)]
        started = time.monotonic()
        assert vault.get("/keys").status == 200
        assert time.monotonic() - started < LATE_S
        for client in clients:
            client.close()
        assert vault.stop() == 0
        assert "Traceback" not in vault.log.read_text()


def test_limits_hold_across_workers(tmp_path: Path, origin: Origin) -> None:
    with Vault(tmp_path / "vault", workers=2) as vault:
        wait_until(lambda: len(vault.workers()) == 2)
        codes = [vault.get("/api/cache/stats").status for _ in range(130)]
        assert codes == [200] * 120 + [429] * 10
        codes = [vault.post("/api/cache/clear").status for _ in range(6)]
        assert codes == [200] + [429] * 5
        killed = vault.workers()
        for worker in killed:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: len(vault.workers()) == 2 and not set(killed) & set(vault.workers()))
        assert vault.get("/api/cache/stats").status == 429, "a worker that was killed forgets nothing"


def test_every_log_record_is_one_line_and_names_no_secret(tmp_path: Path, origin: Origin) -> None:
    urls = [origin.put(f"/x?token=hunter2&n={n}", status=500) for n in range(2)]
    with Vault(tmp_path / "vault", trusted=(origin.base,)) as vault:
        rows = [{"artist": "A\nERROR forged", "title": f"T\r\nERROR forged {n}", "cover_url": url} for n, url in enumerate(urls)]
        vault.import_albums(rows)
        vault.get("/", Accept="text/html", User_Agent="x%0d%0aERROR forged")
        vault.get("/%0d%0aERROR%20forged")
        talk(vault, b"GET /\x0b\x1bERROR HTTP/1.1\r\n\r\n")
        wait_until(lambda: "cover failed" in vault.log.read_text())
        vault.stop()
        said = vault.log.read_text()
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("  ")]
    assert lines
    for line in lines:
        assert re.match(r"(INFO|WARNING|ERROR) [\w.]+ ", line), line
        assert line.isprintable()
    assert "hunter2" not in said


def test_a_broken_catalogue_stops_pages_not_covers_and_costs_no_index(tmp_path: Path, origin: Origin) -> None:
    """It once made housekeeping set a healthy index aside, again and again."""
    with Vault(tmp_path / "vault", trusted=(origin.base,)) as vault:
        vault.import_albums([{"artist": "A", "title": "B", "cover_url": origin.put("/a.jpg", jpeg(300, 300))}])
        (digest,) = set(re.findall(r"[0-9a-f]{64}", vault.get("/", Accept="text/html").body.decode()))
        wait_until(lambda: vault.get(f"/cache/detail/{digest}.webp").status == 200)
        vault.stop()
        for path in (vault.folder / "state").glob("catalog.db*"):
            path.unlink()
        (vault.folder / "state/catalog.db").write_bytes(b"this is no database" * 1000)
        (vault.folder / "cache/index.db").unlink()
        vault.start()
        assert vault.get("/", Accept="text/html").status == 503
        assert vault.get("/health").status == 503
        wait_until(lambda: vault.get(f"/cache/detail/{digest}.webp").status == 200)
        assert "The catalogue cannot be read" in vault.log.read_text()
        wait_until(lambda: vault.get("/api/cache/stats").json()["total_entries"] == 2)
        assert list((vault.folder / "cache").glob("*broken*")) == []
        assert vault.stop() == 0


def test_an_idle_server_is_small_and_has_loaded_nothing_it_does_not_need(tmp_path: Path) -> None:
    with Vault(tmp_path / "vault", **compiled_in(tmp_path / "compiled")) as vault:
        vault.stop()
        vault.start()
        for path in ("/", "/about", "/health", "/login", "/api/cache/stats"):
            vault.get(path, Accept="text/html")
        total_kb = 0
        for pid in vault.workers():
            found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            assert found
            total_kb += int(found[1])
            assert "_imaging" not in Path(f"/proc/{pid}/maps").read_text(), "Pillow belongs to the decoder"
        assert total_kb / 1024 <= PSS_LIMIT_MB
    loaded = "import sys, app; print(*sorted(m for m in ('PIL', 'requests', 'urllib3', 'rich', 'dotenv') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
