"""Parameters of commands: value types, and the options that more than one command (or `cache_monitor.py`) has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

LONGEST_DAYS, LONGEST_S, MAX_KEPT = 36_500.0, 86_400.0, 10_000
SHORTEST_S = 0.2  # between two looks of `monitor`: more of them would be most of what the machine does
CACHES = ("covers", "streams", "files")  # as `maintenance.cache_figures` names them, which would take a moment to import

C = TypeVar("C", bound=Callable[..., Any])


class Number(click.ParamType[float]):
    """A number within bounds."""

    name = "number"

    def __init__(self, limit: float, *, least: float = 0, kind: type[float] = float) -> None:
        self.limit = limit
        self.least = least
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = self.kind(value)
        except ValueError:
            self.fail(f"not a number: {value!r}", param, ctx)
        if not self.least <= number <= self.limit:  # NaN is refused too
            self.fail(f"{value} must be between {self.least:g} and {self.limit:g}", param, ctx)
        return number


class AbsolutePath(click.ParamType[Path]):
    """A path that need not exist; `~` is the home folder."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        return Path(value).expanduser().absolute()

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        return click.Path().shell_complete(ctx, param, incomplete)


# Of every command that looks after the vault itself.
JSON = click.Option(["--json", "is_json"], is_flag=True, help="print one JSON object instead of text")
CACHE_DIR = click.Option(["--cache-dir"], type=AbsolutePath(), metavar="DIR", help="cache folder (default: from the settings)")
DATABASE = click.Option(
    ["--database"], type=AbsolutePath(), metavar="FILE", help="catalogue file, catalog.db (default: from the settings)"
)
VAULT_OPTIONS = (JSON, CACHE_DIR, DATABASE)


def urls(help: str) -> Callable[[C], C]:
    return click.option("--url", "urls", multiple=True, metavar="U", help=help)


def archive(help: str) -> Callable[[C], C]:
    return click.option("--file", "file", metavar="F", help=help)
