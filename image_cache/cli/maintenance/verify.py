"""`verify`: read everything that is stored and compare it with its SHA-256; with `--repair` fix what was found."""

import click

from image_cache.cli.action_log import log_action
from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.services import opened_services
from image_cache.errors import StorageError
from image_cache.maintenance.scrub.report import DAMAGES, OUTCOMES, ScrubReport
from image_cache.units import counted, megabytes

SHOWN_FINDINGS = 20


@click.command("verify", cls=MaintenanceCommand)
@click.option("--repair", "is_repair", is_flag=True, help="repair the damage found")
def verify(context: CommandContext, is_repair: bool) -> int:
    """Check all stored data against its checksums, and the index against the files.

    The exit status is 0 if everything is intact or was repaired, 1 if damage remains.
    """
    context.require("Catalogue", "Cache", "Files", "Rights")
    if not context.settings.index_path.exists():
        raise StorageError(str(context.settings.index_path), "no index yet; the service creates it when it starts")
    with opened_services(context, may_create=False) as services:
        total = megabytes(services.scrub.total_bytes())

        def draw(report: ScrubReport) -> None:
            context.out.bar(int(report.done * 1000), 1000, f"{megabytes(report.bytes)} read of {total}")

        report = services.scrub.run(repair=is_repair, sets_aside=is_repair, progress=draw)
        if is_repair and report.found:
            found = report.found.total()
            log_action(context, "limits", "repaired damage", f"{found - report.unmended:,} of {counted(found, 'finding')}")
    context.out.end_bar()
    _print_report(context, report, is_repair=is_repair)
    return 0 if report.is_clean else 1


def _print_report(context: CommandContext, report: ScrubReport, *, is_repair: bool) -> None:
    out = context.out
    for finding in report.damages[:SHOWN_FINDINGS]:
        outcome = OUTCOMES.get(finding.outcome, "")
        out.wrapped("", f"{finding.what}: {finding.where}/{finding.path}{' - ' + outcome if outcome else ''}")
    if report.found.total() > SHOWN_FINDINGS:
        out.line(f"and {report.found.total() - SHOWN_FINDINGS:,} more")
    for note in report.notes:
        out.wrapped("", note)
    kinds = ", ".join(f"{count:,} {kind} ({DAMAGES[kind]})" for kind, count in report.found.most_common() if kind in DAMAGES)
    checked = f"{counted(report.checked.total(), 'file')}, {megabytes(report.bytes)} read"
    out.wrapped("", f"{checked}: {kinds or 'no damage found'}.")
    if report.found and not is_repair:
        out.line("Nothing was changed. To repair the damage, run again with --repair.")
    elif report.found:
        out.line(f"{report.found.total() - report.unmended:,} repaired, {report.unmended:,} not repairable.")
    out.json(report.to_dict())
