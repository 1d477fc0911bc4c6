"""Groups of commands that are imported when they are used, and the run of a program. Light: click and nothing of ours."""

import importlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from image_cache.frozen import frozen

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem
    from flask import Flask

    from image_cache.services import Services

FAILED_EXIT, INTERRUPTED_EXIT = 2, 130
MAX_CHARS = 500  # of an error about the arguments


@frozen
class Console:
    """Where a program that runs alone writes (None: standard output), and what time it is."""

    stream: TextIO | None = None
    clock: Callable[[], float] = time.time


@frozen
class Application:
    """An application that runs commands on the services that it has open."""

    app: "Flask"
    services: "Services"


class LazyGroup(click.Group):
    """A group that imports a command when it is used. `sections`: heading -> name -> (module:attribute, help line) or a group."""

    def __init__(self, name: str, sections: Mapping[str, Mapping[str, "tuple[str, str] | click.Group"]], **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._sections = sections
        self.paths: dict[str, str] = {}
        for entries in sections.values():
            for command, entry in entries.items():
                if isinstance(entry, click.Group):
                    self.add_command(entry, command)
                else:  # in its place only its help, which click also offers for a name that is misspelt
                    self.paths[command], line = entry
                    self.add_command(click.Command(command, help=line, short_help=line), command)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.paths:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self.paths[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, entries in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(limit=80)) for name in entries])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        named = [
            CompletionItem(name, help=command.get_short_help_str())
            for name, command in self.commands.items()
            if name.startswith(incomplete)
        ]
        return named + click.Command.shell_complete(self, ctx, incomplete)


def run(
    command: click.Command,
    arguments: Sequence[str] | None,
    name: str,
    *,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.time,
) -> int:
    """Parse the arguments (None: those of the process), run what they say, and return the exit status."""
    try:
        status = command.main(arguments, name, standalone_mode=False, obj=Console(stream, clock))
    except click.ClickException as error:
        if len(error.message) > MAX_CHARS:  # a value that was repeated in it
            error.message = f"{error.message[:MAX_CHARS]}…"  # type: ignore[misc]  # click calls it final, and reads it here
        error.show()
        return error.exit_code
    except click.Abort as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            return INTERRUPTED_EXIT
        print("Nothing was changed.", file=sys.stderr)
        return FAILED_EXIT
    return status if isinstance(status, int) else 0
