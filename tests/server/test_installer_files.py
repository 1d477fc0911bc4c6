"""Installer: where `sudo vinylvault backup`, `restore` and `import` read and write, with the installed commands replaced by words."""

import subprocess
from pathlib import Path

import pytest

from tests.support.vault import ROOT

SCRIPT = (ROOT / "systemd/install.sh").read_text(encoding="utf-8")
# What the installed program would do: write its file, and say with which words it was called.
PROGRAM = """
has_systemd() { false; }
stop() { :; }
read_options() { :; }
called() {
  echo "called: $*"
  local word before=''
  for word in "$@"; do
    [[ $word == */.part-*.tar || $before == --report ]] && echo made >"$word" && echo "Report saved to $word."
    before=$word
  done
  return 0
}
monitor() { called "$@"; }
as_service() { [[ $1 == test ]] || called "${@:4}"; }
install() { cp "${@: -2}"; }
"""


def run(tmp_path: Path, call: str) -> tuple[int, str]:
    """Return the exit status and everything said, with the folders of the test by name."""
    backups = tmp_path / "backups"
    backups.mkdir(exist_ok=True)
    text = SCRIPT[: SCRIPT.rindex('main "$@"')].replace("/var/backups/vinylvault", str(backups))
    done = subprocess.run(
        ["bash", "-c", f"{text}\n{PROGRAM}\n{call}"], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    return done.returncode, (done.stdout + done.stderr).replace(str(tmp_path), "TMP")


def test_a_backup_into_a_folder_gets_the_date_as_its_name(tmp_path: Path) -> None:
    """It became a hidden file, `.part-552.tar`, and the message named the folder."""
    (tmp_path / "usb").mkdir()
    status, said = run(tmp_path, "do_backup usb/ --secrets")
    (made,) = (tmp_path / "usb").iterdir()
    assert status == 0
    assert made.name.startswith("vinylvault-2")
    assert made.suffix == ".tar"
    assert f"called: backup --named usb/{made.name} TMP/backups/.part-" in said
    assert "--secrets" in said


def test_a_backup_never_replaces_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "vault.tar").write_text("the older one")
    status, said = run(tmp_path, "do_backup vault.tar")
    assert status == 1
    assert "vault.tar exists already. Choose another name" in said
    assert (tmp_path / "vault.tar").read_text() == "the older one"


def test_a_folder_that_is_not_there_is_named_before_anything_is_written(tmp_path: Path) -> None:
    status, said = run(tmp_path, "do_backup /nowhere/vault.tar")
    assert (status, said) == (
        1,
        "VinylVault: the folder /nowhere does not exist. Create it or connect its disk, then try again.\n",
    )


@pytest.mark.parametrize(
    ("words", "called"),
    [
        ("--full new.tar", "called: backup --named new.tar TMP/backups/.part-"),
        ("--file new.tar", "called: backup --named new.tar TMP/backups/.part-"),
        ("--keep 3", "called: backup --file TMP/backups/ --keep 7 --keep 3"),
        ("", "called: backup --file TMP/backups/ --keep 7\n"),
    ],
)
def test_options_of_a_backup_may_stand_before_the_file(tmp_path: Path, words: str, called: str) -> None:
    status, said = run(tmp_path, f"do_backup {words}")
    assert status == 0
    assert called in said
    assert (tmp_path / "new.tar").exists() == ("new.tar" in words)


@pytest.mark.parametrize("words", ["--force vault.tar", "vault.tar --force", "--file vault.tar --force"])
def test_force_may_stand_before_the_file(tmp_path: Path, words: str) -> None:
    """`restore --force FILE`, as the page of the container has it, said that --force does not exist."""
    (tmp_path / "vault.tar").write_text("x")
    status, said = run(tmp_path, f"do_restore {words}")
    assert status == 0, said
    assert said.startswith("called: restore --starts TMP/backups/.restore-")
    assert said.endswith(".tar --force\n")


def test_the_report_of_an_import_is_written_where_you_are(tmp_path: Path) -> None:
    """The service cannot write there: it said "Permission denied" of a file that no one had named."""
    (tmp_path / "records.csv").write_text("title\nA\n")
    for words in ("records.csv --report problems.csv", "--report=problems.csv records.csv"):
        status, said = run(tmp_path, f"do_import import {words}")
        assert status == 0, said
        assert "Report saved to problems.csv." in said
        assert (tmp_path / "problems.csv").read_text() == "made\n"
        (tmp_path / "problems.csv").unlink()
    assert list((tmp_path / "backups").iterdir()) == []
