"""`streams` and `storage`: streams listed, imported and checked, and the place of their originals."""

from pathlib import Path

import click

from image_cache.cli.action_log import log_action
from image_cache.cli.command import VaultCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.services import opened_services
from image_cache.errors import CacheError
from image_cache.storage.check import examine
from image_cache.streams.legacy_import import import_original
from image_cache.units import counted

SHOWN_REJECTS = 20


@click.command("list", cls=VaultCommand)
def list_streams(context: CommandContext) -> None:
    """List all streams with their owner and number of images."""
    with opened_services(context) as services:
        streams, tallies = services.streams.rows.streams(), services.streams.rows.totals()
    rows = [
        (stream.slug, stream.owner_name or "(nobody)", str(sum(n for n, _, _ in tallies.get(stream.id, {}).values())))
        for stream in streams
    ]
    context.out.table(("Stream", "Owner", "Images"), rows, right=(2,), aligned=(40, 20, 5), gap=1)


@click.command("import", cls=VaultCommand)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--owner", default="", help="Account that will own the new streams.")
@click.option("--dry-run", is_flag=True, help="Show what would be imported without changing anything.")
def import_streams(context: CommandContext, file: Path, owner: str, dry_run: bool) -> int:
    """Import streams from an images_metadata.json in the original layout.

    The images must be in the folders next to it.
    """
    out = context.out
    with opened_services(context) as services:
        viewer = services.streams.members.viewer(owner)
        if owner and viewer.account_id is None:
            raise CacheError(f"No account is named {owner}.")
        report = import_original(services.streams, file, owner=viewer, dry_run=dry_run)
        if report.new and not dry_run:
            streams = counted(len(report.streams), "stream")
            log_action(context, "uploads", f"imported {counted(report.new, 'image')}", streams)
    would = "would be " if dry_run else ""
    out.line(
        f"{report.read:,} images read: {report.new:,} {would}new in {len(report.streams):,} streams,"
        f" {report.same:,} already here, {len(report.rejected):,} rejected."
    )
    for name, reason in report.rejected[:SHOWN_REJECTS]:
        out.note(f"  {name}: {reason}")
    if len(report.rejected) > SHOWN_REJECTS:
        out.note(f"  and {len(report.rejected) - SHOWN_REJECTS:,} more")
    return 1 if report.read and len(report.rejected) == report.read else 0


@click.command("check", cls=VaultCommand)
@click.argument("slug", required=False)
def check_privacy(context: CommandContext, slug: str | None) -> int:
    """Check that each kind of visitor sees only what they should, for one stream or all.

    The exit status is 1 if a check fails.
    """
    from image_cache.web.app import build_app  # Flask, which no other command needs
    from image_cache.web.streams.privacy_check import run_selftest

    out = context.out
    with opened_services(context) as services:
        streams = [stream for stream in services.streams.rows.streams() if slug in (None, stream.slug)]
        if slug and not streams:
            raise CacheError(f"No stream has the address {slug}.")
        app = context.app or build_app(services)
        reports = [run_selftest(app, stream) for stream in streams]
    for report in reports:
        out.line(f"{report.stream}: {report.asked:,} requests, {len(report.wrong)} failed.")
        for finding in report.wrong[:SHOWN_REJECTS]:
            out.note(f"  as {finding.kind}: {finding.method} {finding.address} {finding.found}")
    return 1 if any(report.wrong for report in reports) else 0


@click.command("check", cls=VaultCommand)
def check_storage(context: CommandContext) -> int:
    """Test the configured storage with temporary objects.

    The exit status is 1 if a required operation fails.
    """
    with opened_services(context) as services:
        try:
            findings = examine(services.streams.images.storage)
        except CacheError as error:
            raise CacheError(str(error)) from error
    for finding in findings:
        mark = "ok     " if finding.is_ok else "MISSING" if finding.is_needed else "note   "
        context.out.line(f"{mark} {finding.what}{finding.note}")
    return 1 if any(finding.is_needed and not finding.is_ok for finding in findings) else 0
