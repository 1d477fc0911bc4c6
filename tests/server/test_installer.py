"""Installer: its checks before it changes anything, and the settings that it reads. The rest: tests/server/rehearsal.py."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.vault import ROOT

SCRIPT = ROOT / "systemd/install.sh"
# A machine as the script sees it: each program that it calls prints what the test defines.
GOOD = {
    "id": "echo 0",
    "dpkg": "echo arm64",
    "df": 'printf "Filesystem 1024-blocks Used Available Capacity Mounted\\n/dev/root 9 9 9000000 9%% /\\n"',
    "python3": "exit 0",
    "apt-get": "exit 100",
}


def said(tmp_path: Path, *arguments: str, system: str = "debian", **programs: str) -> tuple[int, str]:
    """Run the script on such a machine; return its exit status and its last message."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    for name, body in {**GOOD, **{name.replace("_", "-"): body for name, body in programs.items()}}.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    release = tmp_path / "os-release"
    release.write_text(f'PRETTY_NAME="Some system"\nID={system}\n')
    script = tmp_path / "systemd/install.sh"  # of a checkout without the program: it must stop before using it
    script.parent.mkdir(exist_ok=True)
    # The only path that is not a program: the name of the system.
    script.write_text(SCRIPT.read_text(encoding="utf-8").replace("/etc/os-release", str(release)))
    script.chmod(0o755)
    done = subprocess.run(
        ["bash", str(script), *arguments],
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.stdout


def test_an_unsupported_machine_is_refused_with_a_reason(tmp_path: Path) -> None:
    cases = {
        "32-bit (armhf)": {"dpkg": "echo armhf"},
        "32-bit (i386)": {"dpkg": "echo i386"},
        "riscv64 is not supported": {"dpkg": "echo riscv64"},
        "this needs root. Run: sudo": {"id": "echo 1000"},
        "fedora is not supported by the installer": {"system": "fedora"},
        "not enough disk space in /opt: 3 MB free, 400 MB needed.": {"df": 'printf "a\\n/dev/root 9 9 4000 9%% /\\n"'},
        "Python 3.11 or newer is needed, this is 3.9.": {
            "python3": 'case "$2" in *version_info\\[:2\\]*) echo 3.9 ;; *version_info*) exit 1 ;; esac'
        },
        "Python's venv is missing, and the package python3-venv could not be installed.": {
            "python3": 'case "$2" in *ensurepip*) exit 1 ;; esac'
        },
    }
    for words, machine in cases.items():
        status, sentence = said(tmp_path, **machine)
        assert status == 1, words
        assert sentence.startswith("VinylVault: ")
        assert words in sentence
        assert not (tmp_path / "opt").exists()


def test_invalid_arguments_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    cases = {
        ("frobnicate",): "unknown command: frobnicate.",
        ("--frobnicate",): "unknown option: --frobnicate.",
        ("--extra", "moon"): "unknown extra: moon. Available: s3 nifti metrics heif barcode.",
        ("--port", "99999"): "99999 is not a valid port.",
        ("--port",): "the last option needs a value.",
        ("--wheelhouse", "/nowhere"): "the folder /nowhere does not exist.",
        ("update", "--from", "/nowhere"): "/nowhere does not exist.",
    }
    for arguments, words in cases.items():
        assert said(tmp_path, *arguments) == (1, f"VinylVault: {words}")


@pytest.mark.parametrize("system", ["debian", "raspbian"])
def test_a_supported_machine_passes_the_checks(tmp_path: Path, system: str) -> None:
    """And then finds that this checkout does not contain the program."""
    if Path("/opt/vinylvault").exists():
        pytest.skip("VinylVault is installed here")
    status, sentence = said(tmp_path, system=system, mkdir="exit 0")
    assert status == 1
    assert "pyproject.toml" in sentence


def test_help_lists_every_command(tmp_path: Path) -> None:
    status, text = said(tmp_path, "--help")
    assert status == 0
    for command in ("install", "update", "backup", "restore", "doctor", "uninstall", "--purge", "--wheelhouse", "--with-nginx"):
        assert command in text


def test_the_installer_finds_the_setup_code_that_the_service_prints() -> None:
    """It looks for the words in the journal. They had changed in one of the two places, and no code was shown."""
    installer, service = ((ROOT / "systemd" / name).read_text(encoding="utf-8") for name in ("install.sh", "gunicorn.conf.py"))
    (words,) = re.findall(r"journalctl .* grep -F '([^']+)'", installer)
    assert f"{words} {{code}}" in service


@pytest.mark.slow
def test_shellcheck_finds_nothing() -> None:
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([program, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_script_installs_every_part_of_the_program() -> None:
    """A new module or folder that is not listed would be missing on every other machine."""
    text = SCRIPT.read_text(encoding="utf-8")
    parts = text.partition("PARTS=(")[2].partition(")")[0].split()
    left = {
        *(
            "Makefile",
            "Containerfile",
            "compose.yaml",
            "compose.cluster.yaml",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "tests",
            "benchmarks",
        ),
        "test_image_cache.py",
    }
    named = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    tops = {name.split("/")[0] for name in named if name and not name.startswith((".", "requirements"))}
    assert tops - left <= set(parts)


def test_settings_are_read_as_the_service_manager_reads_them(tmp_path: Path) -> None:
    env = tmp_path / "vinylvault.env"
    env.write_text("# PORT=1\n#PORT=2\n  PORT=5001  \nHOST='127.0.0.1'\nCONTACT=\"a b\"\nEMPTY=\nPORT=5002\n")
    text = SCRIPT.read_text(encoding="utf-8").replace("/etc/vinylvault.env", str(env))
    script = (
        text[: text.rindex('main "$@"')]
        + 'for name in PORT HOST CONTACT EMPTY OTHER; do echo "$name=<$(setting_of $name)>"; done\n'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:5] == ["PORT=<5002>", "HOST=<127.0.0.1>", "CONTACT=<a b>", "EMPTY=<>", "OTHER=<>"]
