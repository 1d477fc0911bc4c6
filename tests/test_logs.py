"""Logging: no secrets, limited repeats, an optional file."""

import logging
import subprocess
from pathlib import Path

import pytest
from gunicorn import arbiter

from image_cache.logs import MAX_REPEATS, WINDOW_S, RateLimitFilter, ReplacedWorkerFilter, SingleLineFormatter
from tests.support.clock import FakeClock
from tests.support.vault import ROOT, SERVE, Vault


def record(text: str, *arguments: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("image_cache.x", level, "", 0, text, arguments, None)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("url=https://a.example/p?token=abc&x=1 next", "url=https://a.example/p?… next"),
        ("url=https://vera:hunter2@a.example/p", "url=https://…@a.example/p"),
        ("headers Authorization: Discogs token=abcdef status=401", "headers Authorization: … status=401"),
        ("header Authorization: Bearer abc.def next", "header Authorization: … next"),
        ("password=hunter2 secret=x api_key=y cookie=z", "password=… secret=… api_key=… cookie=…"),
        ("cover failed identity=discogs:R-1.jpg failures=2", "cover failed identity=discogs:R-1.jpg failures=2"),
    ],
)
def test_a_line_contains_no_secret(said: str, shown: str) -> None:
    assert SingleLineFormatter().format(record("%s", said)) == f"WARNING image_cache.x {shown}"


def test_repeats_of_one_kind_are_reported_once_with_their_number_and_others_pass() -> None:
    clock = FakeClock()
    sparing = RateLimitFilter(clock)
    heard = [sparing.filter(record("cover failed identity=%s", number)) for number in range(1000)]
    assert sum(heard) == MAX_REPEATS
    assert heard[:MAX_REPEATS] == [True] * MAX_REPEATS
    assert sparing.filter(record("another event url=%s", 1))
    assert all(sparing.filter(record("cache hit", level=logging.DEBUG)) for _ in range(100))
    clock.advance(WINDOW_S + 1)
    last = record("cover failed identity=%s", "100 %d")
    assert sparing.filter(last)
    assert (
        SingleLineFormatter().format(last)
        == f"WARNING image_cache.x cover failed identity=100 %d and={1000 - MAX_REPEATS} more like it"
    )
    again = record("cover failed identity=%s", 1)
    assert sparing.filter(again)
    assert again.getMessage() == "cover failed identity=1"


def test_memory_is_not_blamed_for_a_worker_that_gave_no_sign() -> None:
    """gunicorn kills it itself after a minute, and then suspects memory."""
    timeout, killed = "WORKER TIMEOUT (pid:%s)", "Worker (pid:%s) was sent %s! Perhaps out of memory?"
    source = Path(str(arbiter.__file__)).read_text(encoding="utf-8")
    assert timeout in source
    assert all(f'"{part}"' in source for part in ("Worker (pid:%s) was sent %s!", " Perhaps out of memory?"))
    replaced = ReplacedWorkerFilter()
    lines = [(timeout, (311,)), (killed, (311, "SIGKILL")), (killed, (312, "SIGKILL")), (killed, (311, "SIGKILL"))]
    records = [logging.LogRecord("gunicorn.error", logging.ERROR, "", 0, text, arguments, None) for text, arguments in lines]
    assert all(replaced.filter(record) for record in records)
    assert [record.getMessage() for record in records] == [
        "WORKER TIMEOUT (pid:311)",
        "worker was stopped or hung, replaced pid=311",
        "Worker (pid:312) was sent SIGKILL! Perhaps out of memory?",
        "Worker (pid:311) was sent SIGKILL! Perhaps out of memory?",  # a later process with the same number
    ]


def test_two_handlers_get_the_same_lines() -> None:
    sparing = RateLimitFilter(FakeClock())
    for number in range(3 * MAX_REPEATS):
        said = record("cover failed identity=%s", number)
        assert sparing.filter(said) == sparing.filter(said) == (number < MAX_REPEATS)


@pytest.mark.server
def test_a_log_file_has_the_lines_with_their_times_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "vinylvault.log"
    with Vault(tmp_path / "vault", trusted=("http://127.0.0.1:9",), VINYL_VAULT_LOG_FILE=str(path)) as vault:
        vault.get("/keys")
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first.endswith("INFO image_cache.net.policy origins trusted origins=http://127.0.0.1:9")
        assert first[:4].isdigit()
        assert path.stat().st_mode & 0o077 == 0
        assert "origins trusted" in vault.log.read_text()


@pytest.mark.server
def test_a_log_file_that_cannot_be_written_stops_the_start_with_a_message(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault", VINYL_VAULT_LOG_FILE="/proc/nothing/a.log")
    done = subprocess.run(
        SERVE,
        cwd=ROOT,
        env=vault.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "VINYL_VAULT_LOG_FILE: cannot write to /proc/nothing/a.log" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
