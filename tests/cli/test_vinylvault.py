"""The group `vinylvault`: what it offers, how fast it starts, how it completes, and that its doors lead to the same commands."""

import importlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from unittest import mock

import click
import pytest

from image_cache.cli.cache_monitor import ACTIONS, DOOR, RENAMED
from image_cache.cli.command import VaultCommand
from image_cache.cli.group import LazyGroup
from image_cache.cli.main import COMMANDS, main, vinylvault
from image_cache.cli.output import Output
from image_cache.wsgi import GROUPS
from tests.cli.test_actions import Terminal, widest
from tests.support.inside import Inside
from tests.support.operator import Said, environment, operate
from tests.support.origin import Origin, jpeg
from tests.support.vault import ROOT

PASSWORD = "correct horse"


def run(env: dict[str, str], *arguments: str, stdin: str = "", stream: io.StringIO | None = None) -> Said:
    """Run a command in this process, as its own process would."""
    out, err = stream or io.StringIO(), io.StringIO()
    mask = os.umask(0o077)
    try:
        with mock.patch.dict(os.environ, env, clear=True), mock.patch("sys.stdin", io.StringIO(stdin)), redirect_stderr(err):
            status = main(list(arguments), stream=out)
    finally:
        os.umask(mask)
    return Said(status, out.getvalue(), err.getvalue())


