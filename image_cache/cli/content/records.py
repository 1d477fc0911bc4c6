"""`import`, `export` and `remove`: records from and to tables, and away."""

from pathlib import Path

import click

from image_cache.cli.action_log import log_action
from image_cache.cli.command import VaultCommand
from image_cache.cli.content.report import REPORT, print_report
from image_cache.cli.context import CommandContext
from image_cache.cli.services import opened_services
from image_cache.errors import CacheError
from image_cache.records.wants.wantlist import bought_sentence
from image_cache.tables.read import is_database
from image_cache.units import counted

MAX_RECORD_ID = 2**63 - 1

TABLE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what would be imported without changing anything.")


@click.command("import", cls=VaultCommand)
@TABLE
@DRY_RUN
@REPORT
def import_records(context: CommandContext, file: Path, report_file: Path | None, dry_run: bool) -> int:
    """Import records from a CSV or JSON FILE.

    Invalid values are reported and skipped; their record is imported. Safe to run again.
    """
    return _import(context, file, report_file, dry_run=dry_run)


@click.command("import-original", cls=VaultCommand)
@TABLE
@DRY_RUN
@REPORT
def import_legacy_records(context: CommandContext, file: Path, report_file: Path | None, dry_run: bool) -> int:
    """Import records, plays and history from FILE, the original VinylVault's `vinylvault.db`. FILE is not changed."""
    if not is_database(file):
        raise CacheError(f"{file} is not an SQLite database.")
    return _import(context, file, report_file, dry_run=dry_run)


@click.command("export", cls=VaultCommand)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export_records(context: CommandContext, file: Path) -> None:
    """Export all records to FILE (.csv or .json). The file can be imported again."""
    with opened_services(context) as services:
        count = services.library.export_table(file)
    context.out.line(f"Exported {count:,} records to {file}.")


@click.command("take-along", cls=VaultCommand)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def take_along(context: CommandContext, file: Path) -> None:
    """Write the collection to FILE, one HTML page that a phone opens without a network.

    It has a search, tiny covers, year, label and catalogue number. Notes, prices and plays are not in it. At most 5 MB.
    """
    with opened_services(context) as services:
        try:
            written = services.take_along.write(file)
        except OSError as error:
            raise CacheError(f"{file}: {error.strerror}. Nothing was written.") from error
    records = f"{written.records:,} {'record' if written.records == 1 else 'records'}"
    context.out.line(f"{records}, {written.covers:,} covers, {written.size / 1e6:.1f} MB written to {file}.")


@click.command("remove", cls=VaultCommand)
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=click.IntRange(min=1, max=MAX_RECORD_ID))
@click.option("--yes", "is_confirmed", is_flag=True, help="Do not ask for confirmation.")
def remove_records(context: CommandContext, ids: tuple[int, ...], is_confirmed: bool) -> None:
    """Remove the records with these numbers, with their plays, notes and uploaded covers.

    The number of a record is in the URL of its page. If a number is unknown, nothing is removed. Records that their source still
    has come back with the next sync or scan.
    """
    wanted = tuple(dict.fromkeys(ids))
    with opened_services(context) as services:
        titles = services.removal.titles(wanted)
        if unknown := [str(record_id) for record_id in wanted if record_id not in titles]:
            raise CacheError(f"Unknown record: {', '.join(unknown)}. Nothing was removed.")
        if not is_confirmed:
            for record_id in wanted:
                context.out.line(f"{record_id}  {titles[record_id]}")
            click.confirm(f"Remove {'this record' if len(wanted) == 1 else f'these {len(wanted):,} records'}?", abort=True)
        gone = services.removal.remove(wanted)
        log_action(context, "records", f"removed {counted(len(gone), 'record')}")
        for removed in gone:
            context.out.line(f"Removed: {removed.artist}, {removed.title}.")


def _import(context: CommandContext, file: Path, report_file: Path | None, *, dry_run: bool) -> int:
    out = context.out
    with opened_services(context) as services:
        bought = services.library.wants.table.count_bought()
        report = services.library.import_table(file, dry_run=dry_run)
        bought = services.library.wants.table.count_bought() - bought
        if not dry_run:
            services.covers.try_register(services.library.cover_urls())
            log_action(context, "records", "imported a table", file.name)
    lossy = f"; {report.lossy:,} with a value that was shortened, guessed or skipped" if report.lossy else ""
    would = "would be " if dry_run else ""
    out.line(
        f"{report.read:,} rows read: {report.new:,} {would}new, {report.changed:,} {would}updated, {report.same:,} unchanged,"
        f" {report.rejected_count:,} rejected{lossy}.{bought_sentence(bought)}"
    )
    print_report(out, report.lines(), report_file)
    return 1 if report.read and report.rejected_count == report.read else 0
