"""Commands on covers, streams and files at once: what fits 80 columns, what is biggest, counters since a moment, one URL live."""

import hashlib
import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from image_cache.cli.maintenance.status import collect
from image_cache.maintenance.readonly_vault import open_readonly
from image_cache.streams.images import SETS
from image_cache.streams.table import StreamTable
from tests.cli.test_vinylvault import run
from tests.support.filled import fill, settings_of
from tests.support.inside import Inside
from tests.support.operator import environment, operate
from tests.support.origin import Origin, jpeg
from tests.support.vault import ROOT, Vault, wait_until

WIDTH = 80


class Terminal(io.StringIO):
    """A terminal of 80 columns: what `shutil.get_terminal_size` says when it cannot ask."""

    def isatty(self) -> bool:
        return True


def widest(text: str) -> int:
    return max(len(line) for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).splitlines())


pytestmark = pytest.mark.server


@pytest.fixture
def stopped(tmp_path: Path, origin: Origin) -> dict[str, str]:
    """A vault with covers, stream images and a file; its service has ended."""
    settings = settings_of(tmp_path / "vault", TRUSTED_ORIGINS=(origin.base,))
    fill(settings, origin, tmp_path)
    with Inside(tmp_path / "vault", trusted=(origin.base,), FREE_SPACE_FLOOR_MB=0) as inside:
        inside.services.files.enqueue(origin.put("/volume.bin", b"x" * 3_000_000))
        wait_until(lambda: inside.services.files.stats()["entries_count"] == 1)
    return environment(tmp_path / "vault", VINYL_VAULT_TRUSTED_ORIGINS=origin.base, VINYL_VAULT_FREE_SPACE_FLOOR_MB="0")


@pytest.fixture
def busy(tmp_path: Path, origin: Origin) -> Iterator[Vault]:
    """A running vault whose three caches have work that does not end: origins that answer when the test is over."""
    settings = settings_of(tmp_path / "vault", TRUSTED_ORIGINS=(origin.base,))
    fill(settings, origin, tmp_path)
    over = threading.Event()
    with Vault(tmp_path / "vault", trusted=(origin.base,), VINYL_VAULT_FREE_SPACE_FLOOR_MB="0") as vault:
        slow = [origin.put(f"/slow-{n}.jpg", jpeg(300, 300, (n, 9, 9)), gate=over) for n in range(9)]
        vault.import_albums([{"artist": f"Slow {n}", "title": "T" * 90, "cover_url": url} for n, url in enumerate(slow)])
        vault.command("files", "get", origin.put("/volume.bin", b"x" * 3_000_000))
        late = [origin.put(f"/{'long-name-' * 9}{n}.bin", b"y" * 3_000_000, gate=over) for n in range(3)]
        assert [vault.post("/api/files", {"url": url}).status for url in late] == [202] * 3
        vault.get("/", Accept="text/html")
        wait_until(lambda: vault.get("/api/cache/stats").json()["running"] > 0, 60)
        yield vault
        over.set()


def test_status_and_report_fit_80_columns_with_all_three_caches_busy(busy: Vault) -> None:
    for action in ("status", "report"):
        said = operate(busy.env, action, stream=Terminal())
        assert widest(said.out) <= WIDTH, said.out
        for cache in ("covers", "streams", "files"):
            assert cache in said.out
    listed = run(busy.env, "files", "list", stream=Terminal()).out
    assert widest(listed) <= WIDTH, listed
    assert re.search(r"^ *3 MB +\S+ +[0-9a-f]{12} +volume\.bin .* +until \d{4}-\d\d-\d\d \d\d:\d\d$", listed, re.MULTILINE), (
        listed
    )
    assert re.search(r"^Queue +[1-9]\d* +0 +3 +[1-9]\d*$", operate(busy.env, "status", stream=Terminal()).out, re.MULTILINE)


