"""`cleanup` and `clear`: remove cached pictures, the unused ones or all."""

import sys

import click

from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.covers import opened_covers
from image_cache.cli.params import LONGEST_DAYS, Number
from image_cache.covers import ImageCache
from image_cache.units import counted, megabytes


@click.command("cleanup", cls=MaintenanceCommand)
@click.option(
    "--days",
    "--cleanup-days",
    "days",
    type=Number(LONGEST_DAYS),
    default=30.0,
    metavar="N",
    help="remove what nobody looked at for N days (30)",
)
def cleanup(context: CommandContext, days: float) -> int:
    """Remove the pictures that were not looked at for some days, and say what that freed."""
    context.require("Cache", "Rights", "Clock")  # with a wrong clock everything would look unused
    with opened_covers(context) as covers:
        before = _totals(covers)
        removed = covers.cleanup_cache(days)
        return _print_result(context, covers, removed, before, f"not looked at for {days:g} days")


@click.command("clear", cls=MaintenanceCommand)
@click.option("--yes", "is_confirmed", is_flag=True, help="do not ask")
def clear(context: CommandContext, is_confirmed: bool) -> int:
    """Remove every cached picture. Each is fetched again from its origin when somebody looks at it.

    On a terminal it asks first, unless --yes is given.
    """
    context.require("Cache", "Rights")
    if context.out.is_terminal and not is_confirmed and not _confirm(context):
        context.out.line("Nothing was removed.")
        return 2
    with opened_covers(context) as covers:
        before = _totals(covers)
        removed = covers.clear()
        return _print_result(context, covers, removed, before, "all there were")


def _print_result(context: CommandContext, covers: ImageCache, removed: int, before: tuple[int, int], why: str) -> int:
    entries, size = _totals(covers)
    freed = max(0, before[1] - size)
    context.out.line(
        f"{counted(removed, 'picture')} removed ({why}), {megabytes(freed)} freed; {entries:,} left, {megabytes(size)}."
    )
    context.out.json({"removed": removed, "freed_bytes": freed, "left": entries, "left_bytes": size})
    return 0


def _totals(covers: ImageCache) -> tuple[int, int]:
    totals = covers.cache.index.totals(covers.cache.namespace)
    return totals.entries, totals.bytes


def _confirm(context: CommandContext) -> bool:
    pictures = counted(context.vault.totals().entries, "picture")
    context.out.line(f"This removes {pictures}; each is fetched again when somebody looks at it.")
    print("Remove them? (yes/no) ", end="", file=context.out.stream, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
