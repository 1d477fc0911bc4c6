"""`cache_monitor.py` as an operator has it: what each action says, what it leaves alone, how it ends."""

import contextlib
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from image_cache.cli import params
from image_cache.cli.cache_monitor import ACTIONS, RENAMED
from image_cache.cli.command import VaultCommand
from image_cache.cli.main import vinylvault
from image_cache.cli.maintenance.monitor import Rates, store_line
from image_cache.maintenance import cache_figures
from image_cache.resources import log_command, service_command
from tests.maintenance.health.test_health import picture_of
from tests.support.inside import Inside
from tests.support.operator import Said, command, environment, operate
from tests.support.origin import Origin, jpeg
from tests.support.vault import ROOT, Vault, wait_until

COVERS = 5


def is_reading(action: str) -> bool:
    command = vinylvault.get_command(click.Context(vinylvault), RENAMED.get(action, action))
    return isinstance(command, VaultCommand) and command.is_reading


READING = [name for name in ACTIONS if is_reading(name) and name not in ("monitor", "selftest")]


class Terminal(io.StringIO):
    """A terminal of 80 columns: what `shutil.get_terminal_size` says when it cannot ask."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Vault, list[str]]]:
    """A running vault with some covers, and their addresses. Tests that use it change nothing of it."""
    with Origin() as origin, Vault(tmp_path_factory.mktemp("operations") / "vault", trusted=(origin.base,)) as vault:
        urls = [origin.put(f"/{n}.jpg", jpeg(300, 300, (n * 30, 9, 9))) for n in range(COVERS)]
        vault.import_albums([{"artist": f"A{n}", "title": "T", "cover_url": url} for n, url in enumerate(urls)])
        vault.get("/", Accept="text/html")
        wait_until(lambda: vault.get("/api/cache/stats").json()["total_entries"] == 2 * COVERS)
        wait_until(lambda: is_still(vault.folder), 60)
        yield vault, urls


def is_still(folder: Path) -> bool:
    """Return True if a service has made all that it makes in its first seconds."""
    before = files_of(folder)
    time.sleep(4.0)
    return (folder / "imports").is_dir() and files_of(folder) == before


@pytest.fixture
def stopped(tmp_path: Path, origin: Origin) -> tuple[dict[str, str], list[str]]:
    """A vault whose service has ended, with some records whose covers no one fetched; and their addresses."""
    vault = Vault(tmp_path / "vault", trusted=(origin.base,), VINYL_VAULT_FREE_SPACE_FLOOR_MB="0")
    urls = [origin.put(f"/{n}.jpg", jpeg(300, 300, (n * 30, 9, 9))) for n in range(COVERS)]
    table = tmp_path / "table.json"
    table.write_text(
        json.dumps([{"artist": f"A{n}", "title": "T", "cover_url": url} for n, url in enumerate(urls)]), encoding="utf-8"
    )
    with Inside(vault.folder, trusted=(origin.base,), settled=False) as inside:
        inside.services.library.import_table(table)
        inside.services.covers.register(inside.services.library.cover_urls())
    return vault.env, urls


def widest(text: str) -> int:
    return max(len(line) for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).splitlines())


def on_a_terminal(env: dict[str, str], action: str, *arguments: str) -> Said:
    return operate({**env, "COLUMNS": "80", "LINES": "24"}, action, *arguments, stream=Terminal())


def test_actions_that_read_change_nothing_beside_a_service_and_without_one(
    served: tuple[Vault, list[str]], stopped: tuple[dict[str, str], list[str]]
) -> None:
    for env, urls in ((served[0].env, served[1]), stopped):
        folder = Path(env["VINYL_VAULT_DATA_DIR"])
        for action in READING:
            before = files_of(folder)
            said = operate(env, action, urls[0]) if action == "explain" else operate(env, action, "--url", urls[0])
            assert files_of(folder) == before, action
            assert said.status == (0 if action == "probe" or env is served[0].env else 1), action


def files_of(folder: Path) -> list[tuple[str, int, int, int]]:
    """Return everything below a folder but the logs of SQLite, in which a running service writes now and then."""
    return [row for row in picture_of(folder) if not row[0].endswith(("-wal", "-shm"))] + [
        (path.name, 0, 0, 0) for path in sorted(folder.rglob("*-[ws][ah][lm]"))
    ]


@pytest.mark.parametrize("action", ["status", "health", "report"])
def test_an_action_fits_a_terminal_and_speaks_plainly_to_a_pipe_and_json_to_a_script(
    served: tuple[Vault, list[str]], action: str
) -> None:
    vault, _ = served
    shown = on_a_terminal(vault.env, action)
    assert widest(shown.out) <= 80
    piped = operate(vault.env, action)
    assert "\x1b" not in piped.out
    told = operate(vault.env, action, "--json")
    assert told.json()["verdict"] == "healthy"
    assert shown.status == piped.status == told.status == 0
    for said in (shown, piped, told):
        assert said.err == ""


def test_status_is_one_line_for_a_glance_and_the_five_documented_numbers(served: tuple[Vault, list[str]]) -> None:
    vault, _ = served
    first, *rest = operate(vault.env, "status").out.splitlines()
    assert re.fullmatch(
        r"(no requests yet|\d+% hits)  0 stale  \d+ misses  0 MB/2\.0 GB  queue 0  paused 0(  .* written)?", first
    )
    assert len(first) <= 80
    for name in ("Hit rate", "Cached images", "Cache size", "Memory usage", "Evictions"):
        assert any(line.startswith(f"{name}: ") for line in rest), name
    assert f"Cached images: {2 * COVERS}" in rest
    assert rest[-1] == "healthy"
    figures = operate(vault.env, "status", "--json").json()["figures"]
    assert figures["total_entries"] == 2 * COVERS
    assert figures["memory_used_bytes"] is not None


def test_a_stopped_service_is_degraded_and_says_how_to_start_it(stopped: tuple[dict[str, str], list[str]]) -> None:
    env, _ = stopped
    said = operate(env, "health")
    assert said.status == 1
    assert f"Start it: {service_command('start')}. To see why it stopped, check {log_command()}." in " ".join(said.out.split())
    assert said.out.splitlines()[-1].startswith("degraded: Service: Not responding at ")


def test_where_no_vault_is_none_is_made_and_that_is_said(tmp_path: Path) -> None:
    env = environment(tmp_path / "nothing")
    for action in (name for name in ACTIONS if name not in ("selftest", "monitor", "probe", "explain")):
        said = operate(env, action, "--yes")
        assert said.status == 2, action
        assert "Traceback" not in said.out + said.err
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--action", "nothing"], "invalid choice"),
        (["--action", "cleanup", "--cleanup-days", "many"], "--cleanup-days"),
        (["--action", "cleanup", "--cleanup-days", "-1"], "must be between 0 and"),
        (["--action", "cleanup", "--cleanup-days", "nan"], "must be between 0 and"),
        *(
            (["--action", "monitor", "--monitor-interval", text], "must be between 0.2 and 86400")
            for text in ("0", "-1", "nan", "0.1")
        ),
        (["--action", "clear", "--cache", "pictures"], "'pictures' is not one of 'covers', 'streams', 'files', 'all'"),
        (["--action", "explain"], "explain needs a URL"),
        (["--action", "probe"], "probe needs a URL"),
        (["--action", "status", "--database", "/etc/hostname"], "neither a catalog.db file nor a folder"),
    ],
)
@pytest.mark.slow
def test_bad_arguments_are_said_in_words(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = command(environment(tmp_path / "vault"), *arguments)
    assert done.status == 2
    assert says in done.err
    assert "Traceback" not in done.err


def test_a_bad_setting_is_said_in_one_sentence(tmp_path: Path) -> None:
    said = operate(environment(tmp_path, PORT="many"), "status")
    assert (said.status, said.err) == (2, "PORT: 'many' is invalid; use a whole number.\n")


def test_another_vault_is_named_by_its_folders(stopped: tuple[dict[str, str], list[str]], tmp_path: Path) -> None:
    env, _ = stopped
    folder = Path(env["VINYL_VAULT_DATA_DIR"])
    elsewhere = environment(tmp_path / "other")
    for database in (folder / "state/catalog.db", folder / "state"):
        said = operate(elsewhere, "health", "--cache-dir", str(folder / "cache"), "--database", str(database), "--json")
        assert said.check("Catalogue")["message"] == f"{COVERS} records."
    assert (
        operate(elsewhere, "status", "--database", str(folder / "cache/index.db"), "--json").json()["figures"]["registered"]
        == COVERS
    )


@pytest.mark.slow
def test_preload_without_a_service_fetches_by_itself_and_cleanup_says_what_it_freed(
    stopped: tuple[dict[str, str], list[str]], origin: Origin
) -> None:
    env, urls = stopped
    done = on_a_terminal(env, "preload")
    assert done.status == 0
    assert f"{COVERS} covers cached, 0 failed." in done.out
    assert "100%" in done.out
    assert origin.count() == COVERS
    assert operate(env, "preload").status == 0
    assert origin.count() == COVERS
    kept = operate(env, "cleanup", "--cleanup-days", "30", "--json").json()
    assert (kept["removed"], kept["left"]) == (0, 2 * COVERS)
    later = operate(env, "cleanup", "--cleanup-days", "30", clock=lambda: time.time() + 31 * 86400)
    assert later.out.startswith(f"Removed {2 * COVERS} cached images (unused for 30 days) and freed ")
    assert "0 left" in later.out
    assert operate(env, "explain", urls[0]).status == 1


def test_a_clock_in_1970_removes_nothing(stopped: tuple[dict[str, str], list[str]]) -> None:
    env, _ = stopped
    said = operate(env, "cleanup", "--cleanup-days", "0", clock=lambda: 5000.0)
    assert said.status == 2
    assert "1970-01-01" in said.err
    assert "timedatectl" in said.err


def test_preload_names_what_could_not_be_had(stopped: tuple[dict[str, str], list[str]], origin: Origin) -> None:
    env, urls = stopped
    said = operate(
        env, "preload", "--url", urls[0], "--url", f"{origin.base}/nothing.jpg", "--url", "ftp://a.example/x", "--json"
    )
    assert said.status == 1
    told = said.json()
    assert (told["total"], told["done"], told["failed"]) == (2, 1, 1)
    assert list(told["refused"]) == ["ftp://a.example/x"]


def test_clear_asks_on_a_terminal_and_not_a_script(
    stopped: tuple[dict[str, str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    env, urls = stopped
    operate(env, "preload", "--url", urls[0])
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    refused = on_a_terminal(env, "clear")
    assert refused.status == 2
    assert "This removes 2 cached images" in refused.out
    told = operate(env, "clear").out.splitlines()
    assert told[0].startswith("This removes 2 cached images, 0 MB; each is downloaded again")
    assert told[-1].startswith("Removed 2 cached images")


@pytest.mark.server
def test_clear_beside_the_service_gives_every_cover_a_new_address_and_they_come_back(tmp_path: Path, origin: Origin) -> None:
    """The documented curl does the same; both work on the machine itself, without a login."""
    url = origin.put("/a.jpg", jpeg(200, 200))
    with Vault(tmp_path / "vault", trusted=(origin.base,)) as vault:
        vault.import_albums([{"artist": "A", "title": "T", "cover_url": url}])

        def digest() -> str:
            return re.findall(r"[0-9a-f]{64}", vault.get("/", Accept="text/html").body.decode())[0]

        def is_here() -> bool:
            return vault.get(f"/cache/thumbnails/{digest()}.webp").status == 200

        wait_until(is_here)
        first = digest()
        assert operate(vault.env, "clear").status == 0
        wait_until(lambda: digest() != first and is_here())
        assert vault.post("/api/cache/clear").json()["success"] is True  # no body, no token, no login: what curl sends


def test_explain_finds_a_cover_by_any_of_its_names_and_says_where_its_bytes_are(served: tuple[Vault, list[str]]) -> None:
    vault, urls = served
    by_address = operate(vault.env, "explain", urls[1])
    assert by_address.status == 0
    (digest,) = set(re.findall(r"Key: covers/([0-9a-f]{64})", by_address.out))
    for name in (digest, f"http://localhost:5000/cache/detail/{digest}.webp"):
        assert operate(vault.env, "explain", name).out == by_address.out
    assert "Records: /album/" in by_address.out
    path = re.search(r"^detail: stored, [\d,]+ bytes: (.+)$", by_address.out, re.MULTILINE)
    assert path
    assert Path(path[1]).is_file()
    assert by_address.out.splitlines()[-1] == "Cached and fresh."
    unknown = operate(vault.env, "explain", "https://images.example/none.jpg")
    assert unknown.status == 2
    assert "Unknown URL" in unknown.out


def test_probe_says_how_far_it_comes(served: tuple[Vault, list[str]], origin: Origin) -> None:
    vault, urls = served
    said = operate(vault.env, "probe", "--url", urls[0])
    assert said.status == 0
    assert "JPEG, 300 \N{MULTIPLICATION SIGN} 300 px" in said.out
    private = operate(vault.env, "probe", "--url", "http://10.1.2.3/a.jpg")
    assert private.status == 2
    assert "VINYL_VAULT_TRUSTED_ORIGINS" in private.out
    text = Origin()
    with text:
        other = Vault(vault.folder, trusted=(text.base,)).env
        rejected = operate(other, "probe", "--url", text.put("/a.jpg", b"hello"))
    assert rejected.status == 2
    assert "Failed (unknown-format): not a supported image" in rejected.out


def test_names_of_strangers_cannot_write_to_the_terminal(stopped: tuple[dict[str, str], list[str]]) -> None:
    env, _ = stopped
    said = operate(env, "explain", "http://a.example/\x1b[2J\x07x")
    assert "\x1b" not in said.out
    assert "\x07" not in said.out


@pytest.mark.slow
def test_selftest_tries_the_whole_way_and_leaves_the_vault_alone(tmp_path: Path) -> None:
    said = operate(environment(tmp_path / "vault"), "selftest")
    assert said.status == 0, said.out
    assert said.out.splitlines()[-1] == "7 of 7 tests passed."
    assert not (tmp_path / "vault").exists()


def test_a_newer_index_is_left_alone_by_everything(stopped: tuple[dict[str, str], list[str]]) -> None:
    env, _ = stopped
    path = Path(env["VINYL_VAULT_DATA_DIR"]) / "cache/index.db"
    body = path.read_bytes()
    path.write_bytes(body[:60] + (99).to_bytes(4, "big") + body[64:])
    newer = path.read_bytes()
    for action in ("cleanup", "clear", "preload", "verify", "doctor", "status", "report"):
        said = operate(env, action, "--yes", "--repair")
        assert said.status == 2, action
        assert "newer version" in said.out + said.err, action
        assert path.read_bytes() == newer, action


def test_the_script_is_quiet_when_its_reader_leaves_and_starts_fast(served: tuple[Vault, list[str]]) -> None:
    vault, _ = served
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' cache_monitor.py --action report | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=ROOT,
        env=vault.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith("VinylVault, ")
    loaded = "import sys, image_cache.cli.main; print(*sorted(m for m in ('PIL', 'requests', 'flask') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_monitor_is_a_screen_that_a_signal_ends_and_leaves_as_it_was(served: tuple[Vault, list[str]], number: int) -> None:
    vault, _ = served
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(
            sys.executable,
            [sys.executable, "cache_monitor.py", "--action", "monitor", "--monitor-interval", "0.3"],
            {**vault.env, "COLUMNS": "80", "LINES": "24"},
        )
    shown = b""
    deadline = time.monotonic() + 60
    while shown.count(b"per second") < 2:
        assert time.monotonic() < deadline, shown
        if select.select([fd], [], [], 0.2)[0]:
            shown += os.read(fd, 65536)
    os.kill(pid, number)
    ended, status = 0, 0
    while not ended:
        if time.monotonic() > deadline + 30:
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):  # of a terminal whose last process ended
            if select.select([fd], [], [], 0.05)[0]:
                shown += os.read(fd, 65536)
        ended, status = os.waitpid(pid, os.WNOHANG)
    with contextlib.suppress(OSError):
        while select.select([fd], [], [], 0)[0] and (part := os.read(fd, 65536)):
            shown += part
    os.close(fd)
    text = shown.decode()
    assert os.waitstatus_to_exitcode(status) == 0
    assert text.startswith("\x1b[?1049h\x1b[?25l")
    assert text.rstrip().endswith("\x1b[?25h\x1b[?1049l")
    page = text.split("\x1b[H")[-1]
    assert widest(page) <= 80
    for words in ("10 s", "100 s", "1000 s", "hits", "queue", "memory", vault.url.rpartition(":")[2]):
        assert words in page
    assert re.findall(r"^(covers|streams|files) .*\N{WHITE CIRCLE} +[\d.,]+ [MG]B ", page, re.MULTILINE) == [
        "covers",
        "streams",
        "files",
    ]
    assert "Traceback" not in text


def test_the_line_of_a_cache_has_its_hits_over_three_spans_in_80_columns(tmp_path: Path) -> None:
    rates = Rates()
    for second in range(0, 1001, 10):  # at first all hits, in the last ten seconds only misses
        misses = max(0, second - 990) * 4
        rates.add(float(second), {"streams.hits": 4.0 * second - misses, "streams.misses": float(misses)})
    full = cache_figures.CacheFigures(
        "streams",
        tmp_path,
        entries=1490,
        size_bytes=128_000_000,
        budget_bytes=256_000_000,
        hits=1,
        misses=1,
        evictions=212,
        waiting=46,
    )
    dots = "\N{BLACK CIRCLE}" * 10 + "\N{WHITE CIRCLE}" * 10
    line = store_line(full, rates)
    assert line == f"streams   0.0%   90.0%   99.0%   {dots}  256 MB    212     46    0"
    assert len(line) == 80
    young = Rates()
    young.add(0.0, {"streams.hits": 0.0, "streams.misses": 0.0})
    assert store_line(full, young).startswith("streams      -       -       -   ")


def test_monitor_is_a_line_an_interval_when_piped_also_while_the_index_is_away(
    served: tuple[Vault, list[str]], tmp_path: Path
) -> None:
    vault, _ = served
    for env, says in ((vault.env, "misses"), (environment(tmp_path / "nothing"), "Cannot read the index. It does not exist.")):
        process = subprocess.Popen(
            [sys.executable, "cache_monitor.py", "--action", "monitor", "--monitor-interval", "0.2"],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()
        assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) and says in line for line in lines), lines
    assert not (tmp_path / "nothing").exists()


@pytest.mark.server
def test_health_waits_for_a_service_that_starts(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    waiting = subprocess.Popen(
        [sys.executable, "cache_monitor.py", "--action", "health", "--wait", "120"],
        cwd=ROOT,
        env=vault.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    with vault:
        said, _ = waiting.communicate(timeout=120)
    lines = said.splitlines()
    assert lines[0].startswith("ok\tService\t"), said
    assert lines[-1] in ("healthy", "degraded"), said  # a busy machine may be late with something else


def test_a_backup_is_written_while_the_service_runs_and_restored_on_another_machine(
    served: tuple[Vault, list[str]], tmp_path: Path
) -> None:
    vault, _ = served
    file, folder = tmp_path / "vault.tar", tmp_path / "daily"
    done = operate(vault.env, "backup", "--file", str(file))
    assert done.status == 0, done.err
    assert f" to {file}" in done.out
    assert "add --secrets to include them" in done.out
    assert operate(vault.env, "backup", "--file", str(file)).status == 2, "a file that is there stays"
    assert operate(vault.env, "backup", "--file", f"{folder}/", "--keep", "2", "--json").json()["size_bytes"] > 0
    assert len(list(folder.iterdir())) == 1
    other = environment(tmp_path / "other")
    back = operate(other, "restore", "--file", str(file))
    assert back.status == 0, back.err
    assert f"{COVERS} records" in back.out
    assert operate(other, "status", "--json").json()["checks"][1]["message"] == f"{COVERS} records."
    again = operate(other, "restore", "--file", str(file))
    assert (again.status, again.out) == (2, "")
    assert "--force" in again.err
    busy = operate(vault.env, "restore", "--file", str(file), "--force")
    assert busy.status == 2
    assert "Stop the service first" in busy.err


def test_names_that_are_not_utf8_are_taken_by_backup_and_restore_and_shown_with_their_bytes(tmp_path: Path) -> None:
    """As on a disk of an older system; the terminal takes nothing but UTF-8."""
    strict = {"PYTHONIOENCODING": "utf-8:strict"}
    archive, folder = (Path(os.fsdecode(os.fsencode(tmp_path) + name)) for name in (b"/caf\xe9.tar", b"/d\xe9"))
    with Inside(tmp_path / "vault") as inside:
        inside.album()
    env, other = environment(tmp_path / "vault") | strict, environment(folder) | strict
    made = command(env, "--action", "backup", "--file", str(archive))
    assert (made.status, made.err) == (0, "")
    assert f" to {tmp_path}/caf\\xe9.tar: the catalogue" in made.out
    again = command(env, "--action", "backup", "--file", str(archive))
    assert again.err.startswith(f"{tmp_path}/caf\\xe9.tar: a file with this name already exists.")
    facts = command(env, "--action", "backup", "--file", f"{folder}/", "--json")
    assert Path(facts.json()["path"]).parent == folder
    back = command(other, "--action", "restore", "--file", str(archive))
    assert (back.status, back.err) == (0, "")
    assert "1 record" in back.out
    shown = command(other, "--action", "health")
    assert "Catalogue\t1 record." in shown.out


@pytest.mark.parametrize("body", [b"", b"no archive" * 900, None])
def test_an_archive_that_is_not_ours_is_refused_in_one_sentence_and_nothing_is_made(tmp_path: Path, body: bytes | None) -> None:
    file = tmp_path / "a.tar"
    if body is not None:
        file.write_bytes(body)
    said = operate(environment(tmp_path / "vault"), "restore", "--file", str(file))
    assert said.status == 2
    assert len(said.err.splitlines()) == 1
    assert str(file) in said.err
    assert not (tmp_path / "vault/state/catalog.db").exists()


def test_the_report_says_how_big_the_cache_should_be_and_what_was_written(served: tuple[Vault, list[str]]) -> None:
    vault, _ = served
    said = operate(vault.env, "report")
    assert "Recommended cache size" in said.out
    assert re.search(r"Written today: .* of a 1\.0 GB daily budget\.", said.out)
    assert " written" in operate(vault.env, "status").out.splitlines()[0]


# The three caches


@pytest.fixture
def filled(tmp_path: Path, origin: Origin) -> dict[str, str]:
    """A vault that holds a cover, a stream image and a file, and the failed fetch of another one; its service has ended."""
    with Inside(tmp_path / "vault", trusted=(origin.base,)) as inside:
        inside.cover(origin)
        inside.services.streams.upload_stream_image("living-room", jpeg(900, 700), "a.jpg")
        files = inside.services.files
        files.enqueue(origin.put("/a.bin", b"x" * 3_000_000))
        files.enqueue(f"{origin.base}/mistyped.bin")
        wait_until(lambda: files.stats()["entries_count"] == 1 and [f.state for f in files.cache.index.fetches()] == ["failed"])
    return environment(tmp_path / "vault", VINYL_VAULT_TRUSTED_ORIGINS=origin.base, VINYL_VAULT_FREE_SPACE_FLOOR_MB="0")


def test_the_names_of_the_caches_are_one_list() -> None:
    assert params.CACHES == cache_figures.CACHES


def test_status_report_and_monitor_know_covers_streams_and_files(filled: dict[str, str]) -> None:
    """They said "0 MB, no hits" beside a hundred megabytes of files."""
    said = operate(filled, "status")
    assert said.out.splitlines()[0].endswith("  streams 0 MB  files 3 MB")
    assert "Streams: 2 stream images, 0 MB of 256 MB" in said.out
    assert re.search(r"^Files: 1 file, 3 MB of [\d.]+ GB; 0% of 2 requests; 1 given up$", said.out, re.MULTILINE)
    caches = operate(filled, "status", "--json").json()["figures"]["caches"]
    assert [(name, cache["entries"]) for name, cache in caches.items()] == [("covers", 3), ("streams", 2), ("files", 1)]
    assert caches["files"]["size_bytes"] == 3_000_000
    assert caches["files"]["given_up"] == 1
    rows = [
        line.split("\t") for line in operate(filled, "report").out.splitlines() if line.startswith(("covers", "streams", "files"))
    ]
    assert [(row[0], row[1], row[-1]) for row in rows] == [("covers", "3", "0"), ("streams", "2", "0"), ("files", "1", "1")]


def test_clear_says_before_what_goes_and_what_stays(filled: dict[str, str]) -> None:
    first = operate(filled, "clear").out.splitlines()
    assert first[:2] == [
        "This removes 3 cached images, 0 MB; each is downloaded again when someone opens it.",
        "Kept: 2 stream images, 0 MB; 1 file, 3 MB. To remove these too, add --cache all.",
    ]
    assert first[2:] == ["Removed 3 cached images (all) and freed 0 MB. 0 left, 0 MB."]
    told = operate(filled, "clear", "--cache", "all", "--json").json()
    assert {name: cache["removed"] for name, cache in told["caches"].items()} == {"covers": 0, "streams": 2, "files": 1}
    assert (told["removed"], told["left"], told["caches"]["files"]["freed_bytes"]) == (3, 0, 3_000_000)
    folder = Path(filled["VINYL_VAULT_DATA_DIR"])
    assert not [*folder.glob("cache/streams/stream_*/*/*.webp"), *folder.glob("cache/files/*/*.bin")]
    assert len(list(folder.glob("state/stream_images/*/*"))) == 1, "the original stays"


def test_cleanup_knows_streams_and_files(filled: dict[str, str]) -> None:
    later = time.time() + 31 * 86400
    assert operate(filled, "cleanup", "--cache", "all", "--json").json()["removed"] == 0
    said = operate(filled, "cleanup", "--cache", "all", clock=lambda: later).out.splitlines()
    assert said[0].startswith("Removed 3 cached images (unused for 30 days)")
    assert said[1].startswith("Removed 2 stream images (unused for 30 days)")
    assert said[2].startswith("Removed 1 file (past their TTL) and freed 3 MB. 0 left")


def test_explain_and_probe_are_right_for_a_file(filled: dict[str, str], origin: Origin) -> None:
    url = f"{origin.base}/a.bin"
    said = operate(filled, "explain", url)
    assert said.status == 0, said.out
    assert said.out.splitlines()[-1] == "Cached and fresh."
    (digest,) = re.findall(r"Key: files/([0-9a-f]{32})", said.out)
    for name in (digest, f"http://localhost:5000/files/{digest}", f"/files/{digest}/download"):
        assert operate(filled, "explain", name).out == said.out
    (path,) = re.findall(r"^Bytes: stored, 3,000,000 bytes: (.+)$", said.out, re.MULTILINE)
    tried = operate(filled, "probe", "--url", url)
    assert tried.status == 0, tried.out
    assert "Answer: status 200, 3,000,000 bytes" in tried.out
    assert "If interrupted: starts again from the beginning" in tried.out
    assert tried.out.splitlines()[-1] == "OK: the file can be downloaded."
    Path(path).write_bytes(b"torn")
    torn = operate(filled, "explain", url)
    assert torn.status == 1
    assert f"Bytes: corrupt, 4 bytes: {path}" in torn.out
    lost = operate(filled, "explain", f"{origin.base}/mistyped.bin")
    assert lost.status == 1
    assert "Download failed for good: " in lost.out
    assert operate(filled, "probe", f"{origin.base}/mistyped.bin").status == 2
    origin.put("/mistyped.bin", b"x", status=206, headers={"Content-Range": "bytes 0-0/7000", "ETag": '"v1"'})
    ranged = operate(filled, "probe", f"{origin.base}/mistyped.bin")
    assert "Answer: status 206, 7,000 bytes" in ranged.out
    assert "If interrupted: resumes where it stopped" in ranged.out
    unknown = operate(filled, "probe", origin.put("/new.bin", b"y" * 500))
    assert unknown.status == 2
    assert "As a file: it can be downloaded at /files; status 200, 500 bytes" in unknown.out


def test_explain_and_probe_are_right_for_an_image_of_a_stream(filled: dict[str, str]) -> None:
    (original,) = Path(filled["VINYL_VAULT_DATA_DIR"]).glob("state/stream_images/*/*_original.jpg")
    address = f"http://localhost:5000/streams/living-room/images/{original.name.partition('_')[0]}/detail"
    said = operate(filled, "explain", address)
    assert said.status == 0, said.out
    assert f"Original: stored, {original.stat().st_size:,} bytes: {original}" in said.out
    assert re.search(r"^stream_detail: stored, [\d,]+ bytes: /", said.out, re.MULTILINE)
    tried = operate(filled, "probe", "--url", address)
    assert (tried.status, tried.out.splitlines()[-1]) == (0, "OK: the original can be read.")
    assert "Format: JPEG, 900 \N{MULTIPLICATION SIGN} 700 px" in tried.out
    steps = operate(filled, "probe", "--url", address, "--json").json()["steps"]
    assert (steps["Image"], steps["Format"]) == ("a.jpg, of /streams/living-room", "JPEG, 900 \N{MULTIPLICATION SIGN} 700 px")
    original.unlink()
    gone = operate(filled, "explain", address)
    assert (gone.status, gone.out.splitlines()[-1]) == (
        1,
        "The original is missing, so missing sizes cannot be rendered. Restore a backup.",
    )
    assert operate(filled, "probe", "--url", address).status == 2
    assert operate(filled, "explain", "/streams/living-room/images/nobody/detail").status == 2


def test_a_backup_into_a_folder_that_is_not_there_names_the_folder(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault") as inside:
        inside.album()
    said = operate(environment(tmp_path / "vault"), "backup", "--file", str(tmp_path / "stick/monday/vault.tar"))
    assert said.status == 2
    assert said.err.startswith(f"{tmp_path}/stick/monday: this folder does not exist. Create the folder or connect its disk")
    assert "space" not in said.err
    assert not (tmp_path / "stick").exists()