def test_monitor_fits_a_terminal_of_24_lines_and_shows_what_is_requested_most(busy: Vault) -> None:
    covers = re.findall(r"/cache/[\w-]+/[0-9a-f]{64}\.webp", busy.get("/", Accept="text/html").body.decode())
    stored = next(path for path in covers if busy.get(path).status == 200)
    for _ in range(20):
        assert busy.get(stored).status == 200
    wait_until(lambda: busy.get("/api/cache/stats").json()["most_requested"]["covers"][0]["requests"] >= 20)
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        command = [sys.executable, "cache_monitor.py", "--action", "monitor", "--monitor-interval", "0.3"]
        os.execve(sys.executable, command, {**busy.env, "COLUMNS": "80", "LINES": "24"})
    shown, deadline = b"", time.monotonic() + 60
    while shown.count(b"per second") < 2:
        assert time.monotonic() < deadline, shown
        if select.select([fd], [], [], 0.2)[0]:
            shown += os.read(fd, 65536)
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    os.close(fd)
    page = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode().split("\x1b[H")[1]).replace("\r", "")
    assert widest(page) <= WIDTH
    assert len(page.splitlines()) <= 24
    assert re.search(r"^most requested +requests\n  covers  .* +2\d$", page, re.MULTILINE), page


def test_the_line_of_status_is_never_wider_than_a_terminal(stopped: dict[str, str], tmp_path: Path) -> None:
    vault = open_readonly(settings_of(tmp_path / "vault"))
    try:
        report = collect(vault)
    finally:
        vault.close()
    large = replace(report, stats=replace(report.stats, hits=10**9, misses=10**8, budget_bytes=10**13), stale=10**7)
    assert len(large.line()) > WIDTH >= len(large.line(is_short=True))


def test_report_names_what_is_biggest_in_each_cache(stopped: dict[str, str]) -> None:
    said = operate(stopped, "report", "--json").json()
    assert said["biggest"]["files"][0] == {
        "cache": "files",
        "name": "volume.bin",
        "detail": "127.0.0.1:" + stopped["VINYL_VAULT_TRUSTED_ORIGINS"].rpartition(":")[2],
        "size_bytes": 3_000_000,
        "requests": 0,
        "path": said["biggest"]["files"][0]["path"],
    }
    for cache in ("covers", "streams"):
        sizes = [one["size_bytes"] for one in said["biggest"][cache]]
        assert sizes == sorted(sizes, reverse=True)
        assert len(sizes) == 3
    assert re.search(r"^3 MB\tfiles\tvolume\.bin, ", operate(stopped, "report").out, re.MULTILINE)
    assert "Title" not in str(said["biggest"]["streams"]), "a title may be private"


