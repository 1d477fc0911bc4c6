"""Every command that changes something writes who did it into the log of actions; every other command is listed with its reason."""

import getpass
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from image_cache.cli.command import VaultCommand
from image_cache.cli.system_user import user_name
from image_cache.db.catalog import CatalogDatabase
from image_cache.maintenance.actions.log import ActionLog
from image_cache.maintenance.actions.table import ActionFilter
from image_cache.wsgi import GROUPS, AppCommands
from tests.cli.test_vinylvault import PASSWORD, commands, run
from tests.files.test_scripts import layout
from tests.streams.test_streams import original_layout
from tests.support.discogs import TOKEN, DiscogsServer
from tests.support.filled import fill, settings_of
from tests.support.operator import environment, operate
from tests.support.origin import Origin
from tests.support.ports import free_port
from tests.support.vault import ROOT

WHO = f"{getpass.getuser()} (command line)"
# Why a command writes no line. What is missing here and in `test_each_change_is_a_line` fails a test.
NO_LINES = {
    "reads": (
        "status health report monitor explain probe log selftest export take-along backup completion",
        "users list, users usage, files list, files du, files registry list, files registry show, files login list",
        "streams list, streams check, storage check, alerts list, alerts test",
    ),
    "fills a cache, as opening a page does": ("preload",),
    "starts the server, whose pages write their own lines": ("run",),
    "changes where the catalogue is, or its tables, not what people put into it": ("migrate move",),
    "needs a store and PostgreSQL; tests/cluster looks at its line": ("storage sweep,",),
}


@dataclass(frozen=True)
class Step:
    """A command line with what it writes: (kind, what, place) of each line."""

    arguments: str
    lines: tuple[tuple[str, str, str], ...] = ()
    stdin: str = ""
    status: int = 0

    @property
    def name(self) -> str:
        words = self.arguments.split()
        known = {path for path, _ in commands()}
        return next(" ".join(words[:count]) for count in (3, 2, 1) if tuple(words[:count]) in known)


def quiet() -> set[str]:
    found = set()
    for texts in NO_LINES.values():
        for text in texts:
            found |= {name.strip() for name in text.split(",") if name.strip()} if "," in text else set(text.split())
    return found


def lines(folder: Path) -> list[tuple[str, str, str, str]]:
    catalog = CatalogDatabase(folder / "state/catalog.db", is_reader=True)
    try:
        return [(one.who, one.kind, one.what, one.place) for one in reversed(ActionLog(catalog).find(ActionFilter(), 1000))]
    finally:
        catalog.close()


