"""The reference of commands: generated, whole, and true for the command that the installer places, too."""

import re
import subprocess
import sys

from image_cache.cli.main import COMMANDS
from image_cache.cli.reference import document
from image_cache.wsgi import GROUPS
from tests.support.vault import ROOT

NAMES = {name for entries in COMMANDS.values() for name in entries}
OF_A_SHELL = {"demo", "run", "completion"}  # no use where a service runs


def test_the_document_is_what_the_commands_say() -> None:
    path = ROOT / "docs/reference/commands.md"
    assert path.read_text(encoding="utf-8") == document()
    command = [sys.executable, "-m", "image_cache.cli.reference"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == document()


def test_every_command_is_in_the_document() -> None:
    for name in NAMES:
        assert re.search(rf"^### `vinylvault {name}\b", document(), re.MULTILINE), name


def test_the_command_of_the_installer_knows_every_command() -> None:
    """`sudo vinylvault import` said that there is no such command, which the documents have for every kind of installation."""
    main = (ROOT / "systemd/install.sh").read_text(encoding="utf-8").partition("\nmain() {")[2]
    known = {word for line in re.findall(r"^    ([a-z |-]+)\)", main, re.MULTILINE) for word in line.split(" | ")}
    assert known >= NAMES - OF_A_SHELL
    for group in ("streams", "storage"):  # which the installer still runs as `flask --app app`
        assert set(GROUPS[group][1]) >= set(COMMANDS["Accounts, streams and files"][group].commands)  # type: ignore[union-attr]
