"""`files pin`, `unpin`, `rm`, `prune`, `du` and `speed`: which files stay, what they take, how fast they may come."""

from pathlib import Path
from typing import Any

import click

from image_cache.cli.action_log import log_action
from image_cache.cli.command import VaultCommand
from image_cache.cli.content.files import opened_file_services, opened_files, sentence_of
from image_cache.cli.context import CommandContext
from image_cache.cli.params import AbsolutePath
from image_cache.errors import CacheError
from image_cache.files.disk.pins import find_file, pin, prune, unused, usage_by_origin
from image_cache.files.download.bandwidth import speed_words, words_for_log
from image_cache.units import counted, size

UNITS_S = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
LONGEST_S = 36_500 * 86400.0
FILES = click.argument("files", nargs=-1, required=True, metavar="FILE...")


class Age(click.ParamType[float]):
    """A duration such as `30d`, `12h` or `45m`; a number alone means days. The value is in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip().lower()
        number, unit = (text[:-1], text[-1:]) if text[-1:] in UNITS_S else (text, "d")
        try:
            seconds = float(number) * UNITS_S[unit]
        except ValueError:
            self.fail(f"{value!r} must be a number with m, h, d or w, for example 30d", param, ctx)
        if not 0 <= seconds <= LONGEST_S:  # NaN is refused too
            self.fail(f"{value} must be between 0 and {LONGEST_S / 86400:.0f} days", param, ctx)
        return seconds


@click.command("pin", cls=VaultCommand)
@FILES
def pin_files(context: CommandContext, files: tuple[str, ...]) -> int:
    """Pin each FILE: it is never evicted and never cleaned up. FILE is a name, also that of a registry, a URL, or the start of a SHA-256."""
    return _pin(context, files, is_pinned=True)


@click.command("unpin", cls=VaultCommand)
@FILES
def unpin_files(context: CommandContext, files: tuple[str, ...]) -> int:
    """Unpin each FILE: it can be evicted again."""
    return _pin(context, files, is_pinned=False)


@click.command("rm", cls=VaultCommand)
@FILES
@click.option("--pinned", is_flag=True, help="Also remove files that are pinned.")
def remove(context: CommandContext, files: tuple[str, ...], pinned: bool) -> int:
    """Remove each FILE from the cache. FILE is a name, also that of a registry, a URL, or the start of a SHA-256.

    The exit status is 1 if some could not be removed, 2 if none could.
    """
    failed = 0
    with opened_file_services(context) as opened:
        cache = opened.cache
        for text in dict.fromkeys(files):
            try:
                stored = find_file(cache, text, opened.groups.registries)
                if stored.is_pinned and not pinned:
                    raise CacheError(f"{stored.name} is pinned. Unpin it first, or add --pinned.")
                cache.remove(stored.digest)
                log_action(context, "deletions", "removed 1 file", stored.name)
                context.out.line(f"Removed {stored.name}, {size(stored.size_bytes)}.")
            except CacheError as error:
                failed += 1
                context.out.note(sentence_of(error))
    return _status(failed, files)


@click.command("prune", cls=VaultCommand)
@click.option("--older-than", "age_s", type=Age(), required=True, metavar="AGE", help="Unused for AGE, for example 30d or 12h.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed without removing anything.")
def prune_files(context: CommandContext, age_s: float, dry_run: bool) -> None:
    """Remove the files that were not used for AGE. Pinned files stay."""
    with opened_files(context) as cache:
        removed = unused(cache, age_s) if dry_run else prune(cache, age_s)
        if removed and not dry_run:
            words = f"unused for {age_s / 86400:g} days"
            log_action(context, "deletions", f"removed {counted(len(removed), 'file')}", words)
    for stored in removed:
        context.out.line(f"{size(stored.size_bytes)}\t{stored.name} ({stored.remote.host})")
    verb = "would be removed" if dry_run else "removed"
    context.out.line(f"{counted(len(removed), 'file')}, {size(sum(stored.size_bytes for stored in removed))} {verb}.")


@click.command("du", cls=VaultCommand)
def disk_usage(context: CommandContext) -> None:
    """Show how much space the files of each origin take."""
    with opened_files(context) as cache:
        usages = usage_by_origin(cache)
        count, used_bytes = cache.totals()
        pinned, pinned_bytes = cache.index.pinned()
        budget_bytes = cache.limits().budget_bytes
    context.out.table(
        ("Size", "Files", "Pinned", "Origin"),
        [
            (size(usage.size_bytes), f"{usage.files:,}", size(usage.pinned_bytes) if usage.pinned else "", usage.host)
            for usage in usages
        ],
        right=(0, 1, 2),
        aligned=(9, 6, 9),
    )
    context.out.line(
        f"{counted(count, 'file')}, {size(used_bytes)} of {size(budget_bytes)}; {pinned:,} pinned, {size(pinned_bytes)}."
    )


@click.command("speed", cls=VaultCommand)
@click.argument("limit", required=False, metavar="[MB/S|none]")
@click.option("--full-hours", default="", metavar="HH:MM-HH:MM", help="When downloads have full speed, for example 18:00-07:00.")
def speed(context: CommandContext, limit: str | None, full_hours: str) -> None:
    """Show the speed limit of all downloads, or change it: a number of MB per second, or `none`. Running downloads obey too."""
    with opened_file_services(context) as files:
        if limit is not None:
            try:
                number = None if limit.lower() == "none" else float(limit)
            except ValueError:
                raise click.BadParameter(f"{limit!r} must be a number of MB per second, or none") from None
            files.change_speed(number, full_hours)
            log_action(context, "limits", "changed the speed of downloads", words_for_log(number, full_hours))
        elif full_hours:
            raise click.UsageError("--full-hours takes a limit for the other hours, for example `files speed 4`.")
        words = speed_words(files.limits().speed, context.clock())
    context.out.line(words or "No speed limit.")


@click.command("link-folder", cls=VaultCommand)
@click.argument("folder", required=False, type=AbsolutePath())
@click.option("--hard", is_flag=True, help="Make hard links; the folder must be on the disk of the cache.")
@click.option("--stop", is_flag=True, help="Stop updating the folder; its links stay.")
def link_folder(context: CommandContext, folder: Path | None, hard: bool, stop: bool) -> None:
    """Fill FOLDER with links to the cached files, by their readable names, and have the service keep it in step every minute.

    Only links that VinylVault made are replaced or removed there. Without FOLDER it updates the folder that is kept.
    """
    with opened_file_services(context) as files:
        if stop:
            files.limits.keep_link_folder("")
            log_action(context, "limits", "stopped the folder of links")
            context.out.line("No folder of links is being updated.")
            return
        before = files.limits.link_folder()
        if folder is not None:
            files.limits.keep_link_folder(str(folder), is_hard=hard)
        try:
            report = files.update_links()
        except CacheError:
            files.limits.keep_link_folder(before[0], is_hard=before[1])
            raise
        if folder is not None:
            log_action(context, "limits", "chose a folder of links", str(folder))
    if report is None:
        raise CacheError("There is no folder of links yet. Name one: files link-folder FOLDER.")
    context.out.line(f"{counted(report.total, 'link')}: {len(report.made):,} made, {len(report.removed):,} removed.")
    for name in report.taken:
        context.out.note(f"{name}: the folder has a file of this name, which stays.")


def _pin(context: CommandContext, files: tuple[str, ...], *, is_pinned: bool) -> int:
    failed = 0
    with opened_file_services(context) as opened:
        cache = opened.cache
        for text in dict.fromkeys(files):
            try:
                stored = find_file(cache, text, opened.groups.registries)
                pin(cache, stored.digest, is_pinned=is_pinned)
                log_action(context, "limits", f"{'pinned' if is_pinned else 'unpinned'} 1 file", stored.name)
                context.out.line(f"{'Pinned' if is_pinned else 'Unpinned'} {stored.name}, {size(stored.size_bytes)}.")
            except CacheError as error:
                failed += 1
                context.out.note(sentence_of(error))
    return _status(failed, files)


def _status(failed: int, files: tuple[str, ...]) -> int:
    """Return the exit status: 1 if some failed, 2 if all did."""
    return 0 if not failed else 2 if failed == len(set(files)) else 1
