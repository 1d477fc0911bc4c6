"""`backup` and `restore`: one file with everything that cannot be fetched again, and back."""

import click

from image_cache.cli.action_log import log_action
from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.params import MAX_KEPT, AbsolutePath, Number, archive
from image_cache.errors import CacheError
from image_cache.maintenance.backup.create import back_up
from image_cache.maintenance.backup.restore import restore as restore_archive
from image_cache.maintenance.backup.rotate import KEEP, back_up_into
from image_cache.resources import own_command, service_command
from image_cache.units import counted, megabytes

SHOWN_NAMES = 10


@click.command("backup", cls=MaintenanceCommand)
@click.argument("target", required=False, metavar="FILE")
@archive("this file, or a folder (end it with a slash)")
@click.option(
    "--keep",
    type=Number(MAX_KEPT, least=1, kind=int),
    default=KEEP,
    metavar="N",
    help="in a folder: keep the newest N backups (default: 7)",
)
@click.option("--secrets", "has_secrets", is_flag=True, help="include secrets (session key and tokens)")
@click.option("--full", "is_full", is_flag=True, help="include the cache")
@click.option("--named", hidden=True, help="the name to report: the installer moves the file there")
def backup(
    context: CommandContext,
    *,
    file: str | None,
    keep: int,
    has_secrets: bool,
    is_full: bool,
    target: str | None = None,
    named: str | None = None,
) -> int:
    """Back up records, plays, accounts and original images to one file. The service can keep running.

    In a folder, the file is named by date and the oldest backups are deleted. The exit status is 1 if an original was missing.
    """
    name = file or target
    if name is None:
        raise CacheError(f"backup needs a file, for example: {own_command('backup /media/usb/vault.tar')}")
    path = AbsolutePath().convert(name, None, None)
    settings, out = context.settings, context.out
    if name.endswith("/") or path.is_dir():
        report = back_up_into(settings, path, keep=keep, secrets=has_secrets, full=is_full, progress=context.progress)
    else:
        report = back_up(settings, path, secrets=has_secrets, full=is_full, progress=context.progress)
    out.end_bar()
    cache = f", {counted(report.cache_files, 'file')} of the cache" if is_full else ""
    out.wrapped(
        "",
        f"Backed up {megabytes(report.size_bytes)} to {named or report.path}: the catalogue, {counted(report.originals, 'original image')},"
        f" {counted(report.state_files, 'other file')} and the URLs of {counted(report.covers, 'cover')}{cache}.",
    )
    if report.left_out:
        out.wrapped("", f"Not included (add --secrets to include them): {', '.join(report.left_out)}.")
    _print_notes(context, report.missing, report.damaged, report.notes)
    out.json(report.to_dict())
    return 1 if report.missing or report.damaged or report.notes else 0


@click.command("restore", cls=MaintenanceCommand)
@click.argument("source", required=False, metavar="FILE")
@archive("this file")
@click.option("--force", "is_forced", is_flag=True, help="replace existing data; the old data is moved to a folder next to it")
@click.option("--starts", "starts_itself", is_flag=True, hidden=True, help="the installer starts the service afterwards")
def restore(
    context: CommandContext, file: str | None, is_forced: bool, source: str | None = None, *, starts_itself: bool = False
) -> int:
    """Restore a backup into an empty data folder. Stop the service first.

    The exit status is 1 if original images are missing from the backup.
    """
    name, out = file or source, context.out
    if name is None:
        raise CacheError(f"restore needs a file, for example: {own_command('restore /media/usb/vault.tar')}")
    path = AbsolutePath().convert(name, None, None)
    report = restore_archive(context.settings, path, force=is_forced, progress=context.progress)
    out.end_bar()
    log_action(context, "records", "restored a backup", f"of {report.made_at}")
    out.wrapped(
        "",
        f"Restored the backup of {report.made_at}: {counted(report.albums, 'record')}, {counted(report.plays, 'play')},"
        f" {counted(report.accounts, 'account')}, {counted(report.streams, 'stream')},"
        f" {counted(report.images, 'image')} with {counted(report.originals, 'original')}. Everyone has to log in again.",
    )
    if report.aside:
        out.wrapped("", f"The previous data was moved to {report.aside}.")
    _print_notes(context, report.missing, [], report.notes)
    start = "" if starts_itself else f"Now start the service: {service_command('start')}. "
    out.wrapped("", f"{start}Covers are downloaded again in the background.")
    out.json(report.to_dict())
    return 1 if report.missing else 0


def _print_notes(context: CommandContext, missing: list[str], damaged: list[str], notes: list[str]) -> None:
    for word, names in (("Missing", missing), ("Damaged", damaged)):
        if names:
            rest = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
            context.out.wrapped("", f"{word} originals: {', '.join(names[:SHOWN_NAMES])}{rest}.")
    for note in notes[:SHOWN_NAMES]:
        context.out.wrapped("", note)
