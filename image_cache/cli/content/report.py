"""Reports of imports and scans on the command line: the option, the file, and the first lines."""

from collections.abc import Sequence
from pathlib import Path

import click

from image_cache.cli.output import Output
from image_cache.filesystem import replacing
from image_cache.import_models import RowLoss
from image_cache.tables.write import report_text

SHOWN_LOSSES = 20

REPORT = click.option(
    "--report",
    "report_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write rejected rows and changed values to this file, as CSV.",
)


def print_report(out: Output, losses: Sequence[RowLoss], report_file: Path | None, first: str = "row") -> None:
    """Write a report to its file, if one is named, and print its first lines. `first` says what the losses are listed by."""
    if report_file is not None:
        with replacing(report_file) as target:
            target.writelines(piece.encode() for piece in report_text(losses, first))
        out.line(f"Report saved to {report_file}.")
    for loss in losses[:SHOWN_LOSSES]:
        where = str(loss.row) if isinstance(loss.row, str) else f"{first} {loss.row:,}"
        out.note(f"  {where}: {loss.named}{loss.what}")
    if len(losses) > SHOWN_LOSSES:
        out.note(f"  and {len(losses) - SHOWN_LOSSES:,} more; --report FILE.csv lists them")
