"""`cache_monitor.py`: every action and option of the original tool, each done by a command of `vinylvault`."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import click

from image_cache.cli.group import run
from image_cache.cli.main import vinylvault
from image_cache.cli.params import CACHES, LONGEST_DAYS, LONGEST_S, MAX_KEPT, SHORTEST_S, VAULT_OPTIONS, Number

ACTIONS = {
    "status": "how it is, at a glance",
    "health": "what is wrong, and what to do; --wait S after a start",
    "report": "everything that the numbers say",
    "monitor": "look on: a live screen, or a line an interval when piped",
    "explain": "one cover, file or stream image: where its bytes are, why it is missing",
    "verify": "read everything that is kept and compare it with its hash; --repair",
    "doctor": "mend what can be mended without losing anything",
    "cleanup": "remove what nobody looked at for --cleanup-days",
    "clear": "remove every cached picture",
    "preload": "fetch what is missing, or each --url, with a progress bar",
    "backup": "write what cannot be had again to --file F; --keep N, --secrets, --full",
    "restore": "put a backup back from --file F into an empty vault; --force",
    "probe": "try to fetch --url U and say how far it comes; keeps nothing",
    "selftest": "try the whole way of a cover in a folder of its own",
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
    help="Look after the cache of VinylVault, while the service runs or while it is stopped.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        click.Argument(["what"], required=False, default="", metavar="[URL|DIGEST]"),
        click.Option(
            ["--action"], type=Action(list(ACTIONS)), default="status", metavar="ACTION", help="one of those below; status"
        ),
        *VAULT_OPTIONS,
        _number("cleanup-days", LONGEST_DAYS, 30.0, "N", "cleanup: remove what nobody looked at for N days (30)", into="days"),
        _number(
            "monitor-interval",
            LONGEST_S,
            None,
            "S",
            "monitor: look every S seconds, from 0.2 on (2 on a terminal, else 60)",
            into="interval_s",
            least=SHORTEST_S,
        ),
        click.Option(
            ["--cache", "cache"],
            type=click.Choice([*CACHES, "all"]),
            default="covers",
            help="clear, cleanup: of this cache (covers)",
        ),
        click.Option(["--url", "urls"], multiple=True, metavar="U", help="probe, preload, explain: this address; repeatable"),
        click.Option(["--file"], metavar="F", help="backup, restore: this file; backup: or a folder, with a slash at its end"),
        _number("keep", MAX_KEPT, 7, "N", "backup into a folder: the last N stay (7)", least=1, kind=int),
        _flag("secrets", "has_secrets", "backup: also the key of the sessions, and tokens"),
        _flag("full", "is_full", "backup: also the cache"),
        _flag("force", "is_forced", "restore: also over a vault that is not empty, which is kept beside it"),
        _flag("repair", "is_repair", "verify: mend what was found"),
        _number("wait", LONGEST_S, 0.0, "S", "health: wait up to S seconds for the service", into="wait_s"),
        _flag("yes", "is_confirmed", "clear: do not ask"),
    ],
)


def main(argv: Sequence[str] | None = None, *, stream: TextIO | None = None, clock: Callable[[], float] = time.time) -> int:
    """Run one action and return the exit status. Every failure is one sentence on standard error, with what to do."""
    return run(DOOR, argv, "cache_monitor.py", stream=stream, clock=clock)
