"""`cleanup` and `clear`: remove cached covers, stream images and files, the unused ones or all."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from image_cache.cli.action_log import log_action
from image_cache.cli.caches import clean, empty
from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.params import LONGEST_DAYS, Number
from image_cache.maintenance.cache_figures import CACHES, COVERS, FILES, NOUNS, CacheFigures, cache_figures
from image_cache.units import counted, megabytes

C = TypeVar("C", bound=Callable[..., Any])
ALL = "all"
COMES_BACK = {
    "covers": "each is downloaded again when someone opens it",
    "streams": "each is rendered again from its original when someone opens it",
    "files": "each is downloaded again when next requested",
}

# In the log of actions, as the pages have it.
CLEARED = {
    "covers": "cleared the cover cache",
    "streams": "cleared the cache of stream images",
    "files": "cleared the file cache",
}
CLEANED = {"covers": "removed unused covers", "streams": "removed unused stream images", "files": "removed expired files"}


def cache_option(help: str) -> Callable[[C], C]:
    return click.option("--cache", "--namespace", "cache", type=click.Choice([*CACHES, ALL]), default=COVERS, help=help)


@click.command("cleanup", cls=MaintenanceCommand)
@click.option(
    "--days",
    "--cleanup-days",
    "days",
    type=Number(LONGEST_DAYS),
    default=30.0,
    metavar="N",
    help="remove images unused for N days (default: 30)",
)
@cache_option("the cache to use (default: covers); of files, those past their TTL")
def cleanup(context: CommandContext, days: float, cache: str) -> int:
    """Remove cached images that were not used for some days.

    Of files, remove those past their TTL whose origin is reachable, so that they can be downloaded again.
    """
    context.require("Cache", "Rights", "Clock")  # with a wrong clock everything would look unused
    before = _figures(context)
    whys = {name: "past their TTL" if name == FILES else f"unused for {days:g} days" for name in _chosen(cache)}
    removed = {}
    for name, why in whys.items():
        removed[name] = clean(context, name, days)
        log_action(context, "limits", CLEANED[name], counted(removed[name], "file") if name == FILES else why)
    return _print_result(context, before, removed, whys)


@click.command("clear", cls=MaintenanceCommand)
@click.option("--yes", "is_confirmed", is_flag=True, help="do not ask for confirmation")
@cache_option("the cache to use (default: covers)")
def clear(context: CommandContext, is_confirmed: bool, cache: str) -> int:
    """Remove all cached covers. They are downloaded again when needed.

    On a terminal the command shows what it removes and asks for confirmation, unless --yes is given.
    """
    context.require("Cache", "Rights")
    before = _figures(context)
    chosen = _chosen(cache)
    for name in chosen:
        context.out.line(f"This removes {before[name].holds}; {COMES_BACK[name]}.")
    if stays := [figures.holds for name, figures in before.items() if name not in chosen and figures.entries]:
        context.out.line(f"Kept: {'; '.join(stays)}. To remove these too, add --cache all.")
    if context.out.is_terminal and not is_confirmed and not _confirm(context):
        context.out.line("Nothing was removed.")
        return 2
    removed = {}
    for name in chosen:
        removed[name] = empty(context, name)
        log_action(context, "limits", CLEARED[name])
    return _print_result(context, before, removed, dict.fromkeys(chosen, "all"))


def _chosen(cache: str) -> tuple[str, ...]:
    return CACHES if cache == ALL else (cache,)


def _figures(context: CommandContext) -> dict[str, CacheFigures]:
    context.reopen()
    return {figures.name: figures for figures in cache_figures(context.vault)}


def _print_result(context: CommandContext, before: dict[str, CacheFigures], removed: dict[str, int], whys: dict[str, str]) -> int:
    after = _figures(context)
    facts = {
        name: {
            "removed": count,
            "freed_bytes": max(0, before[name].size_bytes - after[name].size_bytes),
            "left": after[name].entries,
            "left_bytes": after[name].size_bytes,
        }
        for name, count in removed.items()
    }
    for name, fact in facts.items():
        context.out.line(
            f"Removed {counted(fact['removed'], *NOUNS[name])} ({whys[name]}) and freed {megabytes(fact['freed_bytes'])}."
            f" {fact['left']:,} left, {megabytes(fact['left_bytes'])}."
        )
    totals = {key: sum(fact[key] for fact in facts.values()) for key in ("removed", "freed_bytes", "left", "left_bytes")}
    context.out.json({**totals, "caches": facts})
    return 0


def _confirm(context: CommandContext) -> bool:
    print("Continue? (yes/no) ", end="", file=context.out.stream, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