def test_counters_begin_again_on_command(stopped: dict[str, str]) -> None:
    before = operate(stopped, "status", "--json").json()["figures"]
    assert before["caches_since"]["files"]["misses"] == before["caches"]["files"]["misses"] > 0
    said = subprocess.run(
        [sys.executable, "-m", "image_cache.cli", "reset-counters"],
        cwd=ROOT,
        env=stopped,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Counting from now on." in said.stdout
    after = operate(stopped, "status", "--json").json()["figures"]
    assert after["caches_since"]["files"]["misses"] == 0
    assert after["caches"]["files"]["misses"] == before["caches"]["files"]["misses"]
    assert "Counters since 20" in operate(stopped, "status", stream=Terminal()).out


def test_preload_renders_missing_stream_images(stopped: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "vault/cache/streams"
    before = sorted(path.name for path in folder.glob("stream_*/*/*.webp"))
    assert operate(stopped, "clear", "--namespace", "streams").status == 0
    assert not [*folder.glob("stream_*/*/*.webp")]
    said = operate(stopped, "preload", "--namespace", "streams")
    assert (said.status, said.out) == (0, f"{3 * sum(map(len, SETS))} stream images rendered, 0 failed.\n")
    assert set(before) <= {path.name for path in folder.glob("stream_*/*/*.webp")}
    assert operate(stopped, "preload", "--namespace", "streams").out == "0 stream images rendered, 0 failed.\n"


def test_preload_says_which_image_could_not_be_rendered(stopped: dict[str, str], tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "vault")
    vault = open_readonly(settings)
    try:
        images = [
            image for stream in StreamTable(vault.catalog).streams() for image in StreamTable(vault.catalog).images(stream.id)
        ]
    finally:
        vault.close()
    (settings.stream_images_dir / images[0].file_path).unlink()
    operate(stopped, "clear", "--cache", "streams")
    said = operate(stopped, "preload", "--cache", "streams")
    assert said.status == 1
    assert said.out.endswith("1 failed.\n")
    assert images[0].image_id[:8] in said.err


def test_preload_downloads_the_files_of_the_registries(stopped: dict[str, str], origin: Origin, tmp_path: Path) -> None:
    lines = []
    for number in range(4):
        body = bytes([number]) * 5000
        lines.append(f"part-{number} {hashlib.sha256(body).hexdigest()} {origin.put(f'/part-{number}.bin', body)}")
    registry = tmp_path / "set.txt"
    registry.write_text("\n".join(lines))
    vinylvault = [sys.executable, "-m", "image_cache.cli"]
    subprocess.run([*vinylvault, "files", "registry", "add", registry], cwd=ROOT, env=stopped, check=True, capture_output=True)
    done = subprocess.run(
        [*vinylvault, "files", "get", "part-2", "part-0"], cwd=ROOT, env=stopped, check=True, capture_output=True, text=True
    )
    *paths, last = done.stdout.splitlines()
    assert [Path(path).read_bytes()[:1] for path in paths] == [b"\2", b"\0"]
    assert last == "2 of 2 files, 10 KB."
    assert "Cached and fresh." in operate(stopped, "explain", "part-2").out
    said = operate(stopped, "preload", "--cache", "files")
    assert (said.status, said.out) == (0, "2 files downloaded, 10 KB; 0 failed.\n")
    assert [origin.count(f"/part-{number}.bin") for number in range(4)] == [1, 1, 1, 1]


def test_log_follows_one_url(stopped: dict[str, str], origin: Origin, tmp_path: Path) -> None:
    """A file that arrives while someone looks: each change is a line, and the lines of the log that name it."""
    log = tmp_path / "service.log"
    env = {**stopped, "VINYL_VAULT_LOG_FILE": str(log), "PYTHONUNBUFFERED": "1"}
    over = threading.Event()
    url = origin.put("/late.bin", b"y" * 40_000, gate=over)
    command = [sys.executable, "-m", "image_cache.cli"]
    following = subprocess.Popen(
        [*command, "log", url, "--follow", "--for", "120"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    )
    assert following.stdout is not None
    lines: list[str] = []

    def read() -> None:
        assert following.stdout is not None
        lines.extend(iter(following.stdout.readline, ""))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        wait_until(lambda: any("Unknown: no record, file or stream has it." in line for line in lines), 60)
        with Inside(tmp_path / "vault", trusted=(origin.base,)) as inside:
            inside.services.files.enqueue(url)
            wait_until(lambda: any("Fetch" in line and "working" in line for line in lines), 60)
            over.set()
            wait_until(lambda: any("State" in line and "Cached and fresh." in line for line in lines), 60)
        log.write_text(f"INFO other line\nINFO Cached file: {url} (40000 bytes)\n")
        wait_until(lambda: any("log " in line and "Cached file" in line for line in lines), 60)
    finally:
        following.send_signal(signal.SIGINT)
        status = following.wait(60)
        reader.join(60)
        following.stdout.close()
    assert status == 0, "it is stored"
    assert not [line for line in lines if "other line" in line]


def test_log_of_what_no_one_knows_says_so(stopped: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "image_cache.cli", "log", "https://never.example/a.jpg"],
        cwd=ROOT,
        env=stopped,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Unknown: no record" in done.stdout) == (2, True)