def steps(folder: Path, origin: Origin, url: str) -> list[Step]:
    """Return a step for each command that changes something, in an order in which each has something to change."""
    set_url = origin.put("/set.bin", b"in a set" * 400)
    registry = folder / "set.txt"
    registry.write_text(f"part.bin {hashlib.sha256(b'in a set' * 400).hexdigest()} {set_url}\n", encoding="utf-8")
    (folder / "netrc").write_text("machine a.example login ada password s3cret-of-ada\n", encoding="utf-8")
    (folder / "netrc").chmod(0o600)
    (folder / "table.csv").write_text("artist,title\nA,One\nB,Two\n", encoding="utf-8")
    (folder / "token").write_text(TOKEN, encoding="utf-8")
    layout(folder / "old", "https://a.example/old.bin", b"old" * 100)
    original_layout(folder / "oldstreams", as_list=False)
    (folder / "music").mkdir()
    return [
        Step("users add Ada --role owner", (("accounts", "added the account of", "Ada, owner"),), PASSWORD),
        Step("users password Ada", (("accounts", "changed the password of", "Ada"),), "another good horse"),
        Step("users quota Ada 5GB", (("accounts", "changed the space of", "Ada, 5 GB"),)),
        Step("users quota Ada none", (("accounts", "changed the space of", "Ada, no limit"),)),
        Step("users remove Ada", (("accounts", "removed the account of", "Ada"),)),
        Step(f"files registry add {registry} --name set", (("limits", "added a registry of files", "set"),)),
        Step("files get part.bin"),
        Step("files get part.bin --pin", (("limits", "pinned 1 file", "part.bin"),)),
        Step("files get --registry set --all --pin", (("limits", "pinned 1 file", "set"),)),
        Step("files unpin set.bin", (("limits", "unpinned 1 file", "set.bin"),)),
        Step("files pin set.bin", (("limits", "pinned 1 file", "set.bin"),)),
        Step("files rm set.bin --pinned", (("deletions", "removed 1 file", "set.bin"),)),
        Step("files rm nothing.bin", status=2),
        Step("files registry rm set", (("deletions", "removed a registry of files", "set"),)),
        Step("files login add a.example", (("limits", "saved a login for files", "https://a.example"),), "s3cret"),
        Step("files login rm a.example", (("deletions", "removed a login for files", "a.example"),)),
        Step(f"files login import {folder}/netrc", (("limits", "saved 1 login for files", "https://a.example"),)),
        Step(f"files import {folder}/old --dry-run"),
        Step(f"files import {folder}/old", (("limits", "imported 1 file", "old"),)),
        Step(f"files get {url}"),
        Step("files verify", (("limits", "downloaded a corrupt file again", "volume.bin"),)),
        Step("files speed"),
        Step("files speed 4", (("limits", "changed the speed of downloads", "4.0 MB/s"),)),
        Step("files speed none", (("limits", "changed the speed of downloads", "no limit"),)),
        Step(f"files link-folder {folder}/links", (("limits", "chose a folder of links", f"{folder}/links"),)),
        Step("files link-folder --stop", (("limits", "stopped the folder of links", ""),)),
        Step("files prune --older-than 0 --dry-run"),
        Step("files prune --older-than 0", (("deletions", "removed 2 files", "unused for 0 days"),)),
        Step(f"streams import {folder}/oldstreams/images_metadata.json", (("uploads", "imported 3 images", "1 stream"),)),
        Step(f"import {folder}/table.csv --dry-run"),
        Step(f"import {folder}/table.csv", (("records", "imported a table", "table.csv"),)),
        Step("remove 1 2 --yes", (("records", "removed 2 records", ""),)),
        Step("discogs --forget"),
        Step(
            f"sync --token-file {folder}/token",
            (("records", "saved a Discogs token", ""), ("records", "synced with Discogs", "")),
        ),
        Step("discogs --forget", (("records", "removed the Discogs token", ""),)),
        Step(f"scan {folder}/music", (("records", "scanned the music folders", f"{folder}/music"),)),
        Step("verify"),
        Step("verify --repair", (("limits", "repaired damage", "1 of 1 finding"),)),
        Step("reset-counters", (("limits", "reset the counters", "files 40.0% hits"),)),
        Step("cleanup --cache all", (
            ("limits", "removed unused covers", "unused for 30 days"),
            ("limits", "removed unused stream images", "unused for 30 days"),
            ("limits", "removed expired files", "0 files"),
        )),
        Step("clear --cache all", (
            ("limits", "cleared the cover cache", ""),
            ("limits", "cleared the cache of stream images", ""),
            ("limits", "cleared the file cache", ""),
        )),
        Step("repair", (("limits", "ran a repair", f"Created the missing folder {folder}/vault/cache/covers."),), status=1),
    ]  # fmt: skip


@pytest.fixture
def discogs() -> Iterator[DiscogsServer]:
    with DiscogsServer(records=1) as running:
        yield running


@pytest.fixture
def env(tmp_path: Path, origin: Origin, discogs: DiscogsServer) -> dict[str, str]:
    fill(settings_of(tmp_path / "vault", TRUSTED_ORIGINS=(origin.base,)), origin, tmp_path)
    return environment(
        tmp_path / "vault",
        VINYL_VAULT_TRUSTED_ORIGINS=f"{origin.base},{discogs.base}",
        VINYL_VAULT_FREE_SPACE_FLOOR_MB="0",
        VINYL_VAULT_FIND_COVERS="0",
        VINYL_VAULT_DISCOGS_API_URL=discogs.base,
        PORT=str(free_port()),  # on which no service is
    )


def test_each_change_is_a_line(env: dict[str, str], origin: Origin, tmp_path: Path) -> None:
    folder = tmp_path / "vault"
    url = origin.put("/volume.bin", b"x" * 30_000)
    known = steps(tmp_path, origin, url)
    wrong = []
    for step in known:
        damage(step, folder)
        before = len(lines(folder))
        said = run(env, *step.arguments.split(), stdin=step.stdin)
        found = lines(folder)[before:]
        if said.status != step.status or found != [(WHO, *line) for line in step.lines]:
            wrong.append((step.arguments, said, found))
    assert wrong == []
    text = str(lines(folder))
    assert [word for word in ("s3cret", TOKEN, PASSWORD, "good horse") if word in text] == []
    listed = {step.name for step in known if step.lines} | {"demo", "restore"}  # which have tests of their own
    assert {" ".join(path) for path, _ in commands()} == listed | quiet()
    assert not listed & quiet()


