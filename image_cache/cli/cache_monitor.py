"""`cache_monitor.py`: every action and option of the original tool, each done by a command of `vinylvault`."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import click

from image_cache.cli.group import run
from image_cache.cli.main import vinylvault
from image_cache.cli.params import CACHES, LONGEST_DAYS, LONGEST_S, MAX_KEPT, SHORTEST_S, VAULT_OPTIONS, Number

ACTIONS = {
    "status": "show the current state at a glance",
    "health": "check everything and suggest fixes; --wait S after a start",
    "report": "show detailed statistics",
    "monitor": "live view; one line per interval when piped",
    "explain": "explain one cover, file or stream image: where it is stored, why it is missing",
    "verify": "check all stored data against its checksums; --repair fixes damage",
    "doctor": "repair everything that can be repaired without losing data",
    "cleanup": "remove cached images unused for --cleanup-days",
    "clear": "remove all cached covers",
    "preload": "download missing covers, or each --url, with a progress bar",
    "backup": "back up all irreplaceable data to --file F; --keep N, --secrets, --full",
    "restore": "restore a backup from --file F; --force replaces existing data",
    "probe": "test whether --url U can be downloaded, without storing it",
    "selftest": "test the whole cover pipeline in a temporary folder",
}
RENAMED = {"doctor": "repair"}


class Action(click.Choice[str]):
    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        return f"invalid choice: {value!r} (choose from {', '.join(map(repr, self.choices))})"


class Door(click.Command):
    """Every option of every action in one flat list; an action takes those that it knows."""

    def invoke(self, ctx: click.Context) -> None:
        name = str(ctx.params["action"])
        command = vinylvault.get_command(ctx, RENAMED.get(name, name))
        if command is None:
            raise KeyError(name)
        own = {parameter.name for parameter in command.params}
        ctx.params = {name: value for name, value in ctx.params.items() if name in own}
        command.invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("actions"):
            formatter.write_dl(list(ACTIONS.items()))


def _number(name: str, limit: float, default: float | None, metavar: str, help: str, **bounds: Any) -> click.Option:
    return click.Option(
        [f"--{name}", bounds.pop("into", name)], type=Number(limit, **bounds), default=default, metavar=metavar, help=help
    )


def _flag(name: str, into: str, help: str) -> click.Option:
    return click.Option([f"--{name}", into], is_flag=True, help=help)


DOOR = Door(
    "cache_monitor.py",
    help="Inspect and maintain a VinylVault server, whether the service is running or not.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        click.Argument(["what"], required=False, default="", metavar="[URL|DIGEST]"),
        click.Option(
            ["--action"],
            type=Action(list(ACTIONS)),
            default="status",
            metavar="ACTION",
            help="action to run, see below (default: status)",
        ),
        *VAULT_OPTIONS,
        _number("cleanup-days", LONGEST_DAYS, 30.0, "N", "cleanup: remove images unused for N days (default: 30)", into="days"),
        _number(
            "monitor-interval",
            LONGEST_S,
            None,
            "S",
            "monitor: refresh every S seconds, at least 0.2 (default: 2 on a terminal, otherwise 60)",
            into="interval_s",
            least=SHORTEST_S,
        ),
        click.Option(
            ["--cache", "--namespace", "cache"],
            type=click.Choice([*CACHES, "all"]),
            default="covers",
            help="clear, cleanup, preload: the cache to use (default: covers)",
        ),
        click.Option(["--url", "urls"], multiple=True, metavar="U", help="probe, preload, explain: URL to use; repeatable"),
        click.Option(
            ["--file"], metavar="F", help="backup, restore: archive file; for backup also a folder (end it with a slash)"
        ),
        _number("keep", MAX_KEPT, 7, "N", "backup into a folder: keep the newest N backups (default: 7)", least=1, kind=int),
        _flag("secrets", "has_secrets", "backup: include secrets (session key and tokens)"),
        _flag("full", "is_full", "backup: include the cache"),
        _flag("force", "is_forced", "restore: replace existing data; the old data is moved to a folder next to it"),
        _flag("repair", "is_repair", "verify: repair the damage found"),
        _number("wait", LONGEST_S, 0.0, "S", "health: wait up to S seconds for the service to start", into="wait_s"),
        _flag("yes", "is_confirmed", "clear: do not ask for confirmation"),
    ],
)


def main(argv: Sequence[str] | None = None, *, stream: TextIO | None = None, clock: Callable[[], float] = time.time) -> int:
    """Run one action and return the exit status. Every failure is one sentence on standard error, with what to do."""
    return run(DOOR, argv, "cache_monitor.py", stream=stream, clock=clock)