def process(env: dict[str, str], *arguments: str) -> Said:
    done = subprocess.run(
        [sys.executable, "-m", "image_cache.cli", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    return Said(done.returncode, done.stdout, done.stderr)


def loaded(program: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def commands(group: click.Group = vinylvault, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A vault that is not there yet."""
    return environment(tmp_path / "vault", VINYL_VAULT_FREE_SPACE_FLOOR_MB="0", VINYL_VAULT_FIND_COVERS="0")


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "a.csv"
    path.write_text("artist,title\nA,One\nB,Two\n", encoding="utf-8")
    return str(path)


# What there is


def test_help_lists_every_command_under_a_heading_with_a_line(env: dict[str, str]) -> None:
    said = process(env, "--help")
    assert (said.status, said.err) == (0, "")
    for heading, entries in COMMANDS.items():
        assert f"\n{heading}:\n" in said.out
        for name in entries:
            assert re.search(rf"^  {name} +\S", said.out, re.MULTILINE), name


def test_every_command_has_a_help_of_its_own() -> None:
    found = dict(commands())
    assert len(found) >= 30
    for path, command in found.items():
        assert command.help, path
        assert all(parameter.help for parameter in command.params if isinstance(parameter, click.Option)), path
        text = command.get_help(click.Context(command, info_name=" ".join(path)))
        assert text.startswith(f"Usage: {' '.join(path)}"), path


def test_a_misspelt_command_is_answered_with_the_right_one(env: dict[str, str]) -> None:
    said = run(env, "helth")
    assert said.status == 2
    assert "health" in said.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["health", "--wait", "long"], "--wait"),
        (["cleanup", "--days", "-1"], "must be between 0 and 36500"),
        (["import", "/nonexistent.csv"], "does not exist"),
        (["users", "add", "Vera", "--role", "king"], "king"),
        (["explain"], "explain needs a URL"),
        (["export", "/nonexistent/a.csv"], "/nonexistent/a.csv"),
    ],
)
def test_a_mistake_is_said_in_words_with_exit_status_2(env: dict[str, str], arguments: list[str], says: str) -> None:
    said = run(env, *arguments)
    assert said.status == 2
    assert says in said.err
    assert "Traceback" not in said.err


# Doors


def test_every_action_of_cache_monitor_is_a_command_and_its_options_are_in_the_flat_list() -> None:
    flat = {parameter.name for parameter in DOOR.params}
    for action in ACTIONS:
        command = vinylvault.get_command(click.Context(vinylvault), RENAMED.get(action, action))
        assert isinstance(command, VaultCommand), action
        own = {parameter.name for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden}
        assert own <= flat, action


def test_every_command_of_flask_is_a_command_of_the_group() -> None:
    known = {command for _, command in commands()}
    entries = [entry for _, group in GROUPS.values() for entry in group.values()]
    paths = {entry[0] for entry in entries if isinstance(entry, tuple)}
    paths |= {path for entry in entries if isinstance(entry, LazyGroup) for path in entry.paths.values()}
    for path in paths:
        module, _, name = path.partition(":")
        command = getattr(importlib.import_module(module), name)
        # `vinylvault import` sees itself what a file is.
        assert command in known or name == "import_legacy_records", path


def test_a_door_and_the_group_say_the_same(env: dict[str, str], table: str) -> None:
    run(env, "import", table)
    for action in ("status", "health", "report", "doctor", "cleanup", "verify"):
        by_door, by_group = operate(env, action), run(env, RENAMED.get(action, action))
        ms = re.compile(r"\d+(\.\d+)? ms|\d\d:\d\d|\d+ MB free|Free disk space.*|\d+ MB written")
        assert ms.sub("", by_group.out) == ms.sub("", by_door.out), action
        assert by_group.status == by_door.status, action


# What they do


def test_records_go_in_and_out_and_a_second_import_changes_nothing(env: dict[str, str], table: str, tmp_path: Path) -> None:
    assert run(env, "import", "--dry-run", table).out == (
        "2 rows read: 2 would be new, 0 would be updated, 0 unchanged, 0 rejected.\n"
    )
    assert run(env, "import", table).out == "2 rows read: 2 new, 0 updated, 0 unchanged, 0 rejected.\n"
    assert run(env, "import", table).out == "2 rows read: 0 new, 0 updated, 2 unchanged, 0 rejected.\n"
    out = tmp_path / "out.json"
    said = run(env, "export", str(out))
    assert (said.status, said.out) == (0, f"Exported 2 records to {out}.\n")
    assert {row["artist"] for row in json.loads(out.read_text(encoding="utf-8"))} == {"A", "B"}


def test_a_table_in_which_every_row_is_wrong_has_exit_status_1(env: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("artist,title,year\n" + "".join(f",,{1970 + n}\n" for n in range(30)), encoding="utf-8")
    said = run(env, "import", str(path))
    assert said.status == 1
    assert "30 rejected" in said.out
    assert "and 10 more" in said.err


def test_removing_asks_and_names_an_unknown_number(env: dict[str, str], table: str) -> None:
    run(env, "import", table)
    unknown = run(env, "remove", "1", "99", "--yes")
    assert (unknown.status, unknown.err) == (2, "Unknown record: 99. Nothing was removed.\n")
    refused = run(env, "remove", "1", stdin="n\n")
    assert (refused.status, refused.err) == (2, "Nothing was changed.\n")
    assert run(env, "remove", "1", "--yes").out == "Removed: A, One.\n"
    assert run(env, "status", "--json").json()["checks"][1]["message"] == "1 record."


def test_accounts_are_added_with_a_password_from_standard_input(env: dict[str, str]) -> None:
    said = run(env, "users", "add", "Vera", "--role", "operator", stdin=f"{PASSWORD}\n")
    assert (said.status, said.out) == (0, "Created operator account Vera.\n")
    again = run(env, "users", "add", "vera", "--role", "owner", stdin=f"{PASSWORD}\n")
    assert (again.status, again.err) == (2, "the name vera is already taken.\n")
    assert run(env, "users", "password", "Vera", stdin="another horse\n").status == 0
    wrong = run(env, "users", "password", "Veronica", stdin="short\n")
    assert (wrong.status, wrong.err) == (2, "no account has this name.\n"), "before anything is said about the password"


def test_files_are_fetched_listed_and_verified(env: dict[str, str], origin: Origin, tmp_path: Path) -> None:
    env["VINYL_VAULT_TRUSTED_ORIGINS"] = origin.base
    url, out = origin.put("/a.bin", b"z" * 5000), tmp_path / "a.bin"
    said = run(env, "files", "get", url, "--output", str(out))
    assert (said.status, said.out) == (0, f"{out}\n")
    assert out.read_bytes() == b"z" * 5000
    cells = run(env, "files", "list").out.splitlines()[0].split("\t")
    assert cells[:2] == ["5 KB", "fresh"]
    shown = run({**env, "COLUMNS": "80"}, "files", "list", stream=Terminal()).out
    assert shown.splitlines()[0].split() == ["Size", "State", "SHA-256", "File", "Until"]
    assert widest(shown) <= 80
    assert "1 OK" in run(env, "files", "verify").out
    missing = run(env, "files", "get", f"{origin.base}/none.bin")
    assert missing.status == 2
    assert f"{origin.base}/none.bin: " in missing.err


def test_streams_and_their_storage_are_checked(env: dict[str, str], tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", settled=False) as inside:
        inside.account("operator")
        owner = inside.services.streams.members.viewer("Vera")
        inside.services.streams.create_stream("one", owner=owner)
    listed = run(env, "streams", "list")
    assert listed.out.split("\t") == ["one", "Vera", "0\n"]
    said = run(env, "streams", "check")
    assert (said.status, said.err) == (0, "")
    assert re.fullmatch(r"one: \d+ requests, 0 failed\.\n", said.out)
    assert run(env, "streams", "check", "two").err == "No stream has the address two.\n"
    assert "ok      stores an object" in run(env, "storage", "check").out


def test_a_backup_takes_its_file_as_an_argument(env: dict[str, str], table: str, tmp_path: Path) -> None:
    run(env, "import", table)
    file = tmp_path / "vault.tar"
    assert f"to {file}" in run(env, "backup", str(file)).out
    other = environment(tmp_path / "other", VINYL_VAULT_FREE_SPACE_FLOOR_MB="0")
    assert "2 records" in run(other, "restore", str(file)).out


def test_a_cover_is_fetched_explained_and_cleared(env: dict[str, str], origin: Origin, tmp_path: Path) -> None:
    env["VINYL_VAULT_TRUSTED_ORIGINS"] = origin.base
    url = origin.put("/a.jpg", jpeg(300, 300))
    path = tmp_path / "a.csv"
    path.write_text(f"artist,title,cover_url\nA,One,{url}\n", encoding="utf-8")
    run(env, "import", str(path))
    waiting = run(env, "explain", url)
    assert waiting.status == 1
    assert run(env, "preload").out == "1 cover cached, 0 failed.\n"
    told = run(env, "explain", url, "--json").json()
    assert told["variants"]["detail"].startswith("stored, ")
    assert told["facts"]["Records"] == "/album/1"
    assert run(env, "cleanup", "--days", "0").out.startswith("Removed 2 cached images (unused for 0 days)")
    assert run(env, "probe", url).status == 0


# How fast, and how it completes


def test_the_status_of_a_vault_needs_neither_flask_nor_the_services() -> None:
    found = loaded(
        "from image_cache.cli.main import main; main(['status', '--cache-dir', '/nonexistent', '--database', '/nonexistent'])"
    )
    assert "image_cache.cli.maintenance.status" in found
    assert not {"PIL", "requests", "flask", "werkzeug", "mutagen", "argparse", "image_cache.services"} & found


def test_the_help_needs_nothing_of_the_vault() -> None:
    found = loaded("from image_cache.cli.main import main; main(['--help'])")
    assert {name for name in found if name.startswith("image_cache.")} == {
        "image_cache.cli",
        "image_cache.cli.group",
        "image_cache.cli.main",
        "image_cache.frozen",
        "image_cache.resources",
    }


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("vinylvault sta", {"status"}),
        ("vinylvault re", {"report", "repair", "reset-counters", "restore", "remove"}),
        ("vinylvault users ", {"add", "list", "password", "quota", "remove", "usage"}),
        ("vinylvault health --w", {"--wait"}),
        ("vinylvault users add Vera --role o", {"operator", "owner"}),
    ],
)
def test_a_shell_completes_commands_options_and_choices(env: dict[str, str], words: str, offered: set[str]) -> None:
    count = len(words.split()) - (not words.endswith(" "))
    program = "from image_cache.cli.main import main; main([])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**env, "_VINYLVAULT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert {line.partition(",")[2] for line in done.stdout.split()} == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_a_shell_is_printed(env: dict[str, str], shell: str) -> None:
    said = process(env, "completion", shell)
    assert said.status == 0
    assert "_VINYLVAULT_COMPLETE" in said.out


# The one table and the one bar


def test_the_table_is_columns_on_a_terminal_tabs_in_a_pipe_and_nothing_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rows = [("a", "1"), ("bb", "a long text that does not fit into the forty columns")]

    def printed(out: Callable[[io.StringIO], Output], stream: io.StringIO) -> list[str]:
        out(stream).table(("Name", "Text"), rows, right=(0,), aligned=(6, 3))
        return stream.getvalue().splitlines()

    head, rule, first, second = printed(Output, Terminal())
    assert (head, rule.split(), first) == ("Name  Text", ["-" * 4, "-" * 34], "   a  1")
    assert (len(second), second[-1]) == (40, "…")
    assert printed(Output, io.StringIO())[0] == "a\t1"
    assert printed(lambda stream: Output(stream, is_json=True), Terminal()) == []
    assert printed(lambda stream: Output(stream, is_aligned=True), io.StringIO())[0] == "     a  1"


def test_the_bar_knows_a_total_or_none_and_is_silent_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        out = Output(stream)
        out.bar(1, 4, "1 of 4")
        out.bar(3, None, "3 files")
        out.end_bar()
    first, second, last = terminal.getvalue().lstrip("\r").split("\r")
    assert re.fullmatch(r"\[#+\.+\]  25% 1 of 4\x1b\[K", first)
    assert second == "3 files\x1b[K"
    assert last.endswith("] 100% 3 files\x1b[K\n")
    assert pipe.getvalue() == ""
