"""Commands of `flask --app app`: streams import, streams selftest, streams list, storage doctor."""

import sys
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from image_cache.errors import CacheError
from image_cache.storage.check import examine
from image_cache.streams.legacy_import import import_original
from image_cache.web.commands.records import told
from image_cache.web.context import services
from image_cache.web.streams.privacy_check import run_selftest

SHOWN_REJECTS = 20

streams = AppGroup("streams", help="Streams of images.")
storage = AppGroup("storage", help="Where originals lie.")


def register_stream_commands(app: Flask) -> None:
    app.cli.add_command(streams)
    app.cli.add_command(storage)


@streams.command("list")
def list_streams() -> None:
    """Show every stream with its owner and how many images it has."""
    with told():
        rows, tallies = services().streams.rows.streams(), services().streams.rows.totals()
    for stream in rows:
        count = sum(n for n, _, _ in tallies.get(stream.id, {}).values())
        click.echo(f"{stream.slug:<40} {stream.owner_name or '(nobody)':<20} {count:>5}")


@streams.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--owner", default="", help="The account that the new streams belong to.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, change nothing.")
def import_streams(file: Path, owner: str, dry_run: bool) -> None:
    """Take in the streams that an images_metadata.json of the original layout names; the images lie in the folders beside it."""
    with told():
        if owner and services().streams.members.viewer(owner).account_id is None:
            raise click.ClickException(f"There is no account {owner}.")
        report = import_original(services().streams, file, owner=services().streams.members.viewer(owner), dry_run=dry_run)
    would = "would be " if dry_run else ""
    click.echo(
        f"{report.read:,} images read: {report.new:,} {would}new in {len(report.streams):,} streams,"
        f" {report.same:,} here already, {len(report.rejected):,} rejected."
    )
    for name, reason in report.rejected[:SHOWN_REJECTS]:
        click.echo(f"  {name}: {reason}", err=True)
    if len(report.rejected) > SHOWN_REJECTS:
        click.echo(f"  and {len(report.rejected) - SHOWN_REJECTS:,} more", err=True)
    if report.read and len(report.rejected) == report.read:
        sys.exit(1)


@streams.command("selftest")
@click.argument("slug", required=False)
def selftest(slug: str | None) -> None:
    """Ask for everything that a stream (or each of them) gives out, as everybody; exit status 1 when an answer is wrong."""
    with told():
        rows = [stream for stream in services().streams.rows.streams() if slug in (None, stream.slug)]
        if slug and not rows:
            raise click.ClickException(f"There is no stream {slug}.")
        reports = [run_selftest(current_app._get_current_object(), stream) for stream in rows]  # type: ignore[attr-defined]
    for report in reports:
        click.echo(f"{report.stream}: {report.asked:,} questions, {len(report.wrong)} wrong.")
        for one in report.wrong[:SHOWN_REJECTS]:
            click.echo(f"  as {one.kind}: {one.method} {one.address} {one.found}", err=True)
    if any(report.wrong for report in reports):
        sys.exit(1)


@storage.command("doctor")
def doctor() -> None:
    """Try everything that a storage has to do, on names of its own; exit status 1 when something is missing."""
    try:
        findings = examine(services().streams.images.storage)
    except CacheError as error:
        raise click.ClickException(str(error)) from error
    for finding in findings:
        click.echo(
            f"{'ok     ' if finding.is_well else 'MISSING' if finding.is_needed else 'note   '} {finding.what}{finding.note}"
        )
    if any(finding.is_needed and not finding.is_well for finding in findings):
        sys.exit(1)
