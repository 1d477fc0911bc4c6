"""Wrong, odd and huge arguments of the commands on URLs, names and numbers: one clear line and exit status 2, never a traceback."""

import re
import time
from collections.abc import Iterator

import pytest

from tests.cli.test_vinylvault import run
from tests.support.filled import fill, settings_of
from tests.support.inside import Inside
from tests.support.operator import Said, environment
from tests.support.origin import Origin

ODD_NAMES = (
    " ", "x" * 100_000, "\x1b[2J", "é\udcff", "/", "//", "http://", "http://[::1", "http://a:99999999/", "https://" + "a" * 5000,
    "ftp://x/y", "file:///etc/passwd", "javascript:alert(1)", "../../etc/passwd", "%00", "0" * 64, "f" * 32, "nan", "\n", "a\nb",
    "/streams/evening/images/nope", "/api/images/..%2f..", "http://user:pw@h/x", "http://a b/c", "-1", "--",
)  # fmt: skip
ODD_NUMBERS = ("", "x", "nan", "inf", "1e999", "-1", "99999999999999999999", "\x00", "9" * 5000, "1d1")


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("odd")
    with Origin() as origin:
        fill(settings_of(folder / "vault", TRUSTED_ORIGINS=(origin.base,)), origin, folder)
        url = origin.put("/volume.bin", b"x" * 3000)
        with Inside(folder / "vault", trusted=(origin.base,), settled=False, FREE_SPACE_FLOOR_MB=0) as inside:
            inside.services.files.cache.get(url)
            inside.services.files.groups.registries.add("set", f"brain.nii {url}\n".encode())
        yield environment(folder / "vault", VINYL_VAULT_TRUSTED_ORIGINS=origin.base, VINYL_VAULT_FREE_SPACE_FLOOR_MB="0")


def is_clear(said: Said) -> bool:
    """Return True for a refusal of one line, below the lines of the usage that click puts above it."""
    text = said.out + said.err
    last = text.strip().splitlines()[-1] if text.strip() else ""
    is_plain = not any(word in text for word in ("Traceback", "Unexpected error", "\x1b"))
    lines = [line for line in text.strip().splitlines() if not line.startswith(("Usage: ", "Try '", "Address", "Identity"))]
    return said.status == 2 and is_plain and 10 < len(last) < 700 and len([line for line in lines if line]) == 1


@pytest.mark.parametrize("command", ["explain", "probe", "files pin", "files unpin", "files rm", "files get"])
def test_an_odd_name_or_url_is_refused_in_one_line(env: dict[str, str], command: str) -> None:
    found = [(odd[:40], said) for odd in ODD_NAMES if not is_clear(said := run(env, *command.split(), "--", odd))]
    assert found == []


@pytest.mark.parametrize(
    "command",
    [
        "files prune --older-than", "cleanup --days", "monitor --interval", "health --wait", "files speed", "preload --namespace",
        "clear --yes --namespace", "users quota Vera", "remove --yes", "backup --keep", "alerts test", "files speed 4 --full-hours",
    ],
)  # fmt: skip
def test_an_odd_number_or_word_is_refused_in_one_line(env: dict[str, str], command: str) -> None:
    odd = [text for text in ODD_NUMBERS if text or "hours" not in command]  # no hours are no hours
    begun = time.monotonic()
    found = [(text[:40], said) for text in odd if not is_clear(said := run(env, *command.split(), "--", text))]
    assert found == []
    assert time.monotonic() - begun < 60, "none of them waited"


def test_names_of_registries_are_names_of_files(env: dict[str, str]) -> None:
    for command, says in (
        ("files pin", "Pinned volume.bin"),
        ("files unpin", "Unpinned volume.bin"),
        ("explain", "Cached and fresh."),
    ):
        said = run(env, *command.split(), "brain.nii")
        assert (said.status, says in said.out) == (0, True), command
        said = run(env, *command.split(), "brain.mii")
        assert (said.status, "Did you mean brain.nii?" in said.out + said.err) == (2, True), command
    assert "Did you mean brain.nii?" in run(env, "files", "get", "brain.mii").err
    assert run(env, "files", "pin", "brain.nii", "nothing").status == 1
    assert run(env, "files", "unpin", "brain.nii").status == 0


def test_du_counts_and_takes_no_arguments(env: dict[str, str]) -> None:
    said = run(env, "files", "du")
    assert said.status == 0
    assert re.fullmatch(r"1 file, 3 KB of .*; 0 pinned, 0 B\.", said.out.splitlines()[-1])
    assert is_clear(run(env, "files", "du", "more"))