def damage(step: Step, folder: Path) -> None:
    """Give a command that repairs something to repair."""
    if step.arguments == "files verify":
        (stored,) = (path for path in (folder / "cache/files").rglob("*.bin") if path.stat().st_size == 30_000)
        stored.chmod(0o600)
        stored.write_bytes(b"y" * 30_000)
    elif step.arguments == "verify --repair":
        stored = min((folder / "cache/covers").rglob("*.webp"))
        stored.chmod(0o600)
        stored.write_bytes(b"no image")
    elif step.arguments == "repair":
        shutil.rmtree(folder / "cache/covers")


def test_commands_that_declare_to_read_are_among_those_without_lines() -> None:
    reading = {" ".join(path) for path, command in commands() if isinstance(command, VaultCommand) and command.is_reading}
    assert reading <= quiet()


def test_the_older_names_lead_to_the_same_commands() -> None:
    """So that they write the same lines; `import-original` is the one that only they have."""
    known = {id(command) for _, command in commands()}
    others = set()
    for name, (help, entries) in GROUPS.items():
        group = AppCommands(None, name, {"Commands": entries}, help=help)  # type: ignore[arg-type]
        others |= {" ".join((name, *path)) for path, command in commands(group) if id(command) not in known}
    assert others == {"albums import-original"}


def test_cache_monitor_writes_the_same_lines(env: dict[str, str], tmp_path: Path) -> None:
    assert operate(env, "clear", "--yes").status == 0
    assert operate(env, "cleanup", "--cleanup-days", "7").status == 0
    assert [line[1:] for line in lines(tmp_path / "vault")] == [
        ("limits", "cleared the cover cache", ""),
        ("limits", "removed unused covers", "unused for 7 days"),
    ]


def test_a_refused_clear_is_no_line(env: dict[str, str], tmp_path: Path) -> None:
    from tests.cli.test_actions import Terminal

    assert run(env, "clear", stdin="no\n", stream=Terminal()).status == 2
    assert lines(tmp_path / "vault") == []


def test_a_restore_is_a_line_of_the_restored_vault(env: dict[str, str], tmp_path: Path) -> None:
    assert run(env, "backup", str(tmp_path / "vault.tar")).status == 0
    other = {**env, "VINYL_VAULT_DATA_DIR": str(tmp_path / "other")}
    assert run(other, "restore", str(tmp_path / "vault.tar")).status == 0
    ((who, kind, what, place),) = lines(tmp_path / "other")
    assert (who, kind, what) == (WHO, "records", "restored a backup")
    assert place.startswith("of 20")


def test_the_demo_is_a_line_when_it_comes_and_when_it_goes(tmp_path: Path) -> None:
    from image_cache.cli.demo import _import

    folder = tmp_path / "demo"
    env = environment(folder, VINYL_VAULT_FIND_COVERS="0", VINYL_VAULT_DEMO_ORIGIN="http://127.0.0.1:9")
    script = "from image_cache.cli.demo import _import; _import('http://127.0.0.1:9')"
    assert _import.__name__ in script
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, check=True, capture_output=True)
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, check=True, capture_output=True)
    assert [line[2] for line in lines(folder)] == ["added the demo collection"], "once"
    command = [sys.executable, "-m", "image_cache.cli", "demo", "--remove", "--yes"]
    subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True)
    assert [line[2] for line in lines(folder)] == ["added the demo collection", "removed the demo"]


def test_behind_sudo_it_is_the_user_who_called_it() -> None:
    known = getpass.getuser()
    assert user_name({"SUDO_USER": known}, lambda: 0) == known
    assert user_name({}, os.getuid) == known
    assert user_name({"SUDO_USER": "no such user at all"}, lambda: 12345) == "user 12345"
    assert user_name({}, lambda: 4_000_000) == "user 4000000"


def test_a_vault_that_is_being_restored_or_has_no_catalogue_stops_no_command(env: dict[str, str], tmp_path: Path) -> None:
    """What was done was done: the line is missing, the command ends as it would."""
    (tmp_path / "vault/state/catalog.db").write_bytes(b"no database" * 100)
    assert run(env, "clear").status == 0
